// elements.h — loops over elements: how a range is cut for threads, and sums in a fixed order that
// vectorizes.
#pragma once

#include <cstdint>

#include "cpu/bf16.h"
#include "cpu/parallel.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// Threads get ranges that start at multiples of this, so that each element is computed by the same
// instructions (body or remainder of a vectorized loop) for any number of threads, and no two threads write
// one cache line.
constexpr int64_t kElementBlock = 64;

// Calls body(begin, end) on ranges that cover [0, n) and start at multiples of kElementBlock; cost:
// operations an element.
template <typename Body>
inline void parallelElements(int64_t n, int64_t cost, const Body& body) {
  const int64_t blocks = (n + kElementBlock - 1) / kElementBlock;
  parallelFor(blocks, cost * kElementBlock, [&](int64_t begin, int64_t end) {
    body(begin * kElementBlock, end * kElementBlock < n ? end * kElementBlock : n);
  });
}

// Width of the sums below: four vectors of AVX-512, enough to hide the latency of an addition.
constexpr int64_t kPartials = 64;

// Folds 64 lanes into one: halves are combined until one is left.
template <typename Number, typename Combine>
ANNEAL_INLINE Number foldLanes(Number* lanes, const Combine& combine) {
  for (int64_t width = kPartials / 2; width > 0; width /= 2) {
    for (int64_t lane = 0; lane < width; ++lane) lanes[lane] = combine(lanes[lane], lanes[lane + width]);
  }
  return lanes[0];
}

// combine over value(0) … value(n − 1) in 64 lanes: lane l takes the values l, l + 64, …, then the lanes are
// folded. The order depends on n alone. `identity` must leave every value as it is.
template <typename Number, typename Value, typename Combine>
ANNEAL_INLINE Number laneFold(int64_t n, Number identity, const Value& value, const Combine& combine) {
  Number lanes[kPartials];
  for (int64_t lane = 0; lane < kPartials; ++lane) lanes[lane] = identity;
  int64_t i = 0;
  for (; i + kPartials <= n; i += kPartials) {
#pragma omp simd
    for (int64_t lane = 0; lane < kPartials; ++lane) lanes[lane] = combine(lanes[lane], value(i + lane));
  }
  const int64_t rest = n - i;
#pragma omp simd
  for (int64_t lane = 0; lane < rest; ++lane) lanes[lane] = combine(lanes[lane], value(i + lane));
  return foldLanes(lanes, combine);
}

// Σ value(i) over [0, n), see laneFold.
template <typename Value>
ANNEAL_INLINE float laneSum(int64_t n, const Value& value) {
  return laneFold(n, 0.0f, value, [](float a, float b) { return a + b; });
}

// The largest of two numbers, NaN if either is.
ANNEAL_INLINE float maxOrNan(float a, float b) { return (a != a || a > b) ? a : b; }
ANNEAL_INLINE float minOrNan(float a, float b) { return (a != a || a < b) ? a : b; }

ANNEAL_CPU_NAMESPACE_END
