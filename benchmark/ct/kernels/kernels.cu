// The CUDA side: the same device functions as on the CPU, one thread per ray (or per point). Compiled by NVRTC at run time.
// A launcher does what the CPU wrappers do around their loops: pad the volume with one voxel of zeros, sum the counts up,
// zero what is added to.
#include "gaussians.h"
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

// -- Gaussians: means[count][3], matrices[count][3][3], amplitudes[count]; one thread a Gaussian and view, or a Gaussian ------

struct SeedGaussians {
    int64_t count;
    const float *means, *matrices, *amplitudes;
    float reach;
};

// Calls row(j, dj, first, last) for each row of the image that Gaussian k reaches.
template <class Row>
SEED_FN void visit_footprint(const SeedGaussians& all, int64_t k, const GaussianView& view, int rows, int columns, Row row) {
    const GaussianFootprint g = gaussian_footprint(view, all.means + 3 * k, all.matrices + 9 * k, all.reach, rows);
    for (int j = (int)ceilf(g.first); j <= (int)floorf(g.last); ++j) {
        int first, last;
        gaussian_columns(g, (float)j - g.j, all.reach, columns, first, last);
        row(g, j, first, last);
    }
}

SEED_KERNEL seed_gaussian_project(SeedGaussians all, const double* vectors, int views, int rows, int columns, float* images) {
    const int64_t k = SEED_INDEX % all.count, n = SEED_INDEX / all.count;
    if (n >= views) return;
    visit_footprint(all, k, gaussian_view(vectors + 12 * n, rows, columns), rows, columns,
                    [&](const GaussianFootprint& g, int j, int first, int last) {
                        const GaussianRow row = gaussian_row(g, (float)j - g.j);
                        for (int i = first; i <= last; ++i) {
                            float q, inverse;
                            const float value = all.amplitudes[k] * gaussian_pixel(row, (float)i - g.i, all.reach, q, inverse);
                            seed_add(images + (n * rows + j) * columns + i, value);
                        }
                    });
}

SEED_KERNEL seed_gaussian_project_backward(SeedGaussians all, const double* vectors, int views, int rows, int columns,
                                           const float* gradient, float* to_means, float* to_matrices, float* to_amplitudes) {
    const int64_t k = SEED_INDEX % all.count, n = SEED_INDEX / all.count;
    if (n >= views) return;
    const GaussianView view = gaussian_view(vectors + 12 * n, rows, columns);
    GaussianSums<float> sums{};
    bool seen = false;
    visit_footprint(all, k, view, rows, columns, [&](const GaussianFootprint& g, int j, int first, int last) {
        seen = true;
        const float dj = (float)j - g.j;
        const GaussianRow row = gaussian_row(g, dj);
        for (int i = first; i <= last; ++i)
            gaussian_pixel_sums(row, (float)i - g.i, dj, all.reach, gradient[(n * rows + j) * columns + i], sums);
    });
    if (!seen) return;
    float amplitude = 0, mean[3] = {0, 0, 0}, matrix[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    gaussian_chain(view, all.means + 3 * k, all.matrices + 9 * k, all.amplitudes[k], sums, &amplitude, mean, matrix);
    seed_add(to_amplitudes + k, amplitude);
    for (int n = 0; n < 3; ++n) seed_add(to_means + 3 * k + n, mean[n]);
    for (int n = 0; n < 9; ++n) seed_add(to_matrices + 9 * k + n, matrix[n]);
}

// Calls row(offset of the row in the volume, dy, dz, q0, q1, first, last) for each row of the grid that Gaussian k reaches.
template <class Row>
SEED_FN void visit_ball(const SeedGaussians& all, int64_t k, const GaussianGrid& grid, const GaussianBall& b, Row row) {
    const float* mean = all.means + 3 * k;
    for (int z = (int)ceilf(b.first); z <= (int)floorf(b.last); ++z) {
        const float dz = grid.lower[2] + (float)z * grid.step[2] - mean[2];
        int low, high, first, last;
        gaussian_rows(b, grid, mean, dz, all.reach, low, high);
        for (int j = low; j <= high; ++j) {
            const float dy = grid.lower[1] + (float)j * grid.step[1] - mean[1];
            gaussian_row_columns(b, grid, mean, dy, dz, all.reach, first, last);
            row(((int64_t)z * grid.n[1] + j) * grid.n[0], dy, dz, b.yy * dy * dy + 2 * b.yz * dy * dz + b.zz * dz * dz,
                b.xy * dy + b.xz * dz, first, last);
        }
    }
}

SEED_KERNEL seed_gaussian_voxelise(SeedGaussians all, GaussianGrid grid, float* volume) {
    const int64_t k = SEED_INDEX;
    if (k >= all.count) return;
    const GaussianBall b = gaussian_ball(grid, all.means + 3 * k, all.matrices + 9 * k, all.reach);
    visit_ball(all, k, grid, b, [&](int64_t offset, float, float, float q0, float q1, int first, int last) {
        for (int i = first; i <= last; ++i) {
            const float dx = grid.lower[0] + (float)i * grid.step[0] - all.means[3 * k];
            seed_add(volume + offset + i, all.amplitudes[k] * gaussian_point(q0, q1, b.xx, dx, all.reach));
        }
    });
}

SEED_KERNEL seed_gaussian_voxelise_backward(SeedGaussians all, GaussianGrid grid, const float* gradient, float* to_means,
                                            float* to_matrices, float* to_amplitudes) {
    const int64_t k = SEED_INDEX;
    if (k >= all.count) return;
    const GaussianBall b = gaussian_ball(grid, all.means + 3 * k, all.matrices + 9 * k, all.reach);
    GaussianMoments<float> sums{};
    visit_ball(all, k, grid, b, [&](int64_t offset, float dy, float dz, float q0, float q1, int first, int last) {
        for (int i = first; i <= last; ++i) {
            const float dx = grid.lower[0] + (float)i * grid.step[0] - all.means[3 * k];
            gaussian_point_moments(q0, q1, b.xx, dx, dy, dz, all.reach, gradient[offset + i], sums);
        }
    });
    gaussian_grid_chain(b, all.matrices + 9 * k, all.amplitudes[k], sums, to_amplitudes + k, to_means + 3 * k, to_matrices + 9 * k);
}

#include "gaussian_maxima.cuh"
