// The CUDA side: the same device functions as on the CPU, one thread per ray, point, voxel or Gaussian. Compiled by NVRTC at run
// time and launched by benchmark/kernels/cuda_kernels.py, which does what the CPU wrappers do around their loops.
//
// A kernel has the name and the arguments of its CPU counterpart. What is small and lies with the caller there (a shape, a box, the
// levels of a grid) is passed by value here; views[count][4][3] are copied to the device. Threads beyond the last have nothing to do.
#include "projector.cuh"
#include "march.cuh"
#include "fdk.cuh"
#include "hash_grid.cuh"
#include "vector_matrix.cuh"
#include "gaussians.cuh"
#include "gaussian_maxima.cuh"
#include "splatter.cuh"
#include "total_variation.cuh"
