// strides.h — walks broadcast tensors row by row: dimensions that lie one after the other in every operand
// are joined, so that most calls become one long row, or rows against a row.
#pragma once

#include <cstdint>

#include "core/backend.h"
#include "core/kernels/elementwise.h"
#include "cpu/parallel.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// The joined loops over `shape` for kOperands strided inputs and one contiguous output.
template <int kOperands>
struct Loops {
  int64_t ndim = 0;  // after joining; at least 1
  int64_t size[kMaxDims] = {1};
  int64_t stride[kOperands][kMaxDims] = {};
  int64_t rows = 1;  // product of all sizes but the last

  Loops(int64_t dims, const int64_t* shape, const int64_t* const* strides) {
    for (int64_t d = 0; d < dims; ++d) {
      if (shape[d] == 1) continue;
      bool joins = ndim > 0;
      for (int o = 0; o < kOperands && joins; ++o) joins = stride[o][ndim - 1] == strides[o][d] * shape[d];
      if (joins) {
        size[ndim - 1] *= shape[d];
      } else {
        size[ndim++] = shape[d];
      }
      for (int o = 0; o < kOperands; ++o) stride[o][ndim - 1] = strides[o][d];
    }
    if (ndim == 0) ndim = 1;
    for (int64_t d = 0; d + 1 < ndim; ++d) rows *= size[d];
  }

  int64_t inner() const { return size[ndim - 1]; }
  int64_t innerStride(int operand) const { return stride[operand][ndim - 1]; }
};

// A long row is cut into pieces of this many elements, which are shared between threads.
constexpr int64_t kRowPiece = 4096;

// Calls body(offsets of the operands, offset of the output, length) for every row, or piece of a long row, in
// parallel. cost: elementary operations per element.
template <int kOperands, typename Body>
inline void forEachRow(const Loops<kOperands>& loops, int64_t cost, const Body& body) {
  const int64_t inner = loops.inner();
  const int64_t pieces = (inner + kRowPiece - 1) / kRowPiece;
  const int64_t pieceCost = cost * (pieces > 1 ? kRowPiece : inner);
  parallelFor(loops.rows * pieces, pieceCost, [&](int64_t begin, int64_t end) {
    int64_t index[kMaxDims] = {}, base[kOperands] = {}, row = begin / pieces, piece = begin % pieces;
    int64_t rest = row;
    for (int64_t d = loops.ndim - 2; d >= 0; --d) {
      index[d] = rest % loops.size[d];
      rest /= loops.size[d];
      for (int o = 0; o < kOperands; ++o) base[o] += index[d] * loops.stride[o][d];
    }
    for (int64_t task = begin; task < end; ++task) {
      const int64_t from = piece * kRowPiece;
      int64_t at[kOperands];
      for (int o = 0; o < kOperands; ++o) at[o] = base[o] + from * loops.innerStride(o);
      body(at, row * inner + from, inner - from < kRowPiece ? inner - from : kRowPiece);
      if (++piece < pieces) continue;
      piece = 0;
      ++row;
      for (int64_t d = loops.ndim - 2; d >= 0; --d) {
        for (int o = 0; o < kOperands; ++o) base[o] += loops.stride[o][d];
        if (++index[d] < loops.size[d]) break;
        for (int o = 0; o < kOperands; ++o) base[o] -= index[d] * loops.stride[o][d];
        index[d] = 0;
      }
    }
  });
}

inline int failDims(KernelContext* context, const char* kernel, int64_t ndim) {
  return fail(context, "%s: expected 0 to %d dimensions, got %lld", kernel, static_cast<int>(kMaxDims),
              static_cast<long long>(ndim));
}

ANNEAL_CPU_NAMESPACE_END
