// async_copy.h — cp.async (compute capability 8.0): copies from global to shared memory that do not pass
// through registers. A thread's copies form groups; the destination is undefined, and may not be touched,
// until the issuing thread has waited for the copy's group; other threads need a barrier after that wait.
#pragma once

#include "cuda/ptx/target.h"

#if defined(ANNEAL_SIMT)
#include "simt/async_copy.h"
#endif

namespace anneal::cuda {

// copyAsync<B>: B = 4, 8 or 16 bytes to the shared address `destination`; both addresses are multiples of B.
// `bytesValid` (0 to B) bytes are read from `source`, the rest of the destination becomes zero; with 0 the
// source is not read, but must still be an aligned address (pass the tensor's first element). 16-byte copies
// bypass L1.
#if defined(ANNEAL_SIMT)
template <int B>
ANNEAL_DEVICE void copyAsync(uint32_t destination, const void* source, uint32_t bytesValid) {
  static_assert(B == 4 || B == 8 || B == 16);
  simt::copyAsync(destination, source, B, bytesValid);
}
template <int B>
ANNEAL_DEVICE void copyAsync(uint32_t destination, const void* source) {
  copyAsync<B>(destination, source, B);
}
// Closes the thread's current group; a group may be empty, and counts for waitGroups all the same.
ANNEAL_DEVICE void commitGroup() { simt::commitGroup(); }
// Waits until at most the N youngest of this thread's groups are under way.
template <int N>
ANNEAL_DEVICE void waitGroups() {
  simt::waitGroups(N);
}
// Waits for all of this thread's copies, those outside a group included.
ANNEAL_DEVICE void waitAll() { simt::waitAllCopies(); }
#else
template <int B>
ANNEAL_DEVICE void copyAsync(uint32_t destination, const void* source, uint32_t bytesValid) {
  static_assert(B == 4 || B == 8 || B == 16);
  if constexpr (B == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(destination), "l"(source),
                 "r"(bytesValid)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(destination), "l"(source), "n"(B),
                 "r"(bytesValid)
                 : "memory");
  }
}
template <int B>
ANNEAL_DEVICE void copyAsync(uint32_t destination, const void* source) {
  static_assert(B == 4 || B == 8 || B == 16);
  if constexpr (B == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(destination), "l"(source)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(destination), "l"(source), "n"(B)
                 : "memory");
  }
}
// Closes the thread's current group; a group may be empty, and counts for waitGroups all the same.
ANNEAL_DEVICE void commitGroup() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most the N youngest of this thread's groups are under way.
template <int N>
ANNEAL_DEVICE void waitGroups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
// Waits for all of this thread's copies, those outside a group included.
ANNEAL_DEVICE void waitAll() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif

ANNEAL_DEVICE void copyAsync16(uint32_t destination, const void* source, uint32_t bytesValid) {
  copyAsync<16>(destination, source, bytesValid);
}
ANNEAL_DEVICE void copyAsync16(uint32_t destination, const void* source) {
  copyAsync<16>(destination, source);
}

}  // namespace anneal::cuda
