// TensoRF's vector-matrix features (Chen et al. 2022, doi 10.1007/978-3-031-19824-3_20): for each of the three axis
// pairs, a plane value times a line value per channel.
// Features are [plane * channels + channel][point]. A task owns one channel of one plane and its line: no atomics.
#include <algorithm>
#include "entry.hpp"
#include "vector_matrix.h"

namespace {

constexpr int64_t BLOCK = 512;

struct Places {                                         // positions of a block of points on one plane and its line
    int corner[BLOCK], line[BLOCK];
    float row[BLOCK], column[BLOCK], along[BLOCK];
    void fill(const float* points, int64_t count, const VmAxes& axes, const VmShape& shape) {
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) {
            const VmPlace at = vm_place(points + 3 * i, axes, shape);
            corner[i] = at.corner;
            row[i] = at.row;
            column[i] = at.column;
            line[i] = at.line;
            along[i] = at.along;
        }
    }
    VmPlace operator[](int64_t i) const { return {corner[i], line[i], row[i], column[i], along[i]}; }
};

}  // namespace

// planes[k]: [channels][rows][columns], lines[k]: [channels][length]; shapes[3][3] = rows, columns, length.
SEED_ENTRY seed_vm_encode(const float* points, int64_t count, int channels, const int* shapes, const float* const* planes,
                          const float* const* lines, float* features) try {
    const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; ++block) {
        Places at;
        const int64_t first = block * BLOCK, size = std::min(BLOCK, count - first);
        for (int k = 0; k < 3; ++k) {
            const VmShape shape = vm_shape(shapes, k);
            const VmSteps steps = vm_steps(shape);
            at.fill(points + 3 * first, size, vm_axes(k), shape);
            for (int c = 0; c < channels; ++c) {
                const float* plane = planes[k] + (int64_t)c * shape.rows * shape.columns;
                const float* line = lines[k] + (int64_t)c * shape.length;
                float* out = features + ((int64_t)k * channels + c) * count + first;
#pragma omp simd
                for (int64_t i = 0; i < size; ++i) out[i] = vm_on_plane(plane, at[i], steps) * vm_on_line(line, at[i], steps);
            }
        }
    }
    return SEED_DONE;
} SEED_CATCH

// plane_gradients and line_gradients (overwritten) from gradient[3 * channels][count].
SEED_ENTRY seed_vm_encode_backward(const float* points, int64_t count, int channels, const int* shapes, const float* const* planes,
                                   const float* const* lines, const float* gradient, float* const* plane_gradients,
                                   float* const* line_gradients) try {
#pragma omp parallel for schedule(dynamic, 1)
    for (int task = 0; task < 3 * channels; ++task) {
        const int k = task / channels, c = task % channels;
        const VmShape shape = vm_shape(shapes, k);
        const VmSteps steps = vm_steps(shape);
        const int64_t area = (int64_t)shape.rows * shape.columns;
        const float *plane = planes[k] + c * area, *line = lines[k] + (int64_t)c * shape.length;
        float *plane_sum = plane_gradients[k] + c * area, *line_sum = line_gradients[k] + (int64_t)c * shape.length;
        std::fill_n(plane_sum, area, 0.0f);
        std::fill_n(line_sum, shape.length, 0.0f);
        Places at;
        for (int64_t first = 0; first < count; first += BLOCK) {
            const int64_t size = std::min(BLOCK, count - first);
            at.fill(points + 3 * first, size, vm_axes(k), shape);
            const float* g = gradient + (int64_t)task * count + first;
            for (int64_t i = 0; i < size; ++i) vm_add(plane, line, at[i], steps, g[i], plane_sum, line_sum);
        }
    }
    return SEED_DONE;
} SEED_CATCH

