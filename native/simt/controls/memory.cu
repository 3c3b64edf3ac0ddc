// memory.cu — controls of addresses: bounds, released memory, alignment, uninitialised shared memory,
// constants, other threads' local variables, the stack.
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/vector.h"
#include "simt/controls/control.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr unsigned kThreads = 64;

// One element more than the tensor has.
template <bool kSound>
__global__ void fillKernel(float* y, unsigned n) {
  const unsigned i = threadIdx.x;
  if (kSound ? i < n : i <= n) y[i] = 1.0f;
}
template <bool kSound>
int globalEnd(KernelContext* context) {
  Buffer y(50 * sizeof(float));
  return launch(context, fillKernel<kSound>, {1, kThreads}, y.as<float>(), 50u);
}

template <bool kSound>
__global__ void previousKernel(float* y, const float* x) {
  const int i = static_cast<int>(threadIdx.x);
  y[i] = kSound && i == 0 ? 0.0f : x[i - 1];
}
template <bool kSound>
int globalStart(KernelContext* context) {
  Buffer x(kThreads * sizeof(float)), y(kThreads * sizeof(float));
  return launch(context, previousKernel<kSound>, {1, kThreads}, y.as<float>(), x.as<const float>());
}

__global__ void copyKernel(float* y, const float* x) { y[threadIdx.x] = x[threadIdx.x]; }
template <bool kSound>
int globalReleased(KernelContext* context) {
  Buffer x(kThreads * sizeof(float)), y(kThreads * sizeof(float));
  if (!kSound) x.release();
  return launch(context, copyKernel, {1, kThreads}, y.as<float>(), x.as<const float>());
}
template <bool kSound>
int hostPointer(KernelContext* context) {
  const float host[kThreads] = {};
  Buffer x(kThreads * sizeof(float)), y(kThreads * sizeof(float));
  return launch(context, copyKernel, {1, kThreads}, y.as<float>(), kSound ? x.as<const float>() : host);
}

template <bool kSound>
__global__ void wideKernel(float* y, const float* x) {
  const auto value = load<Vec<float, 4>>(x + (kSound ? 4 : 1) * threadIdx.x);
  store(y + 4 * threadIdx.x, value);
}
template <bool kSound>
int alignment(KernelContext* context) {
  Buffer x(4 * kThreads * sizeof(float)), y(4 * kThreads * sizeof(float));
  return launch(context, wideKernel<kSound>, {1, kThreads}, y.as<float>(), x.as<const float>());
}

// A whole structure by assignment.
struct Triple {
  float first, second, third;
};
template <bool kSound>
__global__ void structureKernel(Triple* y, const Triple* x) {
  if (threadIdx.x < (kSound ? 21u : 22u)) y[threadIdx.x] = x[threadIdx.x];
}
template <bool kSound>
int structures(KernelContext* context) {
  Buffer x(4 * kThreads), y(4 * kThreads);
  return launch(context, structureKernel<kSound>, {1, kThreads}, y.as<Triple>(), x.as<const Triple>());
}

template <bool kSound>
__global__ void wordKernel(uint32_t* y, const unsigned char* x) {
  y[threadIdx.x] = *reinterpret_cast<const uint32_t*>(x + (kSound ? 4 : 2) * threadIdx.x);
}
template <bool kSound>
int wordAlignment(KernelContext* context) {
  Buffer x(4 * kThreads), y(4 * kThreads);
  return launch(context, wordKernel<kSound>, {1, kThreads}, y.as<uint32_t>(), x.as<const unsigned char>());
}

template <bool kSound>
__global__ void arenaKernel(float* y) {
  float* shared = sharedArena<float>();
  const unsigned i = threadIdx.x;
  shared[kSound ? i : i + 1] = 1.0f;
  syncThreads();
  y[i] = shared[kSound ? i : i + 1];
}
template <bool kSound>
int sharedEnd(KernelContext* context) {
  Buffer y(kThreads * sizeof(float));
  return launch(context, arenaKernel<kSound>, {1, kThreads, kThreads * sizeof(float)}, y.as<float>());
}

