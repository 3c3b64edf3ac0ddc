// gemm_kernel.cc — the matrix product on one thread: operands are packed into panels of f32, bf16 widened on
// the way, and multiplied by a register tile of fused multiply-adds. After Goto & van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008). bf16 does not use the processor's own dot-product
// instruction: on Sapphire Rapids vdpbf16ps was measured at one in two cycles (16 multiply-adds a cycle)
// against two f32 vectors a cycle (32), so that widening is twice as fast and rounds nothing.
#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/dtype.h"
#include "cpu/bf16.h"
#include "cpu/gemm_block.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

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
constexpr int64_t kDepth =
    384;  // most of k that one pass takes: a panel of a and one of b stay in the nearest caches
constexpr int64_t kRowStride =
    kDepth + 16;  // between packed rows of a: a multiple of 1 KiB would crowd few cache sets
constexpr int64_t kBlockRows = 24 * kRows;  // rows of a packed at a time: 0.5 MB of the second-level cache
constexpr int64_t kBlockColumns = 64 * kColumns;
constexpr int64_t kWideColumns = 512;  // of bf16 results that need several passes: their sums wait in f32

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

// ---- packing
// ----------------------------------------------------------------------------------------------------------------

// a stored [m, k]: rows are copied one after another, kRowStride apart, then zero rows up to an even number.
template <typename T>
void packRows(const T* a, int64_t lda, int64_t rows, int64_t depth, float* to) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* from = a + i * lda;
    float* row = to + i * kRowStride;
    int64_t p = 0;
    for (; p + kLanes <= depth; p += kLanes) store(row + p, load(from + p));
    for (; p < depth; ++p) row[p] = toFloat(from[p]);
  }
  if (rows % 2 != 0) std::fill_n(to + rows * kRowStride, depth, 0.0f);
}

// a stored [k, m]: panels of kRows rows, each [depth][kRows], the last one padded with zeros.
template <typename T>
void packInterleaved(const T* a, int64_t lda, int64_t rows, int64_t depth, float* to) {
  constexpr int64_t kStep =
      16;  // rows of the source that stay in the first-level cache while all panels take their part
  for (int64_t pBegin = 0; pBegin < depth; pBegin += kStep) {
    const int64_t pEnd = std::min(pBegin + kStep, depth);
    for (int64_t i = 0; i < rows; i += kRows) {
      float* panel = to + i * depth;
      int64_t p = pBegin;
      if (kRows <= kLanes && i + kLanes <= rows) {
        // Whole vectors: what they write past kRows belongs to the next p, which comes later.
        for (; p < std::min(pEnd, depth - 1); ++p) store(panel + p * kRows, load(a + p * lda + i));
      }
      const int64_t count = std::min<int64_t>(kRows, rows - i);
      for (; p < pEnd; ++p) {
        for (int64_t r = 0; r < kRows; ++r)
          panel[p * kRows + r] = r < count ? toFloat(a[p * lda + i + r]) : 0.0f;
      }
    }
  }
}

// b stored [k, n]: panels of kColumns columns, each [depth][kColumns], the last one padded with zeros.
template <typename T>
void packColumns(const T* b, int64_t ldb, int64_t depth, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kColumns, to += depth * kColumns) {
    const int64_t count = std::min<int64_t>(kColumns, columns - j);
    for (int64_t p = 0; p < depth; ++p) {
      const T* from = b + p * ldb + j;
      float* at = to + p * kColumns;
      if (count == kColumns) {
        for (int v = 0; v < kVectors; ++v) store(at + v * kLanes, load(from + v * kLanes));
      } else {
        for (int64_t c = 0; c < kColumns; ++c) at[c] = c < count ? toFloat(from[c]) : 0.0f;
      }
    }
  }
}

// b stored [n, k]: the same panels.
template <typename T>
void packTransposed(const T* b, int64_t ldb, int64_t depth, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, columns - j);
    const T* from = b + j * ldb;
    float* at = to + (j / kColumns) * depth * kColumns + j % kColumns;
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
        const Vec low01 = zip<1, 0>(r0, r1), high01 = zip<1, 1>(r0, r1), low23 = zip<1, 0>(r2, r3),
                  high23 = zip<1, 1>(r2, r3);
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
  const int64_t filled = (columns + kLanes - 1) / kLanes * kLanes;
  if (filled % kColumns != 0) {
    float* at = to + (filled / kColumns) * depth * kColumns + filled % kColumns;
    for (int64_t p = 0; p < depth; ++p) store(at + p * kColumns, Vec{});
  }
}

