// A small multilayer perceptron, fused: a tile of points goes through every layer while it is in cache. Inputs, outputs
// and gradients are [feature][point]. The backward pass recomputes the activations instead of storing them.
//
// Weights are summed over a fixed number of chunks of points, so that gradients do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>
#include "entry.hpp"
#include "lanes.h"

namespace {

constexpr int WIDE = LANES == 16 ? 4 : 2;  // vectors of points computed together
constexpr int NARROW = 4;                  // outputs computed together
constexpr int TILE = 256;                  // points in cache at a time
constexpr int CHUNKS = 32;                 // partial sums of the weight gradients

// out[o][p] = bias[o] + sum_i weight[o * row + i * column] in[i][p] for a tile; in and out are [feature][TILE].
template <int OUTS>
void product_block(const float* weight, int64_t row, int64_t column, const float* bias, const float* in, int ins, float* out) {
    for (int p = 0; p < TILE; p += LANES * WIDE) {
        Floats sum[OUTS][WIDE];
        for (int o = 0; o < OUTS; ++o)
            for (int w = 0; w < WIDE; ++w) sum[o][w] = (Floats){} + (bias ? bias[o] : 0.0f);
        for (int i = 0; i < ins; ++i) {
            Floats x[WIDE];
            for (int w = 0; w < WIDE; ++w) x[w] = load_floats(in + i * TILE + p + w * LANES);
            for (int o = 0; o < OUTS; ++o) {
                const float factor = weight[o * row + i * column];
                for (int w = 0; w < WIDE; ++w) sum[o][w] += factor * x[w];
            }
        }
        for (int o = 0; o < OUTS; ++o)
            for (int w = 0; w < WIDE; ++w) store_floats(out + o * TILE + p + w * LANES, sum[o][w]);
    }
}

void product(const float* weight, int64_t row, int64_t column, const float* bias, const float* in, int ins, float* out, int outs) {
    int o = 0;
    for (; o + NARROW <= outs; o += NARROW) product_block<NARROW>(weight + o * row, row, column, bias ? bias + o : nullptr, in, ins, out + o * TILE);
    for (; o < outs; ++o) product_block<1>(weight + o * row, row, column, bias ? bias + o : nullptr, in, ins, out + o * TILE);
}

// weight_gradient[o][i] += sum_p gradient[o][p] in[i][p], a vector of partial sums for each weight (added up at the end only).
template <int OUTS, int INS>
void outer_block(const float* gradient, const float* in, float* weight_gradient, int ins) {
    Floats sum[OUTS][INS] = {};
    for (int p = 0; p < TILE; p += LANES) {
        Floats x[INS];
        for (int i = 0; i < INS; ++i) x[i] = load_floats(in + i * TILE + p);
        for (int o = 0; o < OUTS; ++o) {
            const Floats g = load_floats(gradient + o * TILE + p);
            for (int i = 0; i < INS; ++i) sum[o][i] += g * x[i];
        }
    }
    for (int o = 0; o < OUTS; ++o)
        for (int i = 0; i < INS; ++i) add_floats(weight_gradient + (o * ins + i) * LANES, sum[o][i]);
}

template <int OUTS>
void outer_row(const float* gradient, const float* in, float* weight_gradient, int ins) {
    int i = 0;
    for (; i + 4 <= ins; i += 4) outer_block<OUTS, 4>(gradient, in + i * TILE, weight_gradient + i * LANES, ins);
    for (; i < ins; ++i) outer_block<OUTS, 1>(gradient, in + i * TILE, weight_gradient + i * LANES, ins);
}

void outer(const float* gradient, int outs, const float* in, int ins, float* weight_gradient) {
    int o = 0;
    for (; o + 4 <= outs; o += 4) outer_row<4>(gradient + o * TILE, in, weight_gradient + o * ins * LANES, ins);
    for (; o < outs; ++o) outer_row<1>(gradient + o * TILE, in, weight_gradient + o * ins * LANES, ins);
}

// Leaky rectifier: slope 0 is ReLU. In place; the sign of the result gives the backward pass the branch.
void activate(float* values, int64_t count, float slope) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) values[i] = values[i] > 0 ? values[i] : slope * values[i];
}

void activate_backward(const float* activated, float* gradient, int64_t count, float slope) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) gradient[i] = activated[i] > 0 ? gradient[i] : slope * gradient[i];
}

struct Network {
    const int* widths;      // [layers + 1]: inputs, hidden widths, outputs
    int layers;
    int skip;               // this layer also sees the network's input (appended to its own); -1: none
    float slope;
    int inputs(int layer) const { return widths[layer] + (layer == skip ? widths[0] : 0); }
    int64_t weights() const {  // weights and biases, layer by layer: weight[out][in], bias[out]
        int64_t sum = 0;
        for (int l = 0; l < layers; ++l) sum += (int64_t)widths[l + 1] * (inputs(l) + 1);
        return sum;
    }
    void check(int64_t parameters) const {  // throws if the count differs
        if (parameters == weights()) return;
        throw std::invalid_argument("expected " + std::to_string(weights()) + " weights and biases, found " + std::to_string(parameters));
    }
    int64_t activations() const {  // floats for the input of every layer and the output of the last
        int64_t sum = widths[layers];
        for (int l = 0; l < layers; ++l) sum += inputs(l);
        return sum * TILE;
    }
    int widest() const {
        int most = widths[layers];
        for (int l = 0; l < layers; ++l) most = std::max(most, inputs(l));
        return most;
    }
};

