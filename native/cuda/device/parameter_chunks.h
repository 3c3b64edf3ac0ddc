// parameter_chunks.h — how blocks walk over all tensors of an optimizer's table. The table lies on the device
// and the host does not know its sizes: a first launch (kernels/parameter_plan.h) writes at which chunk each
// tensor begins, and the blocks of the second find the tensor of a chunk by binary search. Chunks are those
// of the CPU backend, because they number the random bits; work goes out in quarters of them, so that the
// last round of blocks is short.
#pragma once

#include "core/kernels/optimizer.h"
#include "cuda/ptx/target.h"

namespace anneal::cuda {

constexpr int64_t kChunk = 16384;  // elements
constexpr int kSpansPerChunk = 4;
constexpr int kSpan = static_cast<int>(kChunk) / kSpansPerChunk;
// Numbers of chunks and spans are 32-bit: 2^29 chunks are more parameters than memory holds.

// Consecutive elements of one tensor, at most kSpan of them.
struct Span {
  int entry;       // of the table
  int64_t first;   // element of the tensor
  int64_t number;  // the same element, counted through all chunks of the table
  int count;       // <= 0 where the tensor ends before the span begins
};

// starts: [entries + 1], chunk at which each tensor begins, and their number. `entry` is a tensor that does
// not begin after the span.
ANNEAL_DEVICE Span spanOf(const ParameterEntry* table, const int32_t* starts, int entries, int span,
                          int entry) {
  const int chunk = span / kSpansPerChunk;
  // Most often the same tensor as before.
  int end = chunk < starts[entry + 1] ? entry + 1 : entries;
  while (end - entry > 1) {
    const int middle = (entry + end) / 2;
    if (starts[middle] <= chunk)
      entry = middle;
    else
      end = middle;
  }
  const int inChunk = (span % kSpansPerChunk) * kSpan;
  const int64_t first = (chunk - starts[entry]) * kChunk + inChunk, left = table[entry].count - first;
  return {entry, first, chunk * kChunk + inChunk, static_cast<int>(left < kSpan ? left : kSpan)};
}

// Calls body(span) for this block's spans: every gridDim.x-th of all, so that what the blocks work on at a
// time lies close together in memory.
template <typename Body>
ANNEAL_DEVICE void forEachSpan(const ParameterEntry* table, const int32_t* starts, int entries,
                               const Body& body) {
  const int spans = starts[entries] * kSpansPerChunk;
  int entry = 0;
  for (int s = static_cast<int>(blockIdx.x); s < spans; s += static_cast<int>(gridDim.x)) {
    const Span span = spanOf(table, starts, entries, s, entry);
    entry = span.entry;
    if (span.count > 0) body(span);
  }
}

}  // namespace anneal::cuda
