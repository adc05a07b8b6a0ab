// Line integrals, maxima and values of 3-D Gaussians a exp(-|M (x - mean)|^2 / 2): one Gaussian and one ray, or one grid point.
//
// M [3][3] is the whitening matrix, S^-1 = M^T M. With m = M (mean - o) and w = M d, the integral over the whole line o + t d,
// t in mm, is a sqrt(2 pi) |d| / |w| exp(-|m x w|^2 / |w|^2 / 2): exact, and without the cancellation of |m|^2 - (m.w)^2 / |w|^2.
// Along a detector d is linear in the pixel, so |w|^2 and |m x w|^2 are quadratics in the distance (di, dj) from a pixel: the pixel of
// the mean, where the second is zero, or the nearest to it that is at most one picture away from the picture, since a quadratic about
// a distant point has no digits left in the picture. sqrt(2 pi) |d| is left to the caller. The largest value on the line is
// a exp(-|m x w|^2 / |w|^2 / 2): the exponential is how near the line passes to the mean.
#pragma once
#include "device.h"
#include "lanes.h"

struct GaussianView {       // data of a view for all Gaussians, from gaussian_view
    float source[3], u[3], v[3];    // source and one pixel's steps, x y z [mm]
    float depth[3];                 // r . depth: parameter of the point source + r along its ray; the detector is at 1
    float to_u[3], to_v[3];         // r / depth . to_u: column of the pixel that shows it, less `column`; rows likewise
    float column, row;
    float corner[3];                // ray through the first pixel, to the detector
    float columns, rows;
};

struct GaussianFootprint {  // one Gaussian in one view; W and C as in the comment above
    float i, j;                             // pixel that di and dj are counted from, fractional
    float w, wu, wv, wuu, wuv, wvv;         // W = w + 2 wu di + 2 wv dj + wuu di^2 + 2 wuv di dj + wvv dj^2
    float c, cu, cv, cuu, cuv, cvv;         // C likewise
    float first, last;                      // rows within reach; first > last: none
};

// Over a view's pixels, for amplitude 1: derivatives by the amplitude and by W's and C's coefficients. Number: float, or lanes of it.
template <class Number>
struct GaussianSums {
    Number value, w, wu, wv, wuu, wuv, wvv, c, cu, cv, cuu, cuv, cvv;
};

SEED_FN float gaussian_dot(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

SEED_FN void gaussian_cross(const float* a, const float* b, float* out) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

SEED_FN void gaussian_whiten(const float* matrix, const float* x, float* out) {
    for (int k = 0; k < 3; ++k) out[k] = gaussian_dot(matrix + 3 * k, x);
}

// exp(x) for x <= 0, to 3e-7; gaussian_share is equal for x <= 0, and 1 for x > 0 (as in lanes beyond the end of a row).
SEED_FN float gaussian_exp(float x) { return expf(x); }
SEED_FN float gaussian_inverse_root(float x) { return 1.0f / sqrtf(x); }
SEED_FN float gaussian_share(float x) { return expf(seed_min(x, 0.0f)); }
SEED_FN float gaussian_within(float value, float q, float reach) { return q <= reach ? value : 0.0f; }

#ifndef __CUDACC__  // vector versions, for several pixels at once
SEED_FN Floats gaussian_exp(Floats x) {
    const Floats t = max_floats(x, Floats{} - 80.0f) * 1.44269504f, whole = floor_floats(t + 0.5f), y = (t - whole) * 0.69314718f;
    const Floats y2 = y * y, low = (1.0f + y) + y2 * (0.5f + y * 0.166666667f);
    const Floats power = low + y2 * y2 * ((0.0416666667f + y * 0.00833333333f) + y2 * 0.00138888889f);
    return power * (Floats)((to_ints(whole) + 127) << 23);
}
SEED_FN Floats gaussian_share(Floats x) { return gaussian_exp(-max_floats(-x, Floats{})); }
SEED_FN Floats gaussian_inverse_root(Floats x) { return inverse_root_floats(x); }
SEED_FN Floats gaussian_within(Floats value, Floats q, float reach) { return keep_floats(value, q <= reach); }
#endif

// vectors[4][3]: source, detector centre, u step, v step [mm], as the geometry has them.
SEED_FN GaussianView gaussian_view(const double* vectors, int rows, int columns) {
    GaussianView view;
    const double *o = vectors, *centre = vectors + 3, *u = vectors + 6, *v = vectors + 9;
    const double n[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]};
    const double area = n[0] * n[0] + n[1] * n[1] + n[2] * n[2];
    double distance = 0, at_u = 0, at_v = 0;
    for (int k = 0; k < 3; ++k) distance += (centre[k] - o[k]) * n[k];
    for (int k = 0; k < 3; ++k) {
        const int p = (k + 1) % 3, q = (k + 2) % 3;
        const double to_u = (v[p] * n[q] - v[q] * n[p]) / area, to_v = (n[p] * u[q] - n[q] * u[p]) / area;
        at_u += (centre[k] - o[k]) * to_u;
        at_v += (centre[k] - o[k]) * to_v;
        view.source[k] = (float)o[k], view.u[k] = (float)u[k], view.v[k] = (float)v[k];
        view.depth[k] = (float)(n[k] / distance), view.to_u[k] = (float)to_u, view.to_v[k] = (float)to_v;
    }
    view.column = (float)((columns - 1) * 0.5 - at_u);
    view.row = (float)((rows - 1) * 0.5 - at_v);
    for (int k = 0; k < 3; ++k) view.corner[k] = (float)(centre[k] - o[k] - (columns - 1) * 0.5 * u[k] - (rows - 1) * 0.5 * v[k]);
    view.columns = (float)columns, view.rows = (float)rows;
    return view;
}

