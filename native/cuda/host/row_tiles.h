// row_tiles.h — how a matrix of packed elements ("items") is cut for blocks of threads that take one item
// each, without a division per thread.
#pragma once

#include <bit>
#include <cstdint>

namespace anneal::cuda {

// Block b covers rows (b / columnBlocks)·down … and items (b % columnBlocks)·across …, across = 2^acrossLog;
// thread t of it stands at row t / across and item t % across of that tile.
struct RowTiles {
  unsigned acrossLog, down;  // across·down = threads of a block
  unsigned columnBlocks, blocks;
};

// The tile of `threads` threads (a power of two, at least 32) that leaves fewest of them idle beyond the ends
// of rows; the widest of equals. No blocks where there is nothing to do.
inline RowTiles rowTiles(int64_t rows, int64_t items, unsigned threads) {
  if (rows <= 0 || items <= 0) return {0, threads, 1, 0};
  unsigned across = threads;
  int64_t covered = INT64_MAX;
  for (unsigned width = threads; width > 0; width /= 2) {
    const int64_t columns = (items + width - 1) / width * width;
    if (columns < covered) {
      covered = columns;
      across = width;
    }
    // Below a warp's width only rows that are shorter still gain from it.
    if (width <= 32 && width < items) break;
  }
  const int64_t down = threads / across;
  const int64_t columnBlocks = (items + across - 1) / across;
  return {static_cast<unsigned>(std::countr_zero(across)), static_cast<unsigned>(down),
          static_cast<unsigned>(columnBlocks),
          static_cast<unsigned>(columnBlocks * ((rows + down - 1) / down))};
}

// Whether every pointer is a multiple of 16 bytes; null is.
template <typename... P>
inline bool aligned16(const P*... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) | ... | uintptr_t{0}) & 15u) == 0;
}

}  // namespace anneal::cuda
