// Mixtures of 3-D Gaussians on the CPU: projected to whole views (integrals or maxima), sampled on a grid, and their gradients.
//
// No two threads add to the same value: a band of image rows (or of slices) belongs to one task, which visits the Gaussians that
// reach it in their order; a Gaussian's gradient belongs to one task, which visits views and pixels in order. So results are
// bit-identical for any number of threads.
#include <algorithm>
#include <cstring>
#include <vector>
#include "bands.hpp"
#include "entry.hpp"
#include "gaussians.h"

namespace {

constexpr int64_t CHUNK = 64;   // Gaussians per task

void add_row(const GaussianRow& row, float i, float amplitude, float reach, int first, int last, float* out) {
    for (int start = first; start <= last; start += LANES) {
        Floats q, inverse;
        add_floats(out + start, amplitude * gaussian_pixel(row, step_floats((float)start - i, 1.0f), reach, q, inverse));
    }
}

void sum_row(const GaussianRow& row, float i, float dj, float reach, int first, int last, const float* gradient,
             GaussianSums<Floats>& sums) {
    for (int start = first; start <= last; start += LANES)
        gaussian_pixel_sums(row, step_floats((float)start - i, 1.0f), dj, reach, load_floats(gradient + start), sums);
}

void sum_grid_row(const GaussianGrid& grid, float mean, float q0, float q1, float xx, float dy, float dz, float reach, int first, int last,
                  const float* gradient, GaussianMoments<Floats>& sums) {
    for (int start = first; start <= last; start += LANES) {
        const Floats dx = step_floats(grid.lower[0] + (float)start * grid.step[0] - mean, grid.step[0]);
        gaussian_point_moments(q0, q1, xx, dx, dy, dz, reach, load_floats(gradient + start), sums);
    }
}

// Calls row(j, dy-to-mean, first, last) for every row of the slice within reach.
template <class Row>
void visit_slice(const GaussianBall& b, const GaussianGrid& grid, const float* mean, float dz, float reach, Row row) {
    int first, last, from, to;
    gaussian_rows(b, grid, mean, dz, reach, first, last);
    for (int j = first; j <= last; ++j) {
        const float dy = grid.lower[1] + (float)j * grid.step[1] - mean[1];
        gaussian_row_columns(b, grid, mean, dy, dz, reach, from, to);
        if (from <= to) row(j, dy, b.yy * dy * dy + 2 * b.yz * dy * dz + b.zz * dz * dz, b.xy * dy + b.xz * dz, from, to);
    }
}

// Calls visit(column, amplitude times the largest value on its ray) for each pixel of a row.
template <class Visit>
void each_peak(const GaussianRow& row, float i, float amplitude, float reach, int first, int last, Visit visit) {
    for (int start = first; start <= last; start += LANES) {
        Floats q, root;
        visit(start, amplitude * gaussian_peak(row, step_floats((float)start - i, 1.0f), reach, q, root));
    }
}

// values[rows][columns], the excess over the (padded) maxima, become soft maxima.
void soften(const std::vector<float>& most, int64_t rows, int columns, float temperature, float* values) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row)
        for (int i = 0; i < columns; ++i)
            values[row * columns + i] = gaussian_soft(most[row * (columns + LANES) + i], values[row * columns + i], temperature);
}

// Calls visit(column, amplitude times value) for each grid point of a row.
template <class Visit>
void each_point(const GaussianGrid& grid, float mean, float amplitude, float q0, float q1, float xx, float reach, int first, int last,
                Visit visit) {
    for (int start = first; start <= last; start += LANES) {
        const Floats dx = step_floats(grid.lower[0] + (float)start * grid.step[0] - mean, grid.step[0]);
        visit(start, amplitude * gaussian_point(q0, q1, xx, dx, reach));
    }
}