// Products of M, m and the three directions: m = M (mean - source); w = M times the ray through pixel (i, j), wu, wv = M u, M v; c = m x w.
struct GaussianFrame {
    float r[3], depth, i, j, ray[3], m[3], w[3], wu[3], wv[3], c[3], cu[3], cv[3];
};

SEED_FN GaussianFrame gaussian_frame(const GaussianView& view, const float* mean, const float* matrix) {
    GaussianFrame f;
    for (int k = 0; k < 3; ++k) f.r[k] = mean[k] - view.source[k];
    f.depth = gaussian_dot(f.r, view.depth);
    const float i = gaussian_dot(f.r, view.to_u) / f.depth + view.column, j = gaussian_dot(f.r, view.to_v) / f.depth + view.row;
    f.i = seed_max(seed_min(i, 2 * view.columns), -view.columns);
    f.j = seed_max(seed_min(j, 2 * view.rows), -view.rows);
    const bool shown = f.i == i && f.j == j;
    for (int k = 0; k < 3; ++k) f.ray[k] = shown ? f.r[k] / f.depth : view.corner[k] + f.i * view.u[k] + f.j * view.v[k];
    gaussian_whiten(matrix, f.r, f.m);
    gaussian_whiten(matrix, f.ray, f.w);
    gaussian_whiten(matrix, view.u, f.wu);
    gaussian_whiten(matrix, view.v, f.wv);
    gaussian_cross(f.m, f.w, f.c);
    for (int k = 0; k < 3; ++k) f.c[k] = shown ? 0.0f : f.c[k];
    gaussian_cross(f.m, f.wu, f.cu);
    gaussian_cross(f.m, f.wv, f.cv);
    return f;
}

