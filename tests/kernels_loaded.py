"""Loads the compiled kernels: imported before processes are forked, which then need not look for them."""

from benchmark.kernels.cpu_library import library

library()