// The Gaussians that may reach each cell of a grid, in their order. A cell begins at its grid point.
class Cells {
public:
    Cells(const GaussianGrid& grid, int64_t count, const float* means, const float* matrices, float reach)
        : grid(grid), starts((int64_t)grid.n[0] * grid.n[1] * grid.n[2] + 1) {
        std::vector<Box> boxes(count);
        for (int64_t k = 0; k < count; ++k) boxes[k] = box_of(means + 3 * k, matrices + 9 * k, reach);
        each_cell(boxes, [&](int64_t cell, int64_t) { ++starts[cell + 1]; });
        for (size_t cell = 1; cell < starts.size(); ++cell) starts[cell] += starts[cell - 1];
        members.resize(starts.back());
        std::vector<int64_t> next(starts.begin(), starts.end() - 1);
        each_cell(boxes, [&](int64_t cell, int64_t k) { members[next[cell]++] = k; });
    }

    template <class Visit>
    void visit(const float* x, Visit visit) const {
        int64_t cell = 0;
        for (int axis = 2; axis >= 0; --axis) cell = cell * grid.n[axis] + index(axis, x[axis]);
        for (int64_t at = starts[cell]; at < starts[cell + 1]; ++at) visit(members[at]);
    }

private:
    struct Box {
        int first[3], last[3];
    };

    int index(int axis, float x) const {
        const float at = std::floor((x - grid.lower[axis]) / grid.step[axis]);
        return (int)seed_max(0.0f, seed_min(at, (float)(grid.n[axis] - 1)));
    }

    Box box_of(const float* mean, const float* matrix, float reach) const {
        Box box;
        float half[3];
        gaussian_box(gaussian_ball(grid, mean, matrix, reach), reach, half);
        for (int axis = 0; axis < 3; ++axis) {  // a margin for points that rounding moves into the neighbouring cell
            const float more = half[axis] + 1e-3f * grid.step[axis];
            box.first[axis] = index(axis, mean[axis] - more);
            box.last[axis] = index(axis, mean[axis] + more);
        }
        return box;
    }

    template <class Call>
    void each_cell(const std::vector<Box>& boxes, Call call) const {
        for (size_t k = 0; k < boxes.size(); ++k)
            for (int z = boxes[k].first[2]; z <= boxes[k].last[2]; ++z)
                for (int y = boxes[k].first[1]; y <= boxes[k].last[1]; ++y)
                    for (int x = boxes[k].first[0]; x <= boxes[k].last[0]; ++x)
                        call(((int64_t)z * grid.n[1] + y) * grid.n[0] + x, (int64_t)k);
    }

    const GaussianGrid grid;
    std::vector<int64_t> starts, members;
};

// All inputs of a projection: vectors[view][4][3], means[count][3], matrices[count][3][3].
struct Scene {
    const double* vectors;
    int views, rows, columns;
    int64_t count;
    const float *means, *matrices;
    float reach;
};

// Calls visit(k, j of all rows of all views, row's quadratics, column of the mean, first, last column, row's numbers) for each row of
// each view that each Gaussian reaches, in the order of the Gaussians; the numbers begin with 0 and become images[view][row][column].
template <class Row>
void visit_views(const Scene& scene, float* images, Row visit) {
    const int rows = scene.rows, columns = scene.columns;
    std::vector<GaussianFootprint> footprints(scene.count);
    Bands bands(rows);
    const int width = columns + LANES;
    PerThread<float> room((size_t)BAND * width);
    for (int n = 0; n < scene.views; ++n) {
        const GaussianView view = gaussian_view(scene.vectors + 12 * n, rows, columns);
#pragma omp parallel for simd schedule(static)
        for (int64_t k = 0; k < scene.count; ++k)
            footprints[k] = gaussian_footprint(view, scene.means + 3 * k, scene.matrices + 9 * k, scene.reach, rows);
        bands.fill(scene.count, [&](int64_t k) -> const GaussianFootprint& { return footprints[k]; });
#pragma omp parallel for schedule(dynamic, 1)
        for (int band = 0; band < bands.count; ++band) {
            float* const out = room.filled(0.0f);
            for (int64_t at = bands.starts[band]; at < bands.starts[band + 1]; ++at) {
                const int64_t k = bands.members[at];
                const GaussianFootprint& g = footprints[k];
                int first, last;
                rows_within(g, band, rows, first, last);
                const RowsColumns reached(g, first, scene.reach, columns);
                for (int j = first; j <= last; ++j)
                    visit(k, (int64_t)n * rows + j, gaussian_row(g, (float)j - g.j), g.i, reached.from[j - first], reached.to[j - first],
                          &out[(j - band * BAND) * width]);
            }
            for (int j = band * BAND; j < std::min((band + 1) * BAND, rows); ++j)
                std::memcpy(images + ((int64_t)n * rows + j) * columns, &out[(j - band * BAND) * width], sizeof(float) * columns);
        }
    }
}

