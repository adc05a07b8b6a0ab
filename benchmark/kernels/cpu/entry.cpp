// Common to all kernels: error messages and the number of threads.
#include "entry.hpp"
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>

namespace {

thread_local char words[256] = "";

int noted(SeedStatus status, const char* text) noexcept {
    std::snprintf(words, sizeof words, "%s", text);
    return status;
}

}  // namespace

int seed_failure() noexcept {
    try {
        throw;
    } catch (const std::bad_alloc& error) {
        return noted(SEED_NO_MEMORY, error.what());
    } catch (const std::length_error& error) {  // more than any memory holds
        return noted(SEED_NO_MEMORY, error.what());
    } catch (const std::exception& error) {
        return noted(SEED_FAILED, error.what());
    } catch (...) {
        return noted(SEED_FAILED, "an exception without words");
    }
}

// Message of the last failed kernel of this thread.
extern "C" const char* seed_error() { return words; }

SEED_ENTRY seed_set_threads(int threads) try {
#ifdef _OPENMP
    omp_set_num_threads(threads);
#else
    (void)threads;
#endif
    return SEED_DONE;
} SEED_CATCH
