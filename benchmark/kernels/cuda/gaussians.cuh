// Gaussians: means[count][3], matrices[count][3][3], amplitudes[count]; one thread per Gaussian and view, or per Gaussian.
// All results are added to the output.
#pragma once
#include "gaussians.h"
#include "kernel.cuh"

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

SEED_KERNEL seed_gaussian_project(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                  const float* matrices, const float* amplitudes, float reach, float* images) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
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

// Derivatives by Gaussian k from a view's sums over pixels, added to those of other views.
SEED_FN void add_derivatives(const SeedGaussians& all, int64_t k, const GaussianView& view, const GaussianSums<float>& sums, float* to_means,
                             float* to_matrices, float* to_amplitudes) {
    float amplitude = 0, mean[3] = {0, 0, 0}, matrix[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    gaussian_chain(view, all.means + 3 * k, all.matrices + 9 * k, all.amplitudes[k], sums, &amplitude, mean, matrix);
    seed_add(to_amplitudes + k, amplitude);
    for (int n = 0; n < 3; ++n) seed_add(to_means + 3 * k + n, mean[n]);
    for (int n = 0; n < 9; ++n) seed_add(to_matrices + 9 * k + n, matrix[n]);
}

SEED_KERNEL seed_gaussian_project_backward(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                           const float* matrices, const float* amplitudes, float reach, const float* gradient,
                                           float* to_means, float* to_matrices, float* to_amplitudes) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
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
    if (seen) add_derivatives(all, k, view, sums, to_means, to_matrices, to_amplitudes);
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

SEED_KERNEL seed_gaussian_voxelise(GaussianGrid grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                                   float reach, float* volume) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
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

SEED_KERNEL seed_gaussian_voxelise_backward(GaussianGrid grid, int64_t count, const float* means, const float* matrices,
                                            const float* amplitudes, float reach, const float* gradient, float* to_means,
                                            float* to_matrices, float* to_amplitudes) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
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
