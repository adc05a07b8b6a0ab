"""The machine: processors, memory, clocks, devices."""
