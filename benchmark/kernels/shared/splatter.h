// Coloured Gaussians blended front to back: one Gaussian and one pixel, or several pixels of a row. Footprints are those of gaussians.h.
//
// With p the largest value on the pixel's ray, a Gaussian covers alpha = min(opacity p, OPAQUE) of the pixel, 0 if below FAINTEST.
// Front to back, from left = 1: colour += left alpha c, then left *= 1 - alpha; the pixel's opacity is 1 - left. A pixel with less than
// CLOSED left takes no more: float32 could not show it, and left stays large enough to be divided by 1 - alpha.
//
// Derivatives go back to front, from the final left and the last Gaussian seen: left /= 1 - alpha is the light that reaches
// Gaussian k. With g the gradient by colour and opacity, and `behind` the product of g and the colour of everything behind k, the
// derivative by alpha is left (g c - behind); in front of k `behind` becomes alpha g c + (1 - alpha) behind. So nothing is stored per
// pair of pixel and Gaussian, and no nearly equal numbers are subtracted.
#pragma once
#include "gaussians.h"

constexpr float SPLAT_FAINTEST = 1.0f / 255.0f, SPLAT_OPAQUE = 0.99f, SPLAT_CLOSED = 1e-30f;

struct Splat {              // one Gaussian in one view
    GaussianFootprint footprint;
    float reach, opacity, colour[3];
};

// Number and Whole: float and int, or lanes of them.
template <class Number, class Whole>
struct SplatPixel {
    Number colour[3], left;
    Whole last;             // place of the last Gaussian seen, nearest first; -1: none
};

template <class Number, class Whole>
struct SplatSlope {         // a pixel on the way back
    Number colour[3], opacity;          // derivatives by these
    Number left, behind;
    Whole last;
};

// Sums over a view's pixels: like GaussianSums for the opacity, and derivatives by the colour.
template <class Number>
struct SplatSums {
    GaussianSums<Number> shape;
    Number colour[3];
};

// The reach is slightly larger than FAINTEST requires; pixels check FAINTEST themselves.
SEED_FN Splat splat_of(const GaussianView& view, const float* mean, const float* matrix, float opacity, const float* colour, int rows) {
    Splat s;
    s.reach = 2.0f * logf(opacity / SPLAT_FAINTEST) + 1e-3f;
    s.footprint = gaussian_footprint(view, mean, matrix, s.reach, rows);
    if (!(opacity >= SPLAT_FAINTEST)) s.footprint.last = -1.0f;
    s.opacity = opacity;
    for (int k = 0; k < 3; ++k) s.colour[k] = colour[k];
    return s;
}

// alpha from opacity p.
template <class Number>
SEED_FN Number splat_cover(Number strength) {
    const Number alpha = strength < SPLAT_OPAQUE ? strength : Number{} + SPLAT_OPAQUE;
    return alpha >= SPLAT_FAINTEST ? alpha : Number{};
}

// Puts pixels at column distance di behind all before them.
template <class Number, class Whole>
SEED_FN void splat_blend(const Splat& s, const GaussianRow& row, Number di, int place, SplatPixel<Number, Whole>& pixel) {
    Number q, root;
    const Number alpha = splat_cover(s.opacity * gaussian_peak(row, di, s.reach, q, root));
    const Number open = pixel.left >= SPLAT_CLOSED ? alpha : Number{};
    const Number weight = pixel.left * open;
    for (int k = 0; k < 3; ++k) pixel.colour[k] += weight * s.colour[k];
    pixel.left *= 1.0f - open;
    pixel.last = open > 0.0f ? Whole{} + place : pixel.last;
}

// Takes pixels at (di, dj) back to before Gaussian number `place`, adds their derivatives to its sums, and returns its coverage.
template <class Number, class Whole>
SEED_FN Number splat_unblend(const Splat& s, const GaussianRow& row, Number di, float dj, int place, SplatSlope<Number, Whole>& pixel,
                             SplatSums<Number>& sums) {
    Number q, root;
    const Number peak = gaussian_peak(row, di, s.reach, q, root), strength = s.opacity * peak;
    const Number alpha = place <= pixel.last ? splat_cover(strength) : Number{};
    pixel.left /= 1.0f - alpha;
    const Number weight = pixel.left * alpha;
    Number shown = pixel.opacity;
    for (int k = 0; k < 3; ++k) {
        shown += s.colour[k] * pixel.colour[k];
        sums.colour[k] += weight * pixel.colour[k];
    }
    const Number more = shown - pixel.behind;
    pixel.behind += alpha * more;
    const Number slope = strength <= SPLAT_OPAQUE ? pixel.left * more : Number{};
    const Number h = alpha > 0.0f ? slope * peak : Number{};
    const Number c = -0.5f * h * root * root;
    gaussian_add_sums(di, dj, h, c, -c * q, sums.shape);
    return alpha;
}
