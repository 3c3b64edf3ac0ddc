// math.h — approximate functions of the special-function unit (use the plain ones of <cmath>, expf, logf,
// tanhf, …, where their cost does not show), and extremes that let NaN through.
#pragma once

#include <cmath>

#include "cuda/ptx/target.h"

namespace anneal::cuda {

constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

#if defined(ANNEAL_SIMT)
ANNEAL_DEVICE float exp2Approx(float x) { return exp2f(x); }
ANNEAL_DEVICE float log2Approx(float x) { return log2f(x); }
ANNEAL_DEVICE float rsqrtApprox(float x) { return 1.0f / sqrtf(x); }
ANNEAL_DEVICE float reciprocalApprox(float x) { return 1.0f / x; }
ANNEAL_DEVICE float maxNan(float a, float b) {
  if (a != a || b != b) return __builtin_nanf("");
  return a == b ? asFloat(asBits(a) & asBits(b)) : a > b ? a : b;
}
ANNEAL_DEVICE float minNan(float a, float b) {
  if (a != a || b != b) return __builtin_nanf("");
  return a == b ? asFloat(asBits(a) | asBits(b)) : a < b ? a : b;
}
ANNEAL_DEVICE void sinCosTurns(double turns, double& sine, double& cosine) {
  sine = sin(6.283185307179586 * turns);
  cosine = cos(6.283185307179586 * turns);
}
#else
// 2^x within 2 units in the last place; results below 2^-126 become 0.
ANNEAL_DEVICE float exp2Approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
ANNEAL_DEVICE float log2Approx(float x) {
  float y;
  asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
ANNEAL_DEVICE float rsqrtApprox(float x) {
  float y;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
ANNEAL_DEVICE float reciprocalApprox(float x) {
  float y;
  asm("rcp.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// The larger or smaller one, NaN if either is; −0 is below +0.
ANNEAL_DEVICE float maxNan(float a, float b) {
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
ANNEAL_DEVICE float minNan(float a, float b) {
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
// sin 2πt and cos 2πt in double precision.
ANNEAL_DEVICE void sinCosTurns(double turns, double& sine, double& cosine) {
  sincospi(2.0 * turns, &sine, &cosine);
}
#endif

}  // namespace anneal::cuda
