// gemm_panels.h — the vectors and the packed panels of the matrix product (kernels/gemm_kernel.cc): operands
// become f32 panels in the order in which the register tile reads them; bf16 is widened on the way.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "cpu/bf16.h"
#include "cpu/isa.h"

ANNEAL_CPU_NAMESPACE_BEGIN
namespace panels {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 14;  // 28 sums, 2 columns of b, 1 broadcast of a: 31 of 32 registers
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRows = 6;  // 12 + 2 + 1 of 16 registers
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRows = 12;
#else
constexpr int kLanes = 4, kRows = 6;
#endif
constexpr int kVectors = 2;                  // vectors across a tile
constexpr int kColumns = kLanes * kVectors;  // columns of a tile
// Most of k that one pass takes: a panel of a and one of b stay in the nearest caches.
constexpr int64_t kDepth = 384;
// Between packed rows of a: a multiple of 1 KiB would crowd few sets of the cache.
constexpr int64_t kRowStride = kDepth + 16;

typedef float Vec __attribute__((vector_size(kLanes * sizeof(float))));
typedef uint16_t HalfBits __attribute__((vector_size(kLanes * sizeof(uint16_t))));
typedef uint32_t WordBits __attribute__((vector_size(kLanes * sizeof(uint32_t))));

inline Vec load(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
inline Vec load(const bf16* from) {
  HalfBits bits;
  std::memcpy(&bits, from, sizeof(bits));
  return (Vec)(__builtin_convertvector(bits, WordBits) << 16);
}
inline void store(float* to, Vec v) { std::memcpy(to, &v, sizeof(v)); }

template <size_t... kIndex, typename V>
inline auto joined(V x, V y, std::index_sequence<kIndex...>) {
  return __builtin_shufflevector(x, y, kIndex...);
}
template <typename V>
inline auto join(V x, V y) {
  return joined(x, y, std::make_index_sequence<2 * sizeof(V) / sizeof(x[0])>{});
}

// Four consecutive elements of each of the rows 0, 4, 8, … of a matrix, one after another.
template <typename T>
inline Vec loadFours(const T* from, int64_t stride) {
  typedef std::conditional_t<std::is_same_v<T, bf16>, uint16_t, float> Bits;
  typedef Bits Four __attribute__((vector_size(4 * sizeof(Bits))));
  Four four[kLanes / 4];
  for (int i = 0; i < kLanes / 4; ++i) std::memcpy(&four[i], from + 4 * i * stride, sizeof(Four));
  const auto widen = [](auto bits) {
    if constexpr (std::is_same_v<T, bf16>) {
      return (Vec)(__builtin_convertvector(bits, WordBits) << 16);
    } else {
      return bits;
    }
  };
  if constexpr (kLanes == 16) return widen(join(join(four[0], four[1]), join(four[2], four[3])));
  if constexpr (kLanes == 8) return widen(join(four[0], four[1]));
  if constexpr (kLanes == 4) return widen(four[0]);
}

// Per group of four lanes: {x0, y0, x1, y1} or {x2, y2, x3, y3} for kPair = 1; {x0, x1, y0, y1} or {x2, x3,
// y2, y3} for kPair = 2.
template <int kPair, int kHigh, size_t... kIndex>
inline Vec zipped(Vec x, Vec y, std::index_sequence<kIndex...>) {
  return __builtin_shufflevector(x, y,
                                 (kIndex / 4 * 4 + 2 * kHigh + (kPair == 1 ? kIndex % 4 / 2 : kIndex % 2) +
                                  kLanes * (kPair == 1 ? kIndex % 2 : kIndex % 4 / 2))...);
}
template <int kPair, int kHigh>
inline Vec zip(Vec x, Vec y) {
  return zipped<kPair, kHigh>(x, y, std::make_index_sequence<kLanes>{});
}

// a stored [k, m] → panels [depth][kRows], kRows·kRowStride apart, the last one padded with zeros; `readable`
// ≥ rows columns of a may be read.
template <typename T>
inline void packInterleaved(const T* a, int64_t lda, int64_t rows, int64_t readable, int64_t depth,
                            float* to) {
  constexpr int64_t kStep = 16;  // rows of the source of which all panels take their part in turn
  for (int64_t pBegin = 0; pBegin < depth; pBegin += kStep) {
    const int64_t pEnd = std::min(pBegin + kStep, depth);
    for (int64_t i = 0; i < rows; i += kRows) {
      const T* from = a + i;
      float* panel = to + i * kRowStride;
      int64_t p = pBegin;
      if (kRows <= kLanes && readable - i >= kLanes) {
        // Whole vectors: what they write past kRows belongs to the next p, which comes later, or to the gap
        // after the panel.
        for (; p < pEnd; ++p) store(panel + p * kRows, load(from + p * lda));
      }
      for (; p < pEnd; ++p) {
        for (int64_t r = 0; r < kRows; ++r)
          panel[p * kRows + r] = i + r < rows ? toFloat(from[p * lda + r]) : 0.0f;
      }
    }
  }
}

// a stored [m, k] → rows kRowStride apart, then a row of zeros where the number of rows is odd.
template <typename T>
inline void packRows(const T* a, int64_t lda, int64_t rows, int64_t depth, float* to) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* from = a + i * lda;
    float* row = to + i * kRowStride;
    int64_t p = 0;
    for (; p + kLanes <= depth; p += kLanes) store(row + p, load(from + p));
    for (; p < depth; ++p) row[p] = toFloat(from[p]);
  }
  if (rows % 2 != 0) std::fill_n(to + rows * kRowStride, depth, 0.0f);
}

