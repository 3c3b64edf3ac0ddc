// vec_math.h — exp, log, tanh, erf and their kin in f32 without branches or calls, so that loops over them
// vectorize. The errors stated here are against double precision over the whole range, with fused
// multiply-add or without. exp and log use the reduction and polynomials published with Cephes (Moshier); the
// polynomials of the normal distribution and of erf are least-maximum fits of our own.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "cpu/isa.h"

#define ANNEAL_INLINE [[gnu::always_inline]] inline

ANNEAL_CPU_NAMESPACE_BEGIN

constexpr float kFloatInfinity = std::bit_cast<float>(0x7F800000u);

// eˣ within 2 ulp; results below 1.7e-38 are 0, above the largest number +inf; NaN stays NaN.
ANNEAL_INLINE float vexp(float x) {
  constexpr float kLog2e = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound =
      12582912.0f;  // 1.5·2²³: adding it rounds to an integer n, which stands in the low bits
  const float clamped = x < -88.0f ? -88.0f : (x > 89.0f ? 89.0f : x);
  const float shifted = clamped * kLog2e + kRound;
  const float n = shifted - kRound;
  float r = clamped - n * kLn2High;
  r = r - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2ⁿ⁻¹, because n reaches 128 just below overflow; at the other end n = −126 is out of range, hence the 0.
  const float scale = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + (126u << 23));
  const float y = (p + p) * scale;
  return x < -86.98f ? 0.0f : y;
}

// ln x within 2 ulp; 0 gives −inf, negative numbers and NaN give NaN, +inf +inf. Subnormal arguments count as
// the smallest normal.
ANNEAL_INLINE float vlog(float x) {
  const float normal = x < 1.17549435e-38f ? 1.17549435e-38f : x;
  const uint32_t u = std::bit_cast<uint32_t>(normal);
  int32_t exponent = static_cast<int32_t>(u >> 23) - 126;
  float m = std::bit_cast<float>((u & 0x007FFFFFu) | 0x3F000000u);  // in [0.5, 1)
  const bool low = m < 0.70710678f;
  exponent = low ? exponent - 1 : exponent;
  m = low ? m + m : m;
  const float e = static_cast<float>(exponent);
  const float f = m - 1.0f;
  const float z = f * f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float y = f * z * p;
  y = y - 2.12194440e-4f * e;
  y = y - 0.5f * z;
  y = f + y;
  y = y + 0.693359375f * e;
  y = x == kFloatInfinity ? kFloatInfinity : y;
  y = x == 0.0f ? -kFloatInfinity : y;
  return x >= 0.0f ? y : std::bit_cast<float>(0x7FC00000u);
}

// ln(1 + x) for x >= 0 within 4 ulp, also where 1 + x rounds x away.
ANNEAL_INLINE float vlog1p(float x) {
  const float u = 1.0f + x;
  const float lost = x - (u - 1.0f);
  const float y = vlog(u) + lost / u;
  return x == kFloatInfinity ? x : y;
}

// 1/(1 + e⁻ˣ) within 3 ulp.
ANNEAL_INLINE float vsigmoid(float x) { return 1.0f / (1.0f + vexp(-x)); }

// ln(1 + eˣ) without overflow, within 4 ulp.
ANNEAL_INLINE float vsoftplus(float x) {
  const float magnitude = x < 0.0f ? -x : x;
  const float y = (x > 0.0f ? x : 0.0f) + vlog1p(vexp(-magnitude));
  return x != x ? x : y;
}

// tanh x within 2 ulp.
ANNEAL_INLINE float vtanh(float x) {
  const float a = x < 0.0f ? -x : x;
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  const float far = 1.0f - 2.0f / (vexp(a + a) + 1.0f);
  const float y = a < 0.625f ? near : (x < 0.0f ? -far : far);
  return x != x ? x : y;
}

// The upper tail 1 − Φ(a) of the normal distribution for a >= 0, given gauss = e^(−a²/2): gauss·t·P(t), t =
// 1/(1 + 0.35a). Relative error below 1e-6 up to a = 6 (it is that of gauss); 0 beyond a = 13.2.
ANNEAL_INLINE float vnormalTail(float a, float gauss) {
  const float t = 1.0f / (1.0f + 0.35f * a);
  float p = -2.915787240e-2f;
  p = p * t + 1.440308545e-1f;
  p = p * t - 2.558387879e-1f;
  p = p * t + 1.593195501e-1f;
  p = p * t - 2.321225636e-2f;
  p = p * t + 1.055524626e-1f;
  p = p * t + 1.198212973e-1f;
  p = p * t + 1.398635142e-1f;
  p = p * t + 1.396213069e-1f;
  return gauss * t * p;
}

// erf x for |x| <= 0.9: x + x·P(x²).
ANNEAL_INLINE float verfNear(float x) {
  const float z = x * x;
  float p = 8.513104735e-5f;
  p = p * z - 8.175639460e-4f;
  p = p * z + 5.203859176e-3f;
  p = p * z - 2.686050847e-2f;
  p = p * z + 1.128371503e-1f;
  p = p * z - 3.761263498e-1f;
  p = p * z + 1.283791668e-1f;  // 2/√π − 1
  return p * x + x;
}

// erf x within 2 ulp.
ANNEAL_INLINE float verf(float x) {
  const float a = x < 0.0f ? -x : x;
  const float far = 1.0f - 2.0f * vnormalTail(1.41421356f * a, vexp(-x * x));
  const float y = a < 0.9f ? verfNear(x) : (x < 0.0f ? -far : far);
  return x != x ? x : y;
}

// Φ(x), the normal distribution function, and gauss = e^(−x²/2), which its derivative needs. Within 2 ulp
// above −1.2; below, the relative error grows to 1e-6 at −6 (and the value falls to 1e-9).
ANNEAL_INLINE float vnormalCdf(float x, float& gauss) {
  const float a = x < 0.0f ? -x : x;
  gauss = vexp(-0.5f * x * x);
  const float tail = vnormalTail(a, gauss);
  const float far = x < 0.0f ? tail : 1.0f - tail;
  const float y = a < 1.2f ? 0.5f + 0.5f * verfNear(0.707106781f * x) : far;
  return x != x ? x : y;
}

ANNEAL_CPU_NAMESPACE_END