// `reach` is the largest C / W that counts: the squared distance from the ray to the mean, in standard deviations.
// Gaussians whose mean lies behind the source have no footprint.
SEED_FN GaussianFootprint gaussian_footprint(const GaussianView& view, const float* mean, const float* matrix, float reach, int rows) {
    const GaussianFrame f = gaussian_frame(view, mean, matrix);
    GaussianFootprint g;
    g.i = f.i, g.j = f.j;
    g.w = gaussian_dot(f.w, f.w), g.wu = gaussian_dot(f.w, f.wu), g.wv = gaussian_dot(f.w, f.wv);
    g.wuu = gaussian_dot(f.wu, f.wu), g.wuv = gaussian_dot(f.wu, f.wv), g.wvv = gaussian_dot(f.wv, f.wv);
    g.c = gaussian_dot(f.c, f.c), g.cu = gaussian_dot(f.c, f.cu), g.cv = gaussian_dot(f.c, f.cv);
    g.cuu = gaussian_dot(f.cu, f.cu), g.cuv = gaussian_dot(f.cu, f.cv), g.cvv = gaussian_dot(f.cv, f.cv);
    // C - reach W <= 0 is the inside of an ellipse, unless the source is too close: then every row counts as within reach.
    const float a = g.cuu - reach * g.wuu, b = g.cuv - reach * g.wuv, c = g.cvv - reach * g.wvv;
    const float p = g.cu - reach * g.wu, q = g.cv - reach * g.wv;
    const float det = a * c - b * b;
    const float di = (b * q - c * p) / det, dj = (b * p - a * q) / det;     // its centre
    const float inside = reach * g.w - g.c - p * di - q * dj;               // minus the quadratic's value there
    const float half = sqrtf(seed_max(inside * a / det, 0.0f));
    const bool ellipse = a > 0 && det > 0;
    g.first = ellipse ? seed_max(g.j + dj - half, 0.0f) : 0.0f;
    g.last = ellipse ? seed_min(g.j + dj + half, (float)(rows - 1)) : (float)(rows - 1);
    if (!(f.depth > 0)) g.last = -1.0f;
    return g;
}

// Columns of row j within reach; first > last: none. Without branches, so that the compiler can vectorise over rows.
SEED_FN void gaussian_columns(const GaussianFootprint& g, float dj, float reach, int columns, int& first, int& last) {
    const float a = g.cuu - reach * g.wuu, b = g.cu + g.cuv * dj - reach * (g.wu + g.wuv * dj);
    const float c = g.c + dj * (2 * g.cv + g.cvv * dj) - reach * (g.w + dj * (2 * g.wv + g.wvv * dj));
    const float root = b * b - a * c, half = sqrtf(seed_max(root, 0.0f)) / a, middle = g.i - b / a;
    const float low = ceilf(seed_max(middle - half, 0.0f)), high = floorf(seed_max(seed_min(middle + half, (float)(columns - 1)), -1.0f));
    const bool all = !(a > 0), none = !(root >= 0);
    first = all ? 0 : (int)low;
    last = all ? columns - 1 : none ? -1 : (int)high;
}

// A row's quadratics in di.
struct GaussianRow {
    float w0, w1, w2, c0, c1, c2;
};

SEED_FN GaussianRow gaussian_row(const GaussianFootprint& g, float dj) {
    GaussianRow row;
    row.w0 = g.w + dj * (2 * g.wv + dj * g.wvv), row.w1 = 2 * (g.wu + dj * g.wuv), row.w2 = g.wuu;
    row.c0 = g.c + dj * (2 * g.cv + dj * g.cvv), row.c1 = 2 * (g.cu + dj * g.cuv), row.c2 = g.cuu;
    return row;
}

// The largest value on a pixel's ray, exp(-q / 2) with q = C / W, at column distance di; 0 out of reach. `root` becomes 1 / |w|.
template <class Number>
SEED_FN Number gaussian_peak(const GaussianRow& row, Number di, float reach, Number& q, Number& root) {
    root = gaussian_inverse_root(row.w0 + di * (row.w1 + di * row.w2));
    q = (row.c0 + di * (row.c1 + di * row.c2)) * (root * root);
    return gaussian_within(gaussian_exp(-0.5f * q), q, reach);
}

// exp(-C / W / 2) / |w| and q = C / W at column distance di; 0 out of reach. `inverse` becomes 1 / W.
template <class Number>
SEED_FN Number gaussian_pixel(const GaussianRow& row, Number di, float reach, Number& q, Number& inverse) {
    Number root;
    const Number peak = gaussian_peak(row, di, reach, q, root);
    inverse = root * root;
    return root * peak;
}