// Derivatives of all views, overwritten; visit(k, j of all rows of all views, row's quadratics, column of the mean, dj, first, last, sums)
// adds a row's terms to Gaussian k.
template <class Row>
void collect_gradients(const Scene& scene, const float* amplitudes, float* to_means, float* to_matrices, float* to_amplitudes, Row visit) {
    const int views = scene.views, rows = scene.rows, columns = scene.columns;
    const int64_t count = scene.count;
    std::vector<GaussianView> seen(views);
    for (int n = 0; n < views; ++n) seen[n] = gaussian_view(scene.vectors + 12 * n, rows, columns);
    std::fill(to_means, to_means + 3 * count, 0.0f);
    std::fill(to_matrices, to_matrices + 9 * count, 0.0f);
    std::fill(to_amplitudes, to_amplitudes + count, 0.0f);
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t start = 0; start < count; start += CHUNK) {
        const int size = (int)std::min(CHUNK, count - start);
        GaussianFootprint footprints[CHUNK];
        GaussianSums<float> sums[CHUNK];
        for (int n = 0; n < views; ++n) {
            const GaussianView& view = seen[n];
            const float *mean = scene.means + 3 * start, *matrix = scene.matrices + 9 * start;
#pragma omp simd
            for (int k = 0; k < size; ++k) footprints[k] = gaussian_footprint(view, mean + 3 * k, matrix + 9 * k, scene.reach, rows);
            for (int k = 0; k < size; ++k) {
                const GaussianFootprint& g = footprints[k];
                GaussianSums<Floats> lanes{};
                const int last = (int)std::floor(g.last);
                for (int first = (int)std::ceil(g.first); first <= last; first += BAND) {
                    const RowsColumns reached(g, first, scene.reach, columns);
                    for (int j = first; j <= std::min(first + BAND - 1, last); ++j) {
                        const float dj = (float)j - g.j;
                        visit(start + k, (int64_t)n * rows + j, gaussian_row(g, dj), g.i, dj, reached.from[j - first], reached.to[j - first],
                              lanes);
                    }
                }
                sums[k] = over_lanes(lanes);
            }
#pragma omp simd
            for (int k = 0; k < size; ++k)
                if (footprints[k].first <= footprints[k].last)
                    gaussian_chain(view, mean + 3 * k, matrix + 9 * k, amplitudes[start + k], sums[k], to_amplitudes + start + k,
                                   to_means + 3 * (start + k), to_matrices + 9 * (start + k));
        }
    }
}

