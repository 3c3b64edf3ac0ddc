// cluster.cu — controls of clusters: their barrier, accesses to peers' shared memory, multicast, and blocks
// that end too early; and of setmaxnreg.
#include "cuda/host/tensor_map.h"
#include "cuda/launch.h"
#include "cuda/ptx/cluster.h"
#include "cuda/ptx/mbarrier.h"
#include "cuda/ptx/registers.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/tma.h"
#include "simt/controls/control.h"
#include "simt/controls/reference.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr unsigned kThreads = 64;
constexpr unsigned kBlocks = 4;
constexpr unsigned kCluster = 2;
constexpr size_t kShared = 4096;

// y[block, thread] = 100 · (rank of the peer) + thread.
template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  Buffer y(kBlocks * kThreads * sizeof(float));
  if (launch(context, kernel, {kBlocks, kThreads, kShared, kCluster}, y.as<float>())) return 1;
  for (unsigned i = 0; i < kBlocks * kThreads; ++i) {
    const float want = static_cast<float>(100 * (1 - i / kThreads % kCluster) + i % kThreads);
    if (y.as<float>()[i] != want) {
      return fail(context, "wrong result: element %u is %g instead of %g", i,
                  static_cast<double>(y.as<float>()[i]), static_cast<double>(want));
    }
  }
  return 0;
}

ANNEAL_DEVICE uint32_t slot(unsigned i) { return sharedAddress(sharedArena<float>() + i); }
ANNEAL_DEVICE uint32_t barrierAddress() { return sharedAddress(sharedArena<char>() + 2048); }
ANNEAL_DEVICE float mine() { return static_cast<float>(100 * clusterRank() + threadIdx.x); }
ANNEAL_DEVICE void emit(float* y, float value) { y[blockIdx.x * kThreads + threadIdx.x] = value; }

// Reads what the peer wrote.
template <bool kSound>
__global__ void readKernel(float* y) {
  const unsigned i = threadIdx.x;
  sharedArena<float>()[i] = mine();
  if (kSound) {
    clusterSync();
  } else {
    syncThreads();
  }
  emit(y, loadPeer<float>(peerAddress(slot(i), 1 - clusterRank())));
  clusterSync();
}
// The barrier's two halves: what comes between them is not ordered.
template <bool kSound>
__global__ void halvesKernel(float* y) {
  const unsigned i = threadIdx.x;
  if (kSound) sharedArena<float>()[i] = mine();
  clusterArrive();
  if (!kSound) sharedArena<float>()[i] = mine();
  clusterWait();
  emit(y, loadPeer<float>(peerAddress(slot(i), 1 - clusterRank())));
  clusterSync();
}
// A block that ends while its peer reads.
template <bool kSound>
__global__ void endKernel(float* y) {
  const unsigned i = threadIdx.x;
  sharedArena<float>()[i] = mine();
  clusterSync();
  emit(y, loadPeer<float>(peerAddress(slot(i), 1 - clusterRank())));
  if (kSound) clusterSync();
}
// Writes to the peer, in vectors of two.
template <bool kSound>
__global__ void writeKernel(float* y) {
  const unsigned i = threadIdx.x;
  clusterSync();
  const Vec<float, 2> pair = {{mine(), mine() + 1.0f}};
  if (i % 2 == 0) storePeer(peerAddress(slot(i), 1 - clusterRank()), pair);
  if (kSound) {
    clusterSync();
  } else {
    syncThreads();
  }
  emit(y, sharedArena<float>()[i]);
}
// Asynchronous stores that count into the peer's barrier.
template <bool kSound>
__global__ void asyncKernel(float* y) {
  const unsigned i = threadIdx.x;
  if (i == 0) {
    mbarrierInit(barrierAddress(), 1);
    fenceMbarrierInit();
  }
  clusterSync();
  const uint32_t peer = 1 - clusterRank();
  if (i == 0) mbarrierArriveExpect(barrierAddress(), kThreads * sizeof(float));
  storePeerAsync(peerAddress(slot(i), peer), mine(), peerAddress(barrierAddress(), peer));
  if (kSound) mbarrierWaitCluster(barrierAddress(), 0);
  emit(y, sharedArena<float>()[i]);
  clusterSync();
}
// Ordinary stores, then an arrival at the peer's barrier.
template <bool kSound>
__global__ void arriveKernel(float* y) {
  const unsigned i = threadIdx.x;
  if (i == 0) {
    mbarrierInit(barrierAddress(), kThreads);
    if (kSound) fenceMbarrierInit();
  }
  clusterSync();
  const uint32_t peer = 1 - clusterRank();
  storePeer(peerAddress(slot(i), peer), mine());
  mbarrierArrivePeer(barrierAddress(), peer);
  mbarrierWaitCluster(barrierAddress(), 0);
  emit(y, sharedArena<float>()[i]);
  clusterSync();
}
template <bool kSound>
__global__ void rankKernel(float* y) {
  const unsigned i = threadIdx.x;
  sharedArena<float>()[i] = mine();
  clusterSync();
  emit(y, loadPeer<float>(peerAddress(slot(i), kSound ? 1 - clusterRank() : clusterRank() + 1)));
  clusterSync();
}

// ---- Multicast: each block loads one half of a tile for both.

constexpr uint32_t kRows = 16, kColumns = 32;
constexpr uint32_t kHalfBytes = kRows / 2 * kColumns * 4;

