// vector.h — packed accesses to global memory: one load or store instruction of 2 to 16 bytes a thread. The
// address must be a multiple of the vector's size.
#pragma once

#include "cuda/ptx/bf16.h"
#include "cuda/ptx/target.h"

namespace anneal::cuda {

template <typename T, int N>
struct alignas(sizeof(T) * N) Vec {
  static_assert(sizeof(T) * N <= 16, "one access moves at most 16 bytes");
  T lane[N];
};

// Elements of T in one 16-byte access.
template <typename T>
constexpr int kLanes16 = 16 / sizeof(T);

#if defined(ANNEAL_SIMT)
template <typename V>
ANNEAL_DEVICE V load(const void* address) {
  V value;
  simt::readGlobal(&value, address, sizeof(V));
  return value;
}
template <typename V>
ANNEAL_DEVICE V loadOnce(const void* address) {
  return load<V>(address);
}
template <typename V>
ANNEAL_DEVICE void store(void* address, const V& value) {
  simt::writeGlobal(address, &value, sizeof(V));
}
template <typename V>
ANNEAL_DEVICE void storeOnce(void* address, const V& value) {
  store(address, value);
}
#else
// Through the caches as usual: data that is read again.
template <typename V>
ANNEAL_DEVICE V load(const void* address) {
  return *static_cast<const V*>(address);
}

template <typename V>
ANNEAL_DEVICE void store(void* address, const V& value) {
  *static_cast<V*>(address) = value;
}

// Data of this launch's inputs that is read once: it does not displace other lines of L1.
template <typename V>
ANNEAL_DEVICE V loadOnce(const void* address) {
  static_assert(sizeof(V) == 2 || sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
  if constexpr (sizeof(V) == 16) {
    uint4 raw;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(raw.x), "=r"(raw.y), "=r"(raw.z), "=r"(raw.w)
                 : "l"(address)
                 : "memory");
    return __builtin_bit_cast(V, raw);
  } else {
    return *static_cast<const V*>(address);
  }
}

// Data that this launch writes and does not read: evicted first from L2.
template <typename V>
ANNEAL_DEVICE void storeOnce(void* address, const V& value) {
  if constexpr (sizeof(V) == 16) {
    __stcs(static_cast<uint4*>(address), __builtin_bit_cast(uint4, value));
  } else if constexpr (sizeof(V) == 8) {
    __stcs(static_cast<uint2*>(address), __builtin_bit_cast(uint2, value));
  } else {
    *static_cast<V*>(address) = value;
  }
}
#endif

}  // namespace anneal::cuda
