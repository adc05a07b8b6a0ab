// Exact line integrals and maxima of piecewise-constant voxels, for making test data.
//
// The discretisation deliberately differs from the projector's (which interpolates): a ray is cut at every voxel face it
// crosses and each piece has its exact length. Siddon, "Fast calculation of the exact radiological path for a
// three-dimensional CT array", Med. Phys. 12 (1985) 252, doi 10.1118/1.595715, walked voxel by voxel as in
// Amanatides and Woo, "A fast voxel traversal algorithm for ray tracing", Eurographics 1987.

#include <cmath>
#include <cstdint>
#include <limits>
#include "entry.hpp"

namespace {

struct Grid {
    int64_t count[3];   // voxels along x, y, z
    double spacing[3];  // x, y, z [mm]
    double corner[3];   // lower corner of the grid, x, y, z [mm]
    double low[3], high[3];  // the box outside which everything is air, x, y, z [mm]
};

// Calls visit(voxel, length) for each piece of the segment from `source` to `target` (x, y, z [mm]) that lies in one voxel; lengths
// are fractions of the segment. Returns the segment's length [mm].
template <class Visit>
double walk(const Grid& grid, const double* source, const double* target, Visit visit) {
    double direction[3], enter = 0.0, leave = 1.0, squared = 0.0;
    for (int axis = 0; axis < 3; ++axis) {
        direction[axis] = target[axis] - source[axis];
        squared += direction[axis] * direction[axis];
        const double low = std::fmax(grid.low[axis], grid.corner[axis]);
        const double high = std::fmin(grid.high[axis], grid.corner[axis] + grid.count[axis] * grid.spacing[axis]);
        if (direction[axis] == 0.0) {
            if (source[axis] < low || source[axis] >= high) leave = -1.0;
            continue;
        }
        const double first = (low - source[axis]) / direction[axis], second = (high - source[axis]) / direction[axis];
        enter = std::fmax(enter, std::fmin(first, second));
        leave = std::fmin(leave, std::fmax(first, second));
    }
    if (!(enter < leave)) return std::sqrt(squared);

    const int64_t stride[3] = {1, grid.count[0], grid.count[0] * grid.count[1]};
    int64_t index[3], step[3], offset = 0;
    double next[3], width[3];  // parameter of the next face along each axis, and between two faces
    for (int axis = 0; axis < 3; ++axis) {
        const double position = (source[axis] + enter * direction[axis] - grid.corner[axis]) / grid.spacing[axis];
        index[axis] = static_cast<int64_t>(std::floor(position));
        if (index[axis] < 0) index[axis] = 0;
        if (index[axis] >= grid.count[axis]) index[axis] = grid.count[axis] - 1;
        step[axis] = direction[axis] > 0 ? 1 : -1;
        if (direction[axis] == 0.0) {
            next[axis] = width[axis] = std::numeric_limits<double>::infinity();
        } else {
            const double face = grid.corner[axis] + (index[axis] + (step[axis] > 0)) * grid.spacing[axis];
            next[axis] = (face - source[axis]) / direction[axis];
            width[axis] = grid.spacing[axis] / std::fabs(direction[axis]);
        }
        offset += index[axis] * stride[axis];
    }
    for (double at = enter;;) {
        const int axis = next[0] < next[1] ? (next[0] < next[2] ? 0 : 2) : (next[1] < next[2] ? 1 : 2);
        const double until = std::fmin(next[axis], leave);
        if (until > at) {
            visit(offset, until - at);
            at = until;
        }
        if (next[axis] >= leave) break;
        index[axis] += step[axis];
        if (index[axis] < 0 || index[axis] >= grid.count[axis]) break;
        offset += step[axis] * stride[axis];
        next[axis] += width[axis];
    }
    return std::sqrt(squared);
}

// Line integral along the segment.
double integral(const float* voxels, const Grid& grid, const double* source, const double* target) {
    double sum = 0.0;
    const double length = walk(grid, source, target, [&](int64_t voxel, double part) { sum += voxels[voxel] * part; });
    return sum * length;
}

// Largest value along the segment, of air (0) and the voxels that it crosses.
double maximum(const float* voxels, const Grid& grid, const double* source, const double* target) {
    double most = 0.0;
    walk(grid, source, target, [&](int64_t voxel, double) { most = std::fmax(most, voxels[voxel]); });
    return most;
}

// Values of `of_ray`, averaged over sub_rays x sub_rays rays per pixel.
template <class OfRay>
void project(const float* voxels, const int64_t* count, const double* spacing, const double* corner, const double* low, const double* high,
             const double* vectors, int64_t views, int64_t rows, int64_t columns, int64_t sub_rays, float* out, OfRay of_ray) {
    Grid grid;
    for (int axis = 0; axis < 3; ++axis) {
        grid.count[axis] = count[axis];
        grid.spacing[axis] = spacing[axis];
        grid.corner[axis] = corner[axis];
        grid.low[axis] = low[axis];
        grid.high[axis] = high[axis];
    }
    // One task is one detector row of one view: its rays cross the same few z slices, which then stay in the cache.
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t line = 0; line < views * rows; ++line) {
        const int64_t row = line % rows;
        const double* source = vectors + (line / rows) * 12;
        const double *centre = source + 3, *u = source + 6, *v = source + 9;
        for (int64_t column = 0; column < columns; ++column) {
            double sum = 0.0;
            for (int64_t j = 0; j < sub_rays; ++j) {
                const double along_v = row - 0.5 * (rows - 1) + (j + 0.5) / sub_rays - 0.5;
                for (int64_t i = 0; i < sub_rays; ++i) {
                    const double along_u = column - 0.5 * (columns - 1) + (i + 0.5) / sub_rays - 0.5;
                    double target[3];
                    for (int axis = 0; axis < 3; ++axis) target[axis] = centre[axis] + along_u * u[axis] + along_v * v[axis];
                    sum += of_ray(voxels, grid, source, target);
                }
            }
            out[line * columns + column] = static_cast<float>(sum / (sub_rays * sub_rays));
        }
    }
}

}  // namespace

// voxels float32 [z, y, x] 1/mm; count, spacing, corner, low, high in x, y, z order; vectors float64 [view, 4, 3] (source,
// detector centre, u step, v step); sub_rays x sub_rays rays per pixel are averaged; out float32 [view, v, u].
SEED_ENTRY seed_simulate_voxels(const float* voxels, const int64_t* count, const double* spacing, const double* corner, const double* low,
                                const double* high, const double* vectors, int64_t views, int64_t rows, int64_t columns, int64_t sub_rays,
                                float* out) try {
    project(voxels, count, spacing, corner, low, high, vectors, views, rows, columns, sub_rays, out, integral);
    return SEED_DONE;
} SEED_CATCH

// Largest value along each ray, with the arguments of seed_simulate_voxels.
SEED_ENTRY seed_simulate_voxel_maxima(const float* voxels, const int64_t* count, const double* spacing, const double* corner,
                                      const double* low, const double* high, const double* vectors, int64_t views, int64_t rows,
                                      int64_t columns, int64_t sub_rays, float* out) try {
    project(voxels, count, spacing, corner, low, high, vectors, views, rows, columns, sub_rays, out, maximum);
    return SEED_DONE;
} SEED_CATCH
