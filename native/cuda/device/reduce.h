// reduce.h — first file of this folder, the vocabulary that kernels share: device code of more than one
// kernel file, built from the wrappers in cuda/ptx and nothing lower. Here: operations, and reductions over a
// warp or a block in an order that depends on the shape alone, whose result every thread gets, the same bits
// in each.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "cuda/ptx/math.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/target.h"
#include "cuda/ptx/warp.h"

namespace anneal::cuda {

constexpr float kInfinity = __builtin_huge_valf();

// Operations. Each is commutative to the last bit, so that both lanes of an exchange agree; identity<N>()
// leaves every value as it is.
struct Sum {
  template <typename N>
  static constexpr ANNEAL_DEVICE N identity() {
    return N{0};
  }
  template <typename N>
  ANNEAL_DEVICE N operator()(N a, N b) const {
    if constexpr (std::is_same_v<N, int32_t>)
      return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
    else
      return a + b;
  }
};

struct Product {
  template <typename N>
  static constexpr ANNEAL_DEVICE N identity() {
    return N{1};
  }
  template <typename N>
  ANNEAL_DEVICE N operator()(N a, N b) const {
    return a * b;
  }
};

// The larger one, NaN if either is.
struct Maximum {
  template <typename N>
  static constexpr ANNEAL_DEVICE N identity() {
    if constexpr (std::is_same_v<N, int32_t>)
      return INT32_MIN;
    else
      return -kInfinity;
  }
  ANNEAL_DEVICE float operator()(float a, float b) const { return maxNan(a, b); }
  ANNEAL_DEVICE int32_t operator()(int32_t a, int32_t b) const { return a > b ? a : b; }
};

// The smaller one, NaN if either is.
struct Minimum {
  template <typename N>
  static constexpr ANNEAL_DEVICE N identity() {
    if constexpr (std::is_same_v<N, int32_t>)
      return INT32_MAX;
    else
      return kInfinity;
  }
  ANNEAL_DEVICE float operator()(float a, float b) const { return minNan(a, b); }
  ANNEAL_DEVICE int32_t operator()(int32_t a, int32_t b) const { return a < b ? a : b; }
};

// A value and where it stands; an index of INT32_MAX is nothing yet.
struct Extreme {
  float value;
  int32_t index;
};
constexpr Extreme kNoExtreme{-kInfinity, INT32_MAX};

// The larger value (negate both for the smaller), the lowest index on ties; a NaN comes before all.
struct ArgMaximum {
  ANNEAL_DEVICE Extreme operator()(Extreme a, Extreme b) const {
    const bool aNan = a.value != a.value, bNan = b.value != b.value;
    const bool tie = (a.value == b.value) | (aNan & bNan);
    const bool first = tie ? a.index < b.index : aNan | (!bNan & (a.value > b.value));
    return first ? a : b;
  }
};

// A word that orders like the number: −0 and +0 are equal, every NaN is the largest.
ANNEAL_DEVICE uint32_t orderOf(float x) {
  if (x != x) return ~0u;
  const uint32_t bits = asBits(x + 0.0f);
  return bits ^ (bits >> 31 != 0 ? ~0u : 0x80000000u);
}

// Σ eˣ over some numbers as sum·e^top, top the largest of them; nothing is {−∞, 0}, one number {x, 1}.
struct LogSum {
  float top;
  float sum;
};
constexpr LogSum kNoLogSum{-kInfinity, 0.0f};

struct AddLogSum {
  ANNEAL_DEVICE LogSum operator()(LogSum a, LogSum b) const {
    const bool first = a.top >= b.top;
    const float top = maxNan(a.top, b.top), low = first ? b.top : a.top;
    // Equal tops, infinite ones among them, need no factor.
    const float factor = low == top ? 1.0f : exp2Approx((low - top) * kLog2e);
    return {top, fmaf(first ? b.sum : a.sum, factor, first ? a.sum : b.sum)};
  }
};

// ln Σ eˣ; −∞ for nothing.
ANNEAL_DEVICE float logOf(LogSum s) { return s.top + logf(s.sum); }

// shuffleXor for any type of whole 4-byte words.
template <typename T>
ANNEAL_DEVICE T exchange(T value, unsigned distance, uint32_t mask = kAllLanes) {
  if constexpr (std::is_arithmetic_v<T>) {
    return shuffleXor(value, distance, mask);
  } else {
    static_assert(sizeof(T) % 4 == 0);
    struct Words {
      uint32_t word[sizeof(T) / 4];
    };
    Words words = __builtin_bit_cast(Words, value);
    for (unsigned i = 0; i < sizeof(T) / 4; ++i) words.word[i] = shuffleXor(words.word[i], distance, mask);
    return __builtin_bit_cast(T, words);
  }
}

// op over the 32 values of the warp, or over each run of `lanes` of them (a power of two). Each lane of the
// warp calls it.
template <typename T, typename Op>
ANNEAL_DEVICE T warpReduce(T value, Op op, unsigned lanes = kWarpSize) {
  for (unsigned distance = lanes / 2; distance > 0; distance /= 2)
    value = op(value, exchange(value, distance));
  return value;
}

// op over the values of the block, whose size is a multiple of 32. scratch: kWarpSize values in shared
// memory, free for other use (or the next reduction) on return. Each thread of the block calls it; two
// barriers.
template <typename T, typename Op>
ANNEAL_DEVICE T blockReduce(T value, Op op, T identity, T* scratch) {
  value = warpReduce(value, op);
  const unsigned warps = blockDim.x / kWarpSize;
  if (warps == 1) return value;
  if (laneId() == 0) scratch[warpId()] = value;
  syncThreads();
  value = warpReduce(laneId() < warps ? scratch[laneId()] : identity, op);
  syncThreads();
  return value;
}

}  // namespace anneal::cuda
