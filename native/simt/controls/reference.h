// reference.h — host side of the controls that compute: random bf16 data and plain products in double
// precision.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "cuda/ptx/bf16.h"

namespace anneal::controls {

// Values k/16 with k from -32 to 32: exact in bf16, and products of up to 2^13 of them add up exactly in f32
// (as long as sums stay below 2^24/256), so that results can be compared for equality whatever the order of
// the additions.
inline float sampleValue(uint64_t index, uint64_t seed) {
  uint64_t x = (index + 1) * 0x9e3779b97f4a7c15u + seed * 0xd1342543de82ef95u;
  x ^= x >> 31;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 29;
  return (static_cast<float>(x % 65) - 32.0f) / 16.0f;
}

inline uint16_t bf16Bits(float value) {
  return static_cast<uint16_t>(__builtin_bit_cast(uint32_t, value) >> 16);
}

// n values of sampleValue as bf16.
inline void fillSample(cuda::bf16* data, size_t n, uint64_t seed) {
  for (size_t i = 0; i < n; ++i) data[i].bits = bf16Bits(sampleValue(i, seed));
}

inline double valueOf(cuda::bf16 value) { return __builtin_bit_cast(float, uint32_t{value.bits} << 16); }

// Compares c [m, n] with the sums over k of a(i, k) · b(k, j); status 1 names the first element that differs.
template <typename A, typename B>
int checkProduct(KernelContext* context, const float* c, int m, int n, int k, A a, B b) {
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int p = 0; p < k; ++p) sum += a(i, p) * b(p, j);
      const double got = c[static_cast<size_t>(i) * n + j];
      if (!(got == sum)) {
        return fail(context, "wrong result: element (%d, %d) is %g, plain arithmetic gives %g", i, j, got,
                    sum);
      }
    }
  }
  return 0;
}

}  // namespace anneal::controls
