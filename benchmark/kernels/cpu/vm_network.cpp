// A network on vector-matrix features at voxels: network(vm_grid(planes, lines)), and its gradients, without the features in memory.
// Runs of voxels, the tensors and the network are those of seed_vm_grid and seed_mlp; the runs are sorted by z, y and x.
//
// A task owns whole slices z, so that it alone adds to the gradients of the planes (z, y) and (z, x) and of line z. Others are summed over
// the tasks, whose number is fixed: gradients do not depend on the number of threads.
#include "network.hpp"

namespace {

constexpr int TASKS = 16;

// Tensors [place][channel], channels padded to whole vectors.
struct Tensors {
    Tensors(const int* shape, int channels, int copies_of_shared)
        : nz(shape[0]), ny(shape[1]), nx(shape[2]), channels(channels), vectors(padded_to_lanes(channels) / LANES), width(vectors * LANES),
          yx(sized(ny * nx * copies_of_shared)), zy(sized(nz * ny)), zx(sized(nz * nx)), z(sized(nz)), x(sized(nx * copies_of_shared)),
          y(sized(ny * copies_of_shared)) {}

    // Calls move(tensor of the caller [channels][places], places, ours [copies][places][width]) for all six.
    template <class Float, class Move>
    void each(Float* const* planes, Float* const* lines, Move move) {
        move(planes[0], ny * nx, yx);
        move(planes[1], nz * ny, zy);
        move(planes[2], nz * nx, zx);
        move(lines[0], nz, z);
        move(lines[1], nx, x);
        move(lines[2], ny, y);
    }

    const int64_t nz, ny, nx;
    const int channels, vectors, width;
    std::vector<float> yx, zy, zx, z, x, y;

private:
    std::vector<float> sized(int64_t places) const { return std::vector<float>(places * width, 0.0f); }
};

struct Segment {            // voxels of one run within a tile
    int64_t z, y, x;
    int first, count;       // points of the tile
};

// The voxels of runs first_run .. end - 1 in tiles.
class Tiles {
public:
    Tiles(const int64_t* runs, int64_t first_run, int64_t end) : run(runs + 5 * first_run), end(runs + 5 * end) {}

    // Advances to the next tile; returns false if there is none.
    bool next() {
        segments.clear();
        for (size = 0; size < TILE && run < end;) {
            const int count = (int)std::min<int64_t>(TILE - size, run[3] - taken);
            if (!size) voxel = run[4] + taken;
            if (count) segments.push_back({run[0], run[1], run[2] + taken, size, count});
            size += count;
            taken += count;
            if (taken == run[3]) {
                run += 5;
                taken = 0;
            }
        }
        return size > 0;
    }

    std::vector<Segment> segments;
    int size = 0;           // points of this tile
    int64_t voxel = 0;      // the first of them

private:
    const int64_t *run, *const end;
    int64_t taken = 0;      // voxels of the run before this tile
};

// Room for the segments of a tile must exist before a parallel region begins; a segment has a voxel or more.
std::vector<Tiles> tiles_of(const int64_t* runs, const std::vector<int64_t>& starts) {
    std::vector<Tiles> out;
    for (int task = 0; task < TASKS; ++task) {
        out.emplace_back(runs, starts[task], starts[task + 1]);
        out.back().segments.reserve(TILE);
    }
    return out;
}

// The first run of each task, and their number: whole slices, about as many voxels in each.
std::vector<int64_t> first_runs(const int64_t* runs, int64_t count, int64_t voxels) {
    std::vector<int64_t> starts(TASKS + 1, count);
    int task = 0;
    for (int64_t r = 0; r < count; ++r) {
        if (r && runs[5 * r] == runs[5 * (r - 1)]) continue;
        while (task < TASKS && runs[5 * r + 4] * TASKS >= voxels * task) starts[task++] = r;
    }
    return starts;
}

// Writes the features of a tile's points into rows: plane times line, pair after pair.
void load_features(const Tensors& t, const std::vector<Segment>& segments, const Rows& rows) {
    for (const Segment& s : segments)
        for (int pair = 0; pair < 3; ++pair)  // what a pair writes beyond its channels, the next one overwrites
            for (int v = 0; v < t.width; v += LANES) {
                const float* plane = pair == 0 ? &t.yx[(s.y * t.nx + s.x) * t.width + v] : &t.zx[(s.z * t.nx + s.x) * t.width + v];
                const float* values = pair == 1 ? &t.x[s.x * t.width + v] : plane;
                const float* one = pair == 0   ? &t.z[s.z * t.width + v]
                                   : pair == 1 ? &t.zy[(s.z * t.ny + s.y) * t.width + v]
                                               : &t.y[s.y * t.width + v];
                const Floats factor = load_floats(one);
                float* out = rows.of(s.first) + pair * t.channels + v;
                for (int i = 0; i < s.count; ++i) store_floats(out + i * rows.stride, load_floats(values + i * t.width) * factor);
            }
}

// The transpose: adds to the gradients `to` what rows, the gradients of the features, say. `task` has its own copy of what tasks share.
void add_features(const Tensors& t, const std::vector<Segment>& segments, const Rows& rows, int task, Tensors& to) {
    for (const Segment& s : segments)
        for (int pair = 0; pair < 3; ++pair)
            for (int v = 0; v < t.width; v += LANES) {
                const int64_t yx = (s.y * t.nx + s.x) * t.width + v, zx = (s.z * t.nx + s.x) * t.width + v, x = s.x * t.width + v;
                const int64_t zy = (s.z * t.ny + s.y) * t.width + v, z = s.z * t.width + v, y = s.y * t.width + v;
                const float* values = pair == 0 ? &t.yx[yx] : pair == 1 ? &t.x[x] : &t.zx[zx];
                float* sums = pair == 0   ? &to.yx[task * t.ny * t.nx * t.width + yx]
                              : pair == 1 ? &to.x[task * t.nx * t.width + x]
                                          : &to.zx[zx];
                const Floats factor = load_floats(pair == 0 ? &t.z[z] : pair == 1 ? &t.zy[zy] : &t.y[y]);
                const float* gradient = rows.of(s.first) + pair * t.channels + v;
                Floats sum = {};
                for (int i = 0; i < s.count; ++i) {
                    const Floats g = load_floats(gradient + i * rows.stride);
                    sum += g * load_floats(values + i * t.width);
                    add_floats(sums + i * t.width, g * factor);
                }
                add_floats(pair == 0 ? &to.z[z] : pair == 1 ? &to.zy[zy] : &to.y[task * t.ny * t.width + y], sum);
            }
}

Tensors load_tensors(const int* shape, int channels, const float* const* planes, const float* const* lines) {
    Tensors out(shape, channels, 1);
    out.each(planes, lines, [&](const float* from, int64_t places, std::vector<float>& to) {
#pragma omp parallel for schedule(static)
        for (int64_t p = 0; p < places; ++p)
            for (int c = 0; c < channels; ++c) to[p * out.width + c] = from[c * places + p];
    });
    return out;
}

void store_tensors(Tensors& sums, float* const* planes, float* const* lines) {
    sums.each(planes, lines, [&](float* to, int64_t places, const std::vector<float>& from) {
        const int copies = (int)(from.size() / (places * sums.width));
#pragma omp parallel for schedule(static)
        for (int64_t p = 0; p < places; ++p)
            for (int v = 0; v < sums.width; v += LANES) {
                Floats sum = {};
                for (int copy = 0; copy < copies; ++copy) sum += load_floats(&from[(copy * places + p) * sums.width + v]);
                for (int c = v; c < std::min(sums.channels, v + LANES); ++c) to[c * places + p] = sum[c - v];
            }
    });
}

void check_inputs(const Network& net, int64_t parameters, int channels) {
    net.check(parameters);
    if (net.widths[0] == 3 * channels) return;
    throw std::invalid_argument("expected " + std::to_string(3 * channels) + " inputs of the network, found " + std::to_string(net.widths[0]));
}

}  // namespace

