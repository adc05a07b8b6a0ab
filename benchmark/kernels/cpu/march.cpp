// Field <-> projections on the CPU: march rays through a box into packed samples and composite the field's values.
// One thread computes each ray and writes only its samples: bit-identical for any number of threads.
#include "entry.hpp"
#include "lanes.h"
#include "march.h"

namespace {

constexpr int RAYS = 32;  // scheduled together, so that threads seldom share a cache line

struct Box {
    double exact[6];
    float rounded[6];
    explicit Box(const double* box) {
        for (int i = 0; i < 6; ++i) exact[i] = box[i], rounded[i] = (float)box[i];
    }
};

// dt of LANES samples from their (t, dt).
template <int... I>
Floats lengths_of(const float* ts, std::integer_sequence<int, I...>) {
    return chosen_floats<(2 * I + 1)...>(load_floats(ts), load_floats(ts + LANES));
}

// Attenuation: sum of mu dt, in a fixed order.
float composite_sum(const float* mu, const float* ts, int64_t count) {
    Floats sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (int n = 0; n < 4; ++n)
            sums[n] += load_floats(mu + i + n * LANES) * lengths_of(ts + 2 * (i + n * LANES), std::make_integer_sequence<int, LANES>());
    float rest = 0;
    for (; i < count; ++i) rest += mu[i] * ts[2 * i + 1];
    return sum_floats((sums[0] + sums[2]) + (sums[1] + sums[3])) + rest;
}

}  // namespace

// spans[rays][2] = distances at which each ray enters and leaves the box [mm]; both 0 for a miss.
SEED_ENTRY seed_clip_rays(const float* origins, const float* directions, int64_t rays, const double* box, float* spans) try {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rays; ++r) {
        const MarchSpan span = march_span(origins + 3 * r, directions + 3 * r, box);
        const bool hit = span.far > span.near;
        spans[2 * r] = hit ? (float)span.near : 0.0f;
        spans[2 * r + 1] = hit ? (float)span.far : 0.0f;
    }
    return SEED_DONE;
} SEED_CATCH

// table[rays][2] = (first sample, count); returns the number of samples. seed < 0 means no jitter (samples at bin centres).
SEED_ENTRY seed_march_count(const float* origins, const float* directions, int64_t rays, const double* box, int samples, double step,
                            int64_t seed, const unsigned char* cells, const int* cells_shape, int64_t* table, int64_t* answer) try {
    const Box bounds(box);
    const MarchOccupancy occupancy = march_occupancy(cells, cells_shape, box);
#pragma omp parallel for schedule(static, RAYS)
    for (int64_t r = 0; r < rays; ++r) {
        const MarchRay ray = march_ray(origins + 3 * r, directions + 3 * r, bounds.exact, samples, step, (uint32_t)seed, r);
        table[2 * r + 1] = march_count(ray, seed >= 0, occupancy, bounds.rounded);
    }
    int64_t total = 0;
    for (int64_t r = 0; r < rays; total += table[2 * r + 1], ++r) table[2 * r] = total;
    *answer = total;
    return SEED_DONE;
} SEED_CATCH

// The samples of rays begin .. end - 1 of that table: positions[M][3] and ts[M][2] start with the first of them.
SEED_ENTRY seed_march_fill(const float* origins, const float* directions, int64_t begin, int64_t end, const double* box, int samples,
                           double step, int64_t seed, const unsigned char* cells, const int* cells_shape, const int64_t* table,
                           float* positions, float* ts) try {
    const Box bounds(box);
    const MarchOccupancy occupancy = march_occupancy(cells, cells_shape, box);
#pragma omp parallel for schedule(static, RAYS)
    for (int64_t r = begin; r < end; ++r) {
        const MarchRay ray = march_ray(origins + 3 * r, directions + 3 * r, bounds.exact, samples, step, (uint32_t)seed, r);
        const int64_t at = table[2 * r] - table[2 * begin];
        march_fill(ray, seed >= 0, occupancy, bounds.rounded, positions + 3 * at, ts + 2 * at);
    }
    return SEED_DONE;
} SEED_CATCH

// Returns the first ray whose samples do not follow those of the previous ray or lie outside 0 .. samples - 1; -1 if all are valid.
SEED_ENTRY seed_check_packed(const int64_t* table, int64_t rays, int64_t samples, int64_t* answer) try {
    *answer = -1;
    int64_t end = 0;
    for (int64_t r = 0; r < rays; ++r) {
        const int64_t first = table[2 * r], count = table[2 * r + 1];
        if (count < 0 || first < end || count > samples - first) {
            *answer = r;
            break;
        }
        end = first + count;
    }
    return SEED_DONE;
} SEED_CATCH

SEED_ENTRY seed_composite_sum(const float* mu, const float* ts, const int64_t* table, int64_t rays, float* out) try {
#pragma omp parallel for schedule(static, RAYS)
    for (int64_t r = 0; r < rays; ++r) out[r] = composite_sum(mu + table[2 * r], ts + 2 * table[2 * r], table[2 * r + 1]);
    return SEED_DONE;
} SEED_CATCH

// mu[samples] must be zero outside the samples of all rays.
SEED_ENTRY seed_composite_sum_transpose(const float* values, const float* ts, const int64_t* table, int64_t rays, float* mu) try {
#pragma omp parallel for schedule(static, RAYS)
    for (int64_t r = 0; r < rays; ++r)
        composite_sum_transpose(values[r], ts + 2 * table[2 * r], table[2 * r + 1], mu + table[2 * r]);
    return SEED_DONE;
} SEED_CATCH

// out = the largest mu of each ray (0 without samples), at = its index among all samples (-1 without).
SEED_ENTRY seed_composite_max(const float* mu, const int64_t* table, int64_t rays, float* out, int64_t* at) try {
#pragma omp parallel for schedule(static, RAYS)
    for (int64_t r = 0; r < rays; ++r) {
        const int64_t best = composite_arg_max(mu + table[2 * r], table[2 * r + 1]);
        at[r] = best < 0 ? -1 : table[2 * r] + best;
        out[r] = best < 0 ? 0.0f : mu[at[r]];
    }
    return SEED_DONE;
} SEED_CATCH

// out[r] = mu[at[r]], and its transpose: mu[at[r]] = out[r] on a zeroed mu.
SEED_ENTRY seed_composite_pick(const float* mu, const int64_t* at, int64_t rays, float* out) try {
    for (int64_t r = 0; r < rays; ++r) out[r] = at[r] < 0 ? 0.0f : mu[at[r]];
    return SEED_DONE;
} SEED_CATCH

SEED_ENTRY seed_composite_pick_transpose(const float* out, const int64_t* at, int64_t rays, float* mu) try {
    for (int64_t r = 0; r < rays; ++r)
        if (at[r] >= 0) mu[at[r]] = out[r];
    return SEED_DONE;
} SEED_CATCH
