// norm_plan.h — how the rows of a normalisation are given to threads: a group of threads takes a row, whose
// items (16 bytes, or one element where rows do not allow that) it keeps in registers.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace anneal::cuda {

// Items of `lanes` elements that a thread keeps of a row: 16 elements, 8 where they are taken one by one.
// Half as many in the backward pass of LayerNorm, which sums up two gradients.
constexpr int normItems(int lanes, bool twoGradients = false) {
  return (lanes == 1 ? 8 : 16 / lanes) / (twoGradients ? 2 : 1);
}

struct NormPlan {
  unsigned group;    // threads of a row, a power of two from 8 on
  unsigned threads;  // of a block
  unsigned groups;   // of a block
};

// Items of `lanes` elements, of which a thread keeps `kept`. Groups are as small as keeps the row in
// registers, at most mostThreads; what a row has beyond that is read again from memory.
inline NormPlan normPlan(int64_t width, int lanes, int kept, unsigned mostThreads) {
  constexpr int64_t kLeastThreads = 256;
  const int64_t items = (width + lanes - 1) / lanes;
  const int64_t wanted = (items + kept - 1) / kept;
  const auto group = static_cast<unsigned>(
      std::bit_ceil(static_cast<uint64_t>(std::clamp<int64_t>(wanted, 8, int64_t{mostThreads}))));
  const auto threads = static_cast<unsigned>(std::max<int64_t>(group, kLeastThreads));
  return {group, threads, threads / group};
}

// Elements of a row that its group keeps in registers.
constexpr int64_t normKept(const NormPlan& plan, int lanes, int kept) {
  return int64_t{plan.group} * kept * lanes;
}

// Blocks of the backward kernel, each of which walks over many rows and leaves one partial sum of the
// weight's gradient: as many as run at a time, at least four rows a group.
inline int64_t normBackwardBlocks(const NormPlan& plan, int64_t rows, int64_t processors) {
  const int64_t resident = processors * (plan.threads <= 256 ? 2 : 1);
  const int64_t rowsPerBlock = int64_t{plan.groups} * 4;
  return std::clamp<int64_t>((rows + rowsPerBlock - 1) / rowsPerBlock, rows > 0 ? 1 : 0, resident);
}

}  // namespace anneal::cuda
