// Coloured Gaussians blended front to back on the CPU, and the gradients.
//
// A band of image rows belongs to one task, which visits the Gaussians that reach it from the nearest to the farthest, and back for
// gradients. The terms of a band's pixels for a Gaussian are summed in a slot of that band and Gaussian; one task adds the slots of a
// Gaussian, from the first band to the last. So results are bit-identical for any number of threads.
#include <algorithm>
#include <cstring>
#include <vector>
#include "bands.hpp"
#include "entry.hpp"
#include "splatter.h"

namespace {

constexpr int64_t CHUNK = 64;   // Gaussians per task

// vectors[view][4][3], means[count][3], matrices[count][3][3], opacities[count], colours[count][3]; order[view][count]: nearest first.
struct Scene {
    const double* vectors;
    int views, rows, columns;
    int64_t count;
    const float *means, *matrices, *opacities, *colours;
    const int64_t* order;
};

// One view: all Gaussians, nearest first, and their bands.
struct Sight {
    explicit Sight(const Scene& scene) : splats(scene.count), bands(scene.rows) {}

    void look(const Scene& scene, int n) {
        view = gaussian_view(scene.vectors + 12 * n, scene.rows, scene.columns);
        order = scene.order + n * scene.count;
#pragma omp parallel for schedule(static)
        for (int64_t start = 0; start < scene.count; start += CHUNK)
            for (int64_t at = start; at < std::min(start + CHUNK, scene.count); ++at) {
                const int64_t k = order[at];
                splats[at] = splat_of(view, scene.means + 3 * k, scene.matrices + 9 * k, scene.opacities[k], scene.colours + 3 * k, scene.rows);
            }
        bands.fill(scene.count, [&](int64_t at) -> const GaussianFootprint& { return splats[at].footprint; });
    }

    GaussianView view;
    const int64_t* order;
    std::vector<Splat> splats;
    Bands bands;
};

// Numbers of a band's pixels, row by row, each row followed by LANES more.
template <class Number>
struct Rows {
    Rows(int columns, Number value) : width(columns + LANES), numbers((int64_t)BAND * width, value) {}

    Number* at(int row, int column) { return &numbers[(int64_t)row * width + column]; }

    const int width;
    std::vector<Number> numbers;
};

template <class To, class From>
void move(To* to, const From* from) {
    std::memcpy(to, from, sizeof(Floats));
}

// Calls visit(row within the band, dj, row's quadratics, first, last column) for each row of a band that a Gaussian reaches.
template <class Visit>
void visit_rows(const Splat& s, int band, int rows, int columns, Visit visit) {
    int first, last;
    rows_within(s.footprint, band, rows, first, last);
    const RowsColumns reached(s.footprint, first, s.reach, columns);
    for (int j = first; j <= last; ++j) {
        const float dj = (float)j - s.footprint.j;
        const int from = reached.from[j - first], to = reached.to[j - first];
        if (from <= to) visit(j - band * BAND, dj, gaussian_row(s.footprint, dj), from, to);
    }
}

void blend_band(const Scene& scene, const Sight& sight, int n, int band, float* images, float* left, int32_t* last) {
    const int rows = scene.rows, columns = scene.columns;
    Rows<float> colour[3] = {{columns, 0.0f}, {columns, 0.0f}, {columns, 0.0f}}, through(columns, 1.0f);
    Rows<int32_t> latest(columns, -1);
    for (int64_t at = sight.bands.starts[band]; at < sight.bands.starts[band + 1]; ++at) {
        const int place = (int)sight.bands.members[at];
        const Splat& s = sight.splats[place];
        visit_rows(s, band, rows, columns, [&](int row, float, const GaussianRow& quadratics, int from, int to) {
            for (int start = from; start <= to; start += LANES) {
                SplatPixel<Floats, Ints> pixel;
                for (int k = 0; k < 3; ++k) move(&pixel.colour[k], colour[k].at(row, start));
                move(&pixel.left, through.at(row, start));
                move(&pixel.last, latest.at(row, start));
                splat_blend(s, quadratics, step_floats((float)start - s.footprint.i, 1.0f), place, pixel);
                for (int k = 0; k < 3; ++k) move(colour[k].at(row, start), &pixel.colour[k]);
                move(through.at(row, start), &pixel.left);
                move(latest.at(row, start), &pixel.last);
            }
        });
    }
    for (int j = band * BAND; j < std::min((band + 1) * BAND, rows); ++j)
        for (int i = 0; i < columns; ++i) {
            const int64_t pixel = ((int64_t)n * rows + j) * columns + i;
            const int row = j - band * BAND;
            for (int k = 0; k < 3; ++k) images[4 * pixel + k] = *colour[k].at(row, i);
            left[pixel] = *through.at(row, i);
            last[pixel] = *latest.at(row, i);
            images[4 * pixel + 3] = 1.0f - left[pixel];
        }
}

// slots[place in the bands' lists]: sums over the band's pixels.
void unblend_band(const Scene& scene, const Sight& sight, int n, int band, const float* left, const int32_t* last, const float* gradient,
                  std::vector<SplatSums<float>>& slots) {
    const int rows = scene.rows, columns = scene.columns;
    Rows<float> slope[4] = {{columns, 0.0f}, {columns, 0.0f}, {columns, 0.0f}, {columns, 0.0f}}, through(columns, 1.0f), behind(columns, 0.0f);
    Rows<int32_t> latest(columns, -1);
    for (int j = band * BAND; j < std::min((band + 1) * BAND, rows); ++j)
        for (int i = 0; i < columns; ++i) {
            const int64_t pixel = ((int64_t)n * rows + j) * columns + i;
            const int row = j - band * BAND;
            for (int k = 0; k < 4; ++k) *slope[k].at(row, i) = gradient[4 * pixel + k];
            *through.at(row, i) = left[pixel];
            *latest.at(row, i) = last[pixel];
        }
    for (int64_t at = sight.bands.starts[band + 1]; at-- > sight.bands.starts[band];) {
        const int place = (int)sight.bands.members[at];
        const Splat& s = sight.splats[place];
        SplatSums<Floats> sums{};
        visit_rows(s, band, rows, columns, [&](int row, float dj, const GaussianRow& quadratics, int from, int to) {
            for (int start = from; start <= to; start += LANES) {
                SplatSlope<Floats, Ints> pixel;
                for (int k = 0; k < 3; ++k) move(&pixel.colour[k], slope[k].at(row, start));
                move(&pixel.opacity, slope[3].at(row, start));
                move(&pixel.left, through.at(row, start));
                move(&pixel.behind, behind.at(row, start));
                move(&pixel.last, latest.at(row, start));
                splat_unblend(s, quadratics, step_floats((float)start - s.footprint.i, 1.0f), dj, place, pixel, sums);
                move(through.at(row, start), &pixel.left);
                move(behind.at(row, start), &pixel.behind);
            }
        });
        slots[at] = over_lanes(sums);
    }
}

// The sum of a Gaussian's slots.
SplatSums<float> gathered(const Sight& sight, int64_t place, const std::vector<SplatSums<float>>& slots) {
    const GaussianFootprint& g = sight.splats[place].footprint;
    SplatSums<float> out{};
    for (int band = (int)g.first / BAND; band <= (int)g.last / BAND; ++band) {
        const auto begin = sight.bands.members.begin(), end = begin + sight.bands.starts[band + 1];
        const auto at = std::lower_bound(begin + sight.bands.starts[band], end, place) - begin;
        for (size_t number = 0; number < sizeof out / sizeof(float); ++number) ((float*)&out)[number] += ((const float*)&slots[at])[number];
    }
    return out;
}

}  // namespace

