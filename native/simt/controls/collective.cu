// collective.cu — controls of barriers and warp collectives: deadlocks, diverged warps, masks, counts.
#include "cuda/launch.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/warp.h"
#include "simt/controls/control.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr unsigned kThreads = 128;

template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  Buffer y(kThreads * sizeof(float));
  return launch(context, kernel, {1, kThreads}, y.as<float>());
}

// Barrier 1 expects a warp that never comes.
template <bool kSound>
__global__ void countKernel(float* y) {
  if (warpId() < 3) namedBarrierSync(1, kSound ? 96 : 128);
  y[threadIdx.x] = 1.0f;
}
// Two pairs of warps wait for each other at two barriers in opposite order.
template <bool kSound>
__global__ void orderKernel(float* y) {
  const bool swap = !kSound && warpId() >= 2;
  namedBarrierSync(swap ? 2 : 1, 128);
  namedBarrierSync(swap ? 1 : 2, 128);
  y[threadIdx.x] = 1.0f;
}
// A count that the two sides do not agree on.
template <bool kSound>
__global__ void disagreeKernel(float* y) {
  if (warpId() < 2) namedBarrierSync(3, !kSound && warpId() == 1 ? 96 : 64);
  y[threadIdx.x] = 1.0f;
}
// Arrives for its partner as well.
template <bool kSound>
__global__ void twiceKernel(float* y) {
  if (warpId() == 0) {
    namedBarrierArrive(4, 64);
    if (!kSound) namedBarrierArrive(4, 64);
  } else if (warpId() == 1) {
    namedBarrierSync(4, 64);
  }
  y[threadIdx.x] = 1.0f;
}
// Half a warp goes to the block's barrier, the other half to the warp's.
template <bool kSound>
__global__ void halfKernel(float* y) {
  if (kSound || laneId() < 16) {
    syncThreads();
  } else {
    syncWarp();
  }
  y[threadIdx.x] = 1.0f;
}
// Lanes of one warp wait at two barriers of the block.
template <bool kSound>
__global__ void splitKernel(float* y) {
  if (!kSound && warpId() == 0 && laneId() >= 16) {
    namedBarrierSync(5, 128);
  } else {
    syncThreads();
  }
  y[threadIdx.x] = 1.0f;
}
// Threads that have ended are not waited for by syncThreads (sound), but are by a shuffle that names them.
template <bool kSound>
__global__ void endedKernel(float* y) {
  if (laneId() >= 30) return;
  syncThreads();
  y[threadIdx.x] = shuffleXor(static_cast<float>(laneId()), 1, kSound ? 0x3fffffffu : kAllLanes);
}
template <bool kSound>
__global__ void masksKernel(float* y) {
  const uint32_t mask = kSound || laneId() < 16 ? kAllLanes : 0xfffffffeu;
  y[threadIdx.x] = shuffleXor(1.0f, 1, mask);
}
template <bool kSound>
__global__ void kindsKernel(float* y) {
  if (kSound || laneId() % 2 == 0) {
    y[threadIdx.x] = shuffleXor(1.0f, 1);
  } else {
    y[threadIdx.x] = ballot(true) == 0 ? 0.0f : 1.0f;
  }
}
template <bool kSound>
__global__ void outsideKernel(float* y) {
  if (laneId() < 16) y[threadIdx.x] = shuffleXor(1.0f, kSound ? 1 : 16, 0xffffu);
}
template <bool kSound>
__global__ void unnamedKernel(float* y) {
  if (laneId() < 17) y[threadIdx.x] = ballot(true, kSound ? 0x1ffffu : 0xffffu) == 0 ? 0.0f : 1.0f;
}

constexpr Control kControls[] = {
    ANNEAL_CONTROL("collective: too few at a barrier", "96 at named barrier 1 of 128 threads", countKernel),
    ANNEAL_CONTROL("collective: barriers in opposite order",
                   "deadlock, threads wait for ever: 64 at named barrier", orderKernel),
    ANNEAL_CONTROL("collective: counts of a barrier", "others said", disagreeKernel),
    ANNEAL_CONTROL("collective: arriving twice", "arrives twice in one phase", twiceKernel),
    ANNEAL_CONTROL("collective: half a warp at syncThreads", "diverged warp", halfKernel),
    ANNEAL_CONTROL("collective: a warp at two barriers", "diverged warp", splitKernel),
    ANNEAL_CONTROL("collective: lanes that have ended", "has ended", endedKernel),
    ANNEAL_CONTROL("collective: masks", "with the masks", masksKernel),
    ANNEAL_CONTROL("collective: shuffle against ballot", "diverged warp", kindsKernel),
    ANNEAL_CONTROL("collective: source outside the mask", "which the mask 0000ffff does not name",
                   outsideKernel),
    ANNEAL_CONTROL("collective: caller outside the mask", "which does not name it", unnamedKernel),
};

}  // namespace

std::span<const Control> collectiveControls() { return kControls; }

}  // namespace anneal::controls
