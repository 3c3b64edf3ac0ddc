// lanes.h — short vectors of f32 as wide as the instruction set's registers, with loads and stores for f32
// and bf16, the transpose of a square tile, and 2ˣ. For kernels whose inner loops are register tiles and
// therefore cannot be left to the auto-vectorizer.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "cpu/bf16.h"
#include "cpu/isa.h"

ANNEAL_CPU_NAMESPACE_BEGIN

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef int32_t VecInt __attribute__((vector_size(4 * kLanes)));
typedef uint32_t VecBits __attribute__((vector_size(4 * kLanes)));
typedef uint16_t VecHalf __attribute__((vector_size(2 * kLanes)));

[[gnu::always_inline]] inline Vec broadcast(float x) {
  return x - Vec{};
}  // not x + 0, which is not x for −0

[[gnu::always_inline]] inline Vec load(const float* p) {
  Vec x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}
[[gnu::always_inline]] inline Vec load(const bf16* p) {
  // GCC compiles the generic conversion to half-width pieces; the unmasked intrinsics warn of their own
  // undefined operand.
#if defined(__AVX512F__)
  const __m512i wide =
      _mm512_maskz_cvtepu16_epi32(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return reinterpret_cast<Vec>(reinterpret_cast<VecBits>(wide) << 16);
#elif defined(__AVX2__)
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return reinterpret_cast<Vec>(reinterpret_cast<VecBits>(wide) << 16);
#else
  VecHalf half;
  std::memcpy(&half, p, sizeof(half));
  return reinterpret_cast<Vec>(__builtin_convertvector(half, VecBits) << 16);
#endif
}
[[gnu::always_inline]] inline void store(float* p, Vec x) { std::memcpy(p, &x, sizeof(x)); }
[[gnu::always_inline]] inline void store(bf16* p, Vec x) {
  const VecBits u = reinterpret_cast<VecBits>(x);
  const VecBits rounded = (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16;
  const VecBits bits = (u & 0x7FFFFFFFu) > 0x7F800000u ? ((u >> 16) | 0x40u) : rounded;
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtepi32_epi16(0xFFFF, reinterpret_cast<__m512i>(bits)));
#else
  const VecHalf half = __builtin_convertvector(bits, VecHalf);
  std::memcpy(p, &half, sizeof(half));
#endif
}

// The first `count` < kLanes elements; the other lanes are 0 and their memory is not touched.
template <typename T>
inline Vec loadPart(const T* p, int64_t count) {
  T padded[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) padded[i] = p[i];
  return load(padded);
}
template <typename T>
inline void storePart(T* p, Vec x, int64_t count) {
  T padded[kLanes];
  store(padded, x);
  for (int64_t i = 0; i < count; ++i) p[i] = padded[i];
}
template <typename T>
[[gnu::always_inline]] inline Vec loadUpTo(const T* p, int64_t count) {
  return count >= kLanes ? load(p) : loadPart(p, count);
}
template <typename T>
[[gnu::always_inline]] inline void storeUpTo(T* p, Vec x, int64_t count) {
  if (count >= kLanes) {
    store(p, x);
  } else {
    storePart(p, x, count);
  }
}

// A NaN in b is kept, a NaN in a is dropped.
[[gnu::always_inline]] inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

// The lanes of the two halves, alternating: a0 b0 a1 b1 … from the low or the high half of both.
[[gnu::always_inline]] inline Vec interleaveLow(Vec a, Vec b) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}
[[gnu::always_inline]] inline Vec interleaveHigh(Vec a, Vec b) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX2__)
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

// x[i] lane j becomes x[j] lane i. One round rotates the joined bits (row, lane) of every element's address
// by one place, so that log2(kLanes) rounds exchange row and lane.
[[gnu::always_inline]] inline void transpose(Vec (&x)[kLanes]) {
#pragma GCC unroll 4
  for (int round = 1; round < kLanes; round *= 2) {
    Vec y[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      y[2 * i] = interleaveLow(x[i], x[i + kLanes / 2]);
      y[2 * i + 1] = interleaveHigh(x[i], x[i + kLanes / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) x[i] = y[i];
  }
}

// Lane i of the result is the sum of the lanes of x[i], added in a fixed order.
[[gnu::always_inline]] inline Vec sumRows(Vec (&x)[kLanes]) {
  transpose(x);
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  }
  return x[0];
}

// 2ˣ for x <= 127 within 2 ulp, 0 below −126.5, NaN for NaN. The polynomial is our own minimax fit of (2ˣ −
// 1)/x on [−½, ½]: 9.2e-8 relative.
[[gnu::always_inline]] inline Vec exp2Lanes(Vec x) {
  // 1.5·2²³ + 127: adding it rounds x to an integer n and leaves n + 127, the exponent field of 2ⁿ, in the
  // low bits.
  const Vec rounder = broadcast(12582912.0f + 127.0f);
  x = larger(broadcast(-127.0f), x);
  const Vec shifted = x + rounder;
  const Vec r = x - (shifted - rounder);
  Vec p = broadcast(1.32647e-3f);
  p = p * r + 9.67151e-3f;
  p = p * r + 5.550734e-2f;
  p = p * r + 2.4022242e-1f;
  p = p * r + 6.9314698e-1f;
  p = p * r + 1.0f;
  return p * reinterpret_cast<Vec>(reinterpret_cast<VecBits>(shifted) << 23);
}

ANNEAL_CPU_NAMESPACE_END
