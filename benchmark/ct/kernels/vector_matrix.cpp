// TensoRF's vector-matrix features (Chen et al. 2022, doi 10.1007/978-3-031-19824-3_20): for each of the three axis
// pairs, a plane value times a line value per channel. Planes: 0 = (y, x) with line z, 1 = (z, y) with line x, 2 = (z, x) with line y.
// Features are [plane * channels + channel][point]. A task owns one channel of one plane and its line: no atomics.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr int64_t BLOCK = 512;
struct Axes { int row, column, line; };                 // positions in a point's x, y, z
constexpr Axes AXES[3] = {{1, 0, 2}, {2, 1, 0}, {2, 0, 1}};

struct Linear { int at; float weight; };

// Samples sit at cell centres of the unit interval; beyond the first and last centre the value stays.
inline Linear locate(float position, int n) {
    const float x = std::min(std::max(position * n - 0.5f, 0.0f), n - 1.0f);
    const int at = std::min((int)x, std::max(n - 2, 0));
    return {at, x - at};
}

// How fast that place moves with the position: cells per unit, 0 where it stays.
inline float slope(float position, int n) {
    const float x = position * n - 0.5f;
    return x > 0 && x < n - 1 ? (float)n : 0.0f;
}

struct Samples {                                        // where a block of points falls on one plane and its line
    int corner[BLOCK], line[BLOCK];
    float row[BLOCK], column[BLOCK], along[BLOCK];
    void fill(const float* points, int64_t count, const Axes& axes, int rows, int columns, int length) {
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) {
            const Linear r = locate(points[3 * i + axes.row], rows), c = locate(points[3 * i + axes.column], columns);
            const Linear l = locate(points[3 * i + axes.line], length);
            corner[i] = r.at * columns + c.at;
            row[i] = r.weight;
            column[i] = c.weight;
            line[i] = l.at;
            along[i] = l.weight;
        }
    }
};

}  // namespace

extern "C" {

// planes[k]: [channels][rows][columns], lines[k]: [channels][length]; shapes[3][3] = rows, columns, length.
void seed_vm_encode(const float* points, int64_t count, int channels, const int* shapes, const float* const* planes,
                    const float* const* lines, float* features) {
    const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; ++block) {
        Samples at;
        const int64_t first = block * BLOCK, size = std::min(BLOCK, count - first);
        for (int k = 0; k < 3; ++k) {
            const int rows = shapes[3 * k], columns = shapes[3 * k + 1], length = shapes[3 * k + 2];
            const int down = rows > 1 ? columns : 0, right = columns > 1, on = length > 1;
            at.fill(points + 3 * first, size, AXES[k], rows, columns, length);
            for (int c = 0; c < channels; ++c) {
                const float* plane = planes[k] + (int64_t)c * rows * columns;
                const float* line = lines[k] + (int64_t)c * length;
                float* out = features + ((int64_t)k * channels + c) * count + first;
#pragma omp simd
                for (int64_t i = 0; i < size; ++i) {
                    const float* p = plane + at.corner[i];
                    const float top = p[0] + at.column[i] * (p[right] - p[0]);
                    const float bottom = p[down] + at.column[i] * (p[down + right] - p[down]);
                    const float* l = line + at.line[i];
                    out[i] = (top + at.row[i] * (bottom - top)) * (l[0] + at.along[i] * (l[on] - l[0]));
                }
            }
        }
    }
}

