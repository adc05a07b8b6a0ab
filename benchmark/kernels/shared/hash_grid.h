// Multiresolution hash encoding (Mueller et al. 2022, doi 10.1145/3528223.3530127, section 3): one level at one point.
#pragma once
#include "device.h"

struct HashLevel {
    float scale;        // cells along an edge of the unit cube
    int resolution;     // grid points along an edge
    uint32_t entries;   // rows of this level's table (a power of two when hashed)
    int hashed;         // 0: dense grid
    int64_t offset;     // first row in the shared table
};

struct HashCell {
    uint32_t x, y, z;   // lower corner
    float fx, fy, fz;   // position inside the cell
};

SEED_FN HashCell hash_cell(const HashLevel& level, const float* point) {
    HashCell cell;
    // The caller masks points outside the unit cube; the clamp only keeps the indices valid.
    const float limit = level.scale - 1e-3f;
    const float x = seed_min(seed_max(point[0] * level.scale, 0.0f), limit);
    const float y = seed_min(seed_max(point[1] * level.scale, 0.0f), limit);
    const float z = seed_min(seed_max(point[2] * level.scale, 0.0f), limit);
    const float x0 = floorf(x), y0 = floorf(y), z0 = floorf(z);
    cell.x = (uint32_t)x0; cell.y = (uint32_t)y0; cell.z = (uint32_t)z0;
    cell.fx = x - x0; cell.fy = y - y0; cell.fz = z - z0;
    return cell;
}

SEED_FN uint32_t hash_row(const HashLevel& level, uint32_t x, uint32_t y, uint32_t z) {
    if (level.hashed) return (x ^ (y * 2654435761u) ^ (z * 805459861u)) & (level.entries - 1);
    return x + (uint32_t)level.resolution * (y + (uint32_t)level.resolution * z);
}

SEED_FN float hash_weight(const HashCell& cell, int corner) {
    return ((corner & 1) ? cell.fx : 1 - cell.fx) * ((corner & 2) ? cell.fy : 1 - cell.fy) * ((corner & 4) ? cell.fz : 1 - cell.fz);
}

SEED_FN uint32_t hash_corner(const HashLevel& level, const HashCell& cell, int corner) {
    return hash_row(level, cell.x + (corner & 1), cell.y + ((corner >> 1) & 1), cell.z + ((corner >> 2) & 1));
}

// Derivative of sum over levels of (g0, g1) times the features, gradient[2 * levels][count], with respect to the position of point i.
SEED_FN void hash_point_gradient(const float* points, int64_t count, int64_t i, const HashLevel* levels, int level_count, const float* table,
                                 const float* gradient, float* point_gradient) {
    float sum[3] = {0, 0, 0};
    for (int l = 0; l < level_count; ++l) {
        const HashLevel& level = levels[l];
        const HashCell cell = hash_cell(level, points + 3 * i);
        const float g0 = gradient[(2 * l) * count + i], g1 = gradient[(2 * l + 1) * count + i];
        const float f[3] = {cell.fx, cell.fy, cell.fz};
        for (int c = 0; c < 8; ++c) {
            const float* at = table + 2 * (level.offset + hash_corner(level, cell, c));
            const float value = (at[0] * g0 + at[1] * g1) * level.scale;
            for (int axis = 0; axis < 3; ++axis) {
                float weight = (c >> axis) & 1 ? 1.0f : -1.0f;
                for (int other = 0; other < 3; ++other)
                    if (other != axis) weight *= (c >> other) & 1 ? f[other] : 1 - f[other];
                sum[axis] += weight * value;
            }
        }
    }
    for (int axis = 0; axis < 3; ++axis) point_gradient[3 * i + axis] = sum[axis];
}