// The last thread's place is never written.
template <bool kSound>
__global__ void partlyKernel(uint16_t* y) {
  uint16_t* shared = sharedArena<uint16_t>();
  const unsigned i = threadIdx.x;
  if (kSound || i != kThreads - 1) shared[i] = static_cast<uint16_t>(i);
  syncThreads();
  y[i] = shared[kThreads - 1 - i];
}
template <bool kSound>
int uninitialised(KernelContext* context) {
  Buffer y(kThreads * sizeof(uint16_t));
  return launch(context, partlyKernel<kSound>, {1, kThreads, kThreads * sizeof(uint16_t)}, y.as<uint16_t>());
}

// Shared memory does not outlive a block.
template <bool kSound>
__global__ void lastingKernel(float* y) {
  float* shared = sharedArena<float>();
  if (kSound || blockIdx.x == 0) shared[threadIdx.x] = 1.0f;
  y[globalIndex()] = shared[threadIdx.x];
}
template <bool kSound>
int nextBlock(KernelContext* context) {
  Buffer y(4 * kThreads * sizeof(float));
  return launch(context, lastingKernel<kSound>, {4, kThreads, kThreads * sizeof(float)}, y.as<float>());
}

int hostCounter = 0;
template <bool kSound>
__global__ void counterKernel(int* counter) {
  if (threadIdx.x == 0) *(kSound ? counter : &hostCounter) += 1;
}
template <bool kSound>
int hostVariable(KernelContext* context) {
  Buffer counter(sizeof(int));
  return launch(context, counterKernel<kSound>, {1, kThreads}, counter.as<int>());
}

// Thread 0 lends a local variable to the others.
template <bool kSound>
__global__ void lendKernel(float* y) {
  float** shared = sharedArena<float*>();
  volatile float local = 1.0f;
  if (threadIdx.x == 0) shared[0] = kSound ? y : const_cast<float*>(&local);
  syncThreads();
  if (threadIdx.x == 1) *shared[0] = 2.0f;
  syncThreads();
  if (local != 1.0f) y[1] = local;
}
template <bool kSound>
int localVariable(KernelContext* context) {
  Buffer y(2 * sizeof(float));
  return launch(context, lendKernel<kSound>, {1, kThreads, sizeof(float*)}, y.as<float>());
}

// Uses about 2 KiB of stack for each level.
__attribute__((noinline)) float descend(volatile float* above, int levels) {
  volatile float mine[500];
  mine[levels] = above[levels] + 1.0f;
  return levels == 0 ? mine[0] : descend(mine, levels - 1) + mine[levels];
}
template <bool kSound>
__global__ void deepKernel(float* y) {
  volatile float first[500] = {};
  y[threadIdx.x] = descend(first, kSound ? 10 : 40);
}
template <bool kSound>
int stackDepth(KernelContext* context) {
  Buffer y(kThreads * sizeof(float));
  return launch(context, deepKernel<kSound>, {1, kThreads}, y.as<float>());
}

constexpr Control kControls[] = {
    {"memory: end of an allocation", "0 bytes past the end of allocation", globalEnd<true>, globalEnd<false>},
    {"memory: start of an allocation", "4 bytes before the start of allocation", globalStart<true>,
     globalStart<false>},
    {"memory: released", "which was released", globalReleased<true>, globalReleased<false>},
    {"memory: host pointer", "belongs to no allocation of this device", hostPointer<true>,
     hostPointer<false>},
    {"memory: structure across the end", "across the end of allocation", structures<true>, structures<false>},
    {"memory: vector alignment", "misaligned read: 16 bytes", alignment<true>, alignment<false>},
    {"memory: word alignment", "misaligned read: 4 bytes", wordAlignment<true>, wordAlignment<false>},
    {"memory: end of shared memory", "the launch has 256 bytes of shared memory", sharedEnd<true>,
     sharedEnd<false>},
    {"memory: uninitialised shared memory", "which nothing has written", uninitialised<true>,
     uninitialised<false>},
    {"memory: shared memory of the block before", "which nothing has written", nextBlock<true>,
     nextBlock<false>},
    {"memory: host variable", "write to a constant or a host variable", hostVariable<true>,
     hostVariable<false>},
    {"memory: local variable of another thread", "local memory of another thread", localVariable<true>,
     localVariable<false>},
    {"memory: stack", "stack overflow", stackDepth<true>, stackDepth<false>},
};

}  // namespace

std::span<const Control> memoryControls() { return kControls; }

}  // namespace anneal::controls
