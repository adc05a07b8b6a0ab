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
#include <memory>
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

// Room for `count` numbers for each thread of the parallel regions that follow, taken before they begin. It holds anything: a thread that
// has nothing to do never touches its own.
template <class Number>
class PerThread {
public:
    explicit PerThread(size_t count) : count(count), stride((count * sizeof(Number) / LINE + 2) * LINE / sizeof(Number)) {
        numbers.reset(new Number[stride * most_threads()]);
    }

    // Those of the thread that asks.
    Number* mine() const { return numbers.get() + stride * thread_number(); }

    // The same, each `value`.
    Number* filled(Number value) const {
        std::fill_n(mine(), count, value);
        return mine();
    }

private:
    static constexpr size_t LINE = 64;  // [bytes] between what two threads write, at least
    const size_t count, stride;
    std::unique_ptr<Number[]> numbers;
};
