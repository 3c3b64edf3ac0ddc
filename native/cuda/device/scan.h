// scan.h — running sums over a warp or a block, in an order that depends on the shape alone.
#pragma once

#include <cstdint>

#include "cuda/device/reduce.h"

namespace anneal::cuda {

// The sum of the values of the lanes up to this one, in each run of `lanes` (a power of two up to 32).
template <typename T>
ANNEAL_DEVICE T warpScan(T value, unsigned lanes = kWarpSize) {
  const unsigned lane = laneId() % lanes;
  for (unsigned distance = 1; distance < lanes; distance *= 2) {
    const T below = shuffleUp(value, distance);
    if (lane >= distance) value = Sum{}(below, value);
  }
  return value;
}

template <typename T>
struct Scanned {
  T before;  // sum of the values of the threads below this one
  T total;   // sum of all
};

// Over the block, whose size is a multiple of 32, or each run of `lanes` threads where lanes <= 32. scratch:
// kWarpSize values in shared memory, free for other use on return. Each thread of the block calls it.
template <typename T>
ANNEAL_DEVICE Scanned<T> groupScan(T value, unsigned lanes, T* scratch) {
  const unsigned width = lanes < kWarpSize ? lanes : kWarpSize;
  const T inclusive = warpScan(value, width);
  const T left = shuffleUp(inclusive, 1);
  T before = laneId() % width == 0 ? T{0} : left;
  T total = shuffle(inclusive, laneId() / width * width + width - 1);
  if (lanes > kWarpSize) {
    if (laneId() == 0) scratch[warpId()] = total;
    syncThreads();
    T lower{0};
    total = T{0};
    for (unsigned w = 0; w < lanes / kWarpSize; ++w) {
      if (w == warpId()) lower = total;
      total = Sum{}(total, scratch[w]);
    }
    before = Sum{}(lower, before);
    syncThreads();
  }
  return {before, total};
}

}  // namespace anneal::cuda
