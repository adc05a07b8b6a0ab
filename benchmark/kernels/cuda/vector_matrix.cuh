// Vector-matrix features: planes[k] [channels][rows][columns], lines[k] [channels][length], features [3 * channels][count].
#pragma once
#include "kernel.cuh"
#include "vector_matrix.h"

struct VmShapes {
    int n[9];               // rows, columns and length of the three
};

// One thread per point and channel; k is constant over a run of threads.
struct VmTask {
    int k;
    int64_t c, i;
};

SEED_FN VmTask vm_task(int64_t index, int64_t count, int channels) {
    const int64_t task = index / count;
    return {(int)(task / channels), task % channels, index % count};
}

// An element of three without an address, like seed_pick.
SEED_FN VmShape vm_pick(const VmShapes& shapes, int k) {
    return {k == 0 ? shapes.n[0] : k == 1 ? shapes.n[3] : shapes.n[6], k == 0 ? shapes.n[1] : k == 1 ? shapes.n[4] : shapes.n[7],
            k == 0 ? shapes.n[2] : k == 1 ? shapes.n[5] : shapes.n[8]};
}

SEED_KERNEL seed_vm_encode(const float* points, int64_t count, int channels, VmShapes shapes, SeedInputs planes, SeedInputs lines,
                           float* features) {
    const int64_t index = SEED_INDEX;
    if (index >= 3 * channels * count) return;
    const VmTask task = vm_task(index, count, channels);
    const VmShape shape = vm_pick(shapes, task.k);
    const VmPlace at = vm_place(points + 3 * task.i, vm_axes(task.k), shape);
    const float* plane = seed_pick(planes.at, task.k) + task.c * shape.rows * shape.columns;
    const float* line = seed_pick(lines.at, task.k) + task.c * shape.length;
    features[index] = vm_on_plane(plane, at, vm_steps(shape)) * vm_on_line(line, at, vm_steps(shape));
}

// Adds to the gradients.
SEED_KERNEL seed_vm_encode_backward(const float* points, int64_t count, int channels, VmShapes shapes, SeedInputs planes, SeedInputs lines,
                                    const float* gradient, SeedOutputs plane_gradients, SeedOutputs line_gradients) {
    const int64_t index = SEED_INDEX;
    if (index >= 3 * channels * count) return;
    const VmTask task = vm_task(index, count, channels);
    const VmShape shape = vm_pick(shapes, task.k);
    const VmPlace at = vm_place(points + 3 * task.i, vm_axes(task.k), shape);
    const int64_t on_plane = task.c * shape.rows * shape.columns, on_line = task.c * shape.length;
    vm_add(seed_pick(planes.at, task.k) + on_plane, seed_pick(lines.at, task.k) + on_line, at, vm_steps(shape), gradient[index],
           seed_pick(plane_gradients.at, task.k) + on_plane, seed_pick(line_gradients.at, task.k) + on_line);
}

// One thread per point.
SEED_KERNEL seed_vm_encode_points(const float* points, int64_t count, int channels, VmShapes shapes, SeedInputs planes, SeedInputs lines,
                                  const float* gradient, float* point_gradients) {
    const int64_t i = SEED_INDEX;
    if (i >= count) return;
    float sum[3] = {0, 0, 0};
    for (int k = 0; k < 3; ++k) {
        const VmShape shape = vm_pick(shapes, k);
        const VmPlace at = vm_place(points + 3 * i, vm_axes(k), shape);
        for (int64_t c = 0; c < channels; ++c) {
            const float g = gradient[(k * channels + c) * count + i];
            const VmSlopes slopes = vm_slopes(seed_pick(planes.at, k) + c * shape.rows * shape.columns,
                                              seed_pick(lines.at, k) + c * shape.length, at, vm_steps(shape));
            vm_add_slopes(points + 3 * i, vm_axes(k), shape, {g * slopes.row, g * slopes.column, g * slopes.along}, sum);
        }
    }
    for (int axis = 0; axis < 3; ++axis) point_gradients[3 * i + axis] = sum[axis];
}

// -- on the voxel grid itself: places[z][y][x] is a voxel's column in features[3 * channels][voxels], -1 for omitted voxels ------------

