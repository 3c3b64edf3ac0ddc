// sample.h — the block that draws from one row of logits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/host/rows.h"

namespace anneal::cuda {

constexpr unsigned kSampleMostThreads = 512;
constexpr unsigned kSampleBins = 16;    // digits of a selection pass: 4 bits
constexpr unsigned kSamplePieces = 32;  // pieces that a range of ids is cut into while a draw is located

// Enough threads that each sees about 16 tokens: a power of two.
constexpr unsigned sampleThreads(int64_t vocab) {
  return std::max(32u, powerOfTwo(divideUp(vocab, 16), kSampleMostThreads));
}

// Shared bytes: sums of the block, and with top-k or top-p a row of bins for each thread.
constexpr size_t sampleShared(unsigned threads, bool selects) {
  return (2 * kSamplePieces + (selects ? size_t{kSampleBins} * threads : 0)) * sizeof(double);
}

}  // namespace anneal::cuda
