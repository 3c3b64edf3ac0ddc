// row_group.h — a group of threads of one block that works on one row: part of a warp, or whole warps that
// meet at a named barrier of their own, so that groups of a block need not wait for each other.
#pragma once

#include "cuda/ptx/sync.h"
#include "cuda/ptx/target.h"
#include "cuda/ptx/warp.h"

namespace anneal::cuda {

// Sums that a group makes at a time, at most.
constexpr int kGroupSums = 2;
// Bytes of shared memory for the sums of a block's groups.
constexpr size_t kGroupScratch = 2 * kWarpSize * kGroupSums * sizeof(float);

struct RowGroup {
  unsigned threads;  // a power of two; all groups of a block are alike
  unsigned lane;     // of this thread in the group
  unsigned index;    // of the group in the block
  float* scratch;    // kGroupScratch bytes, shared by all groups
  unsigned turn;     // sums so far, modulo 2

  ANNEAL_DEVICE RowGroup(unsigned size, float* shared)
      : threads(size), lane(threadIdx.x & (size - 1)), index(threadIdx.x / size), scratch(shared), turn(0) {}

  // Sums each value over the group, in an order that depends on its size alone; every thread gets the same
  // bits. Each thread of the group calls it and, where groups are smaller than a warp, of the warp. One
  // barrier: the two halves of the scratch take turns, and nobody is two turns ahead.
  template <int N>
  ANNEAL_DEVICE void sum(float (&value)[N]) {
    static_assert(N <= kGroupSums);
    for (unsigned distance = (threads < kWarpSize ? threads : kWarpSize) / 2; distance > 0; distance /= 2) {
#pragma unroll
      for (int i = 0; i < N; ++i) value[i] += shuffleXor(value[i], distance);
    }
    if (threads <= kWarpSize) return;
    const unsigned warps = threads / kWarpSize;
    float* slots = scratch + (turn * kWarpSize + index * warps) * kGroupSums;
    turn ^= 1;
    if (laneId() == 0) {
#pragma unroll
      for (int i = 0; i < N; ++i) slots[(lane / kWarpSize) * kGroupSums + i] = value[i];
    }
    namedBarrierSync(1 + index, threads);
#pragma unroll
    for (int i = 0; i < N; ++i) value[i] = 0.0f;
    for (unsigned warp = 0; warp < warps; ++warp) {
#pragma unroll
      for (int i = 0; i < N; ++i) value[i] += slots[warp * kGroupSums + i];
    }
  }
};

}  // namespace anneal::cuda
