// A CUDA driver for machines without a GPU. Its kernels are those of kernels.cu, compiled for the CPU: a launch runs their threads on
// several of the CPU's at once, neighbours on different ones, with the very array of arguments that cuLaunchKernel gets.
#include <cstring>
#include <thread>
#include <tuple>
#include <vector>

struct Place {
    int x;
};
static thread_local Place blockIdx, threadIdx, blockDim;
#define __global__
#define SEED_CONCURRENT
#include "kernels.cu"

namespace {

constexpr unsigned WORKERS = 3;

enum Status { SUCCESS = 0, INVALID_VALUE = 1, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, NOT_FOUND = 500 };

struct Function {
    const char* name;
    void (*run)(unsigned blocks, unsigned threads, void** arguments);
    int count;
    size_t sizes[24];
};

template <class... Arguments>
struct Launch {
    template <void (*kernel)(Arguments...)>
    static void run(unsigned blocks, unsigned threads, void** arguments) {
        std::tuple<Arguments...> values;
        int next = 0;
        std::apply([&](auto&... value) { (std::memcpy(&value, arguments[next++], sizeof value), ...); }, values);
        const auto work = [&](unsigned first) {
            blockDim.x = (int)threads;
            for (unsigned block = blocks; block-- > 0;)
                for (unsigned thread = first; thread < threads; thread += WORKERS) {
                    blockIdx.x = (int)block, threadIdx.x = (int)thread;
                    std::apply(kernel, values);
                }
        };
        std::vector<std::thread> workers;
        for (unsigned first = 0; first < WORKERS; ++first) workers.emplace_back(work, first);
        for (std::thread& worker : workers) worker.join();
    }
};

template <auto kernel>
struct Entry;

template <class... Arguments, void (*kernel)(Arguments...)>
struct Entry<kernel> {
    static constexpr Function of(const char* name) {
        return {name, Launch<Arguments...>::template run<kernel>, sizeof...(Arguments), {sizeof(Arguments)...}};
    }
};

#define FUNCTION(name) Entry<name>::of(#name)
const Function FUNCTIONS[] = {
    FUNCTION(seed_project_rays), FUNCTION(seed_backproject_rays), FUNCTION(seed_clip_rays), FUNCTION(seed_march_count),
    FUNCTION(seed_march_fill), FUNCTION(seed_march_places), FUNCTION(seed_composite_sum), FUNCTION(seed_composite_sum_transpose),
    FUNCTION(seed_composite_max), FUNCTION(seed_composite_pick), FUNCTION(seed_composite_pick_transpose), FUNCTION(seed_fdk_backproject),
    FUNCTION(seed_hash_encode), FUNCTION(seed_hash_encode_backward), FUNCTION(seed_hash_encode_points), FUNCTION(seed_vm_encode),
    FUNCTION(seed_vm_encode_backward), FUNCTION(seed_vm_encode_points), FUNCTION(seed_vm_grid), FUNCTION(seed_vm_grid_to_plane), FUNCTION(seed_vm_grid_to_line),
    FUNCTION(seed_sum_rows), FUNCTION(seed_gaussian_project), FUNCTION(seed_gaussian_project_backward), FUNCTION(seed_gaussian_voxelise),
    FUNCTION(seed_gaussian_voxelise_backward), FUNCTION(seed_gaussian_peaks), FUNCTION(seed_gaussian_soft_peaks), FUNCTION(seed_gaussian_soften),
    FUNCTION(seed_gaussian_peaks_backward), FUNCTION(seed_gaussian_voxel_peaks), FUNCTION(seed_gaussian_soft_voxels),
    FUNCTION(seed_gaussian_soft_voxels_backward), FUNCTION(seed_gaussian_values), FUNCTION(seed_splat_sight), FUNCTION(seed_splat_keys), FUNCTION(seed_splat),
    FUNCTION(seed_splat_sums), FUNCTION(seed_splat_backward), FUNCTION(seed_tv_primal), FUNCTION(seed_tv_dual), FUNCTION(seed_tv_lengths),
};

int context = 0;                        // the only one has this address
thread_local int pushed = 0;

}  // namespace

extern "C" {

// The kernels there are: name n, nullptr after the last.
const char* emulated_name(int n) { return n < (int)(sizeof FUNCTIONS / sizeof *FUNCTIONS) ? FUNCTIONS[n].name : nullptr; }

int cuInit(unsigned) { return SUCCESS; }

int cuDeviceGet(int* device, int index) {
    *device = index;
    return index == 0 ? SUCCESS : INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(void** found, int) {
    *found = &context;
    return SUCCESS;
}

int cuCtxPushCurrent_v2(void* wanted) {
    if (wanted != &context) return INVALID_CONTEXT;
    ++pushed;
    return SUCCESS;
}

int cuCtxPopCurrent_v2(void**) {
    if (!pushed) return INVALID_CONTEXT;
    --pushed;
    return SUCCESS;
}

int cuModuleLoadData(void** module, const void* image) {
    if (!pushed) return INVALID_CONTEXT;
    *module = &context;
    return std::memcmp(image, "\x7f" "ELF", 4) ? INVALID_IMAGE : SUCCESS;
}

int cuModuleGetFunction(const void** function, void*, const char* name) {
    if (!pushed) return INVALID_CONTEXT;
    for (const Function& known : FUNCTIONS)
        if (!std::strcmp(known.name, name)) {
            *function = &known;
            return SUCCESS;
        }
    return NOT_FOUND;
}

int cuFuncGetParamInfo(const Function* function, size_t index, size_t* offset, size_t* size) {
    if (index >= (size_t)function->count) return INVALID_VALUE;
    *offset = 0;
    *size = function->sizes[index];
    return SUCCESS;
}

int cuLaunchKernel(const Function* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned, void*, void** arguments, void** extra) {
    if (!pushed) return INVALID_CONTEXT;
    if (!grid_x || grid_x > 0x7fffffffu || !block_x || block_x > 1024 || grid_y * grid_z * block_y * block_z != 1 || extra)
        return INVALID_VALUE;
    function->run(grid_x, block_x, arguments);
    return SUCCESS;
}

int cuGetErrorName(int status, const char** name) {
    *name = status == INVALID_IMAGE ? "CUDA_ERROR_INVALID_IMAGE" : status == NOT_FOUND ? "CUDA_ERROR_NOT_FOUND" : "CUDA_ERROR_OTHER";
    return SUCCESS;
}

int cuGetErrorString(int, const char** text) {
    *text = "as emulated";
    return SUCCESS;
}

}  // extern "C"
