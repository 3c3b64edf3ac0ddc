// mbarrier.h — barriers in shared memory that count arrivals and bytes (compute capability 9.0), and the
// fences between ordinary accesses and those of the copy engine and the tensor cores. A barrier is 8 bytes,
// aligned to 8. A phase ends when all its arrivals have come and as many bytes as were announced; the phases'
// parities are 0, 1, 0, … A fresh barrier is in phase 0: waiting for parity 1 returns at once ("the phase
// before").
#pragma once

#include "cuda/ptx/arch.h"

#if defined(ANNEAL_SIMT)
#include "simt/mbarrier.h"
#endif

namespace anneal::cuda {

#if defined(ANNEAL_SIMT)
ANNEAL_DEVICE void mbarrierInit(uint32_t barrier, uint32_t arrivals) {
  simt::mbarrierInit(barrier, arrivals);
}
ANNEAL_DEVICE void mbarrierInvalidate(uint32_t barrier) { simt::mbarrierInvalidate(barrier); }
ANNEAL_DEVICE void fenceMbarrierInit() { simt::fenceMbarrierInit(); }
ANNEAL_DEVICE void fenceProxyAsync() { simt::fenceProxyAsync(); }
ANNEAL_DEVICE void mbarrierArrive(uint32_t barrier) { simt::mbarrierArrive(barrier); }
ANNEAL_DEVICE void mbarrierArriveExpect(uint32_t barrier, uint32_t bytes) {
  simt::mbarrierExpect(barrier, bytes);
  simt::mbarrierArrive(barrier);
}
ANNEAL_DEVICE void mbarrierExpect(uint32_t barrier, uint32_t bytes) { simt::mbarrierExpect(barrier, bytes); }
ANNEAL_DEVICE void mbarrierArrivePeer(uint32_t barrier, uint32_t rank) {
  simt::mbarrierArrivePeer(barrier, rank);
}
ANNEAL_DEVICE bool mbarrierTryWait(uint32_t barrier, uint32_t parity) {
  return simt::mbarrierTryWait(barrier, parity);
}
ANNEAL_DEVICE void mbarrierWait(uint32_t barrier, uint32_t parity) { simt::mbarrierWait(barrier, parity); }
ANNEAL_DEVICE void mbarrierWaitCluster(uint32_t barrier, uint32_t parity) {
  simt::mbarrierWait(barrier, parity);
}
ANNEAL_DEVICE void mbarrierArriveAfterCopies(uint32_t barrier) { simt::mbarrierArriveAfterCopies(barrier); }
ANNEAL_DEVICE bool electOne() { return simt::electOne(); }
#else
// A new barrier whose phases take `arrivals` arrivals (1 to 2^20 - 1). One thread initialises; others may use
// it behind a syncThreads, the copy engine and other blocks of the cluster behind fenceMbarrierInit and a
// barrier as well.
ANNEAL_DEVICE void mbarrierInit(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// Ends the barrier's life, after which its memory may serve for something else.
ANNEAL_DEVICE void mbarrierInvalidate(uint32_t barrier) {
  asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(barrier) : "memory");
}

// Makes this thread's mbarrierInit visible to the copy engine and to the cluster.
ANNEAL_DEVICE void fenceMbarrierInit() {
#if ANNEAL_SM90
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#else
  missingInstruction();
#endif
}

// Orders this thread's ordinary accesses to shared memory before later ones of the copy engine and the tensor
// cores: every thread that wrote what they read next calls this, then a barrier.
ANNEAL_DEVICE void fenceProxyAsync() {
#if ANNEAL_SM90
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
  missingInstruction();
#endif
}

// One arrival, releasing this thread's earlier accesses.
ANNEAL_DEVICE void mbarrierArrive(uint32_t barrier) {
  asm volatile("{\n .reg .b64 state;\n mbarrier.arrive.shared.b64 state, [%0];\n}" ::"r"(barrier) : "memory");
}
// Announces `bytes` (below 2^20) that asynchronous copies will bring in this phase, then arrives.
ANNEAL_DEVICE void mbarrierArriveExpect(uint32_t barrier, uint32_t bytes) {
#if ANNEAL_SM90
  asm volatile(
      "{\n .reg .b64 state;\n mbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n}" ::"r"(barrier),
      "r"(bytes)
      : "memory");
#else
  missingInstruction();
#endif
}
// Announces bytes without arriving.
ANNEAL_DEVICE void mbarrierExpect(uint32_t barrier, uint32_t bytes) {
#if ANNEAL_SM90
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
#else
  missingInstruction();
#endif
}
// One arrival at the barrier of the same address in block `rank` of the cluster.
ANNEAL_DEVICE void mbarrierArrivePeer(uint32_t barrier, uint32_t rank) {
#if ANNEAL_SM90
  asm volatile(
      "{\n .reg .b32 remote;\n mapa.shared::cluster.u32 remote, %0, %1;\n"
      " mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier),
      "r"(rank)
      : "memory");
#else
  missingInstruction();
#endif
}

// True when the phase of this parity has ended; may suspend the thread for a while before it says no.
ANNEAL_DEVICE bool mbarrierTryWait(uint32_t barrier, uint32_t parity) {
#if ANNEAL_SM90
  uint32_t done;
  asm volatile(
      "{\n .reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n selp.u32 %0, 1, 0, p;\n}"
      : "=r"(done)
      : "r"(barrier), "r"(parity)
      : "memory");
  return done != 0;
#else
  missingInstruction();
  return false;
#endif
}
// Waits until the phase of this parity has ended, and acquires what its arrivals released (in this block).
ANNEAL_DEVICE void mbarrierWait(uint32_t barrier, uint32_t parity) {
  while (!mbarrierTryWait(barrier, parity)) {
  }
}
// The same where arrivals come from other blocks of the cluster: acquires at cluster scope.
ANNEAL_DEVICE void mbarrierWaitCluster(uint32_t barrier, uint32_t parity) {
#if ANNEAL_SM90
  uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{\n .reg .pred p;\n mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
        " selp.u32 %0, 1, 0, p;\n}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  }
#else
  missingInstruction();
#endif
}

// This thread's arrival comes by itself when all its earlier cp.async copies are done; it counts as one of
// the barrier's arrivals.
ANNEAL_DEVICE void mbarrierArriveAfterCopies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
}

// True in exactly one lane of a whole warp.
ANNEAL_DEVICE bool electOne() {
#if ANNEAL_SM90
  uint32_t elected;
  asm volatile("{\n .reg .pred p;\n elect.sync _|p, 0xffffffff;\n selp.u32 %0, 1, 0, p;\n}"
               : "=r"(elected)::"memory");
  return elected != 0;
#else
  missingInstruction();
  return false;
#endif
}
#endif

}  // namespace anneal::cuda
