// async_copy.cu — controls of cp.async: when copied data may be read, and by whom.
#include "cuda/launch.h"
#include "cuda/ptx/async_copy.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "simt/controls/control.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr unsigned kThreads = 64;
constexpr unsigned kWords = 4 * kThreads;  // 16 bytes a thread

// x[i] = i + 1; the kernel copies x to shared memory and from there to y, which must then equal `want(i)`.
template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  Buffer x(2 * kWords * sizeof(float)), y(2 * kWords * sizeof(float));
  for (unsigned i = 0; i < 2 * kWords; ++i) x.as<float>()[i] = static_cast<float>(i + 1);
  if (launch(context, kernel, {1, kThreads, 2 * kWords * sizeof(float)}, x.as<float>(), y.as<float>()))
    return 1;
  for (unsigned i = 0; i < kWords; ++i) {
    const float got = y.as<float>()[i];
    if (got != static_cast<float>(i + 1) && got != 0.0f) {
      return fail(context, "wrong result: y[%u] is %g", i, static_cast<double>(got));
    }
  }
  return 0;
}

ANNEAL_DEVICE uint32_t slot(unsigned vector) { return sharedAddress(sharedArena<float>() + 4 * vector); }

ANNEAL_DEVICE void emit(float* y, unsigned vector) {
  for (unsigned i = 0; i < 4; ++i) y[4 * vector + i] = sharedArena<float>()[4 * vector + i];
}

// Reads its own copy.
template <bool kSound>
__global__ void waitKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  copyAsync16(slot(i), x + 4 * i);
  commitGroup();
  if (kSound) waitGroups<0>();
  emit(y, i);
}
// A copy outside a group is not waited for by groups.
template <bool kSound>
__global__ void commitKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  copyAsync16(slot(i), x + 4 * i);
  if (kSound) commitGroup();
  waitGroups<0>();
  emit(y, i);
}
// Two groups under way: the depth decides which one may be read.
template <bool kSound>
__global__ void depthKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  copyAsync16(slot(i), x + 4 * i);
  commitGroup();
  copyAsync16(slot(kThreads + i), x + kWords + 4 * i);
  commitGroup();
  if (kSound) {
    waitGroups<1>();
  } else {
    waitGroups<2>();
  }
  emit(y, i);
  waitAll();
}
// Reads what another thread copied.
template <bool kSound>
__global__ void barrierKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  copyAsync16(slot(i), x + 4 * i);
  commitGroup();
  waitGroups<0>();
  if (kSound) syncThreads();
  emit(y, (i + 1) % kThreads);
}
// Overwrites the destination of a copy that is under way.
template <bool kSound>
__global__ void overwriteKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  copyAsync16(slot(i), x + 4 * i);
  commitGroup();
  if (kSound) waitAll();
  sharedArena<float>()[4 * i] = 0.0f;
  waitAll();
  emit(y, i);
}
// Refills a stage that other threads still read: the barrier at the end of a pipeline's iteration.
template <bool kSound>
__global__ void refillKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  for (unsigned round = 0; round < 2; ++round) {
    copyAsync16(slot(i), x + 4 * i);
    commitGroup();
    waitGroups<0>();
    syncThreads();
    emit(y, (i + 32) % kThreads);
    if (kSound) syncThreads();
  }
}
// Each thread keeps the bytes that are there; past the end the destination becomes zero and nothing is read.
template <bool kSound>
__global__ void tailKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  const uint32_t valid = i + 1 < kThreads ? 16 : 4;
  copyAsync16(slot(i), x + (kSound || i + 1 < kThreads ? 4 * i : 2 * kWords), valid);
  copyAsync<4>(slot(kThreads + i), x + i, i % 2 == 0 ? 4 : 0);
  copyAsync<8>(slot(kThreads + i) + 8, x + 2 * i);
  waitAll();
  emit(y, i);
  const float* rest = sharedArena<float>() + kWords + 4 * i;
  if (rest[0] != (i % 2 == 0 ? static_cast<float>(i + 1) : 0.0f) || rest[3] != static_cast<float>(2 * i + 2))
    y[i] = -1.0f;
}
template <bool kSound>
__global__ void alignKernel(const float* x, float* y) {
  const unsigned i = threadIdx.x;
  copyAsync16(slot(i), x + 4 * i + (kSound ? 0 : 1));
  waitAll();
  emit(y, i);
}

const Control kTable[] = {
    ANNEAL_CONTROL("cp.async: read before the wait", "shared memory at byte", waitKernel),
    ANNEAL_CONTROL("cp.async: wait without a commit", "shared memory at byte", commitKernel),
    ANNEAL_CONTROL("cp.async: wrong wait depth", "shared memory at byte", depthKernel),
    ANNEAL_CONTROL("cp.async: no barrier before others read", "shared memory at byte", barrierKernel),
    ANNEAL_CONTROL("cp.async: destination overwritten in flight", "shared memory at byte", overwriteKernel),
    ANNEAL_CONTROL("cp.async: stage refilled while it is read", "shared memory at byte", refillKernel),
    ANNEAL_CONTROL("cp.async: source past the end", "out of bounds", tailKernel),
    ANNEAL_CONTROL("cp.async: misaligned", "misaligned cp.async", alignKernel),
};

}  // namespace

std::span<const Control> asyncCopyControls() { return kTable; }

}  // namespace anneal::controls
