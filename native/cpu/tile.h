// tile.h — the register-tiled product of small f32 blocks that fused kernels are made of: C (+)= A·B with B
// and C in rows of whole vectors, and A read one element at a time and broadcast, so that A needs no packing
// and may be used transposed.
#pragma once

#include <cstdint>

#include "cpu/isa.h"
#include "cpu/lanes.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// Accumulators of a tile: kTileRows × kTileVectors registers, next to the vectors of one row of B.
constexpr int kTileRows = 6;
#if defined(__AVX512F__)
constexpr int kTileVectors = 4;
#else
constexpr int kTileVectors = 2;
#endif

template <int kRows, int kVectors, bool kTransposeA>
[[gnu::noinline]] void tile(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                            int64_t depth, bool accumulate) {
  Vec sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = accumulate ? load(c + r * ldc + v * kLanes) : Vec{};
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vec row[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) row[v] = load(b + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec x = broadcast(kTransposeA ? a[r] : a[r * lda]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] += x * row[v];
    }
    a += kTransposeA ? lda : 1;
    b += ldb;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(c + r * ldc + v * kLanes, sum[r][v]);
  }
}

using TileFn = void (*)(const float*, int64_t, const float*, int64_t, float*, int64_t, int64_t, bool);

template <int kVectors, bool kTransposeA>
inline TileFn tileOf(int64_t rows) {
  static constexpr TileFn kTiles[kTileRows] = {
      tile<1, kVectors, kTransposeA>, tile<2, kVectors, kTransposeA>, tile<3, kVectors, kTransposeA>,
      tile<4, kVectors, kTransposeA>, tile<5, kVectors, kTransposeA>, tile<6, kVectors, kTransposeA>};
  return kTiles[rows - 1];
}

template <bool kTransposeA>
inline TileFn tileOf(int64_t rows, int64_t vectors) {
#if defined(__AVX512F__)
  if (vectors == 4) return tileOf<4, kTransposeA>(rows);
  if (vectors == 3) return tileOf<3, kTransposeA>(rows);
#endif
  return vectors == 2 ? tileOf<2, kTransposeA>(rows) : tileOf<1, kTransposeA>(rows);
}

// C [rows, vectors·kLanes] = A [rows, depth] · B [depth, vectors·kLanes], or added to C. kTransposeA: A is
// stored [depth, rows].
template <bool kTransposeA>
inline void tileProduct(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                        int64_t rows, int64_t vectors, int64_t depth, bool accumulate) {
  // Near-equal parts rather than full tiles and a thin rest, because thin tiles wait for their own sums.
  const int64_t panels = (vectors + kTileVectors - 1) / kTileVectors,
                groups = (rows + kTileRows - 1) / kTileRows;
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t v0 = vectors * p / panels, v1 = vectors * (p + 1) / panels;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t r0 = rows * g / groups, r1 = rows * (g + 1) / groups;
      tileOf<kTransposeA>(r1 - r0, v1 - v0)(a + r0 * (kTransposeA ? 1 : lda), lda, b + v0 * kLanes, ldb,
                                            c + r0 * ldc + v0 * kLanes, ldc, depth, accumulate);
    }
  }
}

ANNEAL_CPU_NAMESPACE_END
