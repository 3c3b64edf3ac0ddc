// copy_plan.h — which way copyStrided moves its elements. Operand 0 of the loops is the source, operand 1 the
// destination.
#pragma once

#include <cstdint>

#include "core/kernels/elementwise.h"
#include "cuda/host/loops.h"

namespace anneal::cuda {

// The loops of a copy, joined, the destination's smallest stride innermost, so that neighbouring threads
// write neighbouring places.
inline Loops<2> copyLoops(const CopyStridedArgs& args) {
  int64_t shape[kMaxDims], src[kMaxDims], dst[kMaxDims];
  for (int64_t d = 0; d < args.ndim; ++d) {
    int64_t place = d;
    // A dimension of one element may have any stride; joinLoops drops it.
    for (; place > 0 && dst[place - 1] < args.dstStride[d]; --place) {
      shape[place] = shape[place - 1];
      src[place] = src[place - 1];
      dst[place] = dst[place - 1];
    }
    shape[place] = args.shape[d];
    src[place] = args.srcStride[d];
    dst[place] = args.dstStride[d];
  }
  return joinLoops<2>(args.ndim, shape, {src, dst});
}

// Whether source and destination are one run of elements each.
inline bool isOneRun(const Loops<2>& loops) {
  return loops.ndim == 1 && loops.stride[0][0] == 1 && loops.stride[1][0] == 1;
}

// Makes elements of `bytes` bytes into wider ones, of up to 8 bytes, where rows are contiguous in both
// tensors and every place is a multiple of them: rows that are no multiple of 16 bytes move in the largest
// pieces that fit. Gives the bytes of an element.
inline int64_t widen(Loops<2>& loops, const void* src, const void* dst, int64_t bytes) {
  const auto even = [&](int64_t wider) {
    const uintptr_t places = reinterpret_cast<uintptr_t>(src) | reinterpret_cast<uintptr_t>(dst);
    bool ok = places % static_cast<uintptr_t>(wider) == 0 && loops.size[0] * bytes % wider == 0;
    for (int d = 1; d < loops.ndim; ++d)
      ok = ok && loops.stride[0][d] * bytes % wider == 0 && loops.stride[1][d] * bytes % wider == 0;
    return ok;
  };
  if (loops.stride[0][0] != 1 || loops.stride[1][0] != 1) return bytes;
  while (bytes < 8 && even(2 * bytes)) {
    loops.size[0] /= 2;
    for (int d = 1; d < loops.ndim; ++d) {
      loops.stride[0][d] /= 2;
      loops.stride[1][d] /= 2;
    }
    bytes *= 2;
  }
  return bytes;
}

// The loop along which the source is contiguous while the destination is along the innermost one, or 0 where
// no tiles are due: both must have enough elements to fill a good part of a tile.
inline int transposedLoop(const Loops<2>& loops) {
  constexpr int64_t kLeast = 8;
  if (loops.stride[1][0] != 1 || loops.stride[0][0] <= 1 || loops.size[0] < kLeast) return 0;
  for (int d = 1; d < loops.ndim; ++d) {
    if (loops.stride[0][d] == 1 && loops.size[d] >= kLeast) return d;
  }
  return 0;
}

// dst[r, c] = src[c, r] in square tiles, for each index of the batch loops. Strides in elements.
struct Transpose {
  int64_t rows, columns;
  int64_t srcStride, dstStride;  // of c in src, of r in dst
  Divisor tiles;                 // of one matrix
  Divisor tileColumns;           // in a row of tiles
  Walk<2> batch;
};

// side: elements of a tile's side; rowLoop: from transposedLoop().
inline Transpose transposeOf(Loops<2> loops, int rowLoop, int64_t side) {
  Transpose plan{};
  plan.rows = loops.size[rowLoop];
  plan.columns = loops.size[0];
  plan.srcStride = loops.stride[0][0];
  plan.dstStride = loops.stride[1][rowLoop];
  removeLoop(loops, rowLoop);
  removeLoop(loops, 0);
  if (loops.ndim == 0) {
    loops.ndim = 1;
    loops.size[0] = 1;
  }
  plan.batch = walkOf(loops, 1);
  const int64_t across = (plan.columns + side - 1) / side;
  plan.tileColumns = divisorOf(across);
  plan.tiles = divisorOf(across * ((plan.rows + side - 1) / side));
  return plan;
}

}  // namespace anneal::cuda
