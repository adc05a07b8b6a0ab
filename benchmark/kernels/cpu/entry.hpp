// Entry to a kernel from outside, and exit on an error: no exception crosses into Python, where it would end the process.
//
//     SEED_ENTRY seed_name(arguments) try {
//         ...
//         return SEED_DONE;
//     } SEED_CATCH
//
// Exceptions must not leave a parallel region either: allocate its memory before it (PerThread), or guard its tasks.
#pragma once
#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#ifdef _OPENMP
#include <omp.h>
#endif

enum SeedStatus { SEED_DONE = 0, SEED_NO_MEMORY = 1, SEED_FAILED = 2 };

// Keeps the message of the current exception for seed_error, on this thread; returns its status.
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

// Keeps an exception of a task inside a parallel region and throws it after the region.
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

// Space for `count` numbers per thread of the following parallel regions, allocated before they begin. It is uninitialised: an idle
// thread never touches its part.
template <class Number>
class PerThread {
public:
    explicit PerThread(size_t count) : count(count), stride((count * sizeof(Number) / LINE + 2) * LINE / sizeof(Number)) {
        numbers.reset(new Number[stride * most_threads()]);
    }

    // The numbers of the calling thread.
    Number* mine() const { return numbers.get() + stride * thread_number(); }

    // The numbers of the calling thread, each set to `value`.
    Number* filled(Number value) const {
        std::fill_n(mine(), count, value);
        return mine();
    }

private:
    static constexpr size_t LINE = 64;  // [bytes] minimum distance between the data of two threads
    const size_t count, stride;
    std::unique_ptr<Number[]> numbers;
};