// out[outputs][voxels]
SEED_ENTRY seed_vm_network(int nz, int ny, int nx, int channels, const int64_t* runs, int64_t count, int64_t voxels,
                           const float* const* planes, const float* const* lines, const int* widths, int layers, int skip, float slope,
                           const float* weights, int64_t parameters, float* out) try {
    const Network net{widths, layers, skip, slope};
    check_inputs(net, parameters, channels);
    const int shape[3] = {nz, ny, nx};
    const Tensors tensors = load_tensors(shape, channels, planes, lines);
    const Layers network(net, weights);
    std::vector<Tiles> tiles = tiles_of(runs, first_runs(runs, count, voxels));
    PerThread<float> works(network.work_size());
#pragma omp parallel
    {
        float* const work = works.filled(0.0f);
#pragma omp for schedule(dynamic, 1)
        for (int task = 0; task < TASKS; ++task)
            for (Tiles& tile = tiles[task]; tile.next();) {
                load_features(tensors, tile.segments, network.input(work));
                network.forward(work);
                for (int o = 0; o < net.outputs(); ++o)
                    for (int p = 0; p < tile.size; ++p) out[o * voxels + tile.voxel + p] = network.output(work).of(p)[o];
            }
    }
    return SEED_DONE;
} SEED_CATCH

SEED_ENTRY seed_vm_network_backward(int nz, int ny, int nx, int channels, const int64_t* runs, int64_t count, int64_t voxels,
                                    const float* const* planes, const float* const* lines, const int* widths, int layers, int skip,
                                    float slope, const float* weights, int64_t parameters, const float* out_gradient,
                                    float* const* plane_gradients, float* const* line_gradients, float* weight_gradient) try {
    const Network net{widths, layers, skip, slope};
    check_inputs(net, parameters, channels);
    const int shape[3] = {nz, ny, nx};
    const Tensors tensors = load_tensors(shape, channels, planes, lines);
    Tensors to(shape, channels, TASKS);
    const Layers network(net, weights);
    std::vector<Tiles> tiles = tiles_of(runs, first_runs(runs, count, voxels));
    std::vector<float> sums(TASKS * network.sums_size(), 0.0f);
    PerThread<float> works(network.work_size()), uppers(network.gradient_size()), lowers(network.gradient_size());
    PerThread<float> skips((int64_t)widths[0] * TILE);
#pragma omp parallel
    {
        float *const work = works.filled(0.0f), *const upper = uppers.filled(0.0f), *const lower = lowers.filled(0.0f);
#pragma omp for schedule(dynamic, 1)
        for (int task = 0; task < TASKS; ++task)
            for (Tiles& tile = tiles[task]; tile.next();) {
                load_features(tensors, tile.segments, network.input(work));
                network.forward(work);
                for (int p = 0; p < TILE; ++p)
                    for (int o = 0; o < net.outputs(); ++o)
                        upper[p * network.stride() + o] = p < tile.size ? out_gradient[o * voxels + tile.voxel + p] : 0.0f;
                const Rows gradient = network.backward(work, upper, lower, skips.mine(), &sums[task * network.sums_size()], true);
                add_features(tensors, tile.segments, gradient, task, to);
            }
    }
    store_tensors(to, plane_gradients, line_gradients);
    network.collect(sums.data(), TASKS, weight_gradient);
    return SEED_DONE;
} SEED_CATCH