// ---- the register tile
// ------------------------------------------------------------------------------------------------------

// c[R, V·kLanes] = (accumulate ? c : 0) + a·b over `depth`; a is packed by rows or interleaved, b in a panel.
template <int R, int V, bool kInterleaved>
void tile(int64_t depth, const float* __restrict a, const float* __restrict b, float* __restrict c,
          int64_t ldc, bool accumulate) {
  Vec sum[R][V] = {};
  // c is needed at the end only; it travels meanwhile.
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) __builtin_prefetch(c + r * ldc + v * kLanes, 1);
  }
  for (int64_t p = 0; p < depth; ++p) {
    Vec column[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float x = kInterleaved ? a[r] : a[r * kRowStride];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] += x * column[v];
    }
    a += kInterleaved ? kRows : 1;
    b += kColumns;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* at = c + r * ldc + v * kLanes;
      store(at, accumulate ? load(at) + sum[r][v] : sum[r][v]);
    }
  }
}

using TileFn = void (*)(int64_t, const float*, const float*, float*, int64_t, bool);

// tiles[interleaved][vectors − 1][rows / 2 − 1]: an odd number of rows takes the next even tile.
template <int V, bool kInterleaved, size_t... kHalf>
constexpr auto tileRow(std::index_sequence<kHalf...>) {
  return std::array<TileFn, sizeof...(kHalf)>{tile<2 * (kHalf + 1), V, kInterleaved>...};
}
constexpr auto kHalves = std::make_index_sequence<kRows / 2>{};
constexpr std::array<TileFn, kRows / 2> kTiles[2][kVectors] = {
    {tileRow<1, false>(kHalves), tileRow<2, false>(kHalves)},
    {tileRow<1, true>(kHalves), tileRow<2, true>(kHalves)}};

// c = alpha·sum + beta·c + bias for a rectangle, rounded once.
template <typename T, typename B>
void finish(const float* sum, int64_t sumStride, int64_t rows, int64_t columns, float alpha, float beta,
            const B* bias, T* c, int64_t ldc) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* from = sum + i * sumStride;
    T* to = c + i * ldc;
    if (beta == 0.0f && bias == nullptr) {
      for (int64_t j = 0; j < columns; ++j) to[j] = fromFloat<T>(alpha * from[j]);
    } else if (beta == 0.0f) {
      for (int64_t j = 0; j < columns; ++j) to[j] = fromFloat<T>(alpha * from[j] + toFloat(bias[j]));
    } else {
      for (int64_t j = 0; j < columns; ++j) {
        to[j] = fromFloat<T>(alpha * from[j] + beta * toFloat(to[j]) +
                             (bias == nullptr ? 0.0f : toFloat(bias[j])));
      }
    }
  }
}

// ---- blocks
// -----------------------------------------------------------------------------------------------------------------

