// Ray marching through a box, and composites of the field's values there. Origins, directions (unit vectors) and the
// box [lower x y z, upper x y z] are in mm; samples are packed: rays[r] = (first, count), ts[i] = (t, dt), so ts[i][1] IS dt.
#pragma once
#include "device.h"

struct MarchSpan {
    double near, far;  // distances from the origin at which the ray enters and leaves the box; a miss has far <= near
};

// Slab test (Kay and Kajiya 1986, doi 10.1145/15922.15916) of the half-line t >= 0.
SEED_FN MarchSpan march_span(const float* origin, const float* direction, const double* box) {
    MarchSpan span = {0.0, 1e300};
    for (int axis = 0; axis < 3; ++axis) {
        const double low = box[axis] - origin[axis], high = box[3 + axis] - origin[axis], d = direction[axis];
        if (d == 0.0) {
            if (low > 0.0 || high < 0.0) span.far = -1.0;
            continue;
        }
        const double one = low / d, two = high / d;
        const double enter = one < two ? one : two, leave = one < two ? two : one;
        if (enter > span.near) span.near = enter;
        if (leave < span.far) span.far = leave;
    }
    return span;
}

// Bins of equal length that a span is cut into: `samples` of them or, if samples is 0, as few as keep each within `step` [mm].
SEED_FN int64_t march_bins(const MarchSpan& span, int samples, double step) {
    if (!(span.far > span.near)) return 0;
    if (samples > 0) return samples;
    const double bins = ceil((span.far - span.near) / step * (1.0 - 1e-9));  // a chord of exactly n steps gets n bins
    return bins < 1.0 ? 1 : (int64_t)bins;
}

// A 32-bit integer hash (xor, shift and multiply) with the constants of Wellons' "hash prospector" (2018).
SEED_FN uint32_t march_mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

SEED_FN uint32_t march_key(uint32_t seed, int64_t ray) { return march_mix(march_mix((uint32_t)ray ^ seed) + (uint32_t)(ray >> 32)); }

// Position of sample i in its bin, in [0, 1): a function of seed, ray and sample alone, independent of the threads.
SEED_FN float march_jitter(uint32_t key, uint32_t i) { return (float)(march_mix(key + i * 0x9e3779b9u) >> 8) * (1.0f / 16777216.0f); }

struct MarchRay {
    float start[3];      // entry point of the ray into the box
    float direction[3];
    float near, dt;      // [mm]
    uint32_t key;
    int64_t bins;
};

SEED_FN MarchRay march_ray(const float* origin, const float* direction, const double* box, int samples, double step, uint32_t seed, int64_t ray) {
    const MarchSpan span = march_span(origin, direction, box);
    MarchRay out;
    out.bins = march_bins(span, samples, step);
    out.near = (float)span.near;
    out.dt = out.bins ? (float)((span.far - span.near) / (double)out.bins) : 0.0f;
    out.key = march_key(seed, ray);
    for (int axis = 0; axis < 3; ++axis) {
        out.direction[axis] = direction[axis];
        out.start[axis] = (float)(origin[axis] + span.near * direction[axis]);
    }
    return out;
}

// Distance of sample i from the ray's entry point [mm].
SEED_FN float march_depth(const MarchRay& ray, int64_t i, bool jitter) {
    return ((float)i + (jitter ? march_jitter(ray.key, (uint32_t)i) : 0.5f)) * ray.dt;
}

// Position of a sample, clamped to the box against rounding errors.
SEED_FN float march_position(const MarchRay& ray, int axis, float depth, const float* box) {
    return seed_max(box[axis], seed_min(box[3 + axis], ray.start[axis] + depth * ray.direction[axis]));
}

// Cells [z][y][x] that fill the box; samples in cells of value 0 are omitted.
struct MarchOccupancy {
    const unsigned char* cells;  // none: everything is occupied
    int n[3];                    // cells along x, y, z
    float scale[3];              // cells per mm
};

SEED_FN MarchOccupancy march_occupancy(const unsigned char* cells, const int* shape_zyx, const double* box) {
    MarchOccupancy out = {cells, {0, 0, 0}, {0, 0, 0}};
    for (int axis = 0; cells && axis < 3; ++axis) {
        out.n[axis] = shape_zyx[2 - axis];
        out.scale[axis] = (float)(out.n[axis] / (box[3 + axis] - box[axis]));
    }
    return out;
}

SEED_FN bool march_occupied(const MarchOccupancy& occupancy, const MarchRay& ray, float depth, const float* box) {
    int64_t index = 0;
    for (int axis = 2; axis >= 0; --axis) {
        int cell = (int)((march_position(ray, axis, depth, box) - box[axis]) * occupancy.scale[axis]);
        cell = cell < occupancy.n[axis] ? cell : occupancy.n[axis] - 1;
        index = index * occupancy.n[axis] + cell;
    }
    return occupancy.cells[index] != 0;
}

SEED_FN int64_t march_count(const MarchRay& ray, bool jitter, const MarchOccupancy& occupancy, const float* box) {
    if (!occupancy.cells) return ray.bins;
    int64_t count = 0;
    for (int64_t i = 0; i < ray.bins; ++i) count += march_occupied(occupancy, ray, march_depth(ray, i, jitter), box);
    return count;
}

SEED_FN void march_store(const MarchRay& ray, float depth, const float* box, float* position, float* t) {
    for (int axis = 0; axis < 3; ++axis) position[axis] = march_position(ray, axis, depth, box);
    t[0] = ray.near + depth;
    t[1] = ray.dt;
}

// Writes the ray's samples; positions and ts begin at its first one.
SEED_FN void march_fill(const MarchRay& ray, bool jitter, const MarchOccupancy& occupancy, const float* box, float* positions, float* ts) {
    if (!occupancy.cells) {
        for (int64_t i = 0; i < ray.bins; ++i) march_store(ray, march_depth(ray, i, jitter), box, positions + 3 * i, ts + 2 * i);
        return;
    }
    for (int64_t i = 0, kept = 0; i < ray.bins; ++i) {
        const float depth = march_depth(ray, i, jitter);
        if (!march_occupied(occupancy, ray, depth, box)) continue;
        march_store(ray, depth, box, positions + 3 * kept, ts + 2 * kept);
        ++kept;
    }
}

// -- composites: mu and ts begin at the ray's first sample ----------------------------------------------------------------

// The transpose of a ray's sum of mu dt: d sum / d mu_i = dt_i.
SEED_FN void composite_sum_transpose(float value, const float* ts, int64_t count, float* mu) {
    for (int64_t i = 0; i < count; ++i) mu[i] = value * ts[2 * i + 1];
}

// Maximum intensity: index of the largest mu (the first of equals; a NaN counts as larger), -1 without samples.
SEED_FN int64_t composite_arg_max(const float* mu, int64_t count) {
    if (count <= 0) return -1;
    int64_t best = 0;
    float most = mu[0];
    for (int64_t i = 1; i < count && most == most; ++i)
        if (!(mu[i] <= most)) {
            most = mu[i];
            best = i;
        }
    return best;
}
