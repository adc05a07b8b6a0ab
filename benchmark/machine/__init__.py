"""Facts about the machine: processors, memory, clocks, devices."""
