// Coloured Gaussians blended front to back, in steps: every Gaussian in every view, nearest first, with the number of tiles it reaches;
// a key for each such tile, sorted by the launcher, so that each tile has its list; then one thread per pixel, which reads the list of its
// tile from the front, and from the back for gradients. Gradients are summed by view and Gaussian; one thread per sum turns them into
// derivatives, added to the output. A block of threads has one tile.
#pragma once
#include "gaussians.cuh"
#include "splatter.h"

constexpr int SPLAT_TILE = 16, SPLAT_NUMBERS = 21, SUMS_NUMBERS = 16;  // pixels along a tile's edge; floats of a Splat and of its sums

static_assert(sizeof(Splat) == SPLAT_NUMBERS * sizeof(float) && sizeof(SplatSums<float>) == SUMS_NUMBERS * sizeof(float), "all floats");

SEED_FN int splat_tiles_along(int pixels) { return (pixels + SPLAT_TILE - 1) / SPLAT_TILE; }

// Calls visit(tile of the view) for each tile that a Gaussian reaches.
template <class Visit>
SEED_FN void visit_tiles(const Splat& s, int rows, int columns, Visit visit) {
    const GaussianFootprint& g = s.footprint;
    if (!(g.first <= g.last)) return;
    const int top = (int)ceilf(g.first), bottom = (int)floorf(g.last);
    for (int band = top / SPLAT_TILE; band * SPLAT_TILE <= bottom; ++band) {
        int low = columns, high = -1;
        for (int j = band * SPLAT_TILE; j < (band + 1) * SPLAT_TILE; ++j) {
            if (j < top || j > bottom) continue;
            int first, last;
            gaussian_columns(g, (float)j - g.j, s.reach, columns, first, last);
            if (first > last) continue;
            low = first < low ? first : low;
            high = last > high ? last : high;
        }
        for (int tile = low / SPLAT_TILE; tile * SPLAT_TILE <= high; ++tile) visit(band * splat_tiles_along(columns) + tile);
    }
}

// splats[view][count] and reached[view][count], in the view's order[view][count].
SEED_KERNEL seed_splat_sight(const double* vectors, int views, int rows, int columns, int64_t count, const float* means, const float* matrices,
                             const float* opacities, const float* colours, const int64_t* order, Splat* splats, int64_t* reached) {
    const int64_t at = SEED_INDEX, n = at / count;
    if (n >= views) return;
    const int64_t k = order[at];
    const GaussianView view = gaussian_view(vectors + 12 * n, rows, columns);
    const Splat s = splat_of(view, means + 3 * k, matrices + 9 * k, opacities[k], colours + 3 * k, rows);
    int64_t tiles = 0;
    visit_tiles(s, rows, columns, [&](int) { ++tiles; });
    splats[at] = s;
    reached[at] = tiles;
}

// keys[ends[view][count] - reached ..]: (tile of all views) count + place in the view's order.
SEED_KERNEL seed_splat_keys(int views, int rows, int columns, int64_t count, const Splat* splats, const int64_t* reached, const int64_t* ends,
                            int64_t* keys) {
    const int64_t at = SEED_INDEX, n = at / count;
    if (n >= views) return;
    int64_t next = ends[at] - reached[at];
    const int64_t before = n * splat_tiles_along(rows) * splat_tiles_along(columns);
    const Splat s = splats[at];
    visit_tiles(s, rows, columns, [&](int tile) {
        if (next < ends[at]) keys[next++] = (before + tile) * count + at % count;  // as many as seed_splat_sight counted, whatever its rounding
    });
}

struct SplatPlace {             // a thread's tile and its pixel among all views (-1: beyond the picture)
    int64_t tile, pixel, view;
    int i, j;
};

