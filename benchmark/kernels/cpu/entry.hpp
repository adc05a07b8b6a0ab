// How a kernel is entered from outside, and left when something goes wrong: no exception crosses into Python, which would end the process.
//
//     SEED_ENTRY seed_name(arguments) try {
//         ...
//         return SEED_DONE;
//     } SEED_CATCH
//
// Exceptions must not leave a parallel region either: what a region needs is allocated before it (PerThread), or a task of it is guarded.
#pragma once
#include <algorithm>
#include <cstddef>
#include <exception>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

enum SeedStatus { SEED_DONE = 0, SEED_NO_MEMORY = 1, SEED_FAILED = 2 };

// Keeps the words of the exception that is being handled for seed_error, on this thread; returns its status.
int seed_failure() noexcept;

#define SEED_ENTRY extern "C" int
#define SEED_CATCH catch (...) { return seed_failure(); }

inline int thread_number() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

inline int most_threads() {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

// Keeps an exception of a task inside of a parallel region, and throws it behind the region.
class Guard {
public:
    template <class Task>
    void run(Task task) noexcept {
        try {
            task();
        } catch (...) {
#pragma omp critical(seed_guard)
            if (!caught) caught = std::current_exception();
        }
    }

    void rethrow() const {
        if (caught) std::rethrow_exception(caught);
    }

private:
    std::exception_ptr caught;
};

// Room for `count` numbers for each thread of the parallel regions that follow, taken before they begin.
template <class Number>
class PerThread {
public:
    explicit PerThread(size_t count, Number value = {}) : count(count) {
        const size_t lines = (count * sizeof(Number) + LINE - 1) / LINE + 1;  // no two threads share a cache line
        stride = lines * LINE / sizeof(Number);
        numbers.assign(stride * most_threads(), value);
    }

    // Those of the thread that asks.
    Number* mine() { return numbers.data() + stride * thread_number(); }

    // The same, each `value`.
    Number* filled(Number value) {
        Number* own = mine();
        std::fill(own, own + count, value);
        return own;
    }

private:
    static constexpr size_t LINE = 64;  // [bytes]
    size_t count, stride;
    std::vector<Number> numbers;
};
