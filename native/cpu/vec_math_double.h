// vec_math_double.h — exp, log, sine and cosine in double precision without branches or calls, for loops that
// must vectorize and need more than f32: Box–Muller and sampling from a distribution. Errors of a few units
// in the last place.
#pragma once

#include <bit>
#include <cstdint>

#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// eˣ for x <= 709; below −700 it is e⁻⁷⁰⁰ (1e-304), which counts as 0 beside 1. −inf gives 0, NaN stays NaN.
ANNEAL_INLINE double vexpDouble(double x) {
  constexpr double kRound =
      6755399441055744.0;  // 1.5·2⁵²: rounds to an integer, which then stands in the low bits
  const double clamped = x < -700.0 ? -700.0 : x;
  const double shifted = clamped * 1.4426950408889634 + kRound;
  const double n = shifted - kRound;
  const double r = (clamped - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const uint64_t scale = (std::bit_cast<uint64_t>(shifted) + 1023u) << 52;
  const double y = p * std::bit_cast<double>(scale);
  return x == -static_cast<double>(kFloatInfinity) ? 0.0 : (x != x ? x : y);
}

// ln x for normal x > 0.
ANNEAL_INLINE double vlogDouble(double x) {
  const uint64_t u = std::bit_cast<uint64_t>(x);
  // The exponent becomes a double by way of the low bits of 2⁵².
  double exponent = std::bit_cast<double>((u >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023.0);
  double m = std::bit_cast<double>((u & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull);  // in [1, 2)
  const bool high = m > 1.4142135623730951;
  m = high ? 0.5 * m : m;
  exponent = high ? exponent + 1.0 : exponent;
  const double f = (m - 1.0) / (m + 1.0);
  const double z = f * f;
  double p = 1.0 / 21.0;
  p = p * z + 1.0 / 19.0;
  p = p * z + 1.0 / 17.0;
  p = p * z + 1.0 / 15.0;
  p = p * z + 1.0 / 13.0;
  p = p * z + 1.0 / 11.0;
  p = p * z + 1.0 / 9.0;
  p = p * z + 1.0 / 7.0;
  p = p * z + 1.0 / 5.0;
  p = p * z + 1.0 / 3.0;
  p = p * z;
  return exponent * 0.6931471805599453 + 2.0 * (f + f * p);
}

// sin 2πu and cos 2πu for u in [0, 1].
ANNEAL_INLINE void vsinCosTurns(double u, double& sine, double& cosine) {
  constexpr double kRound = 6755399441055744.0;
  const double shifted = 4.0 * u + kRound;
  const uint64_t quadrant = std::bit_cast<uint64_t>(shifted) & 3u;
  const double r = (4.0 * u - (shifted - kRound)) * 1.5707963267948966;  // in [−π/4, π/4]
  const double z = r * r;
  double s = 1.0 / 355687428096000.0;
  s = s * z - 1.0 / 1307674368000.0;
  s = s * z + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  s = r + r * (s * z);
  double c = 1.0 / 20922789888000.0;
  c = c * z - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  c = c * z - 0.5;
  c = 1.0 + c * z;
  const bool swapped = (quadrant & 1u) != 0;
  const double a = swapped ? c : s, b = swapped ? s : c;
  sine = quadrant >= 2u ? -a : a;
  cosine = (quadrant == 1u || quadrant == 2u) ? -b : b;
}

ANNEAL_CPU_NAMESPACE_END