// Adds a pixel's derivatives by the amplitude, by C and by W.
template <class Number>
SEED_FN void gaussian_add_sums(Number di, float dj, Number by_value, Number by_c, Number by_w, GaussianSums<Number>& sums) {
    const Number cu = di * by_c, wu = di * by_w;
    sums.value += by_value;
    sums.w += by_w;
    sums.wu += wu;
    sums.wv += dj * by_w;
    sums.wuu += di * wu;
    sums.wuv += dj * wu;
    sums.wvv += (dj * dj) * by_w;
    sums.c += by_c;
    sums.cu += cu;
    sums.cv += dj * by_c;
    sums.cuu += di * cu;
    sums.cuv += dj * cu;
    sums.cvv += (dj * dj) * by_c;
}

// Adds what pixels at (di, dj) with these gradients contribute.
template <class Number>
SEED_FN void gaussian_pixel_sums(const GaussianRow& row, Number di, float dj, float reach, Number gradient, GaussianSums<Number>& sums) {
    Number q, inverse;
    const Number h = gradient * gaussian_pixel(row, di, reach, q, inverse);
    const Number c = -0.5f * h * inverse;
    gaussian_add_sums(di, dj, h, c, c - c * q, sums);
}

// -- the soft maximum of values p_k >= 0 at temperature T: S = T log(1 + sum_k (exp(p_k / T) - 1)) ----------------------------
//
// A single value is unchanged, zeros add nothing, S never falls where a p rises, and max p <= S <= max p + T log(count); it is the
// maximum for T -> 0 and the sum for T -> infinity. dS / dp_k = exp((p_k - S) / T). Computed from the largest value `most` and
// the sum of gaussian_excess, so that nothing overflows.

template <class Number>
SEED_FN Number gaussian_excess(Number value, Number most, float sharpness) {  // sharpness = 1 / T
    return gaussian_share((value - most) * sharpness) - gaussian_exp(-most * sharpness);
}

SEED_FN float gaussian_soft(float most, float excess, float temperature) {  // the logarithm's argument is >= 1, but for rounding
    return most + temperature * logf(seed_max(expf(-most / temperature) + excess, 1.0f));
}

// Adds what pixels at (di, dj) contribute whose soft maxima are `soft`.
template <class Number>
SEED_FN void gaussian_peak_sums(const GaussianRow& row, Number di, float dj, float reach, float amplitude, float sharpness, Number soft,
                                Number gradient, GaussianSums<Number>& sums) {
    Number q, root;
    const Number peak = gaussian_peak(row, di, reach, q, root);
    const Number h = gradient * peak * gaussian_share((amplitude * peak - soft) * sharpness);
    const Number c = -0.5f * h * root * root;
    gaussian_add_sums(di, dj, h, c, -c * q, sums);
}

// Derivatives by amplitude, mean [3] and matrix [3][3] from a view's sums, added to the output.
SEED_FN void gaussian_chain(const GaussianView& view, const float* mean, const float* matrix, float amplitude,
                            const GaussianSums<float>& s, float* to_amplitude, float* to_mean, float* to_matrix) {
    const GaussianFrame f = gaussian_frame(view, mean, matrix);
    const float scale = 2 * amplitude;
    float to_m[3] = {0, 0, 0}, to[3][3], of_c[3][3];
    const float* whitened[3] = {f.w, f.wu, f.wv};
    for (int k = 0; k < 3; ++k) {
        to[0][k] = scale * (s.w * f.w[k] + s.wu * f.wu[k] + s.wv * f.wv[k]);
        to[1][k] = scale * (s.wu * f.w[k] + s.wuu * f.wu[k] + s.wuv * f.wv[k]);
        to[2][k] = scale * (s.wv * f.w[k] + s.wuv * f.wu[k] + s.wvv * f.wv[k]);
        of_c[0][k] = scale * (s.c * f.c[k] + s.cu * f.cu[k] + s.cv * f.cv[k]);
        of_c[1][k] = scale * (s.cu * f.c[k] + s.cuu * f.cu[k] + s.cuv * f.cv[k]);
        of_c[2][k] = scale * (s.cv * f.c[k] + s.cuv * f.cu[k] + s.cvv * f.cv[k]);
    }
    for (int n = 0; n < 3; ++n) {  // c = m x w
        float part[3];
        gaussian_cross(whitened[n], of_c[n], part);
        for (int k = 0; k < 3; ++k) to_m[k] += part[k];
        gaussian_cross(of_c[n], f.m, part);
        for (int k = 0; k < 3; ++k) to[n][k] += part[k];
    }
    *to_amplitude += s.value;
    for (int k = 0; k < 3; ++k) {
        to_mean[k] += matrix[k] * to_m[0] + matrix[3 + k] * to_m[1] + matrix[6 + k] * to_m[2];
        for (int n = 0; n < 3; ++n)  // w = M times the ray of a fixed pixel
            to_matrix[3 * n + k] += to[0][n] * f.ray[k] + to_m[n] * f.r[k] + to[1][n] * view.u[k] + to[2][n] * view.v[k];
    }
}

