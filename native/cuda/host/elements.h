// elements.h — how work on contiguous elements is cut for a grid, and what a pointer allows.
#pragma once

#include <algorithm>
#include <cstdint>

namespace anneal::cuda {

// Threads of a block in kernels that work element by element.
constexpr unsigned kElementThreads = 256;

// Block b does the items [b·span, (b + 1)·span); span is a multiple of the threads of a block.
struct Chunks {
  unsigned blocks;
  int64_t span;
};

// One item a thread until each multiprocessor has 2,048 threads, then up to 4, so that the loads of a thread
// overlap. The grid is not limited to what is resident: late blocks even out the multiprocessors.
inline Chunks chunksFor(int64_t items, int64_t processors) {
  const int64_t each = std::clamp<int64_t>(items / (processors * 2048), 1, 4);
  const int64_t span = each * kElementThreads;
  return {static_cast<unsigned>((items + span - 1) / span), span};
}

inline bool alignedTo(const void* pointer, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(bytes) == 0;
}

}  // namespace anneal::cuda
