// A small multilayer perceptron on points: inputs, outputs and gradients are [feature][point]. The backward pass recomputes the
// activations instead of storing them.
//
// Weights are summed over a fixed number of chunks of points, so that gradients do not depend on the number of threads.
#include "network.hpp"

namespace {

constexpr int CHUNKS = 32;  // partial sums of the weight gradients

// Calls block(feature, point) for squares of LANES features and points, one(feature, point) for what remains beside them.
template <class Block, class One>
void in_squares(int features, int size, Block block, One one) {
    for (int p = 0; p < size; p += LANES)
        for (int f = 0; f < features; f += LANES) {
            if (p + LANES <= size && f + LANES <= features) {
                block(f, p);
                continue;
            }
            for (int i = f; i < std::min(features, f + LANES); ++i)
                for (int j = p; j < std::min(size, p + LANES); ++j) one(i, j);
        }
}

// Points first .. first + size - 1 of in[feature][count] as rows of a tile, zeros for the rest of the tile.
void load_tile(const float* in, int64_t count, int64_t first, int size, int features, const Rows& rows) {
    in += first;
    in_squares(features, size, [&](int f, int p) {
        Floats square[LANES];
        for (int i = 0; i < LANES; ++i) square[i] = load_floats(in + (f + i) * count + p);
        transpose_floats(square);
        for (int i = 0; i < LANES; ++i) store_floats(rows.of(p + i) + f, square[i]);
    }, [&](int f, int p) { rows.of(p)[f] = in[f * count + p]; });
    for (int p = size; p < TILE; ++p) std::fill_n(rows.of(p), features, 0.0f);
}

void store_tile(const Rows& rows, int64_t count, int64_t first, int size, int features, float* out) {
    out += first;
    in_squares(features, size, [&](int f, int p) {
        Floats square[LANES];
        for (int i = 0; i < LANES; ++i) square[i] = load_floats(rows.of(p + i) + f);
        transpose_floats(square);
        for (int i = 0; i < LANES; ++i) store_floats(out + (f + i) * count + p, square[i]);
    }, [&](int f, int p) { out[f * count + p] = rows.of(p)[f]; });
}

}  // namespace

// out[outputs][count] from in[inputs][count].
SEED_ENTRY seed_mlp(const float* in, int64_t count, const int* widths, int layers, int skip, float slope, const float* weights,
                    int64_t parameters, float* out) try {
    const Network net{widths, layers, skip, slope};
    net.check(parameters);
    const Layers network(net, weights);
    const int64_t tiles = (count + TILE - 1) / TILE;
    PerThread<float> works(network.work_size());
#pragma omp parallel
    {
        float* const work = works.filled(0.0f);
#pragma omp for schedule(static)
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t first = tile * TILE;
            const int size = (int)std::min<int64_t>(TILE, count - first);
            load_tile(in, count, first, size, widths[0], network.input(work));
            network.forward(work);
            store_tile(network.output(work), count, first, size, net.outputs(), out);
        }
    }
    return SEED_DONE;
} SEED_CATCH

// Gradients of seed_mlp: in_gradient[inputs][count] (may be null) and weight_gradient (overwritten).
SEED_ENTRY seed_mlp_backward(const float* in, int64_t count, const int* widths, int layers, int skip, float slope, const float* weights,
                             int64_t parameters, const float* out_gradient, float* in_gradient, float* weight_gradient) try {
    const Network net{widths, layers, skip, slope};
    net.check(parameters);
    const Layers network(net, weights);
    const int64_t tiles = (count + TILE - 1) / TILE;
    std::vector<float> sums(CHUNKS * network.sums_size(), 0.0f);
    PerThread<float> works(network.work_size()), uppers(network.gradient_size()), lowers(network.gradient_size());
    PerThread<float> skips((int64_t)widths[0] * TILE);
#pragma omp parallel
    {
        float *const work = works.filled(0.0f), *const upper = uppers.filled(0.0f), *const lower = lowers.filled(0.0f);
#pragma omp for schedule(dynamic, 1)
        for (int chunk = 0; chunk < CHUNKS; ++chunk)
            for (int64_t tile = tiles * chunk / CHUNKS; tile < tiles * (chunk + 1) / CHUNKS; ++tile) {
                const int64_t first = tile * TILE;
                const int size = (int)std::min<int64_t>(TILE, count - first);
                load_tile(in, count, first, size, widths[0], network.input(work));
                network.forward(work);
                load_tile(out_gradient, count, first, size, net.outputs(), {upper, network.stride()});
                const Rows gradient = network.backward(work, upper, lower, skips.mine(), &sums[chunk * network.sums_size()], in_gradient);
                if (in_gradient) store_tile(gradient, count, first, size, widths[0], in_gradient);
            }
    }
    network.collect(sums.data(), CHUNKS, weight_gradient);
    return SEED_DONE;
} SEED_CATCH
