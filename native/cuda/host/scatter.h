// scatter.h — how scatterAdd keeps the order of its additions: a thread owns a line (o, i) and walks along j,
// or, where lines are few and long, the sources are sorted by place.
#pragma once

#include <cstdint>

namespace anneal::cuda {

// Lines that keep the device busy, and a walk shorter than the launches of a sort.
constexpr int64_t kScatterLines = 16384, kScatterWalk = 64;

// [outer, m, inner] sources into [outer, n, inner]. Sorting needs 32-bit keys and positions.
constexpr bool scatterSorts(int64_t outer, int64_t n, int64_t m, int64_t inner) {
  const int64_t lines = outer * inner, most = int64_t{1} << 31;
  return lines < kScatterLines && m > kScatterWalk && lines * m < most && n < most / (lines > 0 ? lines : 1);
}

}  // namespace anneal::cuda
