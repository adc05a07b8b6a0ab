// Voxel grid <-> projections on the CPU: A and its exact transpose, for arbitrary views and, faster, for views whose
// detector rows are parallel to z ("separable": the rays of one detector column share their path in the xy plane).
//
// No atomics: A^T gives each task a fixed-size slab of the rays' dominant axis, so that the result is
// bit-identical for any number of threads.
#include <algorithm>
#include <cstring>
#include <vector>
#include "entry.hpp"
#include "joseph.h"
#include "lanes.h"

namespace {

constexpr int SLAB = 8;     // planes of the dominant axis that one A^T task owns
constexpr int PAD = 64;     // zeros at either end of a z column (and of a detector column): whole vectors may be read there
constexpr double CENTRE = 0.5;

struct Column {             // the path of one detector column in the xy plane, index space
    int axis, other;        // dominant axis and the other one (x or y)
    int first, last;        // planes to visit
    double o0, dlow;        // coordinate on `other` at plane k: o0 + k dlow
    double t0, dt;          // ray parameter at plane k: t0 + k dt
};

Column column_path(const SeedGrid& grid, const double* view, double i) {
    Column path;
    const double d[2] = {view[3] + i * view[6] - view[0], view[4] + i * view[7] - view[1]};
    path.axis = std::fabs(d[0]) >= std::fabs(d[1]) ? 0 : 1;
    path.other = 1 - path.axis;
    path.dlow = d[path.other] / d[path.axis];
    path.o0 = view[path.other] - view[path.axis] * path.dlow;
    path.dt = 1.0 / d[path.axis];
    path.t0 = -view[path.axis] * path.dt;
    double low = 0, high = grid.n[path.axis] - 1;
    joseph_clip(path.o0, path.dlow, grid.n[path.other], low, high);
    path.first = low <= high ? std::max(0, (int)std::ceil(low - 1e-6)) : 1;
    path.last = low <= high ? std::min(grid.n[path.axis] - 1, (int)std::floor(high + 1e-6)) : 0;
    return path;
}

struct Plane {              // one step of a column: two neighbouring z columns, and z of detector row j: za + j zb
    int64_t offset, next;   // of the lower and the upper neighbour, in floats
    float weight;           // of the upper neighbour
    float za, zb;
};

struct Layout {             // [y][x][z], one voxel of zeros around x and y, PAD around z
    int64_t line, stride_x, stride_y;
    explicit Layout(const SeedGrid& grid) {
        line = (grid.n[2] + 2 * PAD + 15) / 16 * 16;
        stride_x = line;
        stride_y = line * (grid.n[0] + 2);
    }
    int64_t size(const SeedGrid& grid) const { return stride_y * (grid.n[1] + 2); }
};

Plane column_plane(const Column& path, const SeedGrid& grid, const Layout& layout, const double* view, int rows, int k) {
    const double o = path.o0 + k * path.dlow, t = path.t0 + k * path.dt;
    // A path that only just touches the volume may round to the far side of the zeros around it, outside the allocated memory.
    const double low = std::min(std::max(std::floor(o), -1.0), grid.n[path.other] - 1.0);
    const int64_t so = path.other == 0 ? layout.stride_x : layout.stride_y;
    const int64_t sk = path.other == 0 ? layout.stride_y : layout.stride_x;
    Plane plane;
    plane.offset = (k + 1) * sk + ((int64_t)low + 1) * so + PAD;
    plane.next = so;
    plane.weight = (float)(o - low);
    const double zb = t * view[11];
    plane.zb = (float)zb;
    plane.za = (float)(view[2] + t * (view[5] - view[2]) - zb * (rows - 1) * CENTRE);
    return plane;
}

// Rows whose z lies strictly inside (-1, nz), as a half-open range.
void row_range(const Plane& plane, int rows, int nz, int& begin, int& end) {
    double low = 0, high = rows - 1;
    joseph_clip(plane.za, plane.zb, nz, low, high);
    begin = low <= high ? std::max(0, (int)std::ceil(low - 1e-3)) : 0;
    end = low <= high ? std::min(rows, (int)std::floor(high + 1e-3) + 1) : 0;
}

// World length between two planes for every row of a detector column [mm].
void step_lengths(const SeedGrid& grid, const double* view, const Column& path, double i, int rows, float* out) {
    const double x = (view[3] + i * view[6] - view[0]) * grid.spacing[0], y = (view[4] + i * view[7] - view[1]) * grid.spacing[1];
    const double xy = x * x + y * y, per_plane = std::fabs(path.dt);
    for (int j = 0; j < rows; ++j) {
        const double z = (view[5] - view[2] + (j - (rows - 1) * CENTRE) * view[11]) * grid.spacing[2];
        out[j] = (float)(std::sqrt(xy + z * z) * per_plane);
    }
}

// sums[j] += value of the plane at za + j zb, for all rows in range. `column` is room for one z column.
void gather_rows(const Plane& plane, const float* volume, int rows, int nz, float* __restrict column, float* __restrict sums) {
    int begin, end;
    row_range(plane, rows, nz, begin, end);
    if (begin >= end) return;
    const float* low = volume + plane.offset;
    const float* high = low + plane.next;
    const float w = plane.weight, za = plane.za, zb = plane.zb;
    if (PICKS && zb > 0 && (LANES - 1) * zb < 2 * LANES - 3) {  // a vector of rows needs only two vectors of z
        const Floats lane = count_floats();
        for (int j = begin / LANES * LANES; j < end; j += LANES) {  // rows outside the range read zeros
            const Floats z = (lane + (float)j) * zb + za, floor = floor_floats(z);
            const int base = (int)floor[0];
            const Ints index = to_ints(floor) - base;
            const Floats l0 = load_floats(low + base), l1 = load_floats(low + base + LANES);
            const Floats c0 = l0 + w * (load_floats(high + base) - l0), c1 = l1 + w * (load_floats(high + base + LANES) - l1);
            const Floats here = pick_floats(c0, c1, index), next = pick_floats(c0, c1, index + 1);
            add_floats(sums + j, here + (z - floor) * (next - here));
        }
        return;
    }
    // Interpolate the two z columns once, as far as the rows reach, then only along z for each row.
    const float z_begin = za + begin * zb, z_end = za + (end - 1) * zb;
    const int first = (int)std::floor(std::min(z_begin, z_end)), last = (int)std::floor(std::max(z_begin, z_end)) + 1;
    for (int z = first; z <= last; ++z) column[PAD + z] = low[z] + w * (high[z] - low[z]);
#pragma omp simd
    for (int row = begin; row < end; ++row) {
        const float z = za + row * zb, floor = std::floor(z), frac = z - floor;
        const int at = PAD + (int)floor;
        sums[row] += column[at] + frac * (column[at + 1] - column[at]);
    }
}

// The transpose of gather_rows: volume += values[j] at za + j zb. `values` has PAD zeros at either end.
void scatter_rows(const Plane& plane, float* volume, int rows, int nz, const float* values) {
    int begin, end;
    row_range(plane, rows, nz, begin, end);
    if (begin >= end) return;
    float* low = volume + plane.offset;
    float* high = low + plane.next;
    const float w = plane.weight, za = plane.za, zb = plane.zb;
    const int reach = zb > 0 ? (int)std::ceil(2.0f / zb) + 1 : 1000;  // rows that can touch one voxel, plus one
    if (PICKS && zb > 0 && (LANES - 1) / zb + reach < 2 * LANES - 2) {
        const Floats lane = count_floats(), zero = lane - lane;
        const int z_begin = std::max(0, (int)std::floor(za + begin * zb)) / LANES * LANES;
        const int z_end = std::min(nz, (int)std::floor(za + (end - 1) * zb) + 2);
        for (int z = z_begin; z < z_end; z += LANES) {
            const Floats vz = lane + (float)z;
            Floats row = floor_floats((vz - 1.0f - za) / zb), sum = zero;
            const int base = (int)row[0];
            const Floats v0 = load_floats(values + base), v1 = load_floats(values + base + LANES);
            Ints index = to_ints(row) - base;
            for (int m = 0; m <= reach; ++m, row += 1.0f, index += 1) {
                const Floats distance = abs_floats(row * zb + za - vz);
                sum += max_floats(1.0f - distance, zero) * pick_floats(v0, v1, index);
            }
            const Floats to_high = w * sum;
            add_floats(low + z, sum - to_high);
            add_floats(high + z, to_high);
        }
        return;
    }
    for (int row = begin; row < end; ++row) {
        const float z = za + row * zb, floor = std::floor(z), frac = z - floor;
        const int at = (int)floor;
        const float next = frac * values[row], here = values[row] - next;
        low[at] += (1 - w) * here;
        high[at] += w * here;
        low[at + 1] += (1 - w) * next;
        high[at + 1] += w * next;
    }
}

// Copy between the caller's [z][y][x] and the padded [y][x][z], in blocks that stay in cache.
template <class Move>
void transpose(const SeedGrid& grid, const Layout& layout, Move move) {
    const int nx = grid.n[0], ny = grid.n[1], nz = grid.n[2];
    constexpr int BLOCK = 16;
#pragma omp parallel for schedule(static)
    for (int y = 0; y < ny; ++y)
        for (int x0 = 0; x0 < nx; x0 += BLOCK)
            for (int z0 = 0; z0 < nz; z0 += BLOCK)
                for (int x = x0; x < std::min(nx, x0 + BLOCK); ++x)
                    for (int z = z0; z < std::min(nz, z0 + BLOCK); ++z)
                        move(((int64_t)z * ny + y) * nx + x, (y + 1) * layout.stride_y + (x + 1) * layout.stride_x + PAD + z);
}

SeedGrid make_grid(const int* shape_zyx, const double* spacing_xyz) {
    return {{shape_zyx[2], shape_zyx[1], shape_zyx[0]}, {spacing_xyz[0], spacing_xyz[1], spacing_xyz[2]}};
}

struct Padded {             // [z][y][x] with one voxel of zeros around it
    int64_t stride[3];
    int64_t size;
    explicit Padded(const SeedGrid& grid) {
        stride[0] = 1;
        stride[1] = grid.n[0] + 2;
        stride[2] = stride[1] * (grid.n[1] + 2);
        size = stride[2] * (grid.n[2] + 2);
    }
};

template <class Move>
void for_rows(const SeedGrid& grid, const Padded& padded, Move move) {
#pragma omp parallel for schedule(static)
    for (int z = 0; z < grid.n[2]; ++z)
        for (int y = 0; y < grid.n[1]; ++y)
            move(((int64_t)z * grid.n[1] + y) * grid.n[0], (z + 1) * padded.stride[2] + (y + 1) * padded.stride[1] + 1);
}

}  // namespace