template <typename TA, typename TB, typename TC>
void runTiles(const GemmCall& call, int64_t mBegin, int64_t mEnd, int64_t nBegin, int64_t nEnd) {
  const TA* a = static_cast<const TA*>(call.a);
  const TB* b = static_cast<const TB*>(call.b);
  const TA* bias = static_cast<const TA*>(call.bias);
  TC* c = static_cast<TC*>(call.c);
  const int64_t rows = mEnd - mBegin, passes = (call.k + kDepth - 1) / kDepth;
  // Equal passes over k, whole vectors of it: 704 becomes 352 + 352 rather than 384 + 320.
  const int64_t depthStep = std::min(kDepth, ((call.k + passes - 1) / passes + kLanes - 1) / kLanes * kLanes);
  // Sums of several passes stay f32 until the last one; f32 outputs hold them in place.
  const bool wide = !std::is_same_v<TC, float> && passes > 1;
  const int64_t blockColumns =
      std::min(wide ? kWideColumns : kBlockColumns, (nEnd - nBegin + kColumns - 1) / kColumns * kColumns);
  const int64_t paddedRows = (rows + kRows - 1) / kRows * kRows,
                rowBlocks = (paddedRows + kBlockRows - 1) / kBlockRows;
  const int64_t blockRows = (paddedRows / kRows + rowBlocks - 1) / rowBlocks * kRows;
  const size_t aFloats = blockRows * kRowStride,
               bFloats = (rowBlocks == 1 ? kColumns : blockColumns) * depthStep;
  const size_t wideFloats = wide ? paddedRows * blockColumns : 0;
  float* packedA = static_cast<float*>(threadScratch(7, (aFloats + bFloats + wideFloats) * sizeof(float)));
  float* packedB = packedA + aFloats;
  float* sums = packedB + bFloats;
  alignas(64) float corner[kRows * kColumns];

  for (int64_t jc = nBegin; jc < nEnd; jc += blockColumns) {
    const int64_t columns = std::min(blockColumns, nEnd - jc);
    for (int64_t pc = 0; pc < call.k; pc += depthStep) {
      const int64_t depth = std::min(depthStep, call.k - pc);
      const bool first = pc == 0, last = pc + depth == call.k;
      const float beta = first ? call.beta : 1.0f;
      const TA* firstBias = first && bias != nullptr ? bias : nullptr;
      for (int64_t ic = mBegin; ic < mEnd; ic += blockRows) {
        const int64_t height = std::min(blockRows, mEnd - ic);
        if (call.transA) {
          packInterleaved(a + pc * call.lda + ic, call.lda, height, depth, packedA);
        } else {
          packRows(a + ic * call.lda + pc, call.lda, height, depth, packedA);
        }
        for (int64_t j = 0; j < columns; j += kColumns) {
          const int64_t width = std::min<int64_t>(kColumns, columns - j);
          const int vectors = width <= kLanes ? 1 : 2;
          // A panel of b is packed when the first block of rows needs it, and stays packed for the other
          // blocks.
          float* panelB = packedB + (rowBlocks == 1 ? 0 : j * depth);
          if (ic == mBegin && call.transB) {
            packTransposed(b + (jc + j) * call.ldb + pc, call.ldb, depth, width, panelB);
          } else if (ic == mBegin) {
            packColumns(b + pc * call.ldb + jc + j, call.ldb, depth, width, panelB);
          }
          for (int64_t i = 0; i < height; i += kRows) {
            const int64_t tall = std::min<int64_t>(kRows, height - i), even = (tall + 1) / 2 * 2;
            const TileFn multiply = kTiles[call.transA][vectors - 1][even / 2 - 1];
            const float* panelA = packedA + i * (call.transA ? depth : kRowStride);
            if (wide) {
              multiply(depth, panelA, panelB, sums + (ic - mBegin + i) * blockColumns + j, blockColumns,
                       !first);
              continue;
            }
            TC* at = c + (ic + i) * call.ldc + jc + j;
            if constexpr (std::is_same_v<TC, float>) {
              if (tall == even && width == vectors * kLanes && call.alpha == 1.0f && firstBias == nullptr &&
                  (beta == 0.0f || beta == 1.0f)) {
                multiply(depth, panelA, panelB, at, call.ldc, beta == 1.0f);
                continue;
              }
            }
            multiply(depth, panelA, panelB, corner, kColumns, false);
            finish(corner, kColumns, tall, width, call.alpha, beta,
                   firstBias == nullptr ? firstBias : firstBias + jc + j, at, call.ldc);
          }
        }
        if (wide && last) {
          finish(sums + (ic - mBegin) * blockColumns, blockColumns, height, columns, call.alpha, call.beta,
                 bias == nullptr ? bias : bias + jc, c + ic * call.ldc + jc, call.ldc);
        }
      }
    }
  }
}

// Adds the two halves of every segment of `size` lanes: of x into the first half of the result, of y into the
// second.
template <int kSize, size_t... kIndex>
inline Vec folded(Vec x, Vec y, std::index_sequence<kIndex...>) {
  // Lane i of the result comes from lane `from(i)` of x followed by y, and from the lane half a segment
  // further on.
  constexpr auto from = [](int i) { return i / (kSize / 2) * kSize + i % (kSize / 2); };
  return __builtin_shufflevector(x, y, from(kIndex)...) +
         __builtin_shufflevector(x, y, (from(kIndex) + kSize / 2)...);
}

// The sum of the lanes of each of kLanes vectors, as one vector.
template <int kSize = kLanes>
inline Vec laneSums(Vec* v) {
  if constexpr (kSize == 1) {
    return v[0];
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < kSize / 2; ++i) {
      v[i] = folded<kSize>(v[2 * i], v[2 * i + 1], std::make_index_sequence<kLanes>{});
    }
    return laneSums<kSize / 2>(v);
  }
}

