// activations.h — SiLU and GELU with their derivatives in f32, for elementwise and gated kernels. Written so
// that a loop over them vectorizes.
#pragma once

#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// f(x) and f'(x).
struct ValueAndSlope {
  float value, slope;
};

struct Silu {
  ANNEAL_INLINE static float value(float x) { return x / (1.0f + vexp(-x)); }
  // With s = sigmoid(x): s·(1 + x·(1 − s)); both s and 1 − s come from e^(−|x|), so that neither overflows
  // nor cancels.
  ANNEAL_INLINE static ValueAndSlope both(float x) {
    const float e = vexp(x < 0.0f ? x : -x);
    const float big = 1.0f / (1.0f + e), small = e * big;
    const float s = x < 0.0f ? small : big, rest = x < 0.0f ? big : small;
    return {x * s, s + x * s * rest};
  }
};

// x·Φ(x); the derivative is Φ(x) + x·φ(x) with φ(x) = e^(−x²/2)/√(2π).
struct Gelu {
  ANNEAL_INLINE static float value(float x) {
    float gauss;
    return x * vnormalCdf(x, gauss);
  }
  ANNEAL_INLINE static ValueAndSlope both(float x) {
    float gauss;
    const float cdf = vnormalCdf(x, gauss);
    return {x * cdf, cdf + 0.398942280f * x * gauss};
  }
};

// ½x(1 + tanh u) = x·sigmoid(2u) with u = √(2/π)(x + 0.044715x³); beyond |x| = 12 it is x or 0 in f32, and
// the cube may not overflow.
struct GeluTanh {
  static constexpr float kTwoRoot = 1.59576912f, kCubic = 0.044715f;
  ANNEAL_INLINE static float clamped(float x) { return x < -12.0f ? -12.0f : (x > 12.0f ? 12.0f : x); }
  ANNEAL_INLINE static float value(float x) {
    const float c = clamped(x);
    return x / (1.0f + vexp(-kTwoRoot * (c + kCubic * c * c * c)));
  }
  ANNEAL_INLINE static ValueAndSlope both(float x) {
    const float c = clamped(x);
    const float u = kTwoRoot * (c + kCubic * c * c * c);
    const float e = vexp(u < 0.0f ? u : -u);
    const float big = 1.0f / (1.0f + e), small = e * big;
    const float s = u < 0.0f ? small : big;
    return {x * s, s + c * (big * small) * kTwoRoot * (1.0f + 3.0f * kCubic * c * c)};
  }
};

ANNEAL_CPU_NAMESPACE_END
