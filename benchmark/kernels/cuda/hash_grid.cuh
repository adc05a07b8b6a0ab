// Hash grid: points[count][3] in the unit cube, table[rows][2], features[2 * levels][count]; one thread per point and level.
#pragma once
#include "hash_grid.h"
#include "kernel.cuh"

constexpr int MOST_LEVELS = 32;

struct HashLevels {
    HashLevel level[MOST_LEVELS];
};

SEED_KERNEL seed_hash_encode(const float* points, int64_t count, HashLevels levels, int level_count, const float* table, float* features) {
    const int64_t index = SEED_INDEX, i = index % count;
    const int l = (int)(index / count);
    if (l >= level_count) return;
    const HashLevel level = levels.level[l];
    const HashCell cell = hash_cell(level, points + 3 * i);
    float sum0 = 0, sum1 = 0;
    for (int corner = 0; corner < 8; ++corner) {
        const float* at = table + 2 * (level.offset + hash_corner(level, cell, corner));
        const float weight = hash_weight(cell, corner);
        sum0 += weight * at[0];
        sum1 += weight * at[1];
    }
    features[2 * l * count + i] = sum0;
    features[(2 * l + 1) * count + i] = sum1;
}

SEED_KERNEL seed_hash_encode_backward(const float* points, int64_t count, HashLevels levels, int level_count, const float* gradient,
                                      float* table_gradient) {
    const int64_t index = SEED_INDEX, i = index % count;
    const int l = (int)(index / count);
    if (l >= level_count) return;
    const HashLevel level = levels.level[l];
    const HashCell cell = hash_cell(level, points + 3 * i);
    for (int corner = 0; corner < 8; ++corner) {
        float* at = table_gradient + 2 * (level.offset + hash_corner(level, cell, corner));
        const float weight = hash_weight(cell, corner);
        seed_add(at, weight * gradient[2 * l * count + i]);
        seed_add(at + 1, weight * gradient[(2 * l + 1) * count + i]);
    }
}

SEED_KERNEL seed_hash_encode_points(const float* points, int64_t count, HashLevels levels, int level_count, const float* table,
                                    const float* gradient, float* point_gradient) {
    const int64_t i = SEED_INDEX;
    if (i < count) hash_point_gradient(points, count, i, levels.level, level_count, table, gradient, point_gradient);
}
