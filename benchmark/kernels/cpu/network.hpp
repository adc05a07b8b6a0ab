// A small multilayer perceptron for a tile of points, which goes through every layer while it is in cache. Tiles are [point][feature],
// so that a vector holds features of one point and no sum crosses lanes. The backward pass starts from a tile's activations.
//
// Rows of features and of weights are padded to whole vectors. What lies beyond a row's features is finite and meets weights of zero.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>
#include "entry.hpp"
#include "lanes.h"

constexpr int TILE = 48;                                  // points in cache at a time
constexpr int POINTS = LANES == 16 ? 8 : 4;               // of them computed together, and most vectors of each: as many as registers hold
constexpr int VECTORS = 3;
constexpr int FEW = 4;                                    // outputs below which a vector holds inputs instead

inline int padded_to_lanes(int count) { return (count + LANES - 1) / LANES * LANES; }

struct Network {
    const int* widths;      // [layers + 1]: inputs, hidden widths, outputs
    int layers;
    int skip;               // this layer also sees the network's input (appended to its own); -1: none
    float slope;            // of the leaky rectifier; 0: ReLU
    int inputs(int layer) const { return widths[layer] + (layer == skip ? widths[0] : 0); }
    int outputs() const { return widths[layers]; }
    int64_t weights() const {  // weights and biases, layer by layer: weight[out][in], bias[out]
        int64_t sum = 0;
        for (int l = 0; l < layers; ++l) sum += (int64_t)widths[l + 1] * (inputs(l) + 1);
        return sum;
    }
    void check(int64_t parameters) const {  // throws if the count differs
        if (parameters == weights()) return;
        throw std::invalid_argument("expected " + std::to_string(weights()) + " weights and biases, found " + std::to_string(parameters));
    }
};


template <int N>
using Count = std::integral_constant<int, N>;

// Calls block(first vector, Count<V>) for blocks of V vectors of a row.
template <class Block>
void in_blocks(int vectors, Block block) {
    for (int at = 0; at < vectors;) {
        const int left = vectors - at;
        if (left >= VECTORS && left != 4) {
            block(at, Count<VECTORS>());
            at += VECTORS;
        } else if (left >= 2) {
            block(at, Count<2>());
            at += 2;
        } else {
            block(at++, Count<1>());
        }
    }
}

struct Rows {               // one row of floats for each point of a tile
    float* at;
    int64_t stride;
    float* of(int point) const { return at + point * stride; }
};

// finish(point, vector, sum_i in[point][i] matrix[i][vector]) for all points of a tile. Rows of the matrix hold `vectors` vectors.
template <class Finish>
void multiply(const Rows& in, int ins, const float* matrix, int vectors, Finish finish) {
    in_blocks(vectors, [&](int first, auto number) {
        constexpr int V = decltype(number)::value;
        for (int p = 0; p < TILE; p += POINTS) {
            const float *x = in.of(p), *row = matrix + first * LANES;
            Floats sum[POINTS][V] = {};
            for (int i = 0; i < ins; ++i, ++x, row += vectors * LANES) {
                Floats weight[V];
                for (int v = 0; v < V; ++v) weight[v] = load_floats(row + v * LANES);
                for (int q = 0; q < POINTS; ++q)
                    for (int v = 0; v < V; ++v) sum[q][v] += x[q * in.stride] * weight[v];
            }
            for (int q = 0; q < POINTS; ++q)
                for (int v = 0; v < V; ++v) finish(p + q, first + v, sum[q][v]);
        }
    });
}

// sums[o][i] += sum_p gradient[p][o] in[p][i] over a tile. Rows of the sums hold `vectors` vectors.
template <int OUTS, int V>
void outer_block(const Rows& gradient, int o, const Rows& in, int first, float* sums, int vectors) {
    Floats sum[OUTS][V] = {};
    for (int p = 0; p < TILE; ++p) {
        const float *g = gradient.of(p) + o, *x = in.of(p) + first * LANES;
        for (int v = 0; v < V; ++v) {
            const Floats values = load_floats(x + v * LANES);
            for (int k = 0; k < OUTS; ++k) sum[k][v] += g[k] * values;
        }
    }
    for (int k = 0; k < OUTS; ++k)
        for (int v = 0; v < V; ++v) add_floats(sums + ((int64_t)(o + k) * vectors + first + v) * LANES, sum[k][v]);
}

inline void outer(const Rows& gradient, int outs, const Rows& in, int vectors, float* sums) {
    in_blocks(vectors, [&](int first, auto number) {
        constexpr int V = decltype(number)::value;
        int o = 0;
        for (; o + POINTS <= outs; o += POINTS) outer_block<POINTS, V>(gradient, o, in, first, sums, vectors);
        for (; o < outs; ++o) outer_block<1, V>(gradient, o, in, first, sums, vectors);
    });
}

// Weights of a network as its products read them: matrices to the next layer and back, whole vectors in each row.
class Layers {
public:
    Layers(const Network& net, const float* weights) : net(net) {
        for (int l = 0; l < net.layers; ++l) {
            const int ins = net.inputs(l), outs = net.widths[l + 1], wide = padded_to_lanes(outs), deep = padded_to_lanes(ins);
            Layer layer = {ins, outs, wide / LANES, deep / LANES, (int64_t)on.size(), (int64_t)back.size(), (int64_t)biases.size(), activations};
            on.resize(on.size() + (size_t)ins * wide, 0.0f);
            back.resize(back.size() + (size_t)outs * deep, 0.0f);
            biases.resize(biases.size() + wide, 0.0f);
            for (int o = 0; o < outs; ++o) {
                for (int i = 0; i < ins; ++i) {
                    on[layer.on + (int64_t)i * wide + o] = weights[(int64_t)o * ins + i];
                    back[layer.back + (int64_t)o * deep + i] = weights[(int64_t)o * ins + i];
                }
                biases[layer.bias + o] = weights[(int64_t)outs * ins + o];
            }
            weights += (int64_t)outs * (ins + 1);
            activations += TILE * stride(ins);
            widest = std::max(widest, std::max(stride(ins), stride(outs)));
            layers.push_back(layer);
        }
        result = activations;
        activations += TILE * stride(net.outputs());
    }

