"""The compiled kernels: C++ with OpenMP for the CPU, the same device functions for CUDA through NVRTC."""
