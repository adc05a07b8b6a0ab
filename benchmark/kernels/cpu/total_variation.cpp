// The two half steps of the fast gradient projection for isotropic 3-D total variation (Beck & Teboulle 2009, doi
// 10.1109/TIP.2009.2028250), each one pass over memory. Gradients are forward differences, zero across the far faces;
// dual fields are [3][z][y][x], axes in z, y, x order. One thread writes each voxel: bit-identical for any number of threads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include "entry.hpp"

namespace {

struct Grid {
    int nz, ny, nx;
    int64_t row(int z, int y) const { return ((int64_t)z * ny + y) * nx; }
    int64_t size() const { return (int64_t)nz * ny * nx; }
};

template <class Radius>
void tv_dual(const float* x, const int* shape, const float* scale, Radius radius, float step, float momentum, float* p, float* q) {
    const Grid grid{shape[0], shape[1], shape[2]};
    const int64_t size = grid.size();
#pragma omp parallel for schedule(static)
    for (int z = 0; z < grid.nz; ++z)
        for (int y = 0; y < grid.ny; ++y) {
            const int64_t at = grid.row(z, y);
            const float* here = x + at;
            const float *above = z + 1 < grid.nz ? here + (int64_t)grid.ny * grid.nx : here, *beyond = y + 1 < grid.ny ? here + grid.nx : here;
            const float wz = step * scale[0], wy = step * scale[1], wx = step * scale[2];
            float *pz = p + at, *py = pz + size, *px = py + size, *qz = q + at, *qy = qz + size, *qx = qy + size;
            const int last = grid.nx - 1;
#pragma omp simd
            for (int i = 0; i < last; ++i) {
                float nz = qz[i] + wz * (above[i] - here[i]), ny = qy[i] + wy * (beyond[i] - here[i]), nx = qx[i] + wx * (here[i + 1] - here[i]);
                const float most = radius(at + i), square = nz * nz + ny * ny + nx * nx;
                const float shrink = square > most * most ? most / std::sqrt(square) : 1.0f;
                nz *= shrink, ny *= shrink, nx *= shrink;
                qz[i] = nz + momentum * (nz - pz[i]), qy[i] = ny + momentum * (ny - py[i]), qx[i] = nx + momentum * (nx - px[i]);
                pz[i] = nz, py[i] = ny, px[i] = nx;
            }
            float nz = qz[last] + wz * (above[last] - here[last]), ny = qy[last] + wy * (beyond[last] - here[last]);
            const float most = radius(at + last), square = nz * nz + ny * ny, shrink = square > most * most ? most / std::sqrt(square) : 1.0f;
            nz *= shrink, ny *= shrink;
            qz[last] = nz + momentum * (nz - pz[last]), qy[last] = ny + momentum * (ny - py[last]);
            pz[last] = nz, py[last] = ny;
        }
}

}  // namespace

// x = max(z - lambda G^T q, floor); scale[3] weighs the three differences.
SEED_ENTRY seed_tv_primal(const float* target, const float* dual, const int* shape, const float* scale, float lambda, float floor,
                          float* x) try {
    const Grid grid{shape[0], shape[1], shape[2]};
    const float wz = lambda * scale[0], wy = lambda * scale[1], wx = lambda * scale[2];
#pragma omp parallel for schedule(static)
    for (int z = 0; z < grid.nz; ++z)
        for (int y = 0; y < grid.ny; ++y) {
            const int64_t at = grid.row(z, y);
            const float *qz = dual + at, *qy = qz + grid.size(), *qx = qy + grid.size();
            const float *below = z ? qz - (int64_t)grid.ny * grid.nx : qz, *behind = y ? qy - grid.nx : qy;
            const float has_below = z ? 1.0f : 0.0f, has_behind = y ? 1.0f : 0.0f;
            const float* from = target + at;
            float* to = x + at;
            to[0] = std::max(from[0] - wz * (has_below * below[0] - qz[0]) - wy * (has_behind * behind[0] - qy[0]) + wx * qx[0], floor);
#pragma omp simd
            for (int i = 1; i < grid.nx; ++i) {
                const float value =
                    from[i] - wz * (has_below * below[i] - qz[i]) - wy * (has_behind * behind[i] - qy[i]) - wx * (qx[i - 1] - qx[i]);
                to[i] = value > floor ? value : floor;
            }
        }
    return SEED_DONE;
} SEED_CATCH

// p_new = q + step G x, pulled back into each voxel's ball, of radius weights[z][y][x] (null: 1);
// q = p_new + momentum (p_new - p); p = p_new.
SEED_ENTRY seed_tv_dual(const float* x, const int* shape, const float* scale, const float* weights, float step, float momentum, float* p,
                        float* q) try {
    if (weights) tv_dual(x, shape, scale, [=](int64_t voxel) { return weights[voxel]; }, step, momentum, p, q);
    else tv_dual(x, shape, scale, [](int64_t) { return 1.0f; }, step, momentum, p, q);
    return SEED_DONE;
} SEED_CATCH

// slices[z] = sum over the slice of weights |G x| (weights null: 1).
SEED_ENTRY seed_tv_value(const float* x, const int* shape, const float* scale, const float* weights, double* slices) try {
    const Grid grid{shape[0], shape[1], shape[2]};
#pragma omp parallel for schedule(static)
    for (int z = 0; z < grid.nz; ++z) {
        slices[z] = 0;
        for (int y = 0; y < grid.ny; ++y) {
            const int64_t at = grid.row(z, y);
            const float* here = x + at;
            const float *above = z + 1 < grid.nz ? here + (int64_t)grid.ny * grid.nx : here, *beyond = y + 1 < grid.ny ? here + grid.nx : here;
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int i = 0; i < grid.nx; ++i) {
                const float gz = scale[0] * (above[i] - here[i]), gy = scale[1] * (beyond[i] - here[i]);
                const float gx = i + 1 < grid.nx ? scale[2] * (here[i + 1] - here[i]) : 0.0f;
                sum += (weights ? weights[at + i] : 1.0f) * std::sqrt(gz * gz + gy * gy + gx * gx);
            }
            slices[z] += sum;
        }
    }
    return SEED_DONE;
} SEED_CATCH