    // Floats of a tile's activations, of one of the two gradients of a tile, and of the sums of weight gradients.
    int64_t work_size() const { return activations; }
    int64_t gradient_size() const { return TILE * widest; }
    int64_t sums_size() const { return (int64_t)(back.size() + biases.size()); }

    Rows input(float* work) const { return {work, stride(net.widths[0])}; }
    Rows output(float* work) const { return {work + result, stride(net.outputs())}; }

    // Computes all activations of a tile from its input, in `work`.
    void forward(float* work) const {
        for (int l = 0; l < net.layers; ++l) {
            const Layer& layer = layers[l];
            const Rows in = {work + layer.input, stride(layer.ins)};
            if (l == net.skip && l > 0)
                for (int p = 0; p < TILE; ++p) std::memcpy(in.of(p) + net.widths[l], input(work).of(p), sizeof(float) * net.widths[0]);
            const bool last = l + 1 == net.layers;
            const Rows out = last ? output(work) : Rows{work + layers[l + 1].input, stride(layers[l + 1].ins)};
            const float* bias = &biases[layer.bias];
            if (last && layer.outs < FEW) {
                for (int p = 0; p < TILE; ++p)
                    for (int o = 0; o < layer.outs; ++o) {
                        Floats sum = {};
                        for (int v = 0; v < layer.in_vectors; ++v)
                            sum += load_floats(in.of(p) + v * LANES) * load_floats(&back[layer.back + (o * layer.in_vectors + v) * LANES]);
                        out.of(p)[o] = sum_floats(sum) + bias[o];
                    }
            } else {
                multiply(in, layer.ins, &on[layer.on], layer.out_vectors, [&](int p, int v, Floats sum) {
                    sum += load_floats(bias + v * LANES);
                    store_floats(out.of(p) + v * LANES, last ? sum : sum > 0 ? sum : net.slope * sum);
                });
            }
        }
    }

    // Adds the weights' gradients to `sums` and returns the gradient of the tile's input. `work` holds the tile's activations, `upper`
    // [point][stride()] the gradient of its output; `upper` and `lower` are overwritten, `skipped` [TILE][inputs] if there is a skip.
    Rows backward(float* work, float* upper, float* lower, float* skipped, float* sums, bool to_input) const {
        for (int l = net.layers - 1; l >= 0; --l) {
            const Layer& layer = layers[l];
            const Rows in = {work + layer.input, stride(layer.ins)}, gradient = {upper, stride()}, next = {lower, stride()};
            outer(gradient, layer.outs, in, layer.in_vectors, sums + layer.back);
            for (int v = 0; v < layer.out_vectors; ++v) {
                Floats sum = {};
                for (int p = 0; p < TILE; ++p) sum += load_floats(gradient.of(p) + v * LANES);
                add_floats(sums + back.size() + layer.bias + v * LANES, sum);
            }
            if (l == 0 && !to_input) break;
            const bool activated = l > 0;
            multiply(gradient, layer.outs, &back[layer.back], layer.in_vectors, [&](int p, int v, Floats sum) {
                if (activated && l != net.skip) sum = load_floats(in.of(p) + v * LANES) > 0 ? sum : net.slope * sum;
                store_floats(next.of(p) + v * LANES, sum);
            });
            if (l == net.skip && l > 0)
                for (int p = 0; p < TILE; ++p) {
                    std::memcpy(skipped + p * net.widths[0], next.of(p) + net.widths[l], sizeof(float) * net.widths[0]);
                    for (int i = 0; i < net.widths[l]; ++i) next.of(p)[i] *= in.of(p)[i] > 0 ? 1.0f : net.slope;
                }
            std::swap(upper, lower);
        }
        const Rows gradient = {upper, stride()};
        for (int p = 0; to_input && net.skip > 0 && p < TILE; ++p)
            for (int i = 0; i < net.widths[0]; ++i) gradient.of(p)[i] += skipped[p * net.widths[0] + i];
        return gradient;
    }

    // Floats between the rows of a gradient.
    int64_t stride() const { return widest; }

    // The gradient of all weights, layer by layer, from `number` sums, one after the other.
    void collect(const float* sums, int number, float* gradient) const {
        for (const Layer& layer : layers) {
            for (int o = 0; o < layer.outs; ++o)
                for (int i = 0; i < layer.ins; ++i) *gradient++ = total(sums + layer.back + ((int64_t)o * layer.in_vectors * LANES + i), number);
            for (int o = 0; o < layer.outs; ++o) *gradient++ = total(sums + back.size() + layer.bias + o, number);
        }
    }

private:
    struct Layer {
        int ins, outs, out_vectors, in_vectors;
        int64_t on, back, bias, input;  // first floats of its matrices, its biases and its input in a tile's activations
    };

    // A vector more than whole vectors, since what is written before the last feature of a row may reach beyond it.
    static int64_t stride(int features) { return padded_to_lanes(features) + LANES; }

    float total(const float* first, int number) const {
        float sum = 0;
        for (int n = 0; n < number; ++n) sum += first[n * sums_size()];
        return sum;
    }

    const Network net;
    std::vector<Layer> layers;
    std::vector<float> on, back, biases;
    int64_t activations = 0, result = 0, widest = 0;
};
