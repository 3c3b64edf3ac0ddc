// sync.h — barriers of a block, fences, and atomics on global memory.
#pragma once

#include "cuda/ptx/target.h"

namespace anneal::cuda {

#if defined(ANNEAL_SIMT)
// Barrier of all threads of the block; orders their accesses to shared and global memory.
ANNEAL_DEVICE void syncThreads() { simt::syncThreads(); }
// Barrier `id` (1 to 15; 0 is syncThreads) of `threads` threads, a multiple of 32: sync arrives and waits,
// arrive only arrives.
ANNEAL_DEVICE void namedBarrierSync(unsigned id, unsigned threads) { simt::namedBarrier(id, threads, true); }
ANNEAL_DEVICE void namedBarrierArrive(unsigned id, unsigned threads) {
  simt::namedBarrier(id, threads, false);
}
// Orders this thread's earlier writes to global memory before its later ones, for all blocks.
ANNEAL_DEVICE void fenceDevice() { simt::fenceDevice(); }
// Adds to a counter in global memory and gives its old value, with acquire and release: what a block wrote
// before (behind a syncThreads) is seen by the block that reads the last value.
ANNEAL_DEVICE uint32_t atomicAddOrdered(uint32_t* counter, uint32_t value) {
  return simt::atomicAdd(counter, value);
}
// Integer atomics without ordering; their result does not depend on the order of arrival.
ANNEAL_DEVICE int32_t atomicAddInt(int32_t* address, int32_t value) {
  return simt::atomicAdd(address, value);
}
ANNEAL_DEVICE uint64_t atomicMaxWord(uint64_t* address, uint64_t value) {
  return simt::atomicMax(address, value);
}
ANNEAL_DEVICE uint64_t atomicCompareWord(uint64_t* address, uint64_t expected, uint64_t value) {
  return simt::atomicCompare(address, expected, value);
}
#else
// Barrier of all threads of the block; orders their accesses to shared and global memory.
ANNEAL_DEVICE void syncThreads() { __syncthreads(); }
// Barrier `id` (1 to 15; 0 is syncThreads) of `threads` threads, a multiple of 32: sync arrives and waits,
// arrive only arrives.
ANNEAL_DEVICE void namedBarrierSync(unsigned id, unsigned threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
ANNEAL_DEVICE void namedBarrierArrive(unsigned id, unsigned threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
// Orders this thread's earlier writes to global memory before its later ones, for all blocks.
ANNEAL_DEVICE void fenceDevice() { __threadfence(); }
// Adds to a counter in global memory and gives its old value, with acquire and release: what a block wrote
// before (behind a syncThreads) is seen by the block that reads the last value.
ANNEAL_DEVICE uint32_t atomicAddOrdered(uint32_t* counter, uint32_t value) {
  uint32_t old;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(old)
               : "l"(counter), "r"(value)
               : "memory");
  return old;
}
// Integer atomics without ordering; their result does not depend on the order of arrival.
ANNEAL_DEVICE int32_t atomicAddInt(int32_t* address, int32_t value) { return atomicAdd(address, value); }
ANNEAL_DEVICE uint64_t atomicMaxWord(uint64_t* address, uint64_t value) {
  return atomicMax(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(value));
}
ANNEAL_DEVICE uint64_t atomicCompareWord(uint64_t* address, uint64_t expected, uint64_t value) {
  return atomicCAS(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(expected),
                   static_cast<unsigned long long>(value));
}
#endif

}  // namespace anneal::cuda
