// mbarrier.cu — controls of barriers in shared memory: phases, parities, arrivals, byte counts.
#include "cuda/launch.h"
#include "cuda/ptx/async_copy.h"
#include "cuda/ptx/mbarrier.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/tma.h"
#include "simt/controls/control.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr unsigned kThreads = 64;
constexpr unsigned kBytes = 1024;  // of one tile
constexpr unsigned kRounds = 4;

// x holds kRounds tiles of 1, 2, 3, …; each kernel sums what every thread reads of them into y.
template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  Buffer x(kRounds * kBytes), y(kThreads * sizeof(float));
  for (unsigned i = 0; i < kRounds * kBytes / 4; ++i) x.as<float>()[i] = static_cast<float>(i + 1);
  return launch(context, kernel, {1, kThreads, 4096}, x.as<float>(), y.as<float>());
}

ANNEAL_DEVICE uint32_t barrierAddress() { return sharedAddress(sharedArena<char>() + 2048); }

// Thread 0 makes the barrier for `arrivals` arrivals, all may use it afterwards.
ANNEAL_DEVICE void begin(uint32_t barrier, uint32_t arrivals) {
  if (threadIdx.x == 0) {
    mbarrierInit(barrier, arrivals);
    fenceMbarrierInit();
  }
  syncThreads();
}

// The first warp writes, the second reads behind the barrier.
template <bool kSound>
__global__ void arriveKernel(const float*, float* y) {
  float* shared = sharedArena<float>();
  const unsigned i = threadIdx.x;
  begin(barrierAddress(), 32);
  if (i < 32) {
    shared[i] = 1.0f;
    mbarrierArrive(barrierAddress());
  } else {
    if (kSound) mbarrierWait(barrierAddress(), 0);
    y[i] = shared[i - 32];
  }
}
// The same with a poll.
template <bool kSound>
__global__ void pollKernel(const float*, float* y) {
  float* shared = sharedArena<float>();
  const unsigned i = threadIdx.x;
  begin(barrierAddress(), kSound ? 32 : 31);
  if (i < 32) {
    shared[i] = 1.0f;
    mbarrierArrive(barrierAddress());
  } else {
    while (!mbarrierTryWait(barrierAddress(), 0)) {
    }
    y[i] = shared[i - 32];
  }
}
// Loads rounds through one buffer; the parity changes with each round.
template <bool kSound, uint32_t kAnnounced = kBytes, bool kFlip = true>
ANNEAL_DEVICE void rounds(const float* x, float* y, uint32_t firstParity) {
  const uint32_t barrier = barrierAddress();
  begin(barrier, 1);
  float sum = 0.0f;
  for (unsigned r = 0; r < kRounds; ++r) {
    if (threadIdx.x == 0) {
      mbarrierArriveExpect(barrier, kAnnounced);
      bulkLoad(sharedAddress(sharedArena<char>()), x + r * kBytes / 4, kBytes, barrier);
    }
    mbarrierWait(barrier, (firstParity + (kFlip ? r : 0)) % 2);
    sum += sharedArena<float>()[threadIdx.x];
    syncThreads();
  }
  y[threadIdx.x] = sum;
}
template <bool kSound>
__global__ void parityKernel(const float* x, float* y) {
  rounds<true>(x, y, kSound ? 0 : 1);
}
template <bool kSound>
__global__ void flipKernel(const float* x, float* y) {
  rounds<true, kBytes, kSound>(x, y, 0);
}
template <bool kSound>
__global__ void moreKernel(const float* x, float* y) {
  rounds<true, kSound ? kBytes : kBytes + 16>(x, y, 0);
}
template <bool kSound>
__global__ void fewerKernel(const float* x, float* y) {
  rounds<true, kSound ? kBytes : kBytes - 16>(x, y, 0);
}
// The copy engine must know of the barrier.
template <bool kSound>
__global__ void fenceKernel(const float* x, float* y) {
  const uint32_t barrier = barrierAddress();
  if (threadIdx.x == 0) {
    mbarrierInit(barrier, 1);
    if (kSound) fenceMbarrierInit();
    mbarrierArriveExpect(barrier, kBytes);
    bulkLoad(sharedAddress(sharedArena<char>()), x, kBytes, barrier);
  }
  syncThreads();
  mbarrierWait(barrier, 0);
  y[threadIdx.x] = sharedArena<float>()[threadIdx.x];
}
// Others must not meet the barrier before it is made.
template <bool kSound>
__global__ void initKernel(const float*, float* y) {
  const uint32_t barrier = barrierAddress();
  if (threadIdx.x == 0) mbarrierInit(barrier, kThreads);
  if (kSound) syncThreads();
  mbarrierArrive(barrier);
  mbarrierWait(barrier, 0);
  y[threadIdx.x] = 1.0f;
}
// Two threads arrive where one was announced, while bytes are under way.
template <bool kSound>
__global__ void manyKernel(const float* x, float* y) {
  const uint32_t barrier = barrierAddress();
  begin(barrier, kSound ? 2 : 1);
  if (threadIdx.x == 0) {
    mbarrierExpect(barrier, kBytes);
    mbarrierArrive(barrier);
  }
  syncThreads();
  if (threadIdx.x == 1) mbarrierArrive(barrier);
  syncThreads();
  if (threadIdx.x == 0) bulkLoad(sharedAddress(sharedArena<char>()), x, kBytes, barrier);
  mbarrierWait(barrier, 0);
  y[threadIdx.x] = sharedArena<float>()[threadIdx.x];
}
// The memory of a barrier serves again.
template <bool kSound>
__global__ void againKernel(const float*, float* y) {
  const uint32_t barrier = barrierAddress();
  for (unsigned r = 0; r < 2; ++r) {
    begin(barrier, kThreads);
    mbarrierArrive(barrier);
    mbarrierWait(barrier, 0);
    syncThreads();
    if (kSound && threadIdx.x == 0) mbarrierInvalidate(barrier);
    syncThreads();
  }
  y[threadIdx.x] = 1.0f;
}
template <bool kSound>
__global__ void alignKernel(const float*, float* y) {
  const uint32_t barrier = barrierAddress() + (kSound ? 8 : 4);
  begin(barrier, kThreads);
  mbarrierArrive(barrier);
  mbarrierWait(barrier, 0);
  y[threadIdx.x] = 1.0f;
}
// Announced bytes that nobody brings, and nobody waits for.
template <bool kSound>
__global__ void leftKernel(const float*, float* y) {
  begin(barrierAddress(), 2);
  if (threadIdx.x == 0 && !kSound) mbarrierExpect(barrierAddress(), 64);
  y[threadIdx.x] = 1.0f;
}
// The first warp's copies arrive at the barrier by themselves; the second warp reads them.
template <bool kSound>
__global__ void copiesKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  const uint32_t barrier = barrierAddress();
  begin(barrier, 32);
  if (i < 32) {
    for (unsigned part = 0; part < 4; ++part) {
      copyAsync<4>(sharedAddress(sharedArena<float>() + 4 * i + part), x + 4 * i + part);
    }
    if (kSound) {
      mbarrierArriveAfterCopies(barrier);
    } else {
      mbarrierArrive(barrier);
    }
  } else {
    mbarrierWait(barrier, 0);
    y[i] = sharedArena<float>()[4 * (i - 32) + 3];
  }
  waitAll();
}
// One lane acts for its warp, and it is the same one each time.
template <bool kSound>
__global__ void electKernel(const float*, float* y) {
  float* shared = sharedArena<float>();
  const unsigned warp = threadIdx.x / 32;
  if (kSound ? electOne() : true) shared[warp] = 1.0f;
  syncThreads();
  y[threadIdx.x] = shared[warp];
}