// projections[view][v][u] = A volume[z][y][x]; views[view][4][3] in index space, detector rows parallel to z.
SEED_ENTRY seed_project_separable(const float* volume, const int* shape, const double* spacing, const double* views, int count, int rows,
                                  int columns, float* projections) try {
    const SeedGrid grid = make_grid(shape, spacing);
    const Layout layout(grid);
    std::vector<float> copy(layout.size(grid), 0.0f);
    transpose(grid, layout, [&](int64_t from, int64_t to) { copy[to] = volume[from]; });
    constexpr int GROUP = 16;  // columns written out together, so that no two threads share a cache line
    const int groups = (columns + GROUP - 1) / GROUP;
    PerThread<float> room((size_t)GROUP * (rows + 32)), room_for_lengths(rows), room_for_z(layout.line);
#pragma omp parallel
    {
        float *const lengths = room_for_lengths.mine(), *const line_of_z = room_for_z.filled(0.0f);
#pragma omp for schedule(dynamic, 4)
        for (int64_t task = 0; task < (int64_t)count * groups; ++task) {
            const int64_t n = task / groups;
            const int first = (int)(task % groups) * GROUP, last = std::min(columns, first + GROUP);
            const double* view = views + 12 * n;
            float* const sums = room.filled(0.0f);
            Column paths[GROUP];
            for (int column = first; column < last; ++column) paths[column - first] = column_path(grid, view, column - (columns - 1) * CENTRE);
            for (int k = 0; k < std::max(grid.n[0], grid.n[1]); ++k)  // plane by plane: neighbouring columns read the same voxels
                for (int column = first; column < last; ++column) {
                    const Column& path = paths[column - first];
                    if (k < path.first || k > path.last) continue;
                    float* into = sums + (column - first) * (rows + 32);
                    gather_rows(column_plane(path, grid, layout, view, rows, k), copy.data(), rows, grid.n[2], line_of_z, into);
                }
            for (int column = first; column < last; ++column) {
                float* into = sums + (column - first) * (rows + 32);
                step_lengths(grid, view, paths[column - first], column - (columns - 1) * CENTRE, rows, lengths);
                for (int j = 0; j < rows; ++j) into[j] *= lengths[j];
            }
            for (int j = 0; j < rows; ++j)
                for (int column = first; column < last; ++column)
                    projections[(n * rows + j) * columns + column] = sums[(column - first) * (rows + 32) + j];
        }
    }
    return SEED_DONE;
} SEED_CATCH

