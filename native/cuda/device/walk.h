// walk.h — from the number of a vector to the places of its operands (host/loops.h).
#pragma once

#include "cuda/host/loops.h"
#include "cuda/ptx/target.h"

namespace anneal::cuda {

// Offsets, in elements, of the operands at vector `item`.
template <int kOperands>
struct Places {
  int64_t at[kOperands];
};

template <int kOperands>
ANNEAL_DEVICE Places<kOperands> placesOf(const Walk<kOperands>& walk, int64_t item) {
  Places<kOperands> places{};
  int64_t rest = item;
  const int last = static_cast<int>(walk.ndim) - 1;
#pragma unroll 1
  for (int d = 0; d < last; ++d) {
    const int64_t outer = quotient(rest, walk.size[d]);
    const int64_t index = rest - outer * walk.size[d].divisor;
#pragma unroll
    for (int o = 0; o < kOperands; ++o) places.at[o] += index * walk.stride[o][d];
    rest = outer;
  }
#pragma unroll
  for (int o = 0; o < kOperands; ++o) places.at[o] += rest * walk.stride[o][last];
  return places;
}

// How many elements of vector `item` exist.
template <int N, int kOperands>
ANNEAL_DEVICE int64_t validLanes(const Walk<kOperands>& walk, int64_t item) {
  const int64_t left = walk.count - item * N;
  return left < N ? left : N;
}

}  // namespace anneal::cuda
