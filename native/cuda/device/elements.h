// elements.h — how a thread meets elements: N at a time in one access where alignment allows, the next ones
// already on their way while it works on these.
#pragma once

#include <type_traits>

#include "cuda/host/loops.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/target.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

// N elements of T (f32, bf16 or an integer) in as few registers as they fill, 16 bytes at most; N a power of
// two.
template <typename T, int N>
struct Pack {
  static constexpr int kBytes = sizeof(T) * N;
  static constexpr int kPerWord = sizeof(T) < 4 ? 4 / sizeof(T) : 1;
  static_assert(kBytes <= 16);
  using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>;
  uint32_t word[(kBytes + 3) / 4];

  // i is a constant after unrolling.
  ANNEAL_DEVICE T get(int i) const {
    if constexpr (sizeof(T) == 8) {
      return static_cast<T>(uint64_t{word[2 * i + 1]} << 32 | word[2 * i]);
    } else if constexpr (std::is_same_v<T, float>) {
      return asFloat(word[i]);
    } else if constexpr (sizeof(T) == 4) {
      return static_cast<T>(word[i]);
    } else {
      const uint32_t bits = word[i / kPerWord] >> (8 * sizeof(T) * (i % kPerWord));
      return T{static_cast<Bits>(bits)};
    }
  }

  // Each element is set once, in ascending order.
  ANNEAL_DEVICE void set(int i, T value) {
    if constexpr (sizeof(T) == 8) {
      word[2 * i] = static_cast<uint32_t>(value);
      word[2 * i + 1] = static_cast<uint32_t>(static_cast<uint64_t>(value) >> 32);
    } else if constexpr (std::is_same_v<T, float>) {
      word[i] = asBits(value);
    } else if constexpr (sizeof(T) == 4) {
      word[i] = static_cast<uint32_t>(value);
    } else {
      uint32_t bits;
      if constexpr (std::is_same_v<T, bf16>)
        bits = value.bits;
      else
        bits = value;
      if (i % kPerWord == 0)
        word[i / kPerWord] = bits;
      else
        word[i / kPerWord] |= bits << (8 * sizeof(T) * (i % kPerWord));
    }
  }
};

// The elements from x on, of which the first `valid` (1 to N) exist; the others are 0.
template <int N, typename T>
ANNEAL_DEVICE Pack<T, N> readPack(const T* x, Access access, int64_t step, int64_t valid) {
  using P = Pack<T, N>;
  using Words = Vec < uint32_t, P::kBytes<4 ? 1 : P::kBytes / 4>;
  P pack;
  if constexpr (P::kBytes >= 4) {
    if (access != Access::kStepped && valid == N) {
      if constexpr (P::kBytes == 16) {
        if (access == Access::kWhole) return __builtin_bit_cast(P, loadOnce<Words>(x));
      }
      return __builtin_bit_cast(P, load<Words>(x));
    }
  }
  if (step == 0) {
    const T value = *x;
#pragma unroll
    for (int i = 0; i < N; ++i) pack.set(i, value);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) pack.set(i, i < valid ? x[i * step] : T{});
  }
  return pack;
}

// The first `valid` elements to y on.
template <int N, typename T>
ANNEAL_DEVICE void writePack(T* y, const Pack<T, N>& pack, Access access, int64_t step, int64_t valid) {
  using P = Pack<T, N>;
  if constexpr (P::kBytes >= 4) {
    if (access != Access::kStepped && valid == N)
      return store(y, __builtin_bit_cast(Vec<uint32_t, P::kBytes / 4>, pack));
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (i < valid) y[i * step] = pack.get(i);
  }
}

// The pack number `index` of a contiguous tensor of n elements. aligned: its pointer is a multiple of a
// pack's size.
template <int N, typename T>
ANNEAL_DEVICE Pack<T, N> readPack(const T* x, int64_t index, int64_t n, bool aligned) {
  const int64_t first = index * N, valid = n - first < N ? n - first : N;
  return readPack<N>(x + first, aligned ? Access::kWhole : Access::kStepped, 1, valid);
}
template <int N, typename T>
ANNEAL_DEVICE void writePack(T* y, int64_t index, const Pack<T, N>& pack, int64_t n, bool aligned) {
  const int64_t first = index * N, valid = n - first < N ? n - first : N;
  writePack<N>(y + first, pack, aligned ? Access::kWhole : Access::kStepped, 1, valid);
}

// The elements as numbers to compute with: X is float for f32 and bf16, else T.
template <int N, typename T, typename X>
ANNEAL_DEVICE void numbers(const Pack<T, N>& pack, X (&out)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if constexpr (std::is_same_v<T, bf16>)
      out[i] = asFloat(i % 2 == 0 ? pack.word[i / 2] << 16 : pack.word[i / 2] & 0xffff0000u);
    else
      out[i] = pack.get(i);
  }
}

// Numbers as elements, rounded once to bf16.
template <typename T, typename X, int N>
ANNEAL_DEVICE Pack<T, N> packOf(const X (&values)[N]) {
  Pack<T, N> pack;
  if constexpr (std::is_same_v<T, bf16> && N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) pack.word[i] = packBf16(values[2 * i], values[2 * i + 1]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if constexpr (std::is_same_v<T, bf16>)
        pack.set(i, toBf16(values[i]));
      else
        pack.set(i, values[i]);
    }
  }
  return pack;
}

// The block's share of `items` (Chunks): calls load(i) for each item of this thread and then finish(i, what
// it gave), the load of the next item before the finish of this one.
template <typename Load, typename Finish>
ANNEAL_DEVICE void pipeline(int64_t items, int64_t span, const Load& load, const Finish& finish) {
  const int64_t begin = int64_t{blockIdx.x} * span;
  const int64_t end = begin + span < items ? begin + span : items;
  int64_t i = begin + threadIdx.x;
  if (i >= end) return;
  auto current = load(i);
  while (true) {
    const int64_t next = i + blockDim.x;
    auto ahead = current;
    if (next < end) ahead = load(next);
    finish(i, current);
    if (next >= end) return;
    current = ahead;
    i = next;
  }
}

}  // namespace anneal::cuda
