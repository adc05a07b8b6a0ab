// Common to all kernel files, compiled unchanged by g++ and by NVRTC.
#pragma once

#ifdef __CUDACC_RTC__
typedef long long int64_t;
typedef int int32_t;
typedef unsigned int uint32_t;
#else
#include <cmath>
#include <cstdint>
#endif

#ifdef __CUDACC__
#define SEED_FN static __device__ __forceinline__
#else
#define SEED_FN static inline
#endif

SEED_FN float seed_min(float a, float b) { return a < b ? a : b; }
SEED_FN float seed_max(float a, float b) { return a > b ? a : b; }

// x[axis] for axis 0, 1, 2, without an address: on a GPU an array with a variable index would have to lie in memory.
template <class Number>
SEED_FN Number seed_pick(const Number* x, int axis) {
    return axis == 0 ? x[0] : axis == 1 ? x[1] : x[2];
}

// seed_raise: *at = the larger of *at and value, both >= 0 (so that bits are ordered as values). seed_add: *at += value.
// Atomic on a GPU and in the tests' emulation of one (SEED_CONCURRENT).
#if defined(__CUDACC__)
SEED_FN void seed_raise(float* at, float value) { atomicMax((int*)at, __float_as_int(value)); }
SEED_FN void seed_add(float* at, float value) { atomicAdd(at, value); }
#elif defined(SEED_CONCURRENT)
static void seed_raise(float* at, float value) {
    float old;
    __atomic_load(at, &old, __ATOMIC_RELAXED);
    while (old < value && !__atomic_compare_exchange(at, &old, &value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}
static void seed_add(float* at, float value) {
    float old, sum;
    __atomic_load(at, &old, __ATOMIC_RELAXED);
    do sum = old + value;
    while (!__atomic_compare_exchange(at, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}
#else
SEED_FN void seed_raise(float* at, float value) { *at = seed_max(*at, value); }
SEED_FN void seed_add(float* at, float value) { *at += value; }
#endif
