// Voxel grid <-> projections along any rays. The volume is [y][x][z] with one voxel of zeros around it: rays of neighbouring detector
// rows meet neighbouring voxels, whichever axis of the xy plane dominates.
#pragma once
#include "joseph.h"
#include "kernel.cuh"

constexpr int TILE_ROWS = 32, TILE_COLUMNS = 8;     // of the detector, one block of threads each

struct SeedPixel {
    int64_t view;
    int row, column;
    bool exists;
};

SEED_FN SeedPixel tile_pixel(int64_t index, int count, int rows, int columns) {
    const int64_t down = (rows + TILE_ROWS - 1) / TILE_ROWS, across = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const int64_t tile = index / (TILE_ROWS * TILE_COLUMNS), within = index % (TILE_ROWS * TILE_COLUMNS);
    SeedPixel pixel;
    pixel.view = tile / (down * across);
    pixel.row = (int)(tile % down * TILE_ROWS + within % TILE_ROWS);
    pixel.column = (int)(tile / down % across * TILE_COLUMNS + within / TILE_ROWS);
    pixel.exists = pixel.view < count && pixel.row < rows && pixel.column < columns;
    return pixel;
}

SEED_FN JosephRay pixel_ray(const SeedShape& shape, const SeedDoubles& spacing, const double* views, const SeedPixel& pixel, int rows,
                            int columns) {
    const SeedGrid grid = {{shape.n[2], shape.n[1], shape.n[0]}, {spacing.x[0], spacing.x[1], spacing.x[2]}};
    return joseph_view_ray(grid, views + 12 * pixel.view, pixel.column - (columns - 1) * 0.5, pixel.row - (rows - 1) * 0.5);
}

struct SeedStride {
    int64_t xyz[3];
};

SEED_FN SeedStride rimmed_stride(const SeedShape& shape) {
    const int64_t line = shape.n[0] + 2;
    return {{line, line * (shape.n[2] + 2), 1}};
}

SEED_KERNEL seed_project_rays(const float* volume, SeedShape shape, SeedDoubles spacing, const double* views, int count, int rows, int columns,
                              float* projections) {
    const SeedPixel pixel = tile_pixel(SEED_INDEX, count, rows, columns);
    if (!pixel.exists) return;
    const JosephRay ray = pixel_ray(shape, spacing, views, pixel, rows, columns);
    projections[(pixel.view * rows + pixel.row) * columns + pixel.column] = joseph_sum(ray, volume, rimmed_stride(shape).xyz);
}

SEED_KERNEL seed_backproject_rays(float* volume, SeedShape shape, SeedDoubles spacing, const double* views, int count, int rows, int columns,
                                  const float* projections) {
    const SeedPixel pixel = tile_pixel(SEED_INDEX, count, rows, columns);
    if (!pixel.exists) return;
    const JosephRay ray = pixel_ray(shape, spacing, views, pixel, rows, columns);
    const float value = projections[(pixel.view * rows + pixel.row) * columns + pixel.column];
    joseph_add(ray, ray.first, ray.last, value, rimmed_stride(shape).xyz, volume);
}