struct VmVoxel {
    int64_t z, y, x;
};

// The voxel at row r, column s of plane k and at place l of its line.
SEED_FN VmVoxel vm_voxel(int k, int64_t r, int64_t s, int64_t l) {
    if (k == 0) return {l, r, s};
    if (k == 1) return {r, s, l};
    return {r, l, s};
}

SEED_FN VmShape vm_grid_shape(const SeedShape& grid, int k) {
    return {k == 0 ? grid.n[1] : grid.n[0], k == 1 ? grid.n[1] : grid.n[2], k == 0 ? grid.n[0] : k == 1 ? grid.n[2] : grid.n[1]};
}

SEED_FN int64_t vm_column(const SeedShape& grid, const int64_t* places, int k, int64_t r, int64_t s, int64_t l) {
    const VmVoxel v = vm_voxel(k, r, s, l);
    return places[(v.z * grid.n[1] + v.y) * grid.n[2] + v.x];
}

// One thread per voxel of the whole grid and channel.
SEED_KERNEL seed_vm_grid(SeedShape grid, int channels, const int64_t* places, int64_t voxels, SeedInputs planes, SeedInputs lines,
                         float* features) {
    const int64_t all = (int64_t)grid.n[0] * grid.n[1] * grid.n[2], index = SEED_INDEX;
    if (index >= 3 * channels * all) return;
    const VmTask task = vm_task(index, all, channels);
    const int64_t place = places[task.i];
    if (place < 0) return;
    const int64_t x = task.i % grid.n[2], y = task.i / grid.n[2] % grid.n[1], z = task.i / grid.n[2] / grid.n[1];
    const VmShape shape = vm_grid_shape(grid, task.k);
    const int64_t row = task.k == 0 ? y : z, column = task.k == 1 ? y : x, along = task.k == 0 ? z : task.k == 1 ? x : y;
    const float on_plane = seed_pick(planes.at, task.k)[(task.c * shape.rows + row) * shape.columns + column];
    features[(task.k * channels + task.c) * voxels + place] = on_plane * seed_pick(lines.at, task.k)[task.c * shape.length + along];
}

// One thread per element of plane k: no two add to the same element.
SEED_KERNEL seed_vm_grid_to_plane(SeedShape grid, int channels, const int64_t* places, int64_t voxels, int k, const float* line,
                                  const float* gradient, float* plane_gradient) {
    const VmShape shape = vm_grid_shape(grid, k);
    const int64_t index = SEED_INDEX, area = (int64_t)shape.rows * shape.columns, c = index / area, at = index % area;
    if (c >= channels) return;
    float sum = 0;
    for (int l = 0; l < shape.length; ++l) {
        const int64_t column = vm_column(grid, places, k, at / shape.columns, at % shape.columns, l);
        if (column >= 0) sum += gradient[(k * channels + c) * voxels + column] * line[c * shape.length + l];
    }
    plane_gradient[index] = sum;
}

// One thread per element of line k and row of its plane: partial[channels][length][rows] is to be summed over the rows.
SEED_KERNEL seed_vm_grid_to_line(SeedShape grid, int channels, const int64_t* places, int64_t voxels, int k, const float* plane,
                                 const float* gradient, float* partial) {
    const VmShape shape = vm_grid_shape(grid, k);
    const int64_t index = SEED_INDEX, area = (int64_t)shape.length * shape.rows, c = index / area;
    if (c >= channels) return;
    const int64_t l = index % area / shape.rows, r = index % shape.rows;
    float sum = 0;
    for (int s = 0; s < shape.columns; ++s) {
        const int64_t column = vm_column(grid, places, k, r, s, l);
        if (column >= 0) sum += gradient[(k * channels + c) * voxels + column] * plane[(c * shape.rows + r) * shape.columns + s];
    }
    partial[index] = sum;
}

// out[n] = sum over row n of partial[count][rows], in order.
SEED_KERNEL seed_sum_rows(const float* partial, int64_t count, int64_t rows, float* out) {
    const int64_t n = SEED_INDEX;
    if (n >= count) return;
    float sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += partial[n * rows + r];
    out[n] = sum;
}
