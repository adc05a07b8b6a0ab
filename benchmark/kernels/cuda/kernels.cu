// The CUDA side: the same device functions as on the CPU, one thread per ray, point, voxel or Gaussian. Compiled by NVRTC at run
// time and launched by benchmark/kernels/cuda_kernels.py, which does the work of the CPU wrappers around their loops.
//
// A kernel has the name and the arguments of its CPU counterpart. Small host data (a shape, a box, the
// levels of a grid) are passed by value here; views[count][4][3] are copied to the device. Threads beyond the last are idle.
#include "projector.cuh"
#include "march.cuh"
#include "fdk.cuh"
#include "hash_grid.cuh"
#include "vector_matrix.cuh"
#include "gaussians.cuh"
#include "gaussian_maxima.cuh"
#include "splatter.cuh"
#include "total_variation.cuh"
