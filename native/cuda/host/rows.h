// rows.h — how kernels along one axis of [outer, n, inner] share the work: threads a row, and pieces of the
// axis where there are too few rows to fill the device. Everything depends on the shape alone, so that sums
// have one order on every device.
#pragma once

#include <algorithm>
#include <cstdint>

namespace anneal::cuda {

constexpr unsigned kRowThreads = 256;     // threads of a block
constexpr int64_t kEnoughBlocks = 264;    // two for each of 132 multiprocessors
constexpr int64_t kSplitBlocks = 1056;    // what an axis is cut for: eight for each
constexpr int64_t kLaneVectors = 4;       // 16-byte vectors a lane takes before a row gets a whole block
constexpr int64_t kLongLaneVectors = 32;  // … where kManyRows warps fill the device
constexpr int64_t kManyRows = 8 * kEnoughBlocks;

constexpr int64_t divideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The least power of two that is >= n, at most `limit` (a power of two).
constexpr unsigned powerOfTwo(int64_t n, unsigned limit) {
  unsigned power = 1;
  while (power < n && power < limit) power *= 2;
  return power;
}

struct RowPlan {
  unsigned lanes;  // threads of a row: a power of two up to 32 (several rows a block), or the block
  unsigned rows;   // rows of a block
  int64_t splits;  // pieces of a row
  int64_t chunk;   // elements of a piece, the last may have fewer
};

// inner = 1. `vec` elements are 16 bytes.
constexpr RowPlan planRows(int64_t outer, int64_t n, int64_t vec) {
  const int64_t vectors = divideUp(n, vec);
  if (vectors <= 32 * kLaneVectors || (vectors <= 32 * kLongLaneVectors && outer >= kManyRows)) {
    const unsigned lanes = powerOfTwo(vectors, 32);
    return {lanes, kRowThreads / lanes, 1, n};
  }
  const int64_t least = 2 * kRowThreads * vec;
  const int64_t wanted = outer >= kEnoughBlocks || outer == 0 ? 1 : divideUp(kSplitBlocks, outer);
  const int64_t splits = std::min(wanted, divideUp(n, least));
  const int64_t chunk = divideUp(divideUp(n, splits), least) * least;
  return {kRowThreads, 1, divideUp(n, chunk), chunk};
}

struct ColumnPlan {
  unsigned across;  // threads along inner, each with `vec` columns
  unsigned along;   // threads along n
  int64_t tiles;    // blocks along inner
  int64_t splits;   // pieces of the axis
  int64_t chunk;    // positions of a piece
};

// inner > 1.
constexpr ColumnPlan planColumns(int64_t outer, int64_t n, int64_t inner, int64_t vec) {
  const unsigned few = powerOfTwo(divideUp(n, kLaneVectors), 8);
  const unsigned across = powerOfTwo(divideUp(inner, vec), kRowThreads / few);
  const unsigned along = std::max(few, powerOfTwo(divideUp(n, kLaneVectors), kRowThreads / across));
  const int64_t tiles = divideUp(inner, across * vec), blocks = outer * tiles;
  const int64_t least = along * kLaneVectors;
  const int64_t wanted = blocks >= kEnoughBlocks || blocks == 0 ? 1 : divideUp(kSplitBlocks, blocks);
  const int64_t splits = std::max<int64_t>(1, std::min(wanted, n / least));
  const int64_t chunk = std::max<int64_t>(1, divideUp(n, splits));
  return {across, along, tiles, std::max<int64_t>(1, divideUp(n, chunk)), chunk};
}

struct LinePlan {
  int64_t splits;  // pieces of the axis
  int64_t chunk;   // positions of a piece
};

// A thread to each piece of each of `lines` lines along the axis.
constexpr LinePlan planLines(int64_t lines, int64_t n) {
  constexpr int64_t kThreads = int64_t{1} << 17, kLeast = 32, kMost = 64;
  if (lines == 0 || n == 0) return {1, n};
  const int64_t wanted = std::min(divideUp(kThreads, lines), std::min(kMost, n / kLeast));
  const int64_t chunk = divideUp(n, std::max<int64_t>(1, wanted));
  return {divideUp(n, chunk), chunk};
}

}  // namespace anneal::cuda
