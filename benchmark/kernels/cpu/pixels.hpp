// A row of numbers on the CPU, as many at once as the processor has lanes. Rows are padded by as many.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>
#include "device.h"
#include "lanes.h"

#ifdef SEED_LANES
using Pixels = Floats;
using Wholes = Ints;
constexpr int LANES = SEED_LANES;
inline Pixels distances(float from, float step) { return from + step * count_floats(); }
inline Pixels load(const float* from) { return load_floats(from); }
inline void add(float* to, Pixels value) { add_floats(to, value); }
inline void raise(float* to, Pixels value) {
    value = max_floats(load_floats(to), value);
    std::memcpy(to, &value, sizeof value);
}
inline float sum(Pixels x) { return sum_floats(x); }
#else
using Pixels = float;
using Wholes = int;
constexpr int LANES = 1;
inline Pixels distances(float from, float) { return from; }
inline Pixels load(const float* from) { return *from; }
inline void add(float* to, Pixels value) { *to += value; }
inline void raise(float* to, Pixels value) { seed_raise(to, value); }
inline float sum(Pixels x) { return x; }
#endif

// Sums<float> from Sums<Pixels>, which has the same members.
template <template <class> class Sums>
Sums<float> over_lanes(const Sums<Pixels>& lanes) {
    Sums<float> out;
    static_assert(sizeof lanes == sizeof out * LANES, "only numbers in it");
    const Pixels* from = (const Pixels*)&lanes;
    for (size_t n = 0; n < sizeof out / sizeof(float); ++n) ((float*)&out)[n] = sum(from[n]);
    return out;
}

// Rows of `count` floats followed by LANES zeros.
inline std::vector<float> padded(const float* rows, int64_t number, int count) {
    std::vector<float> out(number * (count + LANES), 0.0f);
    for (int64_t r = 0; r < number; ++r) std::memcpy(&out[r * (count + LANES)], rows + r * count, sizeof(float) * count);
    return out;
}