// volume = A^T projections, the exact transpose of seed_project_separable.
SEED_ENTRY seed_backproject_separable(float* volume, const int* shape, const double* spacing, const double* views, int count, int rows,
                                      int columns, const float* projections) try {
    const SeedGrid grid = make_grid(shape, spacing);
    const Layout layout(grid);
    std::vector<float> sum(layout.size(grid), 0.0f);
    const int64_t line = rows + 2 * PAD;
    std::vector<float> values((size_t)count * columns * line, 0.0f);  // [view][u][v] times the step length, padded with zeros
    std::vector<Column> paths((size_t)count * columns);
    PerThread<float> room_for_lengths(rows);
#pragma omp parallel
    {
        float* const lengths = room_for_lengths.mine();
#pragma omp for schedule(static)
        for (int64_t task = 0; task < (int64_t)count * columns; ++task) {
            const int64_t n = task / columns;
            const int column = (int)(task % columns);
            const double i = column - (columns - 1) * CENTRE;
            paths[task] = column_path(grid, views + 12 * n, i);
            step_lengths(grid, views + 12 * n, paths[task], i, rows, lengths);
            float* into = values.data() + task * line + PAD;
            for (int j = 0; j < rows; ++j) into[j] = projections[(n * rows + j) * columns + column] * lengths[j];
        }
    }
    for (int axis = 0; axis < 2; ++axis) {
        const int slabs = (grid.n[axis] + SLAB - 1) / SLAB;
#pragma omp parallel for schedule(dynamic, 1)
        for (int slab = 0; slab < slabs; ++slab)
            for (int64_t task = 0; task < (int64_t)count * columns; ++task) {
                const Column& path = paths[task];
                if (path.axis != axis) continue;
                const double* view = views + 12 * (task / columns);
                const int first = std::max(path.first, slab * SLAB), last = std::min(path.last, slab * SLAB + SLAB - 1);
                for (int k = first; k <= last; ++k)
                    scatter_rows(column_plane(path, grid, layout, view, rows, k), sum.data(), rows, grid.n[2], values.data() + task * line + PAD);
            }
    }
    transpose(grid, layout, [&](int64_t to, int64_t from) { volume[to] = sum[from]; });
    return SEED_DONE;
} SEED_CATCH

