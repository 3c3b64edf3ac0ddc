// bf16.h — bfloat16: storage type and conversions. Rounding is to nearest even; NaN becomes the canonical
// 0x7fff, as the cvt instruction gives it.
#pragma once

#include "cuda/ptx/target.h"

namespace anneal::cuda {

struct bf16 {
  uint16_t bits;
};

ANNEAL_DEVICE float toFloat(float value) { return value; }
ANNEAL_DEVICE float toFloat(bf16 value) { return asFloat(uint32_t{value.bits} << 16); }

#if defined(ANNEAL_SIMT)
ANNEAL_DEVICE bf16 toBf16(float value) {
  const uint32_t bits = asBits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}
// Two values rounded by one instruction; `low` lies at the lower address.
ANNEAL_DEVICE uint32_t packBf16(float low, float high) {
  return uint32_t{toBf16(low).bits} | uint32_t{toBf16(high).bits} << 16;
}
#else
ANNEAL_DEVICE bf16 toBf16(float value) {
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
// Two values rounded by one instruction; `low` lies at the lower address.
ANNEAL_DEVICE uint32_t packBf16(float low, float high) {
  uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}
#endif

// fromFloat<T>: the value in the storage type T, rounded once.
template <typename T>
ANNEAL_DEVICE T fromFloat(float value);
template <>
ANNEAL_DEVICE float fromFloat<float>(float value) {
  return value;
}
template <>
ANNEAL_DEVICE bf16 fromFloat<bf16>(float value) {
  return toBf16(value);
}

}  // namespace anneal::cuda
