// The half steps of total_variation.cpp, one thread per voxel. Dual fields are [3][z][y][x], axes in z, y, x order.
#pragma once
#include "kernel.cuh"

struct TvVoxel {
    int64_t at, below, behind, size;    // offsets: of the voxel; steps along z and y; of a dual component
    bool exists, first[3], last[3];     // the voxel is the first or the last along z, y, x
};

SEED_FN TvVoxel tv_voxel(const SeedShape& shape, int64_t index) {
    const int64_t nz = shape.n[0], ny = shape.n[1], nx = shape.n[2], x = index % nx, y = index / nx % ny, z = index / nx / ny;
    return {index, ny * nx, nx, nz * ny * nx, index < nz * ny * nx, {z == 0, y == 0, x == 0}, {z == nz - 1, y == ny - 1, x == nx - 1}};
}

// x = max(target - lambda G^T q, floor).
SEED_KERNEL seed_tv_primal(const float* target, const float* dual, SeedShape shape, SeedFloats scale, float lambda, float floor, float* x) {
    const TvVoxel v = tv_voxel(shape, SEED_INDEX);
    if (!v.exists) return;
    const float *qz = dual + v.at, *qy = qz + v.size, *qx = qy + v.size;
    const float z = (v.first[0] ? 0.0f : qz[-v.below]) - qz[0], y = (v.first[1] ? 0.0f : qy[-v.behind]) - qy[0];
    const float value = target[v.at] - lambda * (scale.x[0] * z + scale.x[1] * y + scale.x[2] * ((v.first[2] ? 0.0f : qx[-1]) - qx[0]));
    x[v.at] = value > floor ? value : floor;
}

struct TvSlope {
    float z, y, x;
};

// Forward differences, 0 across the far faces.
SEED_FN TvSlope tv_slope(const float* x, const TvVoxel& v, const SeedFloats& scale) {
    const float* here = x + v.at;
    return {v.last[0] ? 0.0f : scale.x[0] * (here[v.below] - here[0]), v.last[1] ? 0.0f : scale.x[1] * (here[v.behind] - here[0]),
            v.last[2] ? 0.0f : scale.x[2] * (here[1] - here[0])};
}

// p_new = q + step G x, pulled back into each voxel's ball, of radius weights[z][y][x] (null: 1); q = p_new + momentum (p_new - p); p = p_new.
SEED_KERNEL seed_tv_dual(const float* x, SeedShape shape, SeedFloats scale, const float* weights, float step, float momentum, float* p,
                         float* q) {
    const TvVoxel v = tv_voxel(shape, SEED_INDEX);
    if (!v.exists) return;
    const TvSlope slope = tv_slope(x, v, scale);
    float n[3] = {q[v.at] + step * slope.z, q[v.at + v.size] + step * slope.y, v.last[2] ? 0.0f : q[v.at + 2 * v.size] + step * slope.x};
    const float most = weights ? weights[v.at] : 1.0f, square = n[0] * n[0] + n[1] * n[1] + n[2] * n[2];
    const float shrink = square > most * most ? most / sqrtf(square) : 1.0f;
    for (int axis = 0; axis < 3; ++axis) {
        float *was = p + v.at + axis * v.size, *ahead = q + v.at + axis * v.size;
        const float now = n[axis] * shrink;
        *ahead = now + momentum * (now - *was);
        *was = now;
    }
}

// lengths[z][y][x] = weights |G x| (weights null: 1).
SEED_KERNEL seed_tv_lengths(const float* x, SeedShape shape, SeedFloats scale, const float* weights, float* lengths) {
    const TvVoxel v = tv_voxel(shape, SEED_INDEX);
    if (!v.exists) return;
    const TvSlope slope = tv_slope(x, v, scale);
    lengths[v.at] = (weights ? weights[v.at] : 1.0f) * sqrtf(slope.z * slope.z + slope.y * slope.y + slope.x * slope.x);
}