// Calls visit(k, row of the whole grid, q0, q1, xx, first, last column, row's numbers) for each row that each Gaussian reaches, in
// their order; the numbers begin with 0 and become volume[z][y][x].
template <class Row>
void visit_grid(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices, float reach, float* volume, Row visit) {
    const int columns = grid->n[0], rows = grid->n[1], slices = grid->n[2], width = columns + LANES;
    std::vector<GaussianBall> balls(count);
#pragma omp parallel for simd schedule(static)
    for (int64_t k = 0; k < count; ++k) balls[k] = gaussian_ball(*grid, means + 3 * k, matrices + 9 * k, reach);
    Bands bands(slices);
    bands.fill(count, [&](int64_t k) -> const GaussianBall& { return balls[k]; });
    PerThread<float> room((size_t)BAND * rows * width);
#pragma omp parallel for schedule(dynamic, 1)
    for (int band = 0; band < bands.count; ++band) {
        float* const out = room.filled(0.0f);
        for (int64_t at = bands.starts[band]; at < bands.starts[band + 1]; ++at) {
            const int64_t k = bands.members[at];
            const GaussianBall& b = balls[k];
            const float* mean = means + 3 * k;
            int first, last;
            rows_within(b, band, slices, first, last);
            for (int z = first; z <= last; ++z) {
                const float dz = grid->lower[2] + (float)z * grid->step[2] - mean[2];
                float* slice = &out[(int64_t)(z - band * BAND) * rows * width];
                visit_slice(b, *grid, mean, dz, reach, [&](int j, float, float q0, float q1, int from, int to) {
                    visit(k, (int64_t)z * rows + j, q0, q1, b.xx, from, to, slice + (int64_t)j * width);
                });
            }
        }
        const int size = std::min((band + 1) * BAND, slices) - band * BAND;
        for (int64_t row = 0; row < (int64_t)size * rows; ++row)
            std::memcpy(volume + ((int64_t)band * BAND * rows + row) * columns, &out[row * width], sizeof(float) * columns);
    }
}

// Derivatives, overwritten; visit(k, row of the whole grid, q0, q1, xx, dy, dz, first, last, moments) adds a row's terms to Gaussian k.
template <class Row>
void collect_moments(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                     float reach, float* to_means, float* to_matrices, float* to_amplitudes, Row visit) {
    const int rows = grid->n[1];
    std::fill(to_means, to_means + 3 * count, 0.0f);
    std::fill(to_matrices, to_matrices + 9 * count, 0.0f);
    std::fill(to_amplitudes, to_amplitudes + count, 0.0f);
#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t k = 0; k < count; ++k) {
        const float* mean = means + 3 * k;
        const GaussianBall b = gaussian_ball(*grid, mean, matrices + 9 * k, reach);
        GaussianMoments<Floats> moments{};
        for (int z = (int)std::ceil(b.first); z <= (int)std::floor(b.last); ++z) {
            const float dz = grid->lower[2] + (float)z * grid->step[2] - mean[2];
            visit_slice(b, *grid, mean, dz, reach, [&](int j, float dy, float q0, float q1, int from, int to) {
                visit(k, (int64_t)z * rows + j, q0, q1, b.xx, dy, dz, from, to, moments);
            });
        }
        gaussian_grid_chain(b, matrices + 9 * k, amplitudes[k], over_lanes(moments), to_amplitudes + k, to_means + 3 * k, to_matrices + 9 * k);
    }
}

}  // namespace

// images[view][row][column] = sum over Gaussians of amplitude exp(-C / W / 2) / |w| (see gaussians.h). vectors[view][4][3],
// means[count][3], matrices[count][3][3], amplitudes[count].
SEED_ENTRY seed_gaussian_project(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                 const float* matrices, const float* amplitudes, float reach, float* images) try {
    visit_views({vectors, views, rows, columns, count, means, matrices, reach}, images,
                [&](int64_t k, int64_t, const GaussianRow& row, float i, int from, int to, float* out) {
                    add_row(row, i, amplitudes[k], reach, from, to, out);
                });
    return SEED_DONE;
} SEED_CATCH

// Derivatives of sum(gradient * images), overwritten: by means [count][3], matrices [count][3][3] and amplitudes [count].
SEED_ENTRY seed_gaussian_project_backward(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                          const float* matrices, const float* amplitudes, float reach, const float* gradient,
                                          float* to_means, float* to_matrices, float* to_amplitudes) try {
    const std::vector<float> images = padded(gradient, (int64_t)views * rows, columns);
    collect_gradients({vectors, views, rows, columns, count, means, matrices, reach}, amplitudes, to_means, to_matrices, to_amplitudes,
                      [&](int64_t, int64_t j, const GaussianRow& row, float i, float dj, int from, int to, GaussianSums<Floats>& sums) {
                          sum_row(row, i, dj, reach, from, to, &images[j * (columns + LANES)], sums);
                      });
    return SEED_DONE;
} SEED_CATCH