template <typename Kernel>
int runMulticast(KernelContext* context, Kernel kernel) {
  Buffer x(kRows * kColumns * 4), y(kCluster * kRows * kColumns * 4);
  for (uint32_t i = 0; i < kRows * kColumns; ++i) x.as<float>()[i] = sampleValue(i, 10);
  TensorMap map;
  if (encodeTensorMap(context,
                      matrixMap(x.as<float>(), TensorMapType::kF32, kRows, kColumns, kColumns * 4, kRows / 2,
                                kColumns, Swizzle::kNone),
                      &map)) {
    return 1;
  }
  if (launch(context, kernel, {kCluster, kThreads, kShared, kCluster}, map, y.as<float>())) return 1;
  for (uint32_t i = 0; i < kCluster * kRows * kColumns; ++i) {
    if (y.as<float>()[i] != x.as<float>()[i % (kRows * kColumns)])
      return fail(context, "wrong result: element %u", i);
  }
  return 0;
}

enum Part { kReady, kExpectAll, kEnd, kNothing };
template <Part kMissing>
ANNEAL_DEVICE void multicast(const TensorMap* map, float* y) {
  const unsigned rank = clusterRank();
  if (threadIdx.x == 0) {
    mbarrierInit(barrierAddress(), 1);
    fenceMbarrierInit();
    mbarrierArriveExpect(barrierAddress(), kMissing == kExpectAll ? kHalfBytes : 2 * kHalfBytes);
  }
  // The peer's barrier must be there before a copy counts into it.
  if (kMissing != kReady) {
    clusterSync();
  } else {
    syncThreads();
  }
  if (threadIdx.x == 0) {
    tmaLoadMulticast(sharedAddress(sharedArena<char>()) + rank * kHalfBytes, map, barrierAddress(), 3, 0,
                     rank * kRows / 2);
  }
  mbarrierWait(barrierAddress(), 0);
  for (uint32_t i = threadIdx.x; i < kRows * kColumns; i += kThreads) {
    y[rank * kRows * kColumns + i] = sharedArena<float>()[i];
  }
  if (kMissing != kEnd) clusterSync();
}
template <bool kSound>
__global__ void readyKernel(const __grid_constant__ TensorMap map, float* y) {
  multicast<kSound ? kNothing : kReady>(&map, y);
}
template <bool kSound>
__global__ void expectKernel(const __grid_constant__ TensorMap map, float* y) {
  multicast<kSound ? kNothing : kExpectAll>(&map, y);
}

// ---- Registers: three warpgroups share what the launch gave, 168 a thread.

template <typename Kernel>
int runRegisters(KernelContext* context, Kernel kernel) {
  Buffer y(384 * sizeof(float));
  return launch(context, kernel, {1, 384, 0}, y.as<float>());
}
template <bool kSound>
__global__ void __launch_bounds__(384, 1) poolKernel(float* y) {
  if (threadIdx.x < 128) {
    decreaseRegisters<40>();
    y[threadIdx.x] = 1.0f;
  } else {
    increaseRegisters<kSound ? 232 : 240>();
    y[threadIdx.x] = 2.0f;
  }
}
template <bool kSound>
__global__ void __launch_bounds__(384, 1) directionKernel(float* y) {
  if (threadIdx.x < 128) {
    decreaseRegisters<kSound ? 48 : 40>();
    decreaseRegisters<kSound ? 40 : 48>();
    y[threadIdx.x] = 1.0f;
  } else {
    y[threadIdx.x] = 2.0f;
  }
}
template <bool kSound>
__global__ void __launch_bounds__(384, 1) partKernel(float* y) {
  if (threadIdx.x < (kSound ? 128 : 96)) decreaseRegisters<40>();
  y[threadIdx.x] = 1.0f;
}

#define ANNEAL_RUN_CONTROL(name, message, runner, kernel)                                \
  {                                                                                      \
    name, message, [](KernelContext* context) { return runner(context, kernel<true>); }, \
        [](KernelContext* context) { return runner(context, kernel<false>); }            \
  }

const Control kTable[] = {
    ANNEAL_CONTROL("cluster: no cluster barrier before a peer reads", "shared memory at byte", readKernel),
    ANNEAL_CONTROL("cluster: store between arrive and wait", "race on shared memory", halvesKernel),
    ANNEAL_CONTROL("cluster: block ends while a peer reads", "ended", endKernel),
    ANNEAL_CONTROL("cluster: no cluster barrier after a peer's store", "shared memory at byte", writeKernel),
    ANNEAL_CONTROL("cluster: st.async read before the wait", "shared memory at byte", asyncKernel),
    ANNEAL_CONTROL("cluster: peer's mbarrier without fenceMbarrierInit", "without fenceMbarrierInit",
                   arriveKernel),
    ANNEAL_CONTROL("cluster: rank outside", "rank 2 of a cluster of 2 blocks", rankKernel),
    ANNEAL_RUN_CONTROL("multicast: peer's mbarrier not ready", "bytes of a copy arrive at shared byte",
                       runMulticast, readyKernel),
    ANNEAL_RUN_CONTROL("multicast: only the own half announced", "shared memory at byte|more arrived",
                       runMulticast, expectKernel),
    ANNEAL_RUN_CONTROL("setmaxnreg: more than the pool holds", "deadlock", runRegisters, poolKernel),
    ANNEAL_RUN_CONTROL("setmaxnreg: dec to more", "setmaxnreg.dec to 48", runRegisters, directionKernel),
    ANNEAL_RUN_CONTROL("setmaxnreg: by a part of the warpgroup", "of one warpgroup", runRegisters,
                       partKernel),
};

}  // namespace

std::span<const Control> clusterControls() { return kTable; }

}  // namespace anneal::controls
