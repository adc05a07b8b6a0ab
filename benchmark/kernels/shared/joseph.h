// Joseph's method for arbitrary rays (Joseph 1982, doi 10.1109/TMI.1982.4307572): step through the planes of the ray's
// dominant axis and interpolate bilinearly in each. Everything is in index space: voxel (i, j, k) has its centre there,
// axes in x, y, z order, and the volume is surrounded by zeros (interpolation fades over one voxel at its faces).
#pragma once
#include "device.h"

struct SeedGrid {
    int n[3];          // voxels along x, y, z
    double spacing[3]; // [mm]
};

struct JosephRay {
    int axis, a, b;        // dominant axis and the two others
    int first, last;       // planes of the dominant axis to visit, inclusive; empty when first > last
    float a0, da, b0, db;  // index coordinates on plane k: a0 + k da, b0 + k db
    float na, nb;          // last voxel along a and b
    float step;            // world length between two planes [mm]
};

// Planes k for which start + k slope lies strictly inside (-1, n).
SEED_FN void joseph_clip(double start, double slope, int n, double& low, double& high) {
    if (slope > -1e-12 && slope < 1e-12) {
        if (start <= -1.0 || start >= n) high = low - 1.0;
        return;
    }
    const double one = (-1.0 - start) / slope, two = (n - start) / slope;
    const double enter = one < two ? one : two, leave = one < two ? two : one;
    if (enter > low) low = enter;
    if (leave < high) high = leave;
}

// source and direction (source to pixel) in index space.
SEED_FN JosephRay joseph_ray(const SeedGrid& grid, const double source[3], const double direction[3]) {
    JosephRay ray;
    const double x = fabs(direction[0]), y = fabs(direction[1]), z = fabs(direction[2]);
    ray.axis = x >= y ? (x >= z ? 0 : 2) : (y >= z ? 1 : 2);
    ray.a = ray.axis == 0 ? 1 : 0;
    ray.b = ray.axis == 2 ? 1 : 2;
    const double along = seed_pick(direction, ray.axis);
    double length = 0;
    for (int i = 0; i < 3; ++i) length += direction[i] * grid.spacing[i] * direction[i] * grid.spacing[i];
    ray.step = (float)(sqrt(length) / fabs(along));
    const int planes = seed_pick(grid.n, ray.axis), na = seed_pick(grid.n, ray.a), nb = seed_pick(grid.n, ray.b);
    const double da = seed_pick(direction, ray.a) / along, db = seed_pick(direction, ray.b) / along, start = seed_pick(source, ray.axis);
    const double a0 = seed_pick(source, ray.a) - start * da, b0 = seed_pick(source, ray.b) - start * db;
    double low = 0, high = planes - 1;
    joseph_clip(a0, da, na, low, high);
    if (low <= high) joseph_clip(b0, db, nb, low, high);
    if (low <= high) {
        ray.first = (int)ceil(low - 1e-6);
        ray.last = (int)floor(high + 1e-6);
        if (ray.first < 0) ray.first = 0;
        if (ray.last > planes - 1) ray.last = planes - 1;
    } else {
        ray.first = 1;
        ray.last = 0;
    }
    ray.na = (float)(na - 1); ray.nb = (float)(nb - 1);
    ray.a0 = (float)a0; ray.da = (float)da; ray.b0 = (float)b0; ray.db = (float)db;
    return ray;
}

// Views are [view][4][3]: source, detector centre, u step, v step, in index space; i and j count from the detector's centre.
SEED_FN JosephRay joseph_view_ray(const SeedGrid& grid, const double* view, double i, double j) {
    double direction[3];
    for (int k = 0; k < 3; ++k) direction[k] = view[3 + k] + i * view[6 + k] + j * view[9 + k] - view[k];
    return joseph_ray(grid, view, direction);
}

// Steps in memory along a ray's axes.
struct JosephSteps {
    int64_t plane, a, b;
};

SEED_FN JosephSteps joseph_steps(const JosephRay& ray, const int64_t stride[3]) {
    return {seed_pick(stride, ray.axis), seed_pick(stride, ray.a), seed_pick(stride, ray.b)};
}

// Intersection of a ray with plane k of a volume padded by one voxel of zeros: offset of the lower corner and the two weights.
SEED_FN int64_t joseph_corner(const JosephRay& ray, int k, const JosephSteps& steps, float& wa, float& wb) {
    const float a = ray.a0 + k * ray.da, b = ray.b0 + k * ray.db;
    // A ray that only just touches the volume may round to the far side of the zeros around it, outside the allocated memory.
    const float fa = seed_min(seed_max(floorf(a), -1.0f), ray.na), fb = seed_min(seed_max(floorf(b), -1.0f), ray.nb);
    wa = a - fa;
    wb = b - fb;
    return (int64_t)(k + 1) * steps.plane + (int64_t)((int)fa + 1) * steps.a + (int64_t)((int)fb + 1) * steps.b;
}

SEED_FN float joseph_sum(const JosephRay& ray, const float* volume, const int64_t stride[3]) {
    const JosephSteps steps = joseph_steps(ray, stride);
    const int64_t sa = steps.a, sb = steps.b;
    float sum = 0;
    for (int k = ray.first; k <= ray.last; ++k) {
        float wa, wb;
        const float* at = volume + joseph_corner(ray, k, steps, wa, wb);
        const float low = at[0] + wa * (at[sa] - at[0]);
        const float high = at[sb] + wa * (at[sb + sa] - at[sb]);
        sum += low + wb * (high - low);
    }
    return sum * ray.step;
}

// The transpose of joseph_sum on planes first .. last: adds to the volume.
SEED_FN void joseph_add(const JosephRay& ray, int first, int last, float value, const int64_t stride[3], float* volume) {
    const JosephSteps steps = joseph_steps(ray, stride);
    const int64_t sa = steps.a, sb = steps.b;
    value *= ray.step;
    const int begin = ray.first > first ? ray.first : first, end = ray.last < last ? ray.last : last;
    for (int k = begin; k <= end; ++k) {
        float wa, wb;
        float* at = volume + joseph_corner(ray, k, steps, wa, wb);
        const float high = wb * value, low = value - high;
        seed_add(at, (1 - wa) * low);
        seed_add(at + sa, wa * low);
        seed_add(at + sb, (1 - wa) * high);
        seed_add(at + sb + sa, wa * high);
    }
}
