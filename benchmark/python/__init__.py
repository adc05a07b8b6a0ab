"""The Python interface: what the commands do, as functions. `benchmark` exports them."""
