"""Compiled kernels, on the CPU and on CUDA devices."""
