// Field <-> projections: one thread per ray. table[rays][2] = (first sample, count).
#pragma once
#include "kernel.cuh"
#include "march.h"

struct SeedBox {
    double at[6];           // lower x y z, upper x y z [mm]
};

struct SeedMarcher {
    MarchRay ray;
    MarchOccupancy occupancy;
    float box[6];
};

SEED_FN SeedMarcher marcher(const float* origins, const float* directions, int64_t r, const SeedBox& box, int samples, double step,
                            int64_t seed, const unsigned char* cells, const SeedShape& cells_shape) {
    SeedMarcher out;
    out.ray = march_ray(origins + 3 * r, directions + 3 * r, box.at, samples, step, (uint32_t)seed, r);
    out.occupancy = march_occupancy(cells, cells_shape.n, box.at);
    for (int i = 0; i < 6; ++i) out.box[i] = (float)box.at[i];
    return out;
}

SEED_KERNEL seed_clip_rays(const float* origins, const float* directions, int64_t rays, SeedBox box, float* spans) {
    const int64_t r = SEED_INDEX;
    if (r >= rays) return;
    const MarchSpan span = march_span(origins + 3 * r, directions + 3 * r, box.at);
    const bool hit = span.far > span.near;
    spans[2 * r] = hit ? (float)span.near : 0.0f;
    spans[2 * r + 1] = hit ? (float)span.far : 0.0f;
}

// Counts only: the caller sums them.
SEED_KERNEL seed_march_count(const float* origins, const float* directions, int64_t rays, SeedBox box, int samples, double step, int64_t seed,
                             const unsigned char* cells, SeedShape cells_shape, int64_t* table) {
    const int64_t r = SEED_INDEX;
    if (r >= rays) return;
    const SeedMarcher m = marcher(origins, directions, r, box, samples, step, seed, cells, cells_shape);
    table[2 * r + 1] = march_count(m.ray, seed >= 0, m.occupancy, m.box);
}

SEED_KERNEL seed_march_fill(const float* origins, const float* directions, int64_t begin, int64_t end, SeedBox box, int samples, double step,
                            int64_t seed, const unsigned char* cells, SeedShape cells_shape, const int64_t* table, float* positions, float* ts) {
    const int64_t r = begin + SEED_INDEX;
    if (r >= end) return;
    const SeedMarcher m = marcher(origins, directions, r, box, samples, step, seed, cells, cells_shape);
    const int64_t at = table[2 * r] - table[2 * begin];
    march_fill(m.ray, seed >= 0, m.occupancy, m.box, positions + 3 * at, ts + 2 * at);
}

// Positions within their bins of `samples` samples of each ray, as in marching: places[rays][samples] in [0, 1).
SEED_KERNEL seed_march_places(int64_t rays, int64_t samples, int64_t seed, float* places) {
    const int64_t index = SEED_INDEX;
    if (index < rays * samples) places[index] = march_jitter(march_key((uint32_t)seed, index / samples), (uint32_t)(index % samples));
}

SEED_KERNEL seed_composite_sum(const float* mu, const float* ts, const int64_t* table, int64_t rays, float* out) {
    const int64_t r = SEED_INDEX;
    if (r >= rays) return;
    float sum = 0;
    for (int64_t i = table[2 * r]; i < table[2 * r] + table[2 * r + 1]; ++i) sum += mu[i] * ts[2 * i + 1];
    out[r] = sum;
}

SEED_KERNEL seed_composite_sum_transpose(const float* values, const float* ts, const int64_t* table, int64_t rays, float* mu) {
    const int64_t r = SEED_INDEX;
    if (r < rays) composite_sum_transpose(values[r], ts + 2 * table[2 * r], table[2 * r + 1], mu + table[2 * r]);
}

SEED_KERNEL seed_composite_max(const float* mu, const int64_t* table, int64_t rays, float* out, int64_t* at) {
    const int64_t r = SEED_INDEX;
    if (r >= rays) return;
    const int64_t best = composite_arg_max(mu + table[2 * r], table[2 * r + 1]);
    at[r] = best < 0 ? -1 : table[2 * r] + best;
    out[r] = best < 0 ? 0.0f : mu[at[r]];
}

SEED_KERNEL seed_composite_pick(const float* mu, const int64_t* at, int64_t rays, float* out) {
    const int64_t r = SEED_INDEX;
    if (r < rays) out[r] = at[r] < 0 ? 0.0f : mu[at[r]];
}

SEED_KERNEL seed_composite_pick_transpose(const float* out, const int64_t* at, int64_t rays, float* mu) {
    const int64_t r = SEED_INDEX;
    if (r < rays && at[r] >= 0) mu[at[r]] = out[r];
}
