// Common to all files of CUDA kernels.
#pragma once
#include "device.h"

#define SEED_KERNEL extern "C" __global__ void
#define SEED_INDEX ((int64_t)blockIdx.x * blockDim.x + threadIdx.x)

// Arrays by value.
struct SeedShape {
    int n[3];               // z y x
};

struct SeedFloats {
    float x[3];
};

struct SeedDoubles {
    double x[3];
};

struct SeedInputs {
    const float* at[3];
};

struct SeedOutputs {
    float* at[3];
};
