// Bands of image rows (or slices) on the CPU, with the Gaussians that reach each. A band belongs to one task.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#include "gaussians.h"

constexpr int BAND = 8;         // rows or slices per task

// The Gaussians that reach each band, in their order.
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

// The columns within reach of each of the rows first .. last (BAND of them at most).
struct RowsColumns {
    RowsColumns(const GaussianFootprint& g, int first, float reach, int columns) {
#pragma omp simd
        for (int row = 0; row < BAND; ++row) gaussian_columns(g, (float)(first + row) - g.j, reach, columns, from[row], to[row]);
    }

    int from[BAND], to[BAND];
};

// Rows of `count` floats followed by LANES zeros, so that whole lanes can be read from any position.
inline std::vector<float> padded(const float* rows, int64_t number, int count) {
    std::vector<float> out(number * (count + LANES), 0.0f);
    for (int64_t r = 0; r < number; ++r) std::memcpy(&out[r * (count + LANES)], rows + r * count, sizeof(float) * count);
    return out;
}
