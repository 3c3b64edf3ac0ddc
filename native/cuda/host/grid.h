// grid.h — how many blocks a kernel gets that walks over its data with a grid stride.
#pragma once

#include <algorithm>
#include <cstdint>

namespace anneal::cuda {

// Blocks for `items` items, one a thread and iteration: enough to give each multiprocessor 2,048 threads,
// never more than there is work for; 0 when there is none.
inline unsigned gridFor(int64_t items, unsigned threads, int64_t processors) {
  const int64_t needed = (items + threads - 1) / threads;
  return static_cast<unsigned>(std::min<int64_t>(needed, processors * (2048 / threads)));
}

}  // namespace anneal::cuda
