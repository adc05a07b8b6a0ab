// Hash-grid encoding on the CPU, two features per level. Features are written [level * 2 + feature][point].
//
// The gradient has no atomics: a task owns a range of one level's rows and adds its points in order, so that the result
// is bit-identical for any number of threads.
#include <algorithm>
#include "entry.hpp"
#include "hash_grid.h"

namespace {

constexpr int64_t BLOCK = 256;

// Rows and weights of the eight corners of a block of points, [corner][point]: plain loops that the compiler vectorises.
struct Corners {
    uint32_t row[8][BLOCK];
    float weight[8][BLOCK];
    template <bool HASHED>
    void fill(const HashLevel& level, const float* points, int64_t count) {
        const float scale = level.scale, limit = level.scale - 1e-3f;
        const uint32_t entries = level.entries - 1, n = (uint32_t)level.resolution;
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) {
            const float x = std::min(std::max(points[3 * i] * scale, 0.0f), limit);
            const float y = std::min(std::max(points[3 * i + 1] * scale, 0.0f), limit);
            const float z = std::min(std::max(points[3 * i + 2] * scale, 0.0f), limit);
            const int ix = (int)x, iy = (int)y, iz = (int)z;
            const float fx = x - ix, fy = y - iy, fz = z - iz;
            const float wx[2] = {1 - fx, fx}, wy[2] = {1 - fy, fy}, wz[2] = {1 - fz, fz};
            for (int c = 0; c < 8; ++c) {
                const uint32_t a = ix + (c & 1), b = iy + ((c >> 1) & 1), d = iz + (c >> 2);
                row[c][i] = HASHED ? ((a ^ (b * 2654435761u) ^ (d * 805459861u)) & entries) : a + n * (b + n * d);
                weight[c][i] = wx[c & 1] * wy[(c >> 1) & 1] * wz[c >> 2];
            }
        }
    }
    void fill(const HashLevel& level, const float* points, int64_t count) {
        if (level.hashed) fill<true>(level, points, count);
        else fill<false>(level, points, count);
    }
};

}  // namespace

// points[count][3] in the unit cube; table[rows][2]; features[2 * levels][count].
SEED_ENTRY seed_hash_encode(const float* points, int64_t count, const HashLevel* levels, int level_count, const float* table,
                            float* features) try {
    const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; ++block) {
        Corners corners;
        const int64_t first = block * BLOCK, size = std::min(BLOCK, count - first);
        for (int l = 0; l < level_count; ++l) {
            corners.fill(levels[l], points + 3 * first, size);
            const float* rows = table + 2 * levels[l].offset;
            float* out0 = features + (2 * l) * count + first;
            float* out1 = out0 + count;
#pragma omp simd
            for (int64_t i = 0; i < size; ++i) {
                float sum0 = 0, sum1 = 0;
                for (int c = 0; c < 8; ++c) {
                    const float* at = rows + 2 * (int64_t)corners.row[c][i];
                    sum0 += corners.weight[c][i] * at[0];
                    sum1 += corners.weight[c][i] * at[1];
                }
                out0[i] = sum0;
                out1[i] = sum1;
            }
        }
    }
    return SEED_DONE;
} SEED_CATCH

// table_gradient += transpose of seed_hash_encode applied to gradient[2 * levels][count]. The caller zeroes it.
SEED_ENTRY seed_hash_encode_backward(const float* points, int64_t count, const HashLevel* levels, int level_count, const float* gradient,
                                     float* table_gradient) try {
    const int ranges = (most_threads() + level_count - 1) / level_count;  // does not change the result: each row is summed in point order
#pragma omp parallel for schedule(dynamic, 1)
    for (int task = 0; task < level_count * ranges; ++task) {
        const HashLevel& level = levels[task / ranges];
        const uint32_t low = (uint32_t)((uint64_t)level.entries * (task % ranges) / ranges);
        const uint32_t high = (uint32_t)((uint64_t)level.entries * (task % ranges + 1) / ranges);
        float* rows = table_gradient + 2 * level.offset;
        const float* in0 = gradient + (2 * (task / ranges)) * count;
        const float* in1 = in0 + count;
        Corners corners;
        for (int64_t first = 0; first < count; first += BLOCK) {
            const int64_t size = std::min(BLOCK, count - first);
            corners.fill(level, points + 3 * first, size);
            for (int64_t i = 0; i < size; ++i) {
                const float g0 = in0[first + i], g1 = in1[first + i];
                for (int c = 0; c < 8; ++c) {
                    const uint32_t row = corners.row[c][i];
                    if (ranges > 1 && (row < low || row >= high)) continue;
                    rows[2 * (int64_t)row] += corners.weight[c][i] * g0;
                    rows[2 * (int64_t)row + 1] += corners.weight[c][i] * g1;
                }
            }
        }
    }
    return SEED_DONE;
} SEED_CATCH

// point_gradient[count][3]: derivative of the features with respect to the position in the unit cube.
SEED_ENTRY seed_hash_encode_points(const float* points, int64_t count, const HashLevel* levels, int level_count, const float* table,
                                   const float* gradient, float* point_gradient) try {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; ++i) hash_point_gradient(points, count, i, levels, level_count, table, gradient, point_gradient);
    return SEED_DONE;
} SEED_CATCH