// -- on a grid ------------------------------------------------------------------------------------------------------------

struct GaussianGrid {
    int n[3];               // along x, y, z
    float lower[3];         // of the first grid point, x y z [mm]
    float step[3];          // [mm]
};

struct GaussianBall {       // one Gaussian over the grid: |M (x - mean)|^2, the whitened steps, and the slices within reach
    float xx, xy, xz, yy, yz, zz;   // M^T M [1/mm^2]
    float first, last;
};

// Over grid points: gradient times value (for amplitude 1) times powers of the distance from the mean.
template <class Number>
struct GaussianMoments {
    Number value, x, y, z, xx, xy, xz, yy, yz, zz;
};

SEED_FN GaussianBall gaussian_ball(const GaussianGrid& grid, const float* mean, const float* m, float reach) {
    GaussianBall b;
    b.xx = m[0] * m[0] + m[3] * m[3] + m[6] * m[6], b.xy = m[0] * m[1] + m[3] * m[4] + m[6] * m[7];
    b.xz = m[0] * m[2] + m[3] * m[5] + m[6] * m[8], b.yy = m[1] * m[1] + m[4] * m[4] + m[7] * m[7];
    b.yz = m[1] * m[2] + m[4] * m[5] + m[7] * m[8], b.zz = m[2] * m[2] + m[5] * m[5] + m[8] * m[8];
    const float minor = b.xx * b.yy - b.xy * b.xy;
    const float det = b.xx * (b.yy * b.zz - b.yz * b.yz) - b.xy * (b.xy * b.zz - b.yz * b.xz) + b.xz * (b.xy * b.yz - b.yy * b.xz);
    const bool plain = minor > 0 && det > 0;
    const float half = sqrtf(seed_max(reach * minor / det, 0.0f));
    b.first = plain ? seed_max((mean[2] - half - grid.lower[2]) / grid.step[2], 0.0f) : 0.0f;
    b.last = plain ? seed_min((mean[2] + half - grid.lower[2]) / grid.step[2], (float)(grid.n[2] - 1)) : (float)(grid.n[2] - 1);
    return b;
}

// Indices within `half` of `middle` [mm] along an axis; first > last: none.
SEED_FN void gaussian_indices(const GaussianGrid& grid, int axis, float middle, float half, int& first, int& last) {
    const float at = (middle - grid.lower[axis]) / grid.step[axis], reach = half / grid.step[axis];
    first = (int)ceilf(seed_max(at - reach, 0.0f));
    last = (int)floorf(seed_max(seed_min(at + reach, (float)(grid.n[axis] - 1)), -1.0f));
}

// Rows of a slice at distance dz from the mean, and the columns of one of its rows.
SEED_FN void gaussian_rows(const GaussianBall& b, const GaussianGrid& grid, const float* mean, float dz, float reach, int& first, int& last) {
    // min over dx: a dy^2 + 2 c dy dz + d dz^2
    const float a = b.yy - b.xy * b.xy / b.xx, c = b.yz - b.xy * b.xz / b.xx, d = b.zz - b.xz * b.xz / b.xx;
    const float root = (c * dz) * (c * dz) - a * (d * dz * dz - reach);
    first = 0;
    last = -1;
    if (a > 0 && root >= 0) gaussian_indices(grid, 1, mean[1] - c * dz / a, sqrtf(root) / a, first, last);
}

