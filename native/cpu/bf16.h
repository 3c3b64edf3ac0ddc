// bf16.h — bfloat16 storage and its conversions. Header for every instruction set: everything here is inlined
// into its caller.
#pragma once

#include <bit>
#include <cstdint>

#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

struct bf16 {
  uint16_t bits;
};

ANNEAL_INLINE float toFloat(bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
ANNEAL_INLINE float toFloat(float x) { return x; }

// Rounds to nearest even; NaN stays NaN (quiet). The choice is made on 32-bit lanes, so that one narrowing
// store follows.
ANNEAL_INLINE bf16 roundToBf16(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = u + 0x7FFFu + ((u >> 16) & 1u);
  const uint32_t chosen = x != x ? (u | 0x00400000u) : rounded;
  return {static_cast<uint16_t>(chosen >> 16)};
}

template <typename T>
ANNEAL_INLINE T fromFloat(float x);
template <>
ANNEAL_INLINE float fromFloat<float>(float x) {
  return x;
}
template <>
ANNEAL_INLINE bf16 fromFloat<bf16>(float x) {
  return roundToBf16(x);
}

ANNEAL_CPU_NAMESPACE_END
