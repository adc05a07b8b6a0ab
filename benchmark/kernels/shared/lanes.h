// Several floats at once on the CPU, in the compiler's own vector types (g++ and clang++): arithmetic is written with + - * as usual.
// Sixteen with AVX-512, eight with AVX, else four: vectors wider than the processor's go through memory, number by number.
#pragma once

#ifndef __CUDACC__
#include <cstddef>
#include <cstring>
#include <utility>
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#define SEED_AVX
#endif

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(SEED_AVX)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int Ints __attribute__((vector_size(4 * LANES)));

static inline Floats load_floats(const float* from) {
    Floats out;
    std::memcpy(&out, from, sizeof out);
    return out;
}

static inline void store_floats(float* to, Floats value) { std::memcpy(to, &value, sizeof value); }

static inline void add_floats(float* to, Floats value) { store_floats(to, load_floats(to) + value); }

// 0, 1, 2, ...
static inline Floats count_floats() {
    Floats out;
    for (int lane = 0; lane < LANES; ++lane) out[lane] = (float)lane;
    return out;
}

// first, first + step, first + 2 step, ...
static inline Floats step_floats(float first, float step) { return first + step * count_floats(); }

static inline Floats abs_floats(Floats x) { return (Floats)((Ints)x & 0x7fffffff); }

static inline Ints to_ints(Floats whole) { return __builtin_convertvector(whole, Ints); }

// x where the mask is set (all bits), else 0.
static inline Floats keep_floats(Floats x, Ints mask) { return (Floats)((Ints)x & mask); }

// Operations with processor instructions. pick_floats: lane i is element index[i] of `low` and `high` together, 0 .. 2 LANES - 1;
// PICKS: pick_floats is fast. rough_inverse_root: 1 / sqrt(x), to 4e-4 or better.
#if defined(__AVX512F__)
static inline Floats floor_floats(Floats x) { return (Floats)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
static inline Floats max_floats(Floats x, Floats y) { return (Floats)_mm512_max_ps((__m512)x, (__m512)y); }
static inline Floats rough_inverse_root(Floats x) { return (Floats)_mm512_rsqrt14_ps((__m512)x); }
static inline Floats pick_floats(Floats low, Floats high, Ints index) {
    return (Floats)_mm512_permutex2var_ps((__m512)low, (__m512i)index, (__m512)high);
}
#elif defined(SEED_AVX)
static inline Floats floor_floats(Floats x) { return (Floats)_mm256_floor_ps((__m256)x); }
static inline Floats max_floats(Floats x, Floats y) { return (Floats)_mm256_max_ps((__m256)x, (__m256)y); }
static inline Floats rough_inverse_root(Floats x) { return (Floats)_mm256_rsqrt_ps((__m256)x); }
static inline Floats pick_floats(Floats low, Floats high, Ints index) {
    const __m256 one = _mm256_permutevar8x32_ps((__m256)low, (__m256i)index), two = _mm256_permutevar8x32_ps((__m256)high, (__m256i)index);
    return (Floats)_mm256_blendv_ps(one, two, (__m256)(index << 28));  // bit 3 of the index, moved to the sign, chooses
}
#else
static inline Floats floor_floats(Floats x) {  // of numbers in the range of an int
    const Floats whole = __builtin_convertvector(to_ints(x), Floats);
    return whole + __builtin_convertvector(whole > x, Floats);  // -1 if rounded up
}
static inline Floats max_floats(Floats x, Floats y) { return x > y ? x : y; }
static inline Floats rough_inverse_root(Floats x) {
    for (int lane = 0; lane < LANES; ++lane) x[lane] = 1.0f / __builtin_sqrtf(x[lane]);
    return x;
}
static inline Floats pick_floats(Floats low, Floats high, Ints index) {
    Floats out;
    for (int lane = 0; lane < LANES; ++lane) out[lane] = index[lane] < LANES ? low[index[lane]] : high[index[lane] - LANES];
    return out;
}
#endif
#ifdef SEED_AVX
constexpr bool PICKS = true;
#else
constexpr bool PICKS = false;
#endif

// pick_floats with constants, fast on every processor if the compiler knows __builtin_shufflevector (g++ from version 12 on, clang++).
template <int... I>
static inline Floats chosen_floats(Floats low, Floats high) {
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
    return __builtin_shufflevector(low, high, I...);
#endif
#endif
    return pick_floats(low, high, (Ints){I...});
}

// rows[i][j] <-> rows[j][i] of LANES vectors: blocks of STEP rows exchange halves with their neighbours, then blocks of twice as many.
template <int STEP, int... I>
static inline void transpose_blocks(Floats* rows, std::integer_sequence<int, I...> lanes) {
    for (int pair = 0; pair < LANES / 2; ++pair) {
        const int i = pair / STEP * 2 * STEP + pair % STEP;
        const Floats one = rows[i], two = rows[i + STEP];
        rows[i] = chosen_floats<(I & STEP ? I - STEP + LANES : I)...>(one, two);
        rows[i + STEP] = chosen_floats<(I & STEP ? I + LANES : I + STEP)...>(one, two);
    }
    if constexpr (2 * STEP < LANES) transpose_blocks<2 * STEP>(rows, lanes);
}

static inline void transpose_floats(Floats* rows) { transpose_blocks<1>(rows, std::make_integer_sequence<int, LANES>()); }

// *to = the larger of *to and value, lane by lane.
static inline void raise_floats(float* to, Floats value) { store_floats(to, max_floats(load_floats(to), value)); }

// The sum of all lanes: halves onto halves, always in the same order.
#if defined(__AVX512F__)
static inline float sum_floats(Floats x) { return _mm512_reduce_add_ps((__m512)x); }
#elif defined(SEED_AVX)
static inline float sum_floats(Floats x) {
    __m128 part = _mm_add_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
    part = _mm_add_ps(part, _mm_movehl_ps(part, part));
    return _mm_cvtss_f32(_mm_add_ss(part, _mm_shuffle_ps(part, part, 1)));
}
#else
static inline float sum_floats(Floats x) { return (x[0] + x[2]) + (x[1] + x[3]); }
#endif

// The sum of all lanes, from the first to the last.
static inline float sum_in_order(Floats x) {
    float sum = 0;
    for (int lane = 0; lane < LANES; ++lane) sum += x[lane];
    return sum;
}

// 1 / sqrt(x) for x > 0, to 4e-7: an estimate and a Newton step.
static inline Floats inverse_root_floats(Floats x) {
    const Floats y = rough_inverse_root(x);
    return y * (1.5f - 0.5f * x * y * y);
}

// Sums<float> from Sums<Floats>, which has the same members.
template <template <class> class Sums>
Sums<float> over_lanes(const Sums<Floats>& lanes) {
    Sums<float> out;
    static_assert(sizeof lanes == sizeof out * LANES, "only numbers in it");
    const Floats* from = (const Floats*)&lanes;
    for (size_t n = 0; n < sizeof out / sizeof(float); ++n) ((float*)&out)[n] = sum_floats(from[n]);
    return out;
}
#endif
