// Sixteen floats at once with AVX-512, eight with AVX2, in the compiler's own vector types (g++ and clang++): arithmetic is
// written with + - * as usual. SEED_LANES is defined where the processor has either.
#pragma once

#if defined(__AVX512F__)
#define SEED_LANES 16
#elif defined(__AVX2__) && defined(__FMA__)
#define SEED_LANES 8
#endif

#ifdef SEED_LANES
#include <immintrin.h>
#include <cstring>

typedef float Floats __attribute__((vector_size(4 * SEED_LANES)));
typedef int Ints __attribute__((vector_size(4 * SEED_LANES)));

static inline Floats load_floats(const float* from) {
    Floats out;
    std::memcpy(&out, from, sizeof out);
    return out;
}

static inline void add_floats(float* to, Floats value) {
    value += load_floats(to);
    std::memcpy(to, &value, sizeof value);
}

// 0, 1, 2, ...
static inline Floats count_floats() {
    Floats out;
    for (int lane = 0; lane < SEED_LANES; ++lane) out[lane] = (float)lane;
    return out;
}

static inline Floats abs_floats(Floats x) { return (Floats)((Ints)x & 0x7fffffff); }

static inline Ints to_ints(Floats whole) { return __builtin_convertvector(whole, Ints); }

// x where the mask is set (all bits), else 0.
static inline Floats keep_floats(Floats x, Ints mask) { return (Floats)((Ints)x & mask); }

#if SEED_LANES == 16
static inline Floats floor_floats(Floats x) { return (Floats)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
static inline Floats max_floats(Floats x, Floats y) { return (Floats)_mm512_max_ps((__m512)x, (__m512)y); }
static inline Floats rough_inverse_root(Floats x) { return (Floats)_mm512_rsqrt14_ps((__m512)x); }

// Lane i is element index[i] of `low` and `high` together: 0 .. 2 SEED_LANES - 1.
static inline Floats pick_floats(Floats low, Floats high, Ints index) {
    return (Floats)_mm512_permutex2var_ps((__m512)low, (__m512i)index, (__m512)high);
}
#else
static inline Floats floor_floats(Floats x) { return (Floats)_mm256_floor_ps((__m256)x); }
static inline Floats max_floats(Floats x, Floats y) { return (Floats)_mm256_max_ps((__m256)x, (__m256)y); }
static inline Floats rough_inverse_root(Floats x) { return (Floats)_mm256_rsqrt_ps((__m256)x); }

static inline Floats pick_floats(Floats low, Floats high, Ints index) {
    const __m256 one = _mm256_permutevar8x32_ps((__m256)low, (__m256i)index), two = _mm256_permutevar8x32_ps((__m256)high, (__m256i)index);
    return (Floats)_mm256_blendv_ps(one, two, (__m256)(index << 28));  // bit 3 of the index, moved to the sign, chooses
}
#endif

// The sum of all lanes: halves onto halves, always in the same order.
#if SEED_LANES == 16
static inline float sum_floats(Floats x) { return _mm512_reduce_add_ps((__m512)x); }
#else
static inline float sum_floats(Floats x) {
    __m128 part = _mm_add_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
    part = _mm_add_ps(part, _mm_movehl_ps(part, part));
    return _mm_cvtss_f32(_mm_add_ss(part, _mm_shuffle_ps(part, part, 1)));
}
#endif

// 1 / sqrt(x) for x > 0, to 4e-7: the processor's estimate and a Newton step.
static inline Floats inverse_root_floats(Floats x) {
    const Floats y = rough_inverse_root(x);
    return y * (1.5f - 0.5f * x * y * y);
}
#endif
