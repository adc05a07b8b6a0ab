// Runs the CUDA kernels on the CPU, one thread after the other, so that their indexing can be compared with the CPU kernels.
struct Place {
    int x;
};
static Place blockIdx, threadIdx, blockDim = {32};
#define __global__
#include "kernels.cu"

template <class Kernel, class... Arguments>
static void launch(int64_t threads, Kernel kernel, Arguments... arguments) {
    const int blocks = (int)(threads / blockDim.x) + 1;  // always some threads too many, as on a GPU
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) kernel(arguments...);
}

static SeedViews make_views(const int* shape, const double* spacing, int count, int rows, int columns) {
    SeedViews views = {{{shape[2], shape[1], shape[0]}, {spacing[0], spacing[1], spacing[2]}}, {1, shape[2] + 2, 0}, count, rows, columns};
    views.stride[2] = views.stride[1] * (shape[1] + 2);
    return views;
}

extern "C" {

void run_project(const float* padded, const int* shape, const double* spacing, const double* vectors, int count, int rows, int columns,
                 float* projections) {
    launch((int64_t)count * rows * columns, seed_project_rays, make_views(shape, spacing, count, rows, columns), vectors, padded, projections);
}

void run_backproject(float* padded, const int* shape, const double* spacing, const double* vectors, int count, int rows, int columns,
                     const float* projections) {
    launch((int64_t)count * rows * columns, seed_backproject_rays, make_views(shape, spacing, count, rows, columns), vectors, padded,
           projections);
}

int64_t run_march(const float* origins, const float* directions, int64_t rays, const double* box, int samples, double step, int64_t seed,
                  const unsigned char* cells, const int* shape, int64_t* table, float* positions, float* ts) {
    SeedMarch how = {{box[0], box[1], box[2], box[3], box[4], box[5]}, samples, step, seed, march_occupancy(cells, shape, box)};
    launch(rays, seed_march_count, how, origins, directions, rays, table);
    int64_t total = 0;
    for (int64_t r = 0; r < rays; total += table[2 * r + 1], ++r) table[2 * r] = total;
    launch(rays, seed_march_fill, how, origins, directions, rays, (const int64_t*)table, positions, ts);
    return total;
}

void run_composites(const float* mu, const float* ts, const int64_t* table, int64_t rays, const float* weights, float* sum, float* sum_back,
                    float* most, int64_t* at, float* most_back) {
    launch(rays, seed_composite_sum, mu, ts, table, rays, sum);
    launch(rays, seed_composite_sum_transpose, weights, ts, table, rays, sum_back);
    launch(rays, seed_composite_max, mu, table, rays, most, at);
    launch(rays, seed_composite_max_transpose, weights, (const int64_t*)at, rays, most_back);
}

void run_hash(const float* points, int64_t count, const HashLevel* levels, int level_count, const float* table, float* features,
              const float* gradient, float* table_gradient) {
    launch(count * level_count, seed_hash_encode, points, count, levels, level_count, table, features);
    launch(count * level_count, seed_hash_encode_backward, points, count, levels, level_count, gradient, table_gradient);
}

void run_gaussian_project(const double* vectors, int views, int rows, int columns, int64_t count, const float* means, const float* matrices,
                          const float* amplitudes, float reach, float* images, const float* gradient, float* to_means, float* to_matrices,
                          float* to_amplitudes) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    launch(count * views, seed_gaussian_project, all, vectors, views, rows, columns, images);
    launch(count * views, seed_gaussian_project_backward, all, vectors, views, rows, columns, gradient, to_means, to_matrices, to_amplitudes);
}

void run_gaussian_voxelise(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                           float reach, float* volume, const float* gradient, float* to_means, float* to_matrices, float* to_amplitudes) {
    const SeedGaussians all = {count, means, matrices, amplitudes, reach};
    launch(count, seed_gaussian_voxelise, all, *grid, volume);
    launch(count, seed_gaussian_voxelise_backward, all, *grid, gradient, to_means, to_matrices, to_amplitudes);
}

void run_gaussian_peaks(const double* vectors, int views, int rows, int columns, int64_t count, const float* means, const float* matrices,
                        const float* amplitudes, float reach, float temperature, float* images, float* excess, const float* gradient,
                        float* to_means, float* to_matrices, float* to_amplitudes) {
    launch(count * views, seed_gaussian_peaks, vectors, views, rows, columns, count, means, matrices, amplitudes, reach, images);
    launch(count * views, seed_gaussian_soft_peaks, vectors, views, rows, columns, count, means, matrices, amplitudes, reach, temperature,
           (const float*)images, excess);
    const int64_t pixels = (int64_t)views * rows * columns;
    launch(pixels, seed_gaussian_soften, (const float*)excess, pixels, temperature, images);
    launch(count * views, seed_gaussian_peaks_backward, vectors, views, rows, columns, count, means, matrices, amplitudes, reach, temperature,
           (const float*)images, gradient, to_means, to_matrices, to_amplitudes);
}

void run_gaussian_soft_voxelise(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                                float reach, float temperature, float* volume, float* excess, const float* gradient, float* to_means,
                                float* to_matrices, float* to_amplitudes) {
    const int64_t voxels = (int64_t)grid->n[0] * grid->n[1] * grid->n[2];
    launch(count, seed_gaussian_voxel_peaks, *grid, count, means, matrices, amplitudes, reach, volume);
    launch(count, seed_gaussian_soft_voxels, *grid, count, means, matrices, amplitudes, reach, temperature, (const float*)volume, excess);
    launch(voxels, seed_gaussian_soften, (const float*)excess, voxels, temperature, volume);
    launch(count, seed_gaussian_soft_voxels_backward, *grid, count, means, matrices, amplitudes, reach, temperature, (const float*)volume,
           gradient, to_means, to_matrices, to_amplitudes);
}

}  // extern "C"
