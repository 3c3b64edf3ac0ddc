// activations.h — SiLU and GELU with their derivatives in f32, for elementwise and gated kernels. The same
// formulas as the CPU backend's, with e^x and 1/x from the special-function unit: 20 to 45 instructions a
// value, which a kernel that streams bf16 can just afford.
#pragma once

#include <cmath>

#include "cuda/ptx/math.h"

namespace anneal::cuda {

// f(x) and f'(x).
struct ValueAndSlope {
  float value, slope;
};

// s = 1/(1 + e^(−x)) and 1 − s, both from e^(−|x|), so that neither overflows nor cancels.
struct SigmoidPair {
  float s, rest;
};
ANNEAL_DEVICE SigmoidPair sigmoidPair(float x) {
  const float e = expf(-fabsf(x));
  const float big = reciprocalApprox(1.0f + e), small = e * big;
  return x < 0.0f ? SigmoidPair{small, big} : SigmoidPair{big, small};
}

// x·s with s = sigmoid(x); the derivative is s·(1 + x·(1 − s)).
struct Silu {
  static ANNEAL_DEVICE float value(float x) { return x * reciprocalApprox(1.0f + expf(-x)); }
  static ANNEAL_DEVICE ValueAndSlope both(float x) {
    const SigmoidPair pair = sigmoidPair(x);
    return {x * pair.s, pair.s + x * pair.s * pair.rest};
  }
};

// erf x for |x| <= 0.9: x + x·P(x²).
ANNEAL_DEVICE float erfNear(float x) {
  const float z = x * x;
  float p = fmaf(8.513104735e-5f, z, -8.175639460e-4f);
  p = fmaf(p, z, 5.203859176e-3f);
  p = fmaf(p, z, -2.686050847e-2f);
  p = fmaf(p, z, 1.128371503e-1f);
  p = fmaf(p, z, -3.761263498e-1f);
  p = fmaf(p, z, 1.283791668e-1f);  // 2/√π − 1
  return fmaf(p, x, x);
}

// Φ(x), the normal distribution function, and gauss = e^(−x²/2), which its derivative needs. The upper tail
// for a >= 0 is gauss·t·P(t), t = 1/(1 + 0.35a), so that Φ keeps its relative precision where it is small.
ANNEAL_DEVICE float normalCdf(float x, float& gauss) {
  const float a = fabsf(x);
  gauss = expf(-0.5f * x * x);
  if (a < 1.2f) return fmaf(0.5f, erfNear(0.707106781f * x), 0.5f);
  const float t = reciprocalApprox(fmaf(0.35f, a, 1.0f));
  float p = fmaf(-2.915787240e-2f, t, 1.440308545e-1f);
  p = fmaf(p, t, -2.558387879e-1f);
  p = fmaf(p, t, 1.593195501e-1f);
  p = fmaf(p, t, -2.321225636e-2f);
  p = fmaf(p, t, 1.055524626e-1f);
  p = fmaf(p, t, 1.198212973e-1f);
  p = fmaf(p, t, 1.398635142e-1f);
  p = fmaf(p, t, 1.396213069e-1f);
  const float tail = gauss * t * p;
  return x < 0.0f ? tail : 1.0f - tail;
}

// x·Φ(x); the derivative is Φ(x) + x·φ(x) with φ(x) = e^(−x²/2)/√(2π).
struct Gelu {
  static ANNEAL_DEVICE float value(float x) {
    float gauss;
    return x * normalCdf(x, gauss);
  }
  static ANNEAL_DEVICE ValueAndSlope both(float x) {
    float gauss;
    const float cdf = normalCdf(x, gauss);
    return {x * cdf, cdf + 0.398942280f * x * gauss};
  }
};

// ½x(1 + tanh u) = x·sigmoid(2u) with u = √(2/π)(x + 0.044715x³); beyond |x| = 12 it is x or 0 in f32, and
// the cube may not overflow.
struct GeluTanh {
  static constexpr float kTwoRoot = 1.59576912f, kCubic = 0.044715f;
  static ANNEAL_DEVICE float clamped(float x) { return x < -12.0f ? -12.0f : (x > 12.0f ? 12.0f : x); }
  static ANNEAL_DEVICE float value(float x) {
    const float c = clamped(x);
    return x * reciprocalApprox(1.0f + expf(-kTwoRoot * fmaf(kCubic * c * c, c, c)));
  }
  static ANNEAL_DEVICE ValueAndSlope both(float x) {
    const float c = clamped(x);
    const SigmoidPair pair = sigmoidPair(kTwoRoot * fmaf(kCubic * c * c, c, c));
    return {x * pair.s, pair.s + c * (pair.s * pair.rest) * kTwoRoot * fmaf(3.0f * kCubic * c, c, 1.0f)};
  }
};

}  // namespace anneal::cuda
