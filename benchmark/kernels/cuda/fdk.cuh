// Weighted backprojection for FDK (see fdk.cpp): one thread per short column of voxels along z, which shares its path to each view.
#pragma once
#include "fdk.h"
#include "kernel.cuh"

constexpr int COLUMN = 8;   // voxels per thread

// Value of a row of one view at detector column `left` + weight; zero beyond the detector.
SEED_FN float fdk_row(const float* low, const float* high, float wl, float wr, int row, int rows) {
    return row >= 0 && row < rows ? wl * low[row] + wr * high[row] : 0.0f;
}

SEED_KERNEL seed_fdk_backproject(float* volume, SeedShape shape, const FdkView* views, int count, int rows, int columns, const float* filtered,
                                 float scale) {
    const int nz = shape.n[0], ny = shape.n[1], nx = shape.n[2];
    const int64_t index = SEED_INDEX;
    const int x = (int)(index % nx), y = (int)(index / nx % ny);
    const int64_t begin = index / nx / ny * COLUMN;
    if (begin >= nz) return;
    float sum[COLUMN] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int n = 0; n < count; ++n) {
        const FdkFoot at = fdk_foot(views + n, x, y, rows, columns);
        if (!(at.inverse > 0) || at.column <= -1 || at.column >= columns) continue;
        const int left = (int)floorf(at.column);
        const float weight = scale * at.inverse * at.inverse, right_part = at.column - left;
        const float wl = left >= 0 ? weight * (1 - right_part) : 0.0f, wr = left + 1 < columns ? weight * right_part : 0.0f;
        const float* low = filtered + ((int64_t)n * columns + (left > 0 ? left : 0)) * rows;
        const float* high = filtered + ((int64_t)n * columns + (left + 1 < columns ? left + 1 : columns - 1)) * rows;
        for (int k = 0; k < COLUMN; ++k) {
            const float j = seed_min(seed_max(at.a + (float)(begin + k) * at.b, -2.0f), (float)rows + 1), below = floorf(j);
            const float here = fdk_row(low, high, wl, wr, (int)below, rows), next = fdk_row(low, high, wl, wr, (int)below + 1, rows);
            sum[k] += here + (j - below) * (next - here);
        }
    }
    for (int k = 0; k < COLUMN; ++k)
        if (begin + k < nz) volume[((begin + k) * ny + y) * nx + x] = sum[k];
}
