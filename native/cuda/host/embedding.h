// embedding.h — how rows of a table are shared out: threads a row, and sorted positions a chunk.
#pragma once

#include <cstdint>

#include "cuda/host/rows.h"

namespace anneal::cuda {

constexpr unsigned kEmbeddingThreads = 256;

// Threads that share a row of `units` accesses, each with up to `each` of them: a power of two up to the
// block.
constexpr unsigned embeddingLanes(int64_t units, int64_t each) {
  return powerOfTwo(divideUp(units, each), kEmbeddingThreads);
}

// Positions in the sorted order that one thread sums: few enough to fill the device, many enough that the
// partial sums of runs across chunks stay a small part of the traffic.
constexpr int64_t embeddingChunk(int64_t tokens) { return tokens >= 16384 ? 64 : 16; }

}  // namespace anneal::cuda