// b stored [k, n] → [depth][kColumns], padded with zeros.
template <typename T>
inline void packColumns(const T* b, int64_t ldb, int64_t depth, int64_t columns, float* to) {
  for (int64_t p = 0; p < depth; ++p) {
    const T* from = b + p * ldb;
    float* at = to + p * kColumns;
    if (columns == kColumns) {
      for (int v = 0; v < kVectors; ++v) store(at + v * kLanes, load(from + v * kLanes));
    } else {
      for (int64_t c = 0; c < kColumns; ++c) at[c] = c < columns ? toFloat(from[c]) : 0.0f;
    }
  }
}

// b stored [n, k] → the same panel.
template <typename T>
inline void packTransposed(const T* b, int64_t ldb, int64_t depth, int64_t columns, float* to) {
  for (int64_t j = 0; j < kColumns; j += kLanes) {
    const int64_t count = std::clamp<int64_t>(columns - j, 0, kLanes);
    const T* from = b + j * ldb;
    float* at = to + j;
    int64_t p = 0;
    if (count == kLanes) {
      // kLanes rows × 4 columns at a time: 4 × 4 transposes side by side.
      for (; p + 4 <= depth; p += 4) {
        if (p % 16 == 0) {
          // That many streams at once are beyond the hardware prefetcher.
          for (int r = 0; r < kLanes; ++r) __builtin_prefetch(from + r * ldb + p + 64);
        }
        const Vec r0 = loadFours(from + p, ldb), r1 = loadFours(from + ldb + p, ldb);
        const Vec r2 = loadFours(from + 2 * ldb + p, ldb), r3 = loadFours(from + 3 * ldb + p, ldb);
        const Vec low01 = zip<1, 0>(r0, r1), high01 = zip<1, 1>(r0, r1);
        const Vec low23 = zip<1, 0>(r2, r3), high23 = zip<1, 1>(r2, r3);
        store(at + p * kColumns, zip<2, 0>(low01, low23));
        store(at + (p + 1) * kColumns, zip<2, 1>(low01, low23));
        store(at + (p + 2) * kColumns, zip<2, 0>(high01, high23));
        store(at + (p + 3) * kColumns, zip<2, 1>(high01, high23));
      }
    }
    for (; p < depth; ++p) {
      for (int64_t c = 0; c < kLanes; ++c)
        at[p * kColumns + c] = c < count ? toFloat(from[c * ldb + p]) : 0.0f;
    }
  }
}

}  // namespace panels
ANNEAL_CPU_NAMESPACE_END