// point_gradients[count][3] (overwritten; x, y, z in the unit cube) from gradient[3 * channels][count].
SEED_ENTRY seed_vm_encode_points(const float* points, int64_t count, int channels, const int* shapes, const float* const* planes,
                                 const float* const* lines, const float* gradient, float* point_gradients) try {
    const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; ++block) {
        Places at;
        float to_row[BLOCK], to_column[BLOCK], to_line[BLOCK];
        const int64_t first = block * BLOCK, size = std::min(BLOCK, count - first);
        std::fill_n(point_gradients + 3 * first, 3 * size, 0.0f);
        for (int k = 0; k < 3; ++k) {
            const VmShape shape = vm_shape(shapes, k);
            const VmSteps steps = vm_steps(shape);
            at.fill(points + 3 * first, size, vm_axes(k), shape);
            for (float* sum : {to_row, to_column, to_line}) std::fill_n(sum, size, 0.0f);
            for (int c = 0; c < channels; ++c) {
                const float* plane = planes[k] + (int64_t)c * shape.rows * shape.columns;
                const float* line = lines[k] + (int64_t)c * shape.length;
                const float* g = gradient + ((int64_t)k * channels + c) * count + first;
#pragma omp simd
                for (int64_t i = 0; i < size; ++i) {
                    const VmSlopes slopes = vm_slopes(plane, line, at[i], steps);
                    to_row[i] += g[i] * slopes.row;
                    to_column[i] += g[i] * slopes.column;
                    to_line[i] += g[i] * slopes.along;
                }
            }
            for (int64_t i = first; i < first + size; ++i)
                vm_add_slopes(points + 3 * i, vm_axes(k), shape, {to_row[i - first], to_column[i - first], to_line[i - first]},
                              point_gradients + 3 * i);
        }
    }
    return SEED_DONE;
} SEED_CATCH

// Features on the voxel grid itself, where plane and line samples coincide with voxels, for runs of voxels along x:
// runs[count][5] = z, y, first x, length, voxels before. features[3 * channels][voxels], the voxels of all runs in order.
SEED_ENTRY seed_vm_grid(int nz, int ny, int nx, int channels, const int64_t* runs, int64_t count, int64_t voxels,
                        const float* const* planes, const float* const* lines, float* features) try {
#pragma omp parallel for schedule(static)
    for (int task = 0; task < 3 * channels; ++task) {
        const int k = task / channels, c = task % channels;
        float* channel = features + task * voxels;
        for (const int64_t* run = runs; run < runs + 5 * count; run += 5) {
            const int64_t z = run[0], y = run[1], x = run[2], length = run[3];
            const float* row = k == 0   ? planes[0] + ((int64_t)c * ny + y) * nx + x
                               : k == 1 ? lines[1] + (int64_t)c * nx + x
                                        : planes[2] + ((int64_t)c * nz + z) * nx + x;
            const float factor = k == 0   ? lines[0][(int64_t)c * nz + z]
                                 : k == 1 ? planes[1][((int64_t)c * nz + z) * ny + y]
                                          : lines[2][(int64_t)c * ny + y];
            float* out = channel + run[4];
#pragma omp simd
            for (int64_t i = 0; i < length; ++i) out[i] = row[i] * factor;
        }
    }
    return SEED_DONE;
} SEED_CATCH

SEED_ENTRY seed_vm_grid_backward(int nz, int ny, int nx, int channels, const int64_t* runs, int64_t count, int64_t voxels,
                                 const float* const* planes, const float* const* lines, const float* gradient,
                                 float* const* plane_gradients, float* const* line_gradients) try {
#pragma omp parallel for schedule(dynamic, 1)
    for (int task = 0; task < 3 * channels; ++task) {
        const int k = task / channels, c = task % channels;
        const int rows = k == 0 ? ny : nz, columns = k == 1 ? ny : nx, length = k == 0 ? nz : k == 1 ? nx : ny;
        const float* plane = planes[k] + (int64_t)c * rows * columns;
        const float* line = lines[k] + (int64_t)c * length;
        float* plane_sum = plane_gradients[k] + (int64_t)c * rows * columns;
        float* line_sum = line_gradients[k] + (int64_t)c * length;
        std::fill_n(plane_sum, (int64_t)rows * columns, 0.0f);
        std::fill_n(line_sum, length, 0.0f);
        for (const int64_t* run = runs; run < runs + 5 * count; run += 5) {
            const int64_t z = run[0], y = run[1], x = run[2];
            // One value (of the line, or of the plane for k = 1) multiplies a row (of the plane, or the line).
            const int64_t single = k == 0 ? z : k == 1 ? z * ny + y : y;
            const int64_t row = k == 0 ? y * nx + x : k == 1 ? x : z * nx + x;
            const float value = (k == 1 ? plane : line)[single];
            const float* other = (k == 1 ? line : plane) + row;
            float* other_sum = (k == 1 ? line_sum : plane_sum) + row;
            const float* g = gradient + task * voxels + run[4];
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < run[3]; ++i) {
                sum += g[i] * other[i];
                other_sum[i] += g[i] * value;
            }
            (k == 1 ? plane_sum : line_sum)[single] += sum;
        }
    }
    return SEED_DONE;
} SEED_CATCH
