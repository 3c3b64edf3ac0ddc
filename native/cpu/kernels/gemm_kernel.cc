// gemm_kernel.cc — the matrix product on one thread: operands are packed into panels of f32, bf16 widened on
// the way, and multiplied by a register tile of fused multiply-adds. After Goto & van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008). bf16 does not use the processor's own dot-product
// instruction: on Sapphire Rapids vdpbf16ps was measured at one in two cycles (16 multiply-adds a cycle)
// against two f32 vectors a cycle (32), so that widening is twice as fast and rounds nothing.
#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "core/dtype.h"
#include "cpu/gemm_block.h"
#include "cpu/gemm_panels.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

using namespace panels;

enum Layout {
  kPackedRows,   // by packRows
  kInterleaved,  // by packInterleaved
  kInPlace,      // f32 rows where they are, `stride` apart
  kLayouts
};

// c[R, V·kLanes] = (accumulate ? c : 0) + a·b over `depth`.
template <int R, int V, Layout kLayout>
void tile(int64_t depth, const float* __restrict a, int64_t stride, const float* __restrict b,
          float* __restrict c, int64_t ldc, bool accumulate) {
  Vec sum[R][V] = {};
  // c is needed at the end only; it travels meanwhile.
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) __builtin_prefetch(c + r * ldc + v * kLanes, 1);
  }
  // Three rows a pointer: the stride and its double are what an address can hold.
  constexpr int kBases = kLayout == kInPlace ? (R + 2) / 3 : 1;
  const float* base[kBases];
#pragma GCC unroll 16
  for (int i = 0; i < kBases; ++i) base[i] = a + 3 * i * stride;
  for (int64_t p = 0; p < depth; ++p) {
    Vec column[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float x = kLayout == kInterleaved  ? base[0][r]
                      : kLayout == kPackedRows ? base[0][r * kRowStride]
                                               : base[r / 3 % kBases][r % 3 * stride];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] += x * column[v];
    }
#pragma GCC unroll 16
    for (int i = 0; i < kBases; ++i) base[i] += kLayout == kInterleaved ? kRows : 1;
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

using TileFn = void (*)(int64_t, const float*, int64_t, const float*, float*, int64_t, bool);

// kTiles[layout][vectors − 1][rows / 2 − 1]: an odd number of rows takes the next even tile.
template <int V, Layout kLayout, size_t... kHalf>
constexpr auto tileRow(std::index_sequence<kHalf...>) {
  return std::array<TileFn, sizeof...(kHalf)>{tile<2 * (kHalf + 1), V, kLayout>...};
}
constexpr auto kHalves = std::make_index_sequence<kRows / 2>{};
constexpr std::array<TileFn, kRows / 2> kTiles[kLayouts][kVectors] = {
    {tileRow<1, kPackedRows>(kHalves), tileRow<2, kPackedRows>(kHalves)},
    {tileRow<1, kInterleaved>(kHalves), tileRow<2, kInterleaved>(kHalves)},
    {tileRow<1, kInPlace>(kHalves), tileRow<2, kInPlace>(kHalves)}};

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

