// cluster.h — blocks of one cluster (compute capability 9.0, along x only): their barrier, and accesses to
// each other's shared memory by 32-bit addresses that carry the owner's rank. A block must not end while a
// peer may still access its shared memory: end such kernels with clusterSync.
#pragma once

#include "cuda/ptx/arch.h"
#include "cuda/ptx/vector.h"

#if defined(ANNEAL_SIMT)
#include "simt/cluster.h"
#endif

namespace anneal::cuda {

#if defined(ANNEAL_SIMT)
ANNEAL_DEVICE uint32_t clusterRank() { return simt::clusterRank(); }
ANNEAL_DEVICE uint32_t clusterSize() { return simt::clusterSize(); }
ANNEAL_DEVICE void clusterArrive() { simt::clusterArrive(); }
ANNEAL_DEVICE void clusterWait() { simt::clusterWait(); }
ANNEAL_DEVICE uint32_t peerAddress(uint32_t address, uint32_t rank) {
  return simt::peerAddress(address, rank);
}
template <typename V>
ANNEAL_DEVICE V loadPeer(uint32_t address) {
  V value;
  simt::readPeer(&value, address, sizeof(V));
  return value;
}
template <typename V>
ANNEAL_DEVICE void storePeer(uint32_t address, const V& value) {
  simt::writePeer(address, &value, sizeof(V));
}
template <typename V>
ANNEAL_DEVICE void storePeerAsync(uint32_t address, const V& value, uint32_t barrier) {
  simt::writePeerAsync(address, &value, sizeof(V), barrier);
}
ANNEAL_DEVICE void gridDependencyWait() {}
ANNEAL_DEVICE void gridLaunchDependents() {}
#else
// This block's rank in its cluster, and the number of blocks in it.
ANNEAL_DEVICE uint32_t clusterRank() {
  uint32_t rank = 0;
#if ANNEAL_SM90
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}
ANNEAL_DEVICE uint32_t clusterSize() {
  uint32_t size = 1;
#if ANNEAL_SM90
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
#endif
  return size;
}

// Barrier of all threads of the cluster in two halves; arrive releases, wait acquires at cluster scope.
ANNEAL_DEVICE void clusterArrive() {
#if ANNEAL_SM90
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#else
  missingInstruction();
#endif
}
ANNEAL_DEVICE void clusterWait() {
#if ANNEAL_SM90
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
  missingInstruction();
#endif
}

// The address in block `rank` of what lies at the shared address `address` here.
ANNEAL_DEVICE uint32_t peerAddress(uint32_t address, uint32_t rank) {
  uint32_t mapped = address;
#if ANNEAL_SM90
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(rank));
#else
  missingInstruction();
#endif
  return mapped;
}

// Ordinary loads and stores of 4, 8 or 16 bytes in any block of the cluster.
template <typename V>
ANNEAL_DEVICE V loadPeer(uint32_t address) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
#if ANNEAL_SM90
  if constexpr (sizeof(V) == 4) {
    uint32_t raw;
    asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(raw) : "r"(address) : "memory");
    return __builtin_bit_cast(V, raw);
  } else if constexpr (sizeof(V) == 8) {
    uint2 raw;
    asm volatile("ld.shared::cluster.v2.u32 {%0, %1}, [%2];"
                 : "=r"(raw.x), "=r"(raw.y)
                 : "r"(address)
                 : "memory");
    return __builtin_bit_cast(V, raw);
  } else {
    uint4 raw;
    asm volatile("ld.shared::cluster.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(raw.x), "=r"(raw.y), "=r"(raw.z), "=r"(raw.w)
                 : "r"(address)
                 : "memory");
    return __builtin_bit_cast(V, raw);
  }
#else
  missingInstruction();
  return V{};
#endif
}

template <typename V>
ANNEAL_DEVICE void storePeer(uint32_t address, const V& value) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
#if ANNEAL_SM90
  if constexpr (sizeof(V) == 4) {
    asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(address), "r"(__builtin_bit_cast(uint32_t, value))
                 : "memory");
  } else if constexpr (sizeof(V) == 8) {
    const auto raw = __builtin_bit_cast(uint2, value);
    asm volatile("st.shared::cluster.v2.u32 [%0], {%1, %2};" ::"r"(address), "r"(raw.x), "r"(raw.y)
                 : "memory");
  } else {
    const auto raw = __builtin_bit_cast(uint4, value);
    asm volatile("st.shared::cluster.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(raw.x), "r"(raw.y),
                 "r"(raw.z), "r"(raw.w)
                 : "memory");
  }
#else
  missingInstruction();
#endif
}

// A store that counts its bytes into a barrier of the block that receives it; both addresses are of that
// block.
template <typename V>
ANNEAL_DEVICE void storePeerAsync(uint32_t address, const V& value, uint32_t barrier) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
#if ANNEAL_SM90
  if constexpr (sizeof(V) == 4) {
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(address),
                 "r"(__builtin_bit_cast(uint32_t, value)), "r"(barrier)
                 : "memory");
  } else if constexpr (sizeof(V) == 8) {
    const auto raw = __builtin_bit_cast(uint2, value);
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(address),
        "r"(raw.x), "r"(raw.y), "r"(barrier)
        : "memory");
  } else {
    const auto raw = __builtin_bit_cast(uint4, value);
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(
            address),
        "r"(raw.x), "r"(raw.y), "r"(raw.z), "r"(raw.w), "r"(barrier)
        : "memory");
  }
#else
  missingInstruction();
#endif
}

// Programmatic dependent launch: waits until the kernels before this one have completed their writes; lets
// the next one start early. Both do nothing where the launch did not ask for it.
ANNEAL_DEVICE void gridDependencyWait() {
#if ANNEAL_SM90
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
ANNEAL_DEVICE void gridLaunchDependents() {
#if ANNEAL_SM90
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
#endif

ANNEAL_DEVICE void clusterSync() {
  clusterArrive();
  clusterWait();
}

}  // namespace anneal::cuda
