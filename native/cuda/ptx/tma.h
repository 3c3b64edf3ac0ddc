// tma.h — the copy engine (compute capability 9.0): one thread starts the copy of a whole tile. Loads count
// their bytes into an mbarrier (announce the full box, also where it hangs over the tensor's edge: outside is
// filled); stores read shared memory later and form groups of the issuing thread. Shared addresses are
// multiples of 128, tile coordinates are elements, innermost dimension first, and may be negative. Before a
// store, fenceProxyAsync and a barrier must follow the writes of the tile.
#pragma once

#include "cuda/ptx/arch.h"
#include "cuda/ptx/tensor_map.h"

#if defined(ANNEAL_SIMT)
#include "simt/tma.h"
#endif

namespace anneal::cuda {

#if defined(ANNEAL_SIMT)
ANNEAL_DEVICE void tmaPrefetchMap(const TensorMap*) {}
template <typename... C>
ANNEAL_DEVICE void tmaLoad(uint32_t destination, const TensorMap* map, uint32_t barrier, C... coordinates) {
  const int32_t at[] = {static_cast<int32_t>(coordinates)...};
  simt::tmaLoad(destination, map->words, barrier, at, sizeof...(C), 0);
}
template <typename... C>
ANNEAL_DEVICE void tmaLoadMulticast(uint32_t destination, const TensorMap* map, uint32_t barrier,
                                    uint16_t ranks, C... coordinates) {
  const int32_t at[] = {static_cast<int32_t>(coordinates)...};
  simt::tmaLoad(destination, map->words, barrier, at, sizeof...(C), ranks);
}
template <typename... C>
ANNEAL_DEVICE void tmaStore(const TensorMap* map, uint32_t source, C... coordinates) {
  const int32_t at[] = {static_cast<int32_t>(coordinates)...};
  simt::tmaStore(map->words, source, at, sizeof...(C), false);
}
template <typename... C>
ANNEAL_DEVICE void tmaReduceAdd(const TensorMap* map, uint32_t source, C... coordinates) {
  const int32_t at[] = {static_cast<int32_t>(coordinates)...};
  simt::tmaStore(map->words, source, at, sizeof...(C), true);
}
ANNEAL_DEVICE void bulkLoad(uint32_t destination, const void* source, uint32_t bytes, uint32_t barrier) {
  simt::bulkLoad(destination, source, bytes, barrier, 0);
}
ANNEAL_DEVICE void bulkLoadMulticast(uint32_t destination, const void* source, uint32_t bytes,
                                     uint32_t barrier, uint16_t ranks) {
  simt::bulkLoad(destination, source, bytes, barrier, ranks);
}
ANNEAL_DEVICE void bulkStore(void* destination, uint32_t source, uint32_t bytes) {
  simt::bulkStore(destination, source, bytes, false);
}
ANNEAL_DEVICE void bulkReduceAdd(float* destination, uint32_t source, uint32_t bytes) {
  simt::bulkStore(destination, source, bytes, true);
}
ANNEAL_DEVICE void bulkCommit() { simt::bulkCommit(); }
template <int N>
ANNEAL_DEVICE void bulkWait() {
  simt::bulkWait(N, false);
}
template <int N>
ANNEAL_DEVICE void bulkWaitRead() {
  simt::bulkWait(N, true);
}
#else
ANNEAL_DEVICE void tmaPrefetchMap(const TensorMap* map) {
#if ANNEAL_SM90
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#else
  missingInstruction();
#endif
}

// tmaLoad(destination, map, barrier, c0, c1, …): the box at these coordinates (2 to 5 of them) into shared
// memory.
template <typename... C>
ANNEAL_DEVICE void tmaLoad(uint32_t destination, const TensorMap* map, uint32_t barrier, C... coordinates) {
  constexpr int kRank = sizeof...(C);
  static_assert(kRank >= 2 && kRank <= 5);
#if ANNEAL_SM90
  const int32_t at[kRank] = {static_cast<int32_t>(coordinates)...};
  if constexpr (kRank == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
        "%4}], [%2];" ::"r"(destination),
        "l"(map), "r"(barrier), "r"(at[0]), "r"(at[1])
        : "memory");
  } else if constexpr (kRank == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
        "%4, %5}], "
        "[%2];" ::"r"(destination),
        "l"(map), "r"(barrier), "r"(at[0]), "r"(at[1]), "r"(at[2])
        : "memory");
  } else if constexpr (kRank == 4) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%3, %4, %5, %6}], [%2];" ::"r"(destination),
        "l"(map), "r"(barrier), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3])
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(destination),
        "l"(map), "r"(barrier), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4])
        : "memory");
  }
#else
  missingInstruction();
#endif
}