// images = the soft maximum over Gaussians of amplitude exp(-C / W / 2), their largest values on each ray; the exact maximum if the
// temperature is 0.
SEED_ENTRY seed_gaussian_peaks(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                               const float* matrices, const float* amplitudes, float reach, float temperature, float* images) try {
    const Scene scene = {vectors, views, rows, columns, count, means, matrices, reach};
    visit_views(scene, images, [&](int64_t k, int64_t, const GaussianRow& row, float i, int from, int to, float* out) {
        each_peak(row, i, amplitudes[k], reach, from, to, [&](int at, Floats peak) { raise_floats(out + at, peak); });
    });
    if (!(temperature > 0)) return SEED_DONE;
    const std::vector<float> most = padded(images, (int64_t)views * rows, columns);
    visit_views(scene, images, [&](int64_t k, int64_t j, const GaussianRow& row, float i, int from, int to, float* out) {
        const float* tops = &most[j * (columns + LANES)];
        each_peak(row, i, amplitudes[k], reach, from, to,
                  [&](int at, Floats peak) { add_floats(out + at, gaussian_excess(peak, load_floats(tops + at), 1 / temperature)); });
    });
    soften(most, (int64_t)views * rows, columns, temperature, images);
    return SEED_DONE;
} SEED_CATCH

// Derivatives of sum(gradient * images), overwritten; `images` are the soft maxima, the temperature is above 0.
SEED_ENTRY seed_gaussian_peaks_backward(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                        const float* matrices, const float* amplitudes, float reach, float temperature, const float* images,
                                        const float* gradient, float* to_means, float* to_matrices, float* to_amplitudes) try {
    const std::vector<float> soft = padded(images, (int64_t)views * rows, columns);
    const std::vector<float> slopes = padded(gradient, (int64_t)views * rows, columns);
    collect_gradients({vectors, views, rows, columns, count, means, matrices, reach}, amplitudes, to_means, to_matrices, to_amplitudes,
                      [&](int64_t k, int64_t j, const GaussianRow& row, float i, float dj, int from, int to, GaussianSums<Floats>& sums) {
                          const int64_t line = j * (columns + LANES);
                          for (int start = from; start <= to; start += LANES)
                              gaussian_peak_sums(row, step_floats((float)start - i, 1.0f), dj, reach, amplitudes[k], 1 / temperature,
                                                 load_floats(&soft[line + start]), load_floats(&slopes[line + start]), sums);
                      });
    return SEED_DONE;
} SEED_CATCH

// volume[z][y][x] = sum over Gaussians of amplitude exp(-|M (x - mean)|^2 / 2) at the grid's points.
SEED_ENTRY seed_gaussian_voxelise(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices,
                                  const float* amplitudes, float reach, float* volume) try {
    visit_grid(grid, count, means, matrices, reach, volume,
               [&](int64_t k, int64_t, float q0, float q1, float xx, int from, int to, float* out) {
                   each_point(*grid, means[3 * k], amplitudes[k], q0, q1, xx, reach, from, to,
                              [&](int at, Floats value) { add_floats(out + at, value); });
               });
    return SEED_DONE;
} SEED_CATCH

// Derivatives of sum(gradient * volume), overwritten.
SEED_ENTRY seed_gaussian_voxelise_backward(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices,
                                           const float* amplitudes, float reach, const float* gradient, float* to_means, float* to_matrices,
                                           float* to_amplitudes) try {
    const int columns = grid->n[0];
    const std::vector<float> values = padded(gradient, (int64_t)grid->n[2] * grid->n[1], columns);
    collect_moments(grid, count, means, matrices, amplitudes, reach, to_means, to_matrices, to_amplitudes,
                    [&](int64_t k, int64_t j, float q0, float q1, float xx, float dy, float dz, int from, int to,
                        GaussianMoments<Floats>& moments) {
                        sum_grid_row(*grid, means[3 * k], q0, q1, xx, dy, dz, reach, from, to, &values[j * (columns + LANES)], moments);
                    });
    return SEED_DONE;
} SEED_CATCH