SEED_FN void gaussian_row_columns(const GaussianBall& b, const GaussianGrid& grid, const float* mean, float dy, float dz, float reach,
                                  int& first, int& last) {
    const float p = b.xy * dy + b.xz * dz, q = b.yy * dy * dy + 2 * b.yz * dy * dz + b.zz * dz * dz;
    const float root = p * p - b.xx * (q - reach);
    first = 0;
    last = -1;
    if (root >= 0) gaussian_indices(grid, 0, mean[0] - p / b.xx, sqrtf(root) / b.xx, first, last);
}

// exp(-q / 2) at distance dx in a row with q = q0 + 2 q1 dx + xx dx^2; 0 out of reach.
template <class Number>
SEED_FN Number gaussian_point(float q0, float q1, float xx, Number dx, float reach) {
    const Number q = q0 + dx * (2 * q1 + dx * xx);
    return gaussian_within(gaussian_exp(-0.5f * q), q, reach);
}

// Adds what a row's points at distance dx contribute.
template <class Number>
SEED_FN void gaussian_point_moments(float q0, float q1, float xx, Number dx, float dy, float dz, float reach, Number gradient,
                                    GaussianMoments<Number>& sums) {
    const Number h = gradient * gaussian_point(q0, q1, xx, dx, reach), x = dx * h;
    sums.value += h;
    sums.x += x;
    sums.y += dy * h;
    sums.z += dz * h;
    sums.xx += dx * x;
    sums.xy += dy * x;
    sums.xz += dz * x;
    sums.yy += (dy * dy) * h;
    sums.yz += (dy * dz) * h;
    sums.zz += (dz * dz) * h;
}

// exp(-|M (x - mean)|^2 / 2) at a point x; 0 out of reach.
SEED_FN float gaussian_at(const float* mean, const float* matrix, const float* x, float reach) {
    const float away[3] = {x[0] - mean[0], x[1] - mean[1], x[2] - mean[2]};
    float whitened[3];
    gaussian_whiten(matrix, away, whitened);
    const float q = gaussian_dot(whitened, whitened);
    return gaussian_within(gaussian_exp(-0.5f * q), q, reach);
}

// Half the edges of the box around all points within reach, along x, y and z [mm].
SEED_FN void gaussian_box(const GaussianBall& b, float reach, float* half) {
    const float x = b.yy * b.zz - b.yz * b.yz, y = b.xx * b.zz - b.xz * b.xz, z = b.xx * b.yy - b.xy * b.xy;  // minors of M^T M
    const float det = b.xx * x - b.xy * (b.xy * b.zz - b.yz * b.xz) + b.xz * (b.xy * b.yz - b.yy * b.xz);
    half[0] = sqrtf(seed_max(reach * x / det, 0.0f));
    half[1] = sqrtf(seed_max(reach * y / det, 0.0f));
    half[2] = sqrtf(seed_max(reach * z / det, 0.0f));
}

// Derivatives by amplitude, mean and matrix from the moments, added to the output.
SEED_FN void gaussian_grid_chain(const GaussianBall& b, const float* m, float amplitude, const GaussianMoments<float>& s, float* to_amplitude,
                                 float* to_mean, float* to_matrix) {
    *to_amplitude += s.value;
    to_mean[0] += amplitude * (b.xx * s.x + b.xy * s.y + b.xz * s.z);
    to_mean[1] += amplitude * (b.xy * s.x + b.yy * s.y + b.yz * s.z);
    to_mean[2] += amplitude * (b.xz * s.x + b.yz * s.y + b.zz * s.z);
    for (int n = 0; n < 3; ++n) {  // -M (second moments)
        const float row[3] = {amplitude * m[3 * n], amplitude * m[3 * n + 1], amplitude * m[3 * n + 2]};
        to_matrix[3 * n] -= row[0] * s.xx + row[1] * s.xy + row[2] * s.xz;
        to_matrix[3 * n + 1] -= row[0] * s.xy + row[1] * s.yy + row[2] * s.yz;
        to_matrix[3 * n + 2] -= row[0] * s.xz + row[1] * s.yz + row[2] * s.zz;
    }
}
