// Mixtures of 3-D Gaussians on the CPU: projected to whole views, put on a grid, and the gradients of both.
//
// Nothing is added to by two threads: a band of image rows (or of slices) belongs to one task, which visits the Gaussians that
// reach it in their order; a Gaussian's gradient belongs to one task, which visits views and pixels in order. So results are
// the same to the last bit for any number of threads.
#include <algorithm>
#include <cstring>
#include <vector>
#include "gaussians.h"

namespace {

#ifdef SEED_LANES
using Pixels = Floats;          // so many at once; rows are padded by as many
constexpr int LANES = SEED_LANES;
Pixels distances(float from, float step) { return from + step * count_floats(); }
Pixels load(const float* from) { return load_floats(from); }
void add(float* to, Pixels value) { add_floats(to, value); }
float sum(Pixels x) {
    float part[LANES];
    std::memcpy(part, &x, sizeof x);
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; ++lane) part[lane] += part[lane + half];
    return part[0];
}
#else
using Pixels = float;
constexpr int LANES = 1;
Pixels distances(float from, float) { return from; }
Pixels load(const float* from) { return *from; }
void add(float* to, Pixels value) { *to += value; }
float sum(Pixels x) { return x; }
#endif
constexpr int BAND = 8;         // rows or slices of a task
constexpr int64_t CHUNK = 64;   // Gaussians of a task

// Which Gaussians reach each band, in their order.
class Bands {
public:
    explicit Bands(int rows) : count((rows + BAND - 1) / BAND), starts(count + 1) {}

    // of(k) is anything with the first and last row (or slice) of Gaussian k.
    template <class Of>
    void fill(int64_t gaussians, Of of) {
        std::fill(starts.begin(), starts.end(), 0);
        visit(gaussians, of, [&](int band, int64_t) { ++starts[band + 1]; });
        for (int band = 0; band < count; ++band) starts[band + 1] += starts[band];
        members.resize(starts[count]);
        std::vector<int64_t> next(starts.begin(), starts.end() - 1);
        visit(gaussians, of, [&](int band, int64_t k) { members[next[band]++] = k; });
    }

    const int count;
    std::vector<int64_t> starts, members;

private:
    template <class Of, class Call>
    void visit(int64_t gaussians, Of of, Call call) {
        for (int64_t k = 0; k < gaussians; ++k) {
            if (!(of(k).first <= of(k).last)) continue;
            const int last = (int)of(k).last / BAND;
            for (int band = (int)of(k).first / BAND; band <= last; ++band) call(band, k);
        }
    }
};

// Rows of `first` .. `last` that lie in a band.
template <class Reach>
void rows_within(const Reach& reach, int band, int rows, int& first, int& last) {
    first = std::max((int)std::ceil(reach.first), band * BAND);
    last = std::min((int)std::floor(reach.last), std::min((band + 1) * BAND, rows) - 1);
}

void add_row(const GaussianRow& row, float i, float amplitude, float reach, int first, int last, float* out) {
    for (int start = first; start <= last; start += LANES) {
        Pixels q, inverse;
        add(out + start, amplitude * gaussian_pixel(row, distances((float)start - i, 1.0f), reach, q, inverse));
    }
}

void sum_row(const GaussianRow& row, float i, float dj, float reach, int first, int last, const float* gradient,
             GaussianSums<Pixels>& sums) {
    for (int start = first; start <= last; start += LANES)
        gaussian_pixel_sums(row, distances((float)start - i, 1.0f), dj, reach, load(gradient + start), sums);
}

void sum_grid_row(const GaussianGrid& grid, float mean, float q0, float q1, float xx, float dy, float dz, float reach, int first, int last,
                  const float* gradient, GaussianMoments<Pixels>& sums) {
    for (int start = first; start <= last; start += LANES) {
        const Pixels dx = distances(grid.lower[0] + (float)start * grid.step[0] - mean, grid.step[0]);
        gaussian_point_moments(q0, q1, xx, dx, dy, dz, reach, load(gradient + start), sums);
    }
}

