// race.cu — controls of shared memory: accesses that only luck would order.
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
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
  return launch(context, kernel, {1, kThreads, kThreads * sizeof(float)}, y.as<float>());
}

// Shared memory that has been written once, so that a read without a barrier finds something.
__device__ float* writtenArena() {
  float* shared = sharedArena<float>();
  shared[threadIdx.x] = 0.0f;
  syncThreads();
  return shared;
}

// Reads what the neighbour wrote.
template <bool kSound>
__global__ void readKernel(float* y) {
  float* shared = writtenArena();
  const unsigned i = threadIdx.x;
  shared[i] = static_cast<float>(i);
  if (kSound) syncThreads();
  y[i] = shared[(i + 1) % kThreads];
}
// Writes again what slower threads still read: the second barrier of a loop.
template <bool kSound>
__global__ void againKernel(float* y) {
  float* shared = writtenArena();
  const unsigned i = threadIdx.x;
  float sum = 0.0f;
  for (int round = 0; round < 3; ++round) {
    shared[i] = static_cast<float>(round);
    syncThreads();
    for (unsigned k = 0; k < 4; ++k) sum += shared[(i + k * 32) % kThreads];
    if (kSound) syncThreads();
  }
  y[i] = sum;
}
// The warp's lanes are not in step.
template <bool kSound>
__global__ void warpKernel(float* y) {
  float* shared = writtenArena();
  const unsigned i = threadIdx.x;
  shared[i] = 1.0f;
  if (kSound) syncWarp();
  y[i] = shared[i ^ 1];
}
// A shuffle meets the lanes but orders no memory.
template <bool kSound>
__global__ void shuffleKernel(float* y) {
  float* shared = writtenArena();
  const unsigned i = threadIdx.x;
  shared[i] = 1.0f;
  const float other = shuffleXor(2.0f, 1);
  if (kSound) syncWarp();
  y[i] = shared[i ^ 1] + other;
}
// All threads write one word.
template <bool kSound>
__global__ void sameKernel(float* y) {
  float* shared = sharedArena<float>();
  if (!kSound || threadIdx.x == 0) shared[0] = 1.0f;
  syncThreads();
  y[threadIdx.x] = shared[0];
}
// Neighbours in one word: halves are apart, the same half is not.
template <bool kSound>
__global__ void halvesKernel(float* y) {
  uint16_t* shared = sharedArena<uint16_t>();
  const unsigned i = kSound ? threadIdx.x : threadIdx.x / 2 * 2;
  shared[i] = 7;
  syncThreads();
  y[threadIdx.x] = shared[i];
}
// Producers arrive without waiting, consumers wait: warps that use different barriers are not ordered.
template <bool kSound>
__global__ void namedKernel(float* y) {
  float* shared = writtenArena();
  const unsigned i = threadIdx.x;
  if (warpId() < 2) {
    shared[i] = 1.0f;
    namedBarrierArrive(1 + warpId(), 64);
  } else {
    namedBarrierSync(1 + (warpId() - 2), 64);
    y[i] = shared[kSound ? i - 64 : (i + 32) % 64];
  }
}
// A thread that has ended is no party to syncThreads.
template <bool kSound>
__global__ void endedKernel(float* y) {
  float* shared = writtenArena();
  const unsigned i = threadIdx.x;
  shared[i] = 1.0f;
  if (kSound) syncThreads();
  if (i >= 64) return;
  syncThreads();
  y[i] = shared[i + 64];
}
// A counter of the block.
template <bool kSound>
__global__ void atomicKernel(float* y) {
  auto* counter = sharedArena<int32_t>();
  if (threadIdx.x == 0) *counter = 0;
  syncThreads();
  if (kSound) {
    atomicAddInt(counter, 1);
  } else {
    *counter += 1;
  }
  syncThreads();
  y[threadIdx.x] = static_cast<float>(*counter);
}

constexpr Control kControls[] = {
    ANNEAL_CONTROL("race: write, then read", "race on shared memory", readKernel),
    ANNEAL_CONTROL("race: read, then write", "race on shared memory", againKernel),
    ANNEAL_CONTROL("race: lanes of a warp", "race on shared memory", warpKernel),
    ANNEAL_CONTROL("race: behind a shuffle", "race on shared memory", shuffleKernel),
    ANNEAL_CONTROL("race: all write one word", "race on shared memory", sameKernel),
    ANNEAL_CONTROL("race: halves of a word", "race on shared memory", halvesKernel),
    ANNEAL_CONTROL("race: the wrong named barrier", "race on shared memory", namedKernel),
    ANNEAL_CONTROL("race: a thread that has ended", "race on shared memory", endedKernel),
    ANNEAL_CONTROL("race: counter without atomics", "race on shared memory", atomicKernel),
};

}  // namespace

std::span<const Control> raceControls() { return kControls; }

}  // namespace anneal::controls
