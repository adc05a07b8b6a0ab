"""Facts of the machine that runs execute on."""