// plane_gradients and line_gradients (overwritten) from gradient[3 * channels][count].
void seed_vm_encode_backward(const float* points, int64_t count, int channels, const int* shapes, const float* const* planes,
                             const float* const* lines, const float* gradient, float* const* plane_gradients, float* const* line_gradients) {
#pragma omp parallel for schedule(dynamic, 1)
    for (int task = 0; task < 3 * channels; ++task) {
        const int k = task / channels, c = task % channels;
        const int rows = shapes[3 * k], columns = shapes[3 * k + 1], length = shapes[3 * k + 2];
        const int down = rows > 1 ? columns : 0, right = columns > 1, on = length > 1;
        const float* plane = planes[k] + (int64_t)c * rows * columns;
        const float* line = lines[k] + (int64_t)c * length;
        float* plane_sum = plane_gradients[k] + (int64_t)c * rows * columns;
        float* line_sum = line_gradients[k] + (int64_t)c * length;
        std::fill_n(plane_sum, (int64_t)rows * columns, 0.0f);
        std::fill_n(line_sum, length, 0.0f);
        Samples at;
        for (int64_t first = 0; first < count; first += BLOCK) {
            const int64_t size = std::min(BLOCK, count - first);
            at.fill(points + 3 * first, size, AXES[k], rows, columns, length);
            const float* g = gradient + (int64_t)task * count + first;
            for (int64_t i = 0; i < size; ++i) {
                const float* p = plane + at.corner[i];
                const float top = p[0] + at.column[i] * (p[right] - p[0]);
                const float bottom = p[down] + at.column[i] * (p[down + right] - p[down]);
                const float* l = line + at.line[i];
                const float to_plane = g[i] * (l[0] + at.along[i] * (l[on] - l[0]));
                const float to_line = g[i] * (top + at.row[i] * (bottom - top));
                float* s = plane_sum + at.corner[i];
                const float low = to_plane * (1 - at.row[i]), high = to_plane * at.row[i];
                s[0] += low * (1 - at.column[i]);
                s[right] += low * at.column[i];
                s[down] += high * (1 - at.column[i]);
                s[down + right] += high * at.column[i];
                line_sum[at.line[i]] += to_line * (1 - at.along[i]);
                line_sum[at.line[i] + on] += to_line * at.along[i];
            }
        }
    }
}

// point_gradients[count][3] (overwritten; x, y, z in the unit cube) from gradient[3 * channels][count]. Where a position is beyond the
// first or last centre, the value does not change with it.
void seed_vm_encode_points(const float* points, int64_t count, int channels, const int* shapes, const float* const* planes,
                           const float* const* lines, const float* gradient, float* point_gradients) {
    const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; ++block) {
        Samples at;
        float to_row[BLOCK], to_column[BLOCK], to_line[BLOCK];
        const int64_t first = block * BLOCK, size = std::min(BLOCK, count - first);
        float* out = point_gradients + 3 * first;
        std::fill_n(out, 3 * size, 0.0f);
        for (int k = 0; k < 3; ++k) {
            const int rows = shapes[3 * k], columns = shapes[3 * k + 1], length = shapes[3 * k + 2];
            const int down = rows > 1 ? columns : 0, right = columns > 1, on = length > 1;
            at.fill(points + 3 * first, size, AXES[k], rows, columns, length);
            std::fill_n(to_row, size, 0.0f);
            std::fill_n(to_column, size, 0.0f);
            std::fill_n(to_line, size, 0.0f);
            for (int c = 0; c < channels; ++c) {
                const float* plane = planes[k] + (int64_t)c * rows * columns;
                const float* line = lines[k] + (int64_t)c * length;
                const float* g = gradient + ((int64_t)k * channels + c) * count + first;
#pragma omp simd
                for (int64_t i = 0; i < size; ++i) {
                    const float* p = plane + at.corner[i];
                    const float above = p[right] - p[0], below = p[down + right] - p[down];
                    const float top = p[0] + at.column[i] * above, bottom = p[down] + at.column[i] * below;
                    const float* l = line + at.line[i];
                    const float value = g[i] * (l[0] + at.along[i] * (l[on] - l[0]));
                    to_row[i] += value * (bottom - top);
                    to_column[i] += value * (above + at.row[i] * (below - above));
                    to_line[i] += g[i] * (top + at.row[i] * (bottom - top)) * (l[on] - l[0]);
                }
            }
            const Axes& axes = AXES[k];
            for (int64_t i = 0; i < size; ++i) {
                const float* point = points + 3 * (first + i);
                out[3 * i + axes.row] += to_row[i] * slope(point[axes.row], rows);
                out[3 * i + axes.column] += to_column[i] * slope(point[axes.column], columns);
                out[3 * i + axes.line] += to_line[i] * slope(point[axes.line], length);
            }
        }
    }
}

// The same on the voxel grid itself, where plane and line samples are the voxels, for runs of voxels along x:
// runs[count][5] = z, y, first x, length, voxels before. features[3 * channels][voxels], the voxels of all runs in order.
void seed_vm_grid(int nz, int ny, int nx, int channels, const int64_t* runs, int64_t count, int64_t voxels, const float* const* planes,
                  const float* const* lines, float* features) {
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
}

void seed_vm_grid_backward(int nz, int ny, int nx, int channels, const int64_t* runs, int64_t count, int64_t voxels,
                           const float* const* planes, const float* const* lines, const float* gradient, float* const* plane_gradients,
                           float* const* line_gradients) {
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
            // One value (of the line, or of the plane for k = 1) stands against a row (of the plane, or the line).
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
}

}  // extern "C"