// images[view][row][column][4]: colour over black and opacity. left[view][row][column] and last[view][row][column] are for the gradients:
// the remaining transmittance, and the place of the last Gaussian seen in the view's order (-1: none).
SEED_ENTRY seed_splat(const double* vectors, int views, int rows, int columns, int64_t count, const float* means, const float* matrices,
                      const float* opacities, const float* colours, const int64_t* order, float* images, float* left, int32_t* last) try {
    const Scene scene = {vectors, views, rows, columns, count, means, matrices, opacities, colours, order};
    Sight sight(scene);
    Guard guard;
    for (int n = 0; n < views; ++n) {
        sight.look(scene, n);
#pragma omp parallel for schedule(dynamic, 1)
        for (int band = 0; band < sight.bands.count; ++band) guard.run([&] { blend_band(scene, sight, n, band, images, left, last); });
        guard.rethrow();
    }
    return SEED_DONE;
} SEED_CATCH

// Derivatives of sum(gradient * images), overwritten.
SEED_ENTRY seed_splat_backward(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                               const float* matrices, const float* opacities, const float* colours, const int64_t* order, const float* left,
                               const int32_t* last, const float* gradient, float* to_means, float* to_matrices, float* to_opacities,
                               float* to_colours) try {
    const Scene scene = {vectors, views, rows, columns, count, means, matrices, opacities, colours, order};
    std::fill(to_means, to_means + 3 * count, 0.0f);
    std::fill(to_matrices, to_matrices + 9 * count, 0.0f);
    std::fill(to_opacities, to_opacities + count, 0.0f);
    std::fill(to_colours, to_colours + 3 * count, 0.0f);
    Sight sight(scene);
    Guard guard;
    std::vector<SplatSums<float>> slots;
    for (int n = 0; n < views; ++n) {
        sight.look(scene, n);
        slots.resize(sight.bands.members.size());
#pragma omp parallel for schedule(dynamic, 1)
        for (int band = 0; band < sight.bands.count; ++band) guard.run([&] { unblend_band(scene, sight, n, band, left, last, gradient, slots); });
        guard.rethrow();
#pragma omp parallel for schedule(dynamic, CHUNK)
        for (int64_t place = 0; place < count; ++place) {
            if (!(sight.splats[place].footprint.first <= sight.splats[place].footprint.last)) continue;
            const int64_t k = sight.order[place];
            const SplatSums<float> sums = gathered(sight, place, slots);
            gaussian_chain(sight.view, means + 3 * k, matrices + 9 * k, opacities[k], sums.shape, to_opacities + k, to_means + 3 * k,
                           to_matrices + 9 * k);
            for (int channel = 0; channel < 3; ++channel) to_colours[3 * k + channel] += sums.colour[channel];
        }
    }
    return SEED_DONE;
} SEED_CATCH