// Sums<float> from Sums<Pixels>, which has the same members.
template <template <class> class Sums>
Sums<float> over_lanes(const Sums<Pixels>& lanes) {
    Sums<float> out;
    static_assert(sizeof lanes == sizeof out * LANES, "only numbers in it");
    const Pixels* from = (const Pixels*)&lanes;
    for (size_t n = 0; n < sizeof out / sizeof(float); ++n) ((float*)&out)[n] = sum(from[n]);
    return out;
}

// Rows of `count` floats followed by LANES zeros.
std::vector<float> padded(const float* rows, int64_t number, int count) {
    std::vector<float> out(number * (count + LANES), 0.0f);
    for (int64_t r = 0; r < number; ++r) std::memcpy(&out[r * (count + LANES)], rows + r * count, sizeof(float) * count);
    return out;
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

}  // namespace

extern "C" {

// images[view][row][column] = sum over Gaussians of amplitude exp(-C / W / 2) / |w| (see gaussians.h). vectors[view][4][3],
// means[count][3], matrices[count][3][3], amplitudes[count].
void seed_gaussian_project(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                           const float* matrices, const float* amplitudes, float reach, float* images) {
    std::vector<GaussianFootprint> footprints(count);
    Bands bands(rows);
    const int width = columns + LANES;
    for (int n = 0; n < views; ++n) {
        const GaussianView view = gaussian_view(vectors + 12 * n, rows, columns);
#pragma omp parallel for simd schedule(static)
        for (int64_t k = 0; k < count; ++k) footprints[k] = gaussian_footprint(view, means + 3 * k, matrices + 9 * k, reach, rows);
        bands.fill(count, [&](int64_t k) -> const GaussianFootprint& { return footprints[k]; });
#pragma omp parallel for schedule(dynamic, 1)
        for (int band = 0; band < bands.count; ++band) {
            std::vector<float> out(BAND * width, 0.0f);
            for (int64_t at = bands.starts[band]; at < bands.starts[band + 1]; ++at) {
                const int64_t k = bands.members[at];
                const GaussianFootprint& g = footprints[k];
                int first, last, from, to;
                rows_within(g, band, rows, first, last);
                for (int j = first; j <= last; ++j) {
                    const float dj = (float)j - g.j;
                    gaussian_columns(g, dj, reach, columns, from, to);
                    add_row(gaussian_row(g, dj), g.i, amplitudes[k], reach, from, to, &out[(j - band * BAND) * width]);
                }
            }
            for (int j = band * BAND; j < std::min((band + 1) * BAND, rows); ++j)
                std::memcpy(images + ((int64_t)n * rows + j) * columns, &out[(j - band * BAND) * width], sizeof(float) * columns);
        }
    }
}

// Derivatives of sum(gradient * images), written: by means [count][3], matrices [count][3][3] and amplitudes [count].
void seed_gaussian_project_backward(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                    const float* matrices, const float* amplitudes, float reach, const float* gradient, float* to_means,
                                    float* to_matrices, float* to_amplitudes) {
    const std::vector<float> images = padded(gradient, (int64_t)views * rows, columns);
    const int width = columns + LANES;
    std::vector<GaussianView> seen(views);
    for (int n = 0; n < views; ++n) seen[n] = gaussian_view(vectors + 12 * n, rows, columns);
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
            const float *mean = means + 3 * start, *matrix = matrices + 9 * start;
#pragma omp simd
            for (int k = 0; k < size; ++k) footprints[k] = gaussian_footprint(view, mean + 3 * k, matrix + 9 * k, reach, rows);
            for (int k = 0; k < size; ++k) {
                const GaussianFootprint& g = footprints[k];
                GaussianSums<Pixels> lanes{};
                int from, to;
                for (int j = (int)std::ceil(g.first); j <= (int)std::floor(g.last); ++j) {
                    const float dj = (float)j - g.j;
                    gaussian_columns(g, dj, reach, columns, from, to);
                    sum_row(gaussian_row(g, dj), g.i, dj, reach, from, to, &images[((int64_t)n * rows + j) * width], lanes);
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

// volume[z][y][x] = sum over Gaussians of amplitude exp(-|M (x - mean)|^2 / 2) at the grid's points.
void seed_gaussian_voxelise(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices, const float* amplitudes,
                            float reach, float* volume) {
    const int columns = grid->n[0], rows = grid->n[1], slices = grid->n[2], width = columns + LANES;
    std::vector<GaussianBall> balls(count);
#pragma omp parallel for simd schedule(static)
    for (int64_t k = 0; k < count; ++k) balls[k] = gaussian_ball(*grid, means + 3 * k, matrices + 9 * k, reach);
    Bands bands(slices);
    bands.fill(count, [&](int64_t k) -> const GaussianBall& { return balls[k]; });
#pragma omp parallel for schedule(dynamic, 1)
    for (int band = 0; band < bands.count; ++band) {
        std::vector<float> out((int64_t)BAND * rows * width, 0.0f);
        for (int64_t at = bands.starts[band]; at < bands.starts[band + 1]; ++at) {
            const int64_t k = bands.members[at];
            const GaussianBall& b = balls[k];
            const float* mean = means + 3 * k;
            const float amplitude = amplitudes[k];
            int first, last;
            rows_within(b, band, slices, first, last);
            for (int z = first; z <= last; ++z) {
                const float dz = grid->lower[2] + (float)z * grid->step[2] - mean[2];
                float* slice = &out[(int64_t)(z - band * BAND) * rows * width];
                visit_slice(b, *grid, mean, dz, reach, [&](int j, float, float q0, float q1, int from, int to) {
                    float* row = slice + (int64_t)j * width;
                    for (int start = from; start <= to; start += LANES) {
                        const Pixels dx = distances(grid->lower[0] + (float)start * grid->step[0] - mean[0], grid->step[0]);
                        add(row + start, amplitude * gaussian_point(q0, q1, b.xx, dx, reach));
                    }
                });
            }
        }
        const int size = std::min((band + 1) * BAND, slices) - band * BAND;
        for (int64_t row = 0; row < (int64_t)size * rows; ++row)
            std::memcpy(volume + ((int64_t)band * BAND * rows + row) * columns, &out[row * width], sizeof(float) * columns);
    }
}

// Derivatives of sum(gradient * volume), written.
void seed_gaussian_voxelise_backward(const GaussianGrid* grid, int64_t count, const float* means, const float* matrices,
                                     const float* amplitudes, float reach, const float* gradient, float* to_means, float* to_matrices,
                                     float* to_amplitudes) {
    const int columns = grid->n[0], rows = grid->n[1], slices = grid->n[2], width = columns + LANES;
    const std::vector<float> values = padded(gradient, (int64_t)slices * rows, columns);
    std::fill(to_means, to_means + 3 * count, 0.0f);
    std::fill(to_matrices, to_matrices + 9 * count, 0.0f);
    std::fill(to_amplitudes, to_amplitudes + count, 0.0f);
#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t k = 0; k < count; ++k) {
        const float* mean = means + 3 * k;
        const GaussianBall b = gaussian_ball(*grid, mean, matrices + 9 * k, reach);
        GaussianMoments<Pixels> moments{};
        for (int z = (int)std::ceil(b.first); z <= (int)std::floor(b.last); ++z) {
            const float dz = grid->lower[2] + (float)z * grid->step[2] - mean[2];
            const float* slice = &values[(int64_t)z * rows * width];
            visit_slice(b, *grid, mean, dz, reach, [&](int j, float dy, float q0, float q1, int from, int to) {
                sum_grid_row(*grid, mean[0], q0, q1, b.xx, dy, dz, reach, from, to, slice + (int64_t)j * width, moments);
            });
        }
        gaussian_grid_chain(b, matrices + 9 * k, amplitudes[k], over_lanes(moments), to_amplitudes + k, to_means + 3 * k, to_matrices + 9 * k);
    }
}

}  // extern "C"
