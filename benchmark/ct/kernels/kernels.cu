// The CUDA side: the same device functions as on the CPU, one thread per ray (or per point). Compiled by NVRTC at run time.
// A launcher does what the CPU wrappers do around their loops: pad the volume with one voxel of zeros, sum the counts up,
// zero what is added to.
#include "hash_grid.h"
#include "joseph.h"
#include "march.h"

#define SEED_KERNEL extern "C" __global__ void
#define SEED_INDEX ((int64_t)blockIdx.x * blockDim.x + threadIdx.x)

struct SeedViews {          // everything about a projection but its numbers
    SeedGrid grid;
    int64_t stride[3];      // of the padded volume along x, y, z
    int count, rows, columns;
};

SEED_FN JosephRay view_ray(const SeedViews& views, const double* vectors, int64_t pixel) {
    const int64_t line = pixel / views.columns;
    return joseph_view_ray(views.grid, vectors + 12 * (line / views.rows), (double)(pixel % views.columns) - (views.columns - 1) * 0.5,
                           (double)(line % views.rows) - (views.rows - 1) * 0.5);
}

// -- voxel grid <-> projections: vectors[view][4][3] in index space, the volume padded, projections[view][v][u] --------------

SEED_KERNEL seed_project_rays(SeedViews views, const double* vectors, const float* volume, float* projections) {
    const int64_t pixel = SEED_INDEX;
    if (pixel >= (int64_t)views.count * views.rows * views.columns) return;
    projections[pixel] = joseph_sum(view_ray(views, vectors, pixel), volume, views.stride);
}

SEED_KERNEL seed_backproject_rays(SeedViews views, const double* vectors, float* volume, const float* projections) {
    const int64_t pixel = SEED_INDEX;
    if (pixel >= (int64_t)views.count * views.rows * views.columns) return;
    const JosephRay ray = view_ray(views, vectors, pixel);
    joseph_add(ray, ray.first, ray.last, projections[pixel], views.stride, volume);
}

// -- field <-> projections: table[rays][2] = (first sample, count) -----------------------------------------------------------

struct SeedMarch {
    double box[6];               // lower x y z, upper x y z [mm]
    int samples;                 // per ray, or 0:
    double step;                 // longest bin [mm]
    int64_t seed;                // of the jitter, negative for none
    MarchOccupancy occupancy;
};

SEED_FN void round_box(const SeedMarch& how, float* box) {
    for (int i = 0; i < 6; ++i) box[i] = (float)how.box[i];
}

SEED_KERNEL seed_march_count(SeedMarch how, const float* origins, const float* directions, int64_t rays, int64_t* table) {
    const int64_t r = SEED_INDEX;
    if (r >= rays) return;
    float box[6];
    round_box(how, box);
    const MarchRay ray = march_ray(origins + 3 * r, directions + 3 * r, how.box, how.samples, how.step, (uint32_t)how.seed, r);
    table[2 * r + 1] = march_count(ray, how.seed >= 0, how.occupancy, box);
}

SEED_KERNEL seed_march_fill(SeedMarch how, const float* origins, const float* directions, int64_t rays, const int64_t* table,
                            float* positions, float* ts) {
    const int64_t r = SEED_INDEX;
    if (r >= rays) return;
    float box[6];
    round_box(how, box);
    const MarchRay ray = march_ray(origins + 3 * r, directions + 3 * r, how.box, how.samples, how.step, (uint32_t)how.seed, r);
    march_fill(ray, how.seed >= 0, how.occupancy, box, positions + 3 * table[2 * r], ts + 2 * table[2 * r]);
}

SEED_KERNEL seed_composite_sum(const float* mu, const float* ts, const int64_t* table, int64_t rays, float* out) {
    const int64_t r = SEED_INDEX;
    if (r < rays) out[r] = composite_sum(mu + table[2 * r], ts + 2 * table[2 * r], table[2 * r + 1]);
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

SEED_KERNEL seed_composite_max_transpose(const float* values, const int64_t* at, int64_t rays, float* mu) {
    const int64_t r = SEED_INDEX;
    if (r < rays && at[r] >= 0) mu[at[r]] = values[r];
}

// -- hash grid: points[count][3] in the unit cube, table[rows][2], features[2 * levels][count]; one thread a point and level --

SEED_KERNEL seed_hash_encode(const float* points, int64_t count, const HashLevel* levels, int level_count, const float* table,
                             float* features) {
    const int64_t index = SEED_INDEX, i = index % count;
    const int l = (int)(index / count);
    if (l >= level_count) return;
    const HashCell cell = hash_cell(levels[l], points + 3 * i);
    float sum0 = 0, sum1 = 0;
    for (int corner = 0; corner < 8; ++corner) {
        const float* at = table + 2 * (levels[l].offset + hash_corner(levels[l], cell, corner));
        const float weight = hash_weight(cell, corner);
        sum0 += weight * at[0];
        sum1 += weight * at[1];
    }
    features[2 * l * count + i] = sum0;
    features[(2 * l + 1) * count + i] = sum1;
}

SEED_KERNEL seed_hash_encode_backward(const float* points, int64_t count, const HashLevel* levels, int level_count,
                                      const float* gradient, float* table_gradient) {
    const int64_t index = SEED_INDEX, i = index % count;
    const int l = (int)(index / count);
    if (l >= level_count) return;
    const HashCell cell = hash_cell(levels[l], points + 3 * i);
    for (int corner = 0; corner < 8; ++corner) {
        float* at = table_gradient + 2 * (levels[l].offset + hash_corner(levels[l], cell, corner));
        const float weight = hash_weight(cell, corner);
        seed_add(at, weight * gradient[2 * l * count + i]);
        seed_add(at + 1, weight * gradient[(2 * l + 1) * count + i]);
    }
}