const Control kTable[] = {
    ANNEAL_CONTROL("mbarrier: no wait", "shared memory at byte", arriveKernel),
    ANNEAL_CONTROL("mbarrier: fewer arrivals announced than come", "shared memory at byte", pollKernel),
    ANNEAL_CONTROL("mbarrier: wrong parity", "shared memory at byte", parityKernel),
    ANNEAL_CONTROL("mbarrier: parity not flipped", "shared memory at byte|deadlock|one arrival too many",
                   flipKernel),
    ANNEAL_CONTROL("mbarrier: more bytes announced than come", "deadlock", moreKernel),
    ANNEAL_CONTROL("mbarrier: fewer bytes announced than come", "16 bytes more arrived", fewerKernel),
    ANNEAL_CONTROL("mbarrier: no fenceMbarrierInit", "without fenceMbarrierInit", fenceKernel),
    ANNEAL_CONTROL("mbarrier: used before it is made", "where no mbarrier is|no barrier stands between",
                   initKernel),
    ANNEAL_CONTROL("mbarrier: one arrival too many", "one arrival too many", manyKernel),
    ANNEAL_CONTROL("mbarrier: made twice", "without having been invalidated", againKernel),
    ANNEAL_CONTROL("mbarrier: misaligned", "misaligned mbarrier", alignKernel),
    ANNEAL_CONTROL("mbarrier: bytes outstanding at the end", "64 bytes still to come", leftKernel),
    ANNEAL_CONTROL("mbarrier: arrival before the copies are there", "shared memory at byte", copiesKernel),
    ANNEAL_CONTROL("elect.sync: all lanes act", "race on shared memory", electKernel),
};

}  // namespace

std::span<const Control> mbarrierControls() { return kTable; }

}  // namespace anneal::controls
