// loops.h — loops over strided tensors: dimensions that lie one after the other in every operand are joined,
// the innermost loop is cut into vectors, and division by a loop's size becomes a multiplication.
#pragma once

#include <cstdint>

#include "core/backend.h"

namespace anneal::cuda {

// How the elements of one vector are reached.
enum class Access : int32_t {
  kStepped,  // one by one, equally far apart; distance 0 repeats one element
  kWhole,    // one access for all, of memory that is not used again
  kShared    // one access for all, of memory that other vectors use too
};

// Nested loops, the innermost first; at least one. Strides in elements.
template <int kOperands>
struct Loops {
  int ndim = 0;
  int64_t size[kMaxDims] = {1};
  int64_t stride[kOperands][kMaxDims] = {};

  int64_t count() const {
    int64_t product = 1;
    for (int d = 0; d < ndim; ++d) product *= size[d];
    return product;
  }
};

// The loops over shape[0 … ndim), outermost first as tensors have them, joined. A loop of one element is
// dropped.
template <int kOperands>
Loops<kOperands> joinLoops(int64_t ndim, const int64_t* shape, const int64_t* const (&strides)[kOperands]) {
  Loops<kOperands> loops;
  for (int64_t d = ndim - 1; d >= 0; --d) {
    if (shape[d] == 1) continue;
    const int last = loops.ndim - 1;
    bool joins = last >= 0;
    for (int o = 0; o < kOperands && joins; ++o)
      joins = strides[o][d] == loops.stride[o][last] * loops.size[last];
    if (joins) {
      loops.size[last] *= shape[d];
      continue;
    }
    loops.size[loops.ndim] = shape[d];
    for (int o = 0; o < kOperands; ++o) loops.stride[o][loops.ndim] = strides[o][d];
    ++loops.ndim;
  }
  if (loops.ndim == 0) {
    loops.ndim = 1;
    for (int o = 0; o < kOperands; ++o) loops.stride[o][0] = 1;
  }
  return loops;
}

// Takes loop d out, for kernels that treat it on their own.
template <int kOperands>
void removeLoop(Loops<kOperands>& loops, int d) {
  --loops.ndim;
  for (; d < loops.ndim; ++d) {
    loops.size[d] = loops.size[d + 1];
    for (int o = 0; o < kOperands; ++o) loops.stride[o][d] = loops.stride[o][d + 1];
  }
}

// Whether the innermost loop can run in vectors of `lanes` elements: they end where it ends, or it is the
// only loop.
template <int kOperands>
bool splitsInto(const Loops<kOperands>& loops, int64_t lanes) {
  return loops.ndim == 1 || loops.size[0] % lanes == 0;
}

// How vectors of `lanes` elements of an operand are reached: in one access where they are contiguous and all
// begin at multiples of their size.
template <int kOperands>
Access accessOf(const Loops<kOperands>& loops, int operand, const void* pointer, int64_t elementBytes,
                int64_t lanes) {
  const int64_t* stride = loops.stride[operand];
  bool whole = stride[0] == 1 && reinterpret_cast<uintptr_t>(pointer) % (elementBytes * lanes) == 0;
  bool shared = false;
  for (int d = 1; d < loops.ndim; ++d) {
    whole = whole && stride[d] % lanes == 0;
    shared = shared || stride[d] == 0;
  }
  return !whole ? Access::kStepped : shared ? Access::kShared : Access::kWhole;
}

// n/divisor = (high word of n·factor + n) >> shift for 0 <= n < 2⁶³ (Granlund and Montgomery, "Division by
// invariant integers using multiplication", PLDI 1994, figure 4.1).
struct Divisor {
  int64_t divisor;
  uint64_t factor;
  int64_t shift;
};

// divisor: 1 to 2⁶².
inline Divisor divisorOf(int64_t divisor) {
  int64_t shift = 0;
  while ((int64_t{1} << shift) < divisor) ++shift;
  const auto wide = static_cast<unsigned __int128>((int64_t{1} << shift) - divisor) << 64;
  return {divisor, static_cast<uint64_t>(wide / static_cast<uint64_t>(divisor)) + 1, shift};
}

// n/by for 0 <= n < 2⁶³, for the host and, being constexpr, for kernels.
constexpr int64_t quotient(int64_t n, const Divisor& by) {
  const auto wide = static_cast<uint64_t>(n);
  const auto high = static_cast<uint64_t>((static_cast<unsigned __int128>(wide) * by.factor) >> 64);
  return static_cast<int64_t>((high + wide) >> by.shift);
}

// Loops as a kernel takes them: numbered vectors of `lanes` elements of the innermost loop.
template <int kOperands>
struct Walk {
  int64_t items = 0;  // vectors in all
  int64_t count = 0;  // elements in all; only a single loop may end inside a vector
  int64_t ndim = 0;
  Divisor size[kMaxDims] = {};               // of the innermost loop in vectors
  int64_t stride[kOperands][kMaxDims] = {};  // of the innermost loop from vector to vector
  int64_t step[kOperands] = {};              // from element to element of a vector
};

// loops without elements give a walk without items.
template <int kOperands>
Walk<kOperands> walkOf(const Loops<kOperands>& loops, int64_t lanes) {
  Walk<kOperands> walk;
  walk.count = loops.count();
  if (walk.count == 0) return walk;
  walk.ndim = loops.ndim;
  walk.items = 1;
  for (int d = 0; d < loops.ndim; ++d) {
    const int64_t size = d == 0 ? (loops.size[0] + lanes - 1) / lanes : loops.size[d];
    walk.items *= size;
    walk.size[d] = divisorOf(size);
    for (int o = 0; o < kOperands; ++o) walk.stride[o][d] = loops.stride[o][d] * (d == 0 ? lanes : 1);
  }
  for (int o = 0; o < kOperands; ++o) walk.step[o] = loops.stride[o][0];
  return walk;
}

inline int failDims(KernelContext* context, const char* kernel, int64_t ndim) {
  return fail(context, "%s: expected 0 to %d dimensions, got %lld", kernel, static_cast<int>(kMaxDims),
              static_cast<long long>(ndim));
}

}  // namespace anneal::cuda