int64_t roundUp(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

template <typename TA, typename TB, typename TC>
class Tiles {
 public:
  Tiles(const GemmCall& call, int64_t mBegin, int64_t mEnd, int64_t nBegin, int64_t nEnd)
      : call_(call), rows_(mEnd - mBegin), columns_(nEnd - nBegin) {
    a_ = static_cast<const TA*>(call.a) + mBegin * (call.transA ? 1 : call.lda);
    b_ = static_cast<const TB*>(call.b) + nBegin * (call.transB ? call.ldb : 1);
    c_ = static_cast<TC*>(call.c) + mBegin * call.ldc + nBegin;
    bias_ = call.bias == nullptr ? nullptr : static_cast<const TA*>(call.bias) + nBegin;
    readable_ = call.m - mBegin;
    inPlace_ = std::is_same_v<TA, float> && !call.transA && call.lda % 1024 != 0;
  }

  void run() {
    const int64_t passes = (call_.k + kDepth - 1) / kDepth;
    // Equal passes over k, whole vectors of it: 704 becomes 352 + 352 rather than 384 + 320.
    const int64_t step = std::min(kDepth, roundUp((call_.k + passes - 1) / passes, kLanes));
    // Few rows: all panels of a stay packed while those of b come and go. Many rows: the other way round.
    const bool keepA = rows_ <= kKeptRows;
    wide_ = !std::is_same_v<TC, float> && passes > 1;
    const int64_t most = keepA && !wide_ ? kManyColumns : kKeptColumns, blocks = (columns_ + most - 1) / most;
    const int64_t blockColumns = roundUp((columns_ + blocks - 1) / blocks, kColumns);
    const int64_t paddedRows = roundUp(rows_, kRows);
    // A transposed a is read in long stretches of its rows, any other one panel after another.
    const int64_t groupRows = call_.transA ? kGroupRows : kRows;
    const int64_t aFloats = (keepA ? paddedRows : groupRows) * kRowStride,
                  bFloats = (keepA ? kColumns : blockColumns) * step;
    const int64_t sumFloats = wide_ ? paddedRows * blockColumns : 0;
    packedA_ = static_cast<float*>(
        threadScratch(7, static_cast<size_t>(aFloats + bFloats + sumFloats) * sizeof(float)));
    packedB_ = packedA_ + aFloats;
    sums_ = packedB_ + bFloats;
    sumStride_ = blockColumns;
    for (int64_t begin = 0; begin < columns_; begin += blockColumns) {
      const int64_t end = std::min(begin + blockColumns, columns_);
      for (depthBegin_ = 0; depthBegin_ < call_.k; depthBegin_ += step) {
        depth_ = std::min(step, call_.k - depthBegin_);
        if (keepA) {
          packA(0, rows_);
          for (int64_t j = begin; j < end; j += kColumns) {
            packB(j, packedB_);
            for (int64_t i = 0; i < rows_; i += kRows)
              multiply(i, j, begin, packedA_ + i * kRowStride, packedB_);
          }
        } else {
          for (int64_t j = begin; j < end; j += kColumns) packB(j, packedB_ + (j - begin) * step);
          for (int64_t group = 0; group < rows_; group += groupRows) {
            packA(group, std::min(groupRows, rows_ - group));
            for (int64_t i = group; i < std::min(group + groupRows, rows_); i += kRows) {
              for (int64_t j = begin; j < end; j += kColumns) {
                multiply(i, j, begin, packedA_ + (i - group) * kRowStride, packedB_ + (j - begin) * step);
              }
            }
          }
        }
      }
      if (wide_) {
        finish(sums_, sumStride_, rows_, end - begin, call_.alpha, call_.beta,
               bias_ == nullptr ? nullptr : bias_ + begin, c_ + begin, call_.ldc);
      }
    }
  }

 private:
  static constexpr int64_t kGroupRows = 8 * kRows;        // of transposed a, packed together
  static constexpr int64_t kKeptRows = 24 * kRows;        // of packed a: 0.5 MB of the second-level cache
  static constexpr int64_t kKeptColumns = 16 * kColumns;  // of packed b: 0.75 MB
  static constexpr int64_t kManyColumns = 64 * kColumns;  // between two packings of the same rows

  bool usesInPlace(int64_t i) const { return inPlace_ && (rows_ - i >= kRows || (rows_ - i) % 2 == 0); }

  // Rows i..i + count, panel after panel, to packedA_.
  void packA(int64_t i, int64_t count) const {
    if (call_.transA) {
      packInterleaved(a_ + depthBegin_ * call_.lda + i, call_.lda, count, readable_ - i, depth_, packedA_);
      return;
    }
    for (int64_t r = 0; r < count; r += kRows) {
      if (usesInPlace(i + r)) continue;
      packRows(a_ + (i + r) * call_.lda + depthBegin_, call_.lda, std::min<int64_t>(kRows, count - r), depth_,
               packedA_ + r * kRowStride);
    }
  }

  void packB(int64_t j, float* to) const {
    const int64_t width = std::min<int64_t>(kColumns, columns_ - j);
    if (call_.transB) {
      packTransposed(b_ + j * call_.ldb + depthBegin_, call_.ldb, depth_, width, to);
    } else {
      packColumns(b_ + depthBegin_ * call_.ldb + j, call_.ldb, depth_, width, to);
    }
  }

  // One register tile: c, or the waiting sums, from one panel of each.
  void multiply(int64_t i, int64_t j, int64_t blockBegin, const float* panelA, const float* panelB) const {
    const int64_t tall = std::min<int64_t>(kRows, rows_ - i), even = roundUp(tall, 2);
    const int64_t width = std::min<int64_t>(kColumns, columns_ - j);
    const int vectors = width <= kLanes ? 1 : 2;
    const bool first = depthBegin_ == 0;
    Layout layout = call_.transA ? kInterleaved : kPackedRows;
    if constexpr (std::is_same_v<TA, float>) {
      if (usesInPlace(i)) {
        layout = kInPlace;
        panelA = a_ + i * call_.lda + depthBegin_;
      }
    }
    const TileFn compute = kTiles[layout][vectors - 1][even / 2 - 1];
    if (wide_) {
      compute(depth_, panelA, call_.lda, panelB, sums_ + i * sumStride_ + j - blockBegin, sumStride_, !first);
      return;
    }
    const float beta = first ? call_.beta : 1.0f;
    const TA* bias = first && bias_ != nullptr ? bias_ + j : nullptr;
    TC* c = c_ + i * call_.ldc + j;
    if constexpr (std::is_same_v<TC, float>) {
      if (tall == even && width == vectors * kLanes && call_.alpha == 1.0f && bias == nullptr &&
          (beta == 0.0f || beta == 1.0f)) {
        compute(depth_, panelA, call_.lda, panelB, c, call_.ldc, beta == 1.0f);
        return;
      }
    }
    alignas(64) float sums[kRows * kColumns];
    compute(depth_, panelA, call_.lda, panelB, sums, kColumns, false);
    finish(sums, kColumns, tall, width, call_.alpha, beta, bias, c, call_.ldc);
  }

  const GemmCall& call_;
  const TA* a_;
  const TB* b_;
  TC* c_;
  const TA* bias_;
  int64_t rows_, columns_, readable_;
  bool inPlace_;       // a is used where it is, unless its rows crowd one set of the cache
  bool wide_ = false;  // bf16 results of several passes: their sums wait in f32 and are rounded once
  float* packedA_ = nullptr;
  float* packedB_ = nullptr;
  float* sums_ = nullptr;
  int64_t sumStride_ = 0, depthBegin_ = 0, depth_ = 0;
};

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
    Tiles<TA, TB, TC>(call, mBegin, mEnd, nBegin, nEnd).run();
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
