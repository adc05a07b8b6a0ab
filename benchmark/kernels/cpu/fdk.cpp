// Weighted backprojection for FDK (Feldkamp, Davis, Kress 1984, doi 10.1364/JOSAA.1.000612): voxel-driven, bilinear in the
// detector, weight 1 / U^2. The detector's rows are parallel to z, so one (x, y) column of voxels meets one vertical line
// of the detector, and runs along it evenly.
#include <algorithm>
#include "entry.hpp"
#include "fdk.h"

// volume[z][y][x] = sum over views of filtered[view][u][v] (rows last, as the inner loop walks them) at the foot of each
// voxel times scale / depth^2.
SEED_ENTRY seed_fdk_backproject(float* volume, const int* shape, const FdkView* views, int count, int rows, int columns,
                                const float* filtered, float scale) try {
    const int nz = shape[0], ny = shape[1], nx = shape[2];
    PerThread<float> slabs((size_t)nx * nz), lines(rows + 4);
#pragma omp parallel
    {
        float* const line = lines.filled(0.0f);
#pragma omp for schedule(dynamic, 1)
        for (int y = 0; y < ny; ++y) {
            float* const slab = slabs.filled(0.0f);
            for (int n = 0; n < count; ++n) {
                for (int x = 0; x < nx; ++x) {
                    const FdkFoot at = fdk_foot(views + n, x, y, rows, columns);
                    if (!(at.inverse > 0) || at.column <= -1 || at.column >= columns) continue;
                    const int left = (int)std::floor(at.column);
                    const float weight = scale * at.inverse * at.inverse, right_part = at.column - left;
                    const float wl = left >= 0 ? weight * (1 - right_part) : 0.0f;
                    const float wr = left + 1 < columns ? weight * right_part : 0.0f;
                    const float* low = filtered + ((int64_t)n * columns + std::max(left, 0)) * rows;
                    const float* high = filtered + ((int64_t)n * columns + std::min(left + 1, columns - 1)) * rows;
                    for (int j = 0; j < rows; ++j) line[j + 2] = wl * low[j] + wr * high[j];
                    double first = 0, last = nz - 1;
                    joseph_clip(at.a, at.b, rows, first, last);
                    if (first > last) continue;
                    // Two zeros at either end of the line: a voxel on the very edge may round to outside in float.
                    const int begin = std::max(0, (int)std::ceil(first - 1e-6)), end = std::min(nz, (int)std::floor(last + 1e-6) + 1);
                    const float a = at.a + 2, b = at.b;
                    float* sum = slab + (size_t)x * nz;
#pragma omp simd
                    for (int z = begin; z < end; ++z) {
                        const float j = a + z * b;
                        const int below = (int)j;  // j > 0
                        const float here = line[below];
                        sum[z] += here + (j - below) * (line[below + 1] - here);
                    }
                }
            }
            for (int z = 0; z < nz; ++z)
                for (int x = 0; x < nx; ++x) volume[((int64_t)z * ny + y) * nx + x] = slab[(size_t)x * nz + z];
        }
    }
    return SEED_DONE;
} SEED_CATCH