void load_tile(const float* in, int64_t count, int64_t first, int size, int features, float* tile) {
    for (int f = 0; f < features; ++f) {
        std::memcpy(tile + f * TILE, in + f * count + first, sizeof(float) * size);
        std::fill(tile + f * TILE + size, tile + (f + 1) * TILE, 0.0f);
    }
}

void store_tile(const float* tile, const float* more, int64_t count, int64_t first, int size, int features, float* out) {
    for (int f = 0; f < features; ++f) {
        float* row = out + f * count + first;
        std::memcpy(row, tile + f * TILE, sizeof(float) * size);
        for (int p = 0; more && p < size; ++p) row[p] += more[f * TILE + p];
    }
}

// Fills `work` with the input of every layer and returns the position of the output.
float* forward_tile(const Network& net, const float* weights, float* work) {
    const float* first = work;
    float* at = work;
    for (int l = 0; l < net.layers; ++l) {
        const int ins = net.inputs(l), outs = net.widths[l + 1];
        if (l == net.skip && l > 0) std::memcpy(at + net.widths[l] * TILE, first, sizeof(float) * net.widths[0] * TILE);
        float* out = at + (int64_t)ins * TILE;
        product(weights, ins, 1, weights + (int64_t)outs * ins, at, ins, out, outs);
        if (l + 1 < net.layers) activate(out, (int64_t)outs * TILE, net.slope);
        weights += (int64_t)outs * (ins + 1);
        at = out;
    }
    return at;
}

}  // namespace

// out[outputs][count] from in[inputs][count].
SEED_ENTRY seed_mlp(const float* in, int64_t count, const int* widths, int layers, int skip, float slope, const float* weights,
                    int64_t parameters, float* out) try {
    const Network net{widths, layers, skip, slope};
    net.check(parameters);
    const int64_t tiles = (count + TILE - 1) / TILE;
    PerThread<float> works(net.activations());
#pragma omp parallel
    {
        float* const work = works.filled(0.0f);
#pragma omp for schedule(static)
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t first = tile * TILE;
            const int size = (int)std::min<int64_t>(TILE, count - first);
            load_tile(in, count, first, size, widths[0], work);
            const float* result = forward_tile(net, weights, work);
            for (int o = 0; o < widths[layers]; ++o) std::memcpy(out + o * count + first, result + o * TILE, sizeof(float) * size);
        }
    }
    return SEED_DONE;
} SEED_CATCH

// Gradients of seed_mlp: in_gradient[inputs][count] (may be null) and weight_gradient (overwritten).
SEED_ENTRY seed_mlp_backward(const float* in, int64_t count, const int* widths, int layers, int skip, float slope, const float* weights,
                             int64_t parameters, const float* out_gradient, float* in_gradient, float* weight_gradient) try {
    const Network net{widths, layers, skip, slope};
    const int64_t tiles = (count + TILE - 1) / TILE, size_of_weights = net.weights();
    net.check(parameters);
    const int64_t wide = (int64_t)net.widest() * TILE;
    std::vector<float> partial(CHUNKS * size_of_weights);
    PerThread<float> works(net.activations()), uppers(wide), lowers(wide), skips((int64_t)widths[0] * TILE), lanes(size_of_weights * LANES);
#pragma omp parallel
    {
        float *const work = works.filled(0.0f), *const skipped = skips.mine();
        float *upper = uppers.mine(), *lower = lowers.mine();
#pragma omp for schedule(dynamic, 1)
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            float* const sums = lanes.filled(0.0f);
            for (int64_t tile = tiles * chunk / CHUNKS; tile < tiles * (chunk + 1) / CHUNKS; ++tile) {
                const int64_t first = tile * TILE;
                const int size = (int)std::min<int64_t>(TILE, count - first);
                load_tile(in, count, first, size, widths[0], work);
                const float* at = forward_tile(net, weights, work);
                load_tile(out_gradient, count, first, size, widths[layers], upper);
                int64_t offset = size_of_weights;
                for (int l = layers - 1; l >= 0; --l) {
                    const int ins = net.inputs(l), outs = widths[l + 1];
                    offset -= (int64_t)outs * (ins + 1);
                    at -= (int64_t)ins * TILE;
                    outer(upper, outs, at, ins, sums + offset * LANES);
                    for (int o = 0; o < outs; ++o) {
                        Floats sum = {};
                        for (int p = 0; p < TILE; p += LANES) sum += load_floats(upper + o * TILE + p);
                        add_floats(sums + (offset + (int64_t)outs * ins + o) * LANES, sum);
                    }
                    if (l == 0 && !in_gradient) break;
                    product(weights + offset, 1, ins, nullptr, upper, outs, lower, ins);
                    if (l == skip && l > 0) std::copy_n(lower + widths[l] * TILE, widths[0] * TILE, skipped);
                    if (l > 0) activate_backward(at, lower, (int64_t)widths[l] * TILE, slope);
                    std::swap(upper, lower);
                }
                if (in_gradient) store_tile(upper, skip > 0 ? skipped : nullptr, count, first, size, widths[0], in_gradient);
            }
            for (int64_t w = 0; w < size_of_weights; ++w) partial[chunk * size_of_weights + w] = sum_in_order(load_floats(sums + w * LANES));
        }
    }
    std::copy_n(partial.data(), size_of_weights, weight_gradient);
    for (int chunk = 1; chunk < CHUNKS; ++chunk)
        for (int64_t w = 0; w < size_of_weights; ++w) weight_gradient[w] += partial[chunk * size_of_weights + w];
    return SEED_DONE;
} SEED_CATCH