// W columns of c at a time for R rows of a: vectors run along k, which is contiguous in both. sums: [R, W],
// room for 16.
template <int R, int W, typename TB>
void dots(const float* a, int64_t aStride, const TB* b, int64_t ldb, int64_t k, float* sums) {
  constexpr int kGroups = (R * W + kLanes - 1) / kLanes;
  Vec sum[kGroups * kLanes] = {};
  int64_t p = 0;
  for (; p + kLanes <= k; p += kLanes) {
    Vec w[W];
#pragma GCC unroll 4
    for (int j = 0; j < W; ++j) w[j] = load(b + j * ldb + p);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec x = load(a + r * aStride + p);
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) sum[r * W + j] += x * w[j];
    }
  }
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) store(sums + g * kLanes, laneSums(sum + g * kLanes));
  if (p == k) return;
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < W; ++j) {
      for (int64_t q = p; q < k; ++q) sums[r * W + j] += a[r * aStride + q] * toFloat(b[j * ldb + q]);
    }
  }
}

template <typename TB>
using DotsFn = void (*)(const float*, int64_t, const TB*, int64_t, int64_t, float*);

template <typename TA, typename TB, typename TC>
void runDots(const GemmCall& call, int64_t mBegin, int64_t mEnd, int64_t nBegin, int64_t nEnd) {
  const TA* a = static_cast<const TA*>(call.a);
  const TB* b = static_cast<const TB*>(call.b);
  const TA* bias = static_cast<const TA*>(call.bias);
  TC* c = static_cast<TC*>(call.c);
  // Up to four rows go with four columns, more rows by eights with two: b is read (and widened) once for as
  // many rows as the registers hold. Rows that are missing in a group are zeros.
  static constexpr DotsFn<TB> kFew[4] = {dots<1, 4, TB>, dots<2, 4, TB>, dots<3, 4, TB>, dots<4, 4, TB>};
  const int64_t rows = mEnd - mBegin, stride = (call.k + 15) / 16 * 16;
  const int64_t group = rows <= 4 ? rows : 8, wide = rows <= 4 ? 4 : 2,
                padded = (rows + group - 1) / group * group;
  const DotsFn<TB> multiply = rows <= 4 ? kFew[rows - 1] : dots<8, 2, TB>;
  float* x = static_cast<float*>(threadScratch(7, static_cast<size_t>(padded * stride) * sizeof(float)));
  for (int64_t i = 0; i < padded; ++i) {
    for (int64_t p = 0; p < call.k; ++p)
      x[i * stride + p] = i < rows ? toFloat(a[(mBegin + i) * call.lda + p]) : 0.0f;
  }
  float sums[16];
  for (int64_t j = nBegin; j < nEnd; j += wide) {
    const int64_t width = std::min(wide, nEnd - j);
    // Where c has fewer columns left, the same one is taken several times.
    const int64_t ldb = width == wide ? call.ldb : 0;
    for (int64_t column = 0; column < width; column += ldb == 0 ? 1 : wide) {
      const int64_t at = j + column;
      for (int64_t i = 0; i < rows; i += group) {
        multiply(x + i * stride, stride, b + at * call.ldb, ldb, call.k, sums);
        finish(sums, wide, std::min(group, rows - i), ldb == 0 ? 1 : wide, call.alpha, call.beta,
               bias == nullptr ? bias : bias + at, c + (mBegin + i) * call.ldc + at, call.ldc);
      }
    }
  }
}

template <typename TA, typename TB, typename TC>
void runBlock(const GemmCall& call, GemmPath path, int64_t mBegin, int64_t mEnd, int64_t nBegin,
              int64_t nEnd) {
  if (path == GemmPath::kDots) {
    runDots<TA, TB, TC>(call, mBegin, mEnd, nBegin, nEnd);
  } else {
    runTiles<TA, TB, TC>(call, mBegin, mEnd, nBegin, nEnd);
  }
}

void block(const GemmCall& call, GemmPath path, int64_t mBegin, int64_t mEnd, int64_t nBegin, int64_t nEnd) {
  const bool a16 = call.dtype == kBF16, b16 = call.bDtype == kBF16, c16 = call.outDtype == kBF16;
  const auto run = a16   ? (c16 ? runBlock<bf16, bf16, bf16> : runBlock<bf16, bf16, float>)
                   : b16 ? (c16 ? runBlock<float, bf16, bf16> : runBlock<float, bf16, float>)
                         : runBlock<float, float, float>;
  run(call, path, mBegin, mEnd, nBegin, nEnd);
}

}  // namespace

GemmKernel gemmKernel() { return {block, kRows, kColumns}; }

ANNEAL_CPU_NAMESPACE_END
