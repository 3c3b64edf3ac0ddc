// global_race.cu — controls of global memory inside one launch: threads of a block, and blocks.
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/vector.h"
#include "simt/controls/control.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr unsigned kThreads = 64;
constexpr unsigned kBlocks = 8;

template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  Buffer y(kBlocks * kThreads * sizeof(float)), counter(sizeof(uint32_t));
  return launch(context, kernel, {kBlocks, kThreads, sizeof(uint32_t)}, y.as<float>(),
                counter.as<uint32_t>());
}

// The neighbour's result, in one block.
template <bool kSound>
__global__ void neighbourKernel(float* y, uint32_t*) {
  float* mine = y + blockIdx.x * kThreads;
  mine[threadIdx.x] = 1.0f;
  if (kSound) syncThreads();
  const float other = mine[(threadIdx.x + 1) % kThreads];
  syncThreads();
  mine[threadIdx.x] = other;
}
// Blocks whose rows overlap by one element.
template <bool kSound>
__global__ void overlapKernel(float* y, uint32_t*) {
  const unsigned first = blockIdx.x * (kSound ? kThreads : kThreads - 1);
  y[first + threadIdx.x] = 1.0f;
}
// In place: reads what another block overwrites.
template <bool kSound>
__global__ void placeKernel(float* y, uint32_t*) {
  const unsigned i = static_cast<unsigned>(globalIndex());
  const float value = y[kSound ? i : kBlocks * kThreads - 1 - i];
  syncThreads();
  y[i] = value + 1.0f;
}
// The last block sums what all wrote: without the ticket it may come too early.
__device__ void sumAll(float* y, bool last) {
  if (!last || threadIdx.x != 0) return;
  float sum = 0.0f;
  for (unsigned b = 0; b < kBlocks; ++b) sum += y[b * kThreads + 1];
  y[0] = sum;
}
template <bool kSound>
__global__ void ticketKernel(float* y, uint32_t* counter) {
  auto* ticket = sharedArena<uint32_t>();
  if (threadIdx.x != 0) y[globalIndex()] = 1.0f;
  syncThreads();
  if (threadIdx.x == 0) *ticket = kSound ? atomicAddOrdered(counter, 1) : blockIdx.x;
  syncThreads();
  sumAll(y, *ticket == kBlocks - 1);
}
// The ticket is taken before the block's other threads have written.
template <bool kSound>
__global__ void earlyKernel(float* y, uint32_t* counter) {
  auto* ticket = sharedArena<uint32_t>();
  if (threadIdx.x != 0) y[globalIndex()] = 1.0f;
  if (kSound) syncThreads();
  if (threadIdx.x == 0) *ticket = atomicAddOrdered(counter, 1);
  syncThreads();
  sumAll(y, *ticket == kBlocks - 1);
}
// Vectors and single elements of two blocks.
template <bool kSound>
__global__ void widthsKernel(float* y, uint32_t*) {
  if (blockIdx.x == 0) {
    store(y + 4 * threadIdx.x, Vec<float, 4>{{1.0f, 2.0f, 3.0f, 4.0f}});
  } else if (blockIdx.x == 1) {
    y[4 * kThreads - (kSound ? 0 : 1) + threadIdx.x] = 5.0f;
  }
}
template <bool kSound>
__global__ void countKernel(float* y, uint32_t* counter) {
  if (kSound) {
    atomicAddInt(reinterpret_cast<int32_t*>(counter), 1);
  } else {
    *counter += 1;
  }
  y[globalIndex()] = 1.0f;
}

constexpr const char* kMessage = "race on global memory";
constexpr Control kControls[] = {
    ANNEAL_CONTROL("global race: threads of a block", kMessage, neighbourKernel),
    ANNEAL_CONTROL("global race: overlapping blocks", kMessage, overlapKernel),
    ANNEAL_CONTROL("global race: in place", kMessage, placeKernel),
    ANNEAL_CONTROL("global race: no ticket", kMessage, ticketKernel),
    ANNEAL_CONTROL("global race: ticket before the barrier", kMessage, earlyKernel),
    ANNEAL_CONTROL("global race: vector and element", kMessage, widthsKernel),
    ANNEAL_CONTROL("global race: counter without atomics", kMessage, countKernel),
};

}  // namespace

std::span<const Control> globalRaceControls() { return kControls; }

}  // namespace anneal::controls