// A for any orientation of source and detector: one plain Joseph loop per ray.
SEED_ENTRY seed_project_rays(const float* volume, const int* shape, const double* spacing, const double* views, int count, int rows,
                             int columns, float* projections) try {
    const SeedGrid grid = make_grid(shape, spacing);
    const Padded padded(grid);
    std::vector<float> copy(padded.size, 0.0f);
    for_rows(grid, padded, [&](int64_t from, int64_t to) { std::memcpy(&copy[to], volume + from, sizeof(float) * grid.n[0]); });
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t line = 0; line < (int64_t)count * rows; ++line)
        for (int column = 0; column < columns; ++column) {
            const JosephRay ray = joseph_view_ray(grid, views + 12 * (line / rows), column - (columns - 1) * CENTRE,
                                                  (double)(line % rows) - (rows - 1) * CENTRE);
            projections[line * columns + column] = joseph_sum(ray, copy.data(), padded.stride);
        }
    return SEED_DONE;
} SEED_CATCH

SEED_ENTRY seed_backproject_rays(float* volume, const int* shape, const double* spacing, const double* views, int count, int rows,
                                 int columns, const float* projections) try {
    const SeedGrid grid = make_grid(shape, spacing);
    const Padded padded(grid);
    std::vector<float> sum(padded.size, 0.0f);
    const int64_t pixels = (int64_t)rows * columns;
    const int batch = (int)std::min<int64_t>(count, std::max<int64_t>(1, 65536 / pixels));  // views at a time
    std::vector<JosephRay> rays(batch * pixels);
    for (int begin = 0; begin < count; begin += batch) {
        const int64_t lines = (int64_t)std::min(batch, count - begin) * rows;
        int axes = 0;  // bit k: some ray's dominant axis is k
#pragma omp parallel for schedule(static) reduction(| : axes)
        for (int64_t line = 0; line < lines; ++line)
            for (int column = 0; column < columns; ++column) {
                JosephRay& ray = rays[line * columns + column];
                ray = joseph_view_ray(grid, views + 12 * (begin + line / rows), column - (columns - 1) * CENTRE,
                                      (double)(line % rows) - (rows - 1) * CENTRE);
                axes |= 1 << ray.axis;
            }
        for (int axis = 0; axis < 3; ++axis) {
            if (!(axes >> axis & 1)) continue;
#pragma omp parallel for schedule(dynamic, 1)
            for (int slab = 0; slab < (grid.n[axis] + SLAB - 1) / SLAB; ++slab)
                for (int64_t at = 0; at < lines * columns; ++at)
                    if (rays[at].axis == axis)
                        joseph_add(rays[at], slab * SLAB, slab * SLAB + SLAB - 1, projections[begin * pixels + at], padded.stride, sum.data());
        }
    }
    for_rows(grid, padded, [&](int64_t to, int64_t from) { std::memcpy(volume + to, &sum[from], sizeof(float) * grid.n[0]); });
    return SEED_DONE;
} SEED_CATCH