SEED_FN SplatPlace splat_place(int views, int rows, int columns) {
    SplatPlace place;
    const int tiles_across = splat_tiles_along(columns), tiles = tiles_across * splat_tiles_along(rows);
    const int within = (int)(SEED_INDEX % (SPLAT_TILE * SPLAT_TILE));
    place.tile = SEED_INDEX / (SPLAT_TILE * SPLAT_TILE);
    place.view = place.tile / tiles;
    const int tile = (int)(place.tile % tiles);
    place.j = tile / tiles_across * SPLAT_TILE + within / SPLAT_TILE;
    place.i = tile % tiles_across * SPLAT_TILE + within % SPLAT_TILE;
    const bool inside = place.view < views && place.j < rows && place.i < columns;
    place.pixel = inside ? (place.view * rows + place.j) * columns + place.i : -1;
    return place;
}

// starts[tile of all views + 1]: first key of each tile.
SEED_KERNEL seed_splat(int views, int rows, int columns, int64_t count, const Splat* splats, const int64_t* keys, const int64_t* starts,
                       float* images, float* left, int32_t* last) {
    const SplatPlace place = splat_place(views, rows, columns);
    if (place.pixel < 0) return;
    SplatPixel<float, int> pixel = {{0, 0, 0}, 1, -1};
    for (int64_t at = starts[place.tile]; at < starts[place.tile + 1]; ++at) {
        const int64_t k = keys[at] - place.tile * count;
        const Splat s = splats[place.view * count + k];
        splat_blend(s, gaussian_row(s.footprint, (float)place.j - s.footprint.j), (float)place.i - s.footprint.i, (int)k, pixel);
    }
    for (int k = 0; k < 3; ++k) images[4 * place.pixel + k] = pixel.colour[k];
    images[4 * place.pixel + 3] = 1.0f - pixel.left;
    left[place.pixel] = pixel.left;
    last[place.pixel] = pixel.last;
}

// Adds to sums[view][count], in the view's order.
SEED_KERNEL seed_splat_sums(int views, int rows, int columns, int64_t count, const Splat* splats, const int64_t* keys, const int64_t* starts,
                            const float* left, const int32_t* last, const float* gradient, float* sums) {
    const SplatPlace place = splat_place(views, rows, columns);
    if (place.pixel < 0) return;
    const float* slope = gradient + 4 * place.pixel;
    SplatSlope<float, int> pixel = {{slope[0], slope[1], slope[2]}, slope[3], left[place.pixel], 0, last[place.pixel]};
    for (int64_t at = starts[place.tile + 1]; at-- > starts[place.tile];) {
        const int64_t k = keys[at] - place.tile * count;
        if (k > pixel.last) continue;
        const Splat s = splats[place.view * count + k];
        const float dj = (float)place.j - s.footprint.j;
        SplatSums<float> own{};
        if (!(splat_unblend(s, gaussian_row(s.footprint, dj), (float)place.i - s.footprint.i, dj, (int)k, pixel, own) > 0)) continue;
        float* to = sums + SUMS_NUMBERS * (place.view * count + k);
        const float numbers[SUMS_NUMBERS] = {own.shape.value, own.shape.w, own.shape.wu, own.shape.wv, own.shape.wuu, own.shape.wuv,
                                             own.shape.wvv, own.shape.c, own.shape.cu, own.shape.cv, own.shape.cuu, own.shape.cuv,
                                             own.shape.cvv, own.colour[0], own.colour[1], own.colour[2]};
        for (int number = 0; number < SUMS_NUMBERS; ++number) seed_add(to + number, numbers[number]);
    }
}

SEED_KERNEL seed_splat_backward(const double* vectors, int views, int rows, int columns, int64_t count, const float* means,
                                const float* matrices, const float* opacities, const int64_t* order, const Splat* splats,
                                const SplatSums<float>* sums, float* to_means, float* to_matrices, float* to_opacities, float* to_colours) {
    const int64_t at = SEED_INDEX, n = at / count;
    if (n >= views || !(splats[at].footprint.first <= splats[at].footprint.last)) return;
    const int64_t k = order[at];
    const SplatSums<float> own = sums[at];
    add_derivatives({count, means, matrices, opacities, 0}, k, gaussian_view(vectors + 12 * n, rows, columns), own.shape, to_means, to_matrices,
                    to_opacities);
    for (int channel = 0; channel < 3; ++channel) seed_add(to_colours + 3 * k + channel, own.colour[channel]);
}
