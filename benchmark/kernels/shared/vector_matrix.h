// One point on one of the three pairs of plane and line of TensoRF's vector-matrix features (Chen et al. 2022, doi
// 10.1007/978-3-031-19824-3_20). Planes: 0 = (y, x) with line z, 1 = (z, y) with line x, 2 = (z, x) with line y.
#pragma once
#include "device.h"

struct VmAxes {
    int row, column, line;      // positions in a point's x, y, z
};

SEED_FN VmAxes vm_axes(int k) {
    return {k == 0 ? 1 : 2, k == 1 ? 1 : 0, k == 0 ? 2 : k == 1 ? 0 : 1};
}

struct VmShape {
    int rows, columns, length;
};

SEED_FN VmShape vm_shape(const int* shapes, int k) { return {shapes[3 * k], shapes[3 * k + 1], shapes[3 * k + 2]}; }

// Steps from a sample to the next one down, right and along the line; 0 if there is only one.
struct VmSteps {
    int down, right, on;
};

SEED_FN VmSteps vm_steps(const VmShape& shape) { return {shape.rows > 1 ? shape.columns : 0, shape.columns > 1, shape.length > 1}; }

struct VmLinear {
    int at;
    float weight;
};

// Samples sit at cell centres of the unit interval; beyond the first and last centre the value is constant.
SEED_FN VmLinear vm_locate(float position, int n) {
    const float x = seed_min(seed_max(position * n - 0.5f, 0.0f), n - 1.0f);
    const int last = n > 1 ? n - 2 : 0, whole = (int)x;
    const int at = whole < last ? whole : last;
    return {at, x - at};
}

struct VmPlace {                // position of a point on a plane and its line
    int corner, line;
    float row, column, along;
};

SEED_FN VmPlace vm_place(const float* point, const VmAxes& axes, const VmShape& shape) {
    const VmLinear r = vm_locate(point[axes.row], shape.rows), c = vm_locate(point[axes.column], shape.columns);
    const VmLinear l = vm_locate(point[axes.line], shape.length);
    return {r.at * shape.columns + c.at, l.at, r.weight, c.weight, l.weight};
}

SEED_FN float vm_on_plane(const float* plane, const VmPlace& at, const VmSteps& steps) {
    const float* p = plane + at.corner;
    const float top = p[0] + at.column * (p[steps.right] - p[0]);
    const float bottom = p[steps.down] + at.column * (p[steps.down + steps.right] - p[steps.down]);
    return top + at.row * (bottom - top);
}

SEED_FN float vm_on_line(const float* line, const VmPlace& at, const VmSteps& steps) {
    const float* l = line + at.line;
    return l[0] + at.along * (l[steps.on] - l[0]);
}

// The transpose of both, times gradient: adds to plane_sum and line_sum.
SEED_FN void vm_add(const float* plane, const float* line, const VmPlace& at, const VmSteps& steps, float gradient, float* plane_sum,
                    float* line_sum) {
    const float to_plane = gradient * vm_on_line(line, at, steps), to_line = gradient * vm_on_plane(plane, at, steps);
    const float low = to_plane * (1 - at.row), high = to_plane * at.row;
    float* s = plane_sum + at.corner;
    seed_add(s, low * (1 - at.column));
    seed_add(s + steps.right, low * at.column);
    seed_add(s + steps.down, high * (1 - at.column));
    seed_add(s + steps.down + steps.right, high * at.column);
    seed_add(line_sum + at.line, to_line * (1 - at.along));
    seed_add(line_sum + at.line + steps.on, to_line * at.along);
}

// Derivative of a place by the position: cells per unit, 0 where it is clamped.
SEED_FN float vm_slope(float position, int n) {
    const float x = position * n - 0.5f;
    return x > 0 && x < n - 1 ? (float)n : 0.0f;
}

struct VmSlopes {               // of plane times line, by cells along the plane's rows, its columns and the line
    float row, column, along;
};

SEED_FN VmSlopes vm_slopes(const float* plane, const float* line, const VmPlace& at, const VmSteps& steps) {
    const float *p = plane + at.corner, *l = line + at.line;
    const float above = p[steps.right] - p[0], below = p[steps.down + steps.right] - p[steps.down];
    const float top = p[0] + at.column * above, bottom = p[steps.down] + at.column * below, on_line = vm_on_line(line, at, steps);
    return {(bottom - top) * on_line, (above + at.row * (below - above)) * on_line, (top + at.row * (bottom - top)) * (l[steps.on] - l[0])};
}

// Adds those slopes, by the position now, to out[x y z].
SEED_FN void vm_add_slopes(const float* point, const VmAxes& axes, const VmShape& shape, const VmSlopes& slopes, float* out) {
    out[axes.row] += slopes.row * vm_slope(point[axes.row], shape.rows);
    out[axes.column] += slopes.column * vm_slope(point[axes.column], shape.columns);
    out[axes.line] += slopes.along * vm_slope(point[axes.line], shape.length);
}
