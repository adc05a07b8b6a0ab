// Gaussians as a soft maximum; one thread per Gaussian and view, Gaussian, number, or point. The CPU's gaussian_peaks and
// gaussian_soft_voxelise in steps: find the largest values, starting from zeros; sum the excess over them, starting from zeros;
// soften combines both to soft maxima. Derivatives are added to the output.
#pragma once
#include "gaussians.cuh"

// Calls pixel(row's quadratics, di, dj, index) for each pixel of view n that Gaussian k reaches.
template <class Pixel>
SEED_FN void visit_pixels(const SeedGaussians& all, int64_t k, int64_t n, const GaussianView& view, int rows, int columns, Pixel pixel) {
    visit_footprint(all, k, view, rows, columns, [&](const GaussianFootprint& g, int j, int first, int last) {
        const float dj = (float)j - g.j;
        const GaussianRow row = gaussian_row(g, dj);
        for (int i = first; i <= last; ++i) pixel(row, (float)i - g.i, dj, (n * rows + j) * columns + i);
    });
}

// Calls voxel(q0, q1, dx, dy, dz, index) for each grid point that Gaussian k reaches.
template <class Voxel>
SEED_FN void visit_voxels(const SeedGaussians& all, int64_t k, const GaussianGrid& grid, const GaussianBall& b, Voxel voxel) {
    visit_ball(all, k, grid, b, [&](int64_t offset, float dy, float dz, float q0, float q1, int first, int last) {
        for (int i = first; i <= last; ++i)
            voxel(q0, q1, grid.lower[0] + (float)i * grid.step[0] - all.means[3 * k], dy, dz, offset + i);
    });
}

SEED_KERNEL seed_gaussian_peaks(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                const float* matrices, const float* amplitudes, float reach, float* images) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    const int64_t k = SEED_INDEX % count, n = SEED_INDEX / count;
    if (n >= views) return;
    visit_pixels(all, k, n, gaussian_view(vectors + 12 * n, rows, columns), rows, columns,
                 [&](const GaussianRow& row, float di, float, int64_t pixel) {
                     float q, root;
                     seed_raise(images + pixel, amplitudes[k] * gaussian_peak(row, di, reach, q, root));
                 });
}

SEED_KERNEL seed_gaussian_soft_peaks(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                     const float* matrices, const float* amplitudes, float reach, float temperature, const float* images,
                                     float* excess) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    const int64_t k = SEED_INDEX % count, n = SEED_INDEX / count;
    if (n >= views) return;
    visit_pixels(all, k, n, gaussian_view(vectors + 12 * n, rows, columns), rows, columns,
                 [&](const GaussianRow& row, float di, float, int64_t pixel) {
                     float q, root;
                     const float peak = amplitudes[k] * gaussian_peak(row, di, reach, q, root);
                     seed_add(excess + pixel, gaussian_excess(peak, images[pixel], 1 / temperature));
                 });
}

SEED_KERNEL seed_gaussian_soften(const float* excess, int64_t count, float temperature, float* values) {
    const int64_t i = SEED_INDEX;
    if (i < count) values[i] = gaussian_soft(values[i], excess[i], temperature);
}

SEED_KERNEL seed_gaussian_peaks_backward(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                         const float* matrices, const float* amplitudes, float reach, float temperature,
                                         const float* images, const float* gradient, float* to_means, float* to_matrices,
                                         float* to_amplitudes) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    const int64_t k = SEED_INDEX % count, n = SEED_INDEX / count;
    if (n >= views) return;
    const GaussianView view = gaussian_view(vectors + 12 * n, rows, columns);
    GaussianSums<float> sums{};
    bool seen = false;
    visit_pixels(all, k, n, view, rows, columns, [&](const GaussianRow& row, float di, float dj, int64_t pixel) {
        seen = true;
        gaussian_peak_sums(row, di, dj, reach, amplitudes[k], 1 / temperature, images[pixel], gradient[pixel], sums);
    });
    if (seen) add_derivatives(all, k, view, sums, to_means, to_matrices, to_amplitudes);
}

SEED_KERNEL seed_gaussian_voxel_peaks(GaussianGrid grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                                      float reach, float* volume) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    const int64_t k = SEED_INDEX;
    if (k >= count) return;
    const GaussianBall b = gaussian_ball(grid, means + 3 * k, matrices + 9 * k, reach);
    visit_voxels(all, k, grid, b, [&](float q0, float q1, float dx, float, float, int64_t index) {
        seed_raise(volume + index, amplitudes[k] * gaussian_point(q0, q1, b.xx, dx, reach));
    });
}

SEED_KERNEL seed_gaussian_soft_voxels(GaussianGrid grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                                      float reach, float temperature, const float* volume, float* excess) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    const int64_t k = SEED_INDEX;
    if (k >= count) return;
    const GaussianBall b = gaussian_ball(grid, means + 3 * k, matrices + 9 * k, reach);
    visit_voxels(all, k, grid, b, [&](float q0, float q1, float dx, float, float, int64_t index) {
        const float value = amplitudes[k] * gaussian_point(q0, q1, b.xx, dx, reach);
        seed_add(excess + index, gaussian_excess(value, volume[index], 1 / temperature));
    });
}

SEED_KERNEL seed_gaussian_soft_voxels_backward(GaussianGrid grid, int64_t count, const float* means, const float* matrices,
                                               const float* amplitudes, float reach, float temperature, const float* volume,
                                               const float* gradient, float* to_means, float* to_matrices, float* to_amplitudes) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    const int64_t k = SEED_INDEX;
    if (k >= count) return;
    const GaussianBall b = gaussian_ball(grid, means + 3 * k, matrices + 9 * k, reach);
    GaussianMoments<float> sums{};
    visit_voxels(all, k, grid, b, [&](float q0, float q1, float dx, float dy, float dz, int64_t index) {
        const float value = amplitudes[k] * gaussian_point(q0, q1, b.xx, dx, reach);
        const float share = gaussian_share((value - volume[index]) / temperature);
        gaussian_point_moments(q0, q1, b.xx, dx, dy, dz, reach, share * gradient[index], sums);
    });
    gaussian_grid_chain(b, matrices + 9 * k, amplitudes[k], sums, to_amplitudes + k, to_means + 3 * k, to_matrices + 9 * k);
}

// values[n] = the mixture at points[n][3], of every Gaussian: the sum or (soft) maximum by temperature (see gaussians.cpp).
SEED_KERNEL seed_gaussian_values(int64_t count, const float* means, const float* matrices, const float* amplitudes, float reach,
                                 float temperature, const float* points, int64_t number, float* values) {
    const int64_t n = SEED_INDEX;
    if (n >= number) return;
    float sum = 0, most = 0, excess = 0;
    for (int64_t k = 0; k < count; ++k) {
        const float value = amplitudes[k] * gaussian_at(means + 3 * k, matrices + 9 * k, points + 3 * n, reach);
        sum += value, most = seed_max(most, value);
    }
    for (int64_t k = 0; k < count && temperature > 0; ++k)
        excess += gaussian_excess(amplitudes[k] * gaussian_at(means + 3 * k, matrices + 9 * k, points + 3 * n, reach), most, 1 / temperature);
    values[n] = temperature < 0 ? sum : temperature > 0 ? gaussian_soft(most, excess, temperature) : most;
}