// The same box to the same address of every block whose rank is set in `ranks`; each block's barrier at the
// address `barrier` counts the bytes it receives.
template <typename... C>
ANNEAL_DEVICE void tmaLoadMulticast(uint32_t destination, const TensorMap* map, uint32_t barrier,
                                    uint16_t ranks, C... coordinates) {
  constexpr int kRank = sizeof...(C);
  static_assert(kRank >= 2 && kRank <= 5);
#if ANNEAL_SM90
  const int32_t at[kRank] = {static_cast<int32_t>(coordinates)...};
  if constexpr (kRank == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], "
        "[%1, {%4, %5}], [%2], %3;" ::"r"(destination),
        "l"(map), "r"(barrier), "h"(ranks), "r"(at[0]), "r"(at[1])
        : "memory");
  } else if constexpr (kRank == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], "
        "[%1, {%4, %5, %6}], [%2], %3;" ::"r"(destination),
        "l"(map), "r"(barrier), "h"(ranks), "r"(at[0]), "r"(at[1]), "r"(at[2])
        : "memory");
  } else if constexpr (kRank == 4) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], "
        "[%1, {%4, %5, %6, %7}], [%2], %3;" ::"r"(destination),
        "l"(map), "r"(barrier), "h"(ranks), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3])
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], "
        "[%1, {%4, %5, %6, %7, %8}], [%2], %3;" ::"r"(destination),
        "l"(map), "r"(barrier), "h"(ranks), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4])
        : "memory");
  }
#else
  missingInstruction();
#endif
}

// tmaStore(map, source, c0, c1, …): the box from shared memory to the tensor; what lies outside is not
// written.
template <typename... C>
ANNEAL_DEVICE void tmaStore(const TensorMap* map, uint32_t source, C... coordinates) {
  constexpr int kRank = sizeof...(C);
  static_assert(kRank >= 2 && kRank <= 5);
#if ANNEAL_SM90
  const int32_t at[kRank] = {static_cast<int32_t>(coordinates)...};
  if constexpr (kRank == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
        "r"(source), "r"(at[0]), "r"(at[1])
        : "memory");
  } else if constexpr (kRank == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map),
        "r"(source), "r"(at[0]), "r"(at[1]), "r"(at[2])
        : "memory");
  } else if constexpr (kRank == 4) {
    asm volatile(
        "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(map),
        "r"(source), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3])
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.5d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5, %6}], [%1];" ::"l"(
            map),
        "r"(source), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4])
        : "memory");
  }
#else
  missingInstruction();
#endif
}

// Adds the box to the tensor, element by element in the map's type. The order of several additions to one
// element is the hardware's: only one addition per element and launch gives the same bits each time.
template <typename... C>
ANNEAL_DEVICE void tmaReduceAdd(const TensorMap* map, uint32_t source, C... coordinates) {
  constexpr int kRank = sizeof...(C);
  static_assert(kRank >= 2 && kRank <= 4);
#if ANNEAL_SM90
  const int32_t at[kRank] = {static_cast<int32_t>(coordinates)...};
  if constexpr (kRank == 2) {
    asm volatile(
        "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(
            map),
        "r"(source), "r"(at[0]), "r"(at[1])
        : "memory");
  } else if constexpr (kRank == 3) {
    asm volatile(
        "cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::
            "l"(map),
        "r"(source), "r"(at[0]), "r"(at[1]), "r"(at[2])
        : "memory");
  } else {
    asm volatile(
        "cp.reduce.async.bulk.tensor.4d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3, %4, %5}], "
        "[%1];" ::"l"(map),
        "r"(source), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3])
        : "memory");
  }
#else
  missingInstruction();
#endif
}

// Plain runs of bytes without a map: addresses and `bytes` are multiples of 16.
ANNEAL_DEVICE void bulkLoad(uint32_t destination, const void* source, uint32_t bytes, uint32_t barrier) {
#if ANNEAL_SM90
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
          destination),
      "l"(source), "r"(bytes), "r"(barrier)
      : "memory");
#else
  missingInstruction();
#endif
}
ANNEAL_DEVICE void bulkLoadMulticast(uint32_t destination, const void* source, uint32_t bytes,
                                     uint32_t barrier, uint16_t ranks) {
#if ANNEAL_SM90
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, "
      "[%3], %4;" ::"r"(destination),
      "l"(source), "r"(bytes), "r"(barrier), "h"(ranks)
      : "memory");
#else
  missingInstruction();
#endif
}
ANNEAL_DEVICE void bulkStore(void* destination, uint32_t source, uint32_t bytes) {
#if ANNEAL_SM90
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(destination), "r"(source),
               "r"(bytes)
               : "memory");
#else
  missingInstruction();
#endif
}
// destination[i] += source[i] in f32; the remark at tmaReduceAdd holds.
ANNEAL_DEVICE void bulkReduceAdd(float* destination, uint32_t source, uint32_t bytes) {
#if ANNEAL_SM90
  asm volatile(
      "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(destination),
      "r"(source), "r"(bytes)
      : "memory");
#else
  missingInstruction();
#endif
}

// Groups of this thread's stores: commit closes one; bulkWait<N> waits until at most the N youngest are
// incomplete, bulkWaitRead<N> only until the others have read their shared memory.
ANNEAL_DEVICE void bulkCommit() {
#if ANNEAL_SM90
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#else
  missingInstruction();
#endif
}
template <int N>
ANNEAL_DEVICE void bulkWait() {
#if ANNEAL_SM90
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(N) : "memory");
#else
  missingInstruction();
#endif
}
template <int N>
ANNEAL_DEVICE void bulkWaitRead() {
#if ANNEAL_SM90
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
#else
  missingInstruction();
#endif
}
#endif

}  // namespace anneal::cuda
