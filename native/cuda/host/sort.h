// sort.h — how the radix sort cuts keys into digits and positions into blocks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/host/rows.h"

namespace anneal::cuda {

constexpr unsigned kSortThreads = 256;
constexpr unsigned kSortWarps = kSortThreads / 32;

struct SortPlan {
  int passes;     // digits of a key
  int digitBits;  // at most 8
  int64_t tile;   // positions of a block, each warp has an equal piece
  int64_t blocks;
  size_t countBytes;  // scratch: a counter for each digit and block
};

// n pairs with keys below `keys` (at most 2³²).
constexpr SortPlan planSort(int64_t n, int64_t keys) {
  constexpr int64_t kTile = 2048, kMostBlocks = 128;
  int bits = 1;
  while (bits < 32 && (int64_t{1} << bits) < keys) ++bits;
  const int passes = (bits + 7) / 8, digitBits = (bits + passes - 1) / passes;
  const int64_t tile = divideUp(std::max<int64_t>(1, divideUp(n, kMostBlocks)), kTile) * kTile;
  const int64_t blocks = divideUp(n, tile);
  return {passes, digitBits, tile, blocks, static_cast<size_t>(blocks << digitBits) * sizeof(uint32_t)};
}

}  // namespace anneal::cuda
