// gemm_epilogue.h — from accumulated products to c: alpha, beta, bias and activation in f32, one rounding,
// four neighbours of a row at a time. The sums of a tile come here by way of shared memory, so that warps
// write whole rows.
#pragma once

#include <cmath>
#include <type_traits>

#include "cuda/device/gemm_problem.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

using FourFloats = Vec<float, 4>;

// The activations of GemmActivation; same formulas as the unary kernels'.
ANNEAL_DEVICE void gemmActivate(GemmActivation activation, FourFloats& x) {
#pragma unroll 1
  for (int i = 0; i < 4; ++i) {
    const float v = x.lane[0];
    float y = v;
    if (activation == GemmActivation::kRelu) {
      y = v > 0.0f || v != v ? v : 0.0f;
    } else if (activation == GemmActivation::kGelu) {
      y = 0.5f * v * erfcf(-0.70710678f * v);
    } else if (activation == GemmActivation::kGeluTanh) {
      // v·sigmoid(2u); beyond |v| = 12 that is v or 0, and the cube may not overflow.
      const float clamped = fminf(fmaxf(v, -12.0f), 12.0f);
      y = v / (1.0f + expf(-1.59576912f * (clamped + 0.044715f * clamped * clamped * clamped)));
    } else if (activation == GemmActivation::kSilu) {
      y = v / (1.0f + expf(-v));
    }
    // The lanes move round, so that one copy of the code above serves all four from registers.
    x = {{x.lane[1], x.lane[2], x.lane[3], y}};
  }
}

// The first `count` of four elements; `whole`: all four, from an address that a vector may have.
template <typename T>
ANNEAL_DEVICE FourFloats loadFour(const T* from, bool whole, int count) {
  FourFloats values{};
  if (whole) {
    const auto four = load<Vec<T, 4>>(from);
#pragma unroll
    for (int i = 0; i < 4; ++i) values.lane[i] = toFloat(four.lane[i]);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < count) values.lane[i] = toFloat(load<T>(from + i));
    }
  }
  return values;
}

template <typename T>
ANNEAL_DEVICE void writeFour(T* to, bool whole, int count, const FourFloats& values) {
  Vec<T, 4> four;
#pragma unroll
  for (int i = 0; i < 4; ++i) four.lane[i] = fromFloat<T>(values.lane[i]);
  if (whole) {
    store(to, four);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < count) store(to + i, four.lane[i]);
    }
  }
}

// Writes the four elements of c at `offset`, in column `column` of its row, as far as they lie inside n.
template <typename T, bool kActivate>
ANNEAL_DEVICE void storeFour(const GemmParams& p, int64_t offset, int64_t column, const FourFloats& sum) {
  if (column >= p.n) return;
  const int count = p.n - column < 4 ? static_cast<int>(p.n - column) : 4;
  const bool whole = p.cVector != 0 && count == 4;
  const bool wide = std::is_same_v<T, float> || p.outF32 != 0;
  T* narrow = static_cast<T*>(p.c) + offset;
  float* c = static_cast<float*>(p.c) + offset;
  FourFloats value;
#pragma unroll
  for (int i = 0; i < 4; ++i) value.lane[i] = p.alpha * sum.lane[i];
  if (p.beta != 0.0f) {
    const FourFloats before = wide ? loadFour(c, whole, count) : loadFour(narrow, whole, count);
#pragma unroll
    for (int i = 0; i < 4; ++i) value.lane[i] += p.beta * before.lane[i];
  }
  if (p.bias != nullptr) {
    const FourFloats bias = loadFour(static_cast<const T*>(p.bias) + column, false, count);
#pragma unroll
    for (int i = 0; i < 4; ++i) value.lane[i] += bias.lane[i];
  }
  if constexpr (kActivate) gemmActivate(p.activation, value);
  if (wide) {
    writeFour(c, whole, count, value);
  } else {
    writeFour(narrow, whole, count, value);
  }
}

// Words between two staged rows of sums: 8 more than a row keep the banks of a fragment's rows apart.
template <int kColumns>
constexpr int kSumStride = kColumns + 8;

// Sends kRows staged rows of sums to c; staged row r is row rowOf(r) of the tile.
template <typename T, int kThreads, int kRows, int kColumns, typename RowOf>
ANNEAL_DEVICE void storeStaged(const GemmParams& p, const GemmBlock<T>& block, const float* sums,
                               RowOf rowOf) {
  constexpr int kGroups = kColumns / 4, kStep = kThreads / kGroups;
  static_assert(kThreads % kGroups == 0 && kRows % (4 * kStep) == 0);
  const int column = static_cast<int>(threadIdx.x) % kGroups * 4,
            first = static_cast<int>(threadIdx.x) / kGroups;
  const auto send = [&](int staged, auto activate) {
    const int64_t row = block.row + rowOf(staged);
    if (row >= block.m) return;
    const auto four = *reinterpret_cast<const FourFloats*>(sums + staged * kSumStride<kColumns> + column);
    const int64_t at = block.column + column;
    storeFour<T, decltype(activate)::value>(p, block.c + row * p.ldc + at, at, four);
  };
  if (p.activation == GemmActivation::kNone) {
#pragma unroll 4
    for (int staged = first; staged < kRows; staged += kStep) send(staged, std::false_type{});
  } else {
#pragma unroll 1
    for (int staged = first; staged < kRows; staged += kStep) send(staged, std::true_type{});
  }
}

}  // namespace anneal::cuda
