// parallel.h — how CPU kernels share work between threads. Results must not depend on the number of threads:
// sums run over blocks of a fixed size (never "one block per thread"), and the blocks' partial sums are added
// in order. What a body throws (out of scratch memory) reaches the caller, never the runtime's terminate.
#pragma once

#include <omp.h>

#include <cstdint>
#include <exception>

#include "cpu/isa.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// Work below this many elementary operations is not worth waking the team for (about 2 µs of one core).
constexpr int64_t kParallelGrain = 16384;

// Runs body() and remembers the first exception of a team.
template <typename Body>
inline void guarded(std::exception_ptr& failure, const Body& body) {
  try {
    body();
  } catch (...) {
#pragma omp critical(anneal_failure)
    if (!failure) failure = std::current_exception();
  }
}

// Calls body(begin, end) on consecutive ranges that cover [0, n), in parallel when n·cost is large. cost:
// elementary operations per item.
template <typename Body>
inline void parallelFor(int64_t n, int64_t cost, const Body& body) {
  if (n <= 0) return;
  const int64_t threads = omp_get_max_threads();
  if (threads == 1 || n == 1 || n * cost < kParallelGrain || omp_in_parallel()) {
    body(int64_t{0}, n);
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel
  {
    const int64_t team = omp_get_num_threads(), rank = omp_get_thread_num();
    const int64_t begin = n * rank / team, end = n * (rank + 1) / team;
    if (begin < end) guarded(failure, [&] { body(begin, end); });
  }
  if (failure) std::rethrow_exception(failure);
}

// Calls body(item) for every item of [0, n), items handed out one by one: for items of unequal cost
// (attention blocks, experts).
template <typename Body>
inline void parallelDynamic(int64_t n, const Body& body) {
  if (n <= 0) return;
  if (n == 1 || omp_get_max_threads() == 1 || omp_in_parallel()) {
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < n; ++i) guarded(failure, [&] { body(i); });
  if (failure) std::rethrow_exception(failure);
}

ANNEAL_CPU_NAMESPACE_END