// volume = the soft maximum over Gaussians of their values at the grid's points; the exact maximum if the temperature is 0.
SEED_ENTRY seed_gaussian_soft_voxelise(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices,
                                       const float* amplitudes, float reach, float temperature, float* volume) try {
    const int64_t rows = (int64_t)grid->n[2] * grid->n[1];
    const int columns = grid->n[0];
    visit_grid(grid, count, means, matrices, reach, volume,
               [&](int64_t k, int64_t, float q0, float q1, float xx, int from, int to, float* out) {
                   each_point(*grid, means[3 * k], amplitudes[k], q0, q1, xx, reach, from, to,
                              [&](int at, Floats value) { raise_floats(out + at, value); });
               });
    if (!(temperature > 0)) return SEED_DONE;
    const std::vector<float> most = padded(volume, rows, columns);
    visit_grid(grid, count, means, matrices, reach, volume,
               [&](int64_t k, int64_t j, float q0, float q1, float xx, int from, int to, float* out) {
                   const float* tops = &most[j * (columns + LANES)];
                   each_point(*grid, means[3 * k], amplitudes[k], q0, q1, xx, reach, from, to,
                              [&](int at, Floats value) { add_floats(out + at, gaussian_excess(value, load_floats(tops + at), 1 / temperature)); });
               });
    soften(most, rows, columns, temperature, volume);
    return SEED_DONE;
} SEED_CATCH

// Derivatives of sum(gradient * volume), overwritten; `volume` holds the soft maxima, the temperature is above 0.
SEED_ENTRY seed_gaussian_soft_voxelise_backward(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices,
                                                const float* amplitudes, float reach, float temperature, const float* volume,
                                                const float* gradient, float* to_means, float* to_matrices, float* to_amplitudes) try {
    const int columns = grid->n[0];
    const int64_t rows = (int64_t)grid->n[2] * grid->n[1];
    const std::vector<float> soft = padded(volume, rows, columns), slopes = padded(gradient, rows, columns);
    collect_moments(grid, count, means, matrices, amplitudes, reach, to_means, to_matrices, to_amplitudes,
                    [&](int64_t k, int64_t j, float q0, float q1, float xx, float dy, float dz, int from, int to,
                        GaussianMoments<Floats>& moments) {
                        const int64_t line = j * (columns + LANES);
                        for (int start = from; start <= to; start += LANES) {
                            const Floats dx = step_floats(grid->lower[0] + (float)start * grid->step[0] - means[3 * k], grid->step[0]);
                            const Floats value = amplitudes[k] * gaussian_point(q0, q1, xx, dx, reach);
                            const Floats share = gaussian_share((value - load_floats(&soft[line + start])) / temperature);
                            gaussian_point_moments(q0, q1, xx, dx, dy, dz, reach, share * load_floats(&slopes[line + start]), moments);
                        }
                    });
    return SEED_DONE;
} SEED_CATCH

// values[n] = the mixture at points[n][3] (x y z [mm]): the sum over Gaussians, their soft maximum if the temperature is
// positive, or their maximum if it is 0; a negative temperature selects the sum. The grid's points are the lower corners of cells
// that hold all points: a point evaluates the Gaussians whose boxes meet its cell.
SEED_ENTRY seed_gaussian_values(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                                float reach, float temperature, const float* points, int64_t number, float* values) try {
    const Cells cells(*grid, count, means, matrices, reach);
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < number; ++n) {
        const float* x = points + 3 * n;
        float sum = 0.0f, most = 0.0f, excess = 0.0f;
        const auto each = [&](auto visit) {
            cells.visit(x, [&](int64_t k) { visit(amplitudes[k] * gaussian_at(means + 3 * k, matrices + 9 * k, x, reach)); });
        };
        each([&](float value) { sum += value, most = std::max(most, value); });
        if (temperature > 0) each([&](float value) { excess += gaussian_excess(value, most, 1 / temperature); });
        values[n] = temperature < 0 ? sum : temperature > 0 ? gaussian_soft(most, excess, temperature) : most;
    }
    return SEED_DONE;
} SEED_CATCH
