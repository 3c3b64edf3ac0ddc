// moe_plan.h — how the kernels of expert routing and dispatch share their work: warps of a block, chunks of
// tokens, tiles of the counting sort, threads of a row. Sums and places depend on the shape alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/host/rows.h"

namespace anneal::cuda {

constexpr unsigned kMoeThreads = 256;
constexpr unsigned kMoeWarps = kMoeThreads / 32;
constexpr int64_t kJoinItems = 32;  // columns of a block that joins partial sums
constexpr int64_t kJoinPieces = kMoeThreads / kJoinItems;

// Numbers of a row that each lane of a warp keeps in registers: the least of what there are kernels for that
// holds `experts`; 0: the row lies in shared memory.
constexpr int heldExperts(int64_t experts) {
  for (const int held : {2, 8, 16}) {
    if (experts <= 32 * held) return held;
  }
  return 0;
}

// n numbers of 4 bytes, in whole rows of a warp.
constexpr size_t warpRowBytes(int64_t n) { return static_cast<size_t>(divideUp(n, 32)) * 128; }

// Warps of a block that each need `bytes` of shared memory: as many as 96 KiB hold (so that the number is the
// same on every device), at least one; 0 where not even one fits into `limit`.
constexpr unsigned warpsOf(size_t bytes, int64_t limit) {
  constexpr size_t kRoom = 96 * 1024;
  if (bytes == 0) return kMoeWarps;
  if (static_cast<int64_t>(bytes) > limit) return 0;
  return static_cast<unsigned>(std::clamp<size_t>(kRoom / bytes, 1, kMoeWarps));
}

// Shared bytes of a warp that routes a token: choice keys (and scores) of a wide row; with groups the keys of
// every row, and those of the groups.
constexpr size_t routerBytes(int64_t experts, int64_t groups, bool limited) {
  const size_t row = warpRowBytes(experts), wide = heldExperts(experts) == 0 ? 2 * row : 0;
  return limited ? std::max(wide, row) + warpRowBytes(groups) : wide;
}

// Shared bytes of a warp that sums balance statistics: sums and counts; scores and keys of a wide row.
constexpr size_t balanceBytes(int64_t experts) {
  return (heldExperts(experts) == 0 ? 4 : 2) * warpRowBytes(experts);
}

// Tokens of one partial sum of the balance loss: about 512 blocks in all, a multiple of 32 tokens each.
constexpr int64_t balanceChunk(int64_t length, int64_t sequences) {
  const int64_t wanted = std::max<int64_t>(1, 512 / std::max<int64_t>(1, sequences));
  return std::max<int64_t>(1, divideUp(divideUp(length, wanted), 32)) * 32;
}

struct MoeSortPlan {
  unsigned warps;  // of a block; 0: the counters of a single warp do not fit
  unsigned bins;   // experts, and one bin for ids outside of them
  int bits;        // of a bin's number
  int64_t tile;    // choices of a block, each warp has an equal piece of whole 128
  int64_t blocks;  // at least 1
  size_t shared;   // bytes: a counter for each bin and warp, and 32 words
};

constexpr MoeSortPlan planMoeSort(int64_t rows, int64_t experts, int64_t sharedLimit) {
  constexpr int64_t kLeastPiece = 256, kMostBlocks = 264;
  const int64_t bins = experts + 1;
  int bits = 1;
  while ((int64_t{1} << bits) < bins) ++bits;
  const size_t counters = static_cast<size_t>(bins) * 4;
  const unsigned warps = warpsOf(counters, sharedLimit - 128);
  if (warps == 0) return {0, static_cast<unsigned>(bins), bits, 0, 0, 0};
  const int64_t least = warps * kLeastPiece;
  const int64_t tile = std::max<int64_t>(1, divideUp(divideUp(rows, kMostBlocks), least)) * least;
  return {warps,
          static_cast<unsigned>(bins),
          bits,
          tile,
          std::max<int64_t>(1, divideUp(rows, tile)),
          counters * warps + 128};
}

// Threads that share a row of `units` accesses, each with up to `each` of them in flight: a power of two up
// to `most`, fewer (down to a warp) where that leaves fewer of them idle at the end of the row.
constexpr unsigned moeLanes(int64_t units, int64_t each, unsigned most) {
  unsigned lanes = powerOfTwo(divideUp(units, each), most);
  while (lanes > 32 && divideUp(units, lanes / 2) * (lanes / 2) < divideUp(units, lanes) * lanes) lanes /= 2;
  return lanes;
}

}  // namespace anneal::cuda
