// wgmma.cu — controls of the order that wgmma needs: fences before it, waits after it, one warpgroup that
// agrees.
#include "cuda/launch.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/mbarrier.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/wgmma.h"
#include "simt/controls/control.h"
#include "simt/controls/reference.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr int kM = 64, kN = 32, kK = 64;
constexpr unsigned kThreads = 128;
constexpr uint32_t kTileB = kM * kK * sizeof(bf16);
constexpr uint32_t kShared = kTileB + kN * kK * sizeof(bf16);

// c [64, 32] = 2 · a [64, 64] · b [32, 64] transposed.
template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  Buffer a(kM * kK * sizeof(bf16)), b(kN * kK * sizeof(bf16)), c(kM * kN * sizeof(float));
  fillSample(a.as<bf16>(), kM * kK, 8);
  fillSample(b.as<bf16>(), kN * kK, 9);
  if (launch(context, kernel, {1, kThreads, kShared + 1024}, a.as<bf16>(), b.as<bf16>(), c.as<float>()))
    return 1;
  return checkProduct(
      context, c.as<float>(), kM, kN, kK, [&](int i, int k) { return 2 * valueOf(a.as<bf16>()[i * kK + k]); },
      [&](int k, int j) { return valueOf(b.as<bf16>()[j * kK + k]); });
}

ANNEAL_DEVICE uint32_t tileA() { return sharedAddress(sharedArena<char>()); }
ANNEAL_DEVICE uint32_t tileB() { return tileA() + kTileB; }

// One row a line of 128 bytes, swizzled.
ANNEAL_DEVICE void stage(uint32_t start, const bf16* values, uint32_t rows, bool fence = true) {
  for (uint32_t i = threadIdx.x; i < rows * kK; i += kThreads) {
    const uint32_t place = swizzled(Swizzle::k128, 2 * i);
    *reinterpret_cast<bf16*>(sharedArena<char>() + start + place) = values[i];
  }
  if (fence) fenceProxyAsync();
}
ANNEAL_DEVICE void stageBoth(const bf16* a, const bf16* b) {
  stage(0, a, kM);
  stage(kTileB, b, kN);
  syncThreads();
}
ANNEAL_DEVICE void issue(float (&acc)[kN / 2], bool accumulate) {
  for (uint32_t k = 0; k < kK; k += 16) {
    wgmma(acc, descriptorK<Swizzle::k128>(tileA() + 2 * k), descriptorK<Swizzle::k128>(tileB() + 2 * k),
          accumulate || k > 0);
  }
  wgmmaCommit();
}
ANNEAL_DEVICE void emit(float* c, const float (&acc)[kN / 2]) {
  const unsigned row = threadIdx.x / 32 * 16 + laneId() / 4, column = 2 * (laneId() % 4);
  for (int i = 0; i < kN / 2; ++i) c[(row + i / 2 % 2 * 8) * kN + i / 4 * 8 + column + i % 2] = acc[i];
}

// The accumulator is read before the wait.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) waitKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2];
  wgmmaFence();
  issue(acc, false);
  issue(acc, true);
  if (kSound) wgmmaWait<0>(acc);
  emit(c, acc);
  if (!kSound) wgmmaWait<0>(acc);
}
// Two accumulators in two groups: a wait for all but one does not cover the younger.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) depthKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float first[kN / 2], second[kN / 2];
  wgmmaFence();
  issue(first, false);
  issue(second, false);
  wgmmaWait<1>(first);
  for (int i = 0; i < kN / 2; ++i) first[i] += static_cast<float>(blockIdx.x);
  if (kSound) {
    wgmmaWait<0>(second);
  } else {
    wgmmaWait<1>(second);
  }
  for (int i = 0; i < kN / 2; ++i) first[i] += second[i];
  emit(c, first);
}
// No fence at all.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) fenceKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2];
  if (kSound) wgmmaFence();
  issue(acc, false);
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// The accumulator was changed between two products.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) changeKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2];
  wgmmaFence();
  issue(acc, false);
  wgmmaWait<0>(acc);
  for (int i = 0; i < kN / 2; ++i) acc[i] += static_cast<float>(blockIdx.x);
  if (kSound) wgmmaFence();
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// A fence before the new values does not order them.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) earlyKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2];
  for (int round = 0; round < 2; ++round) {
    wgmmaFence();
    for (int i = 0; i < kN / 2; ++i) acc[i] = 0.0f;
    if (kSound) wgmmaFence();
    issue(acc, true);
    wgmmaWait<0>(acc);
  }
  for (int i = 0; i < kN / 2; ++i) acc[i] *= 2.0f;
  emit(c, acc);
}
// Ordinary stores to the tiles need the proxy fence…
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) proxyKernel(const bf16* a, const bf16* b, float* c) {
  stage(0, a, kM, kSound);
  stage(kTileB, b, kN, kSound);
  syncThreads();
  float acc[kN / 2];
  wgmmaFence();
  issue(acc, false);
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// … and a barrier of the warpgroup.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) barrierKernel(const bf16* a, const bf16* b, float* c) {
  stage(0, a, kM);
  stage(kTileB, b, kN);
  if (kSound) syncThreads();
  float acc[kN / 2];
  wgmmaFence();
  issue(acc, false);
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// The tiles change while products read them.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) overwriteKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2];
  wgmmaFence();
  issue(acc, false);
  issue(acc, true);
  if (kSound) wgmmaWait<0>(acc);
  syncThreads();
  sharedArena<bf16>()[threadIdx.x] = a[0];
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// One warp describes another tile.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) agreeKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2];
  const uint32_t shift = !kSound && threadIdx.x >= 96 ? 1024 : 0;
  wgmmaFence();
  for (uint32_t k = 0; k < kK; k += 16) {
    wgmma(acc, descriptorK<Swizzle::k128>(tileA() + 2 * k),
          descriptorK<Swizzle::k128>(tileB() + shift + 2 * k), k > 0);
  }
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// One warp is missing.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) missingKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  if (!kSound && threadIdx.x >= 96) return;
  float acc[kN / 2];
  wgmmaFence();
  issue(acc, false);
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// The tile of A starts in the fourth row of the swizzle's pattern.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) patternKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2];
  wgmmaFence();
  const uint32_t start = tileA() + (kSound ? 0 : 512);
  for (uint32_t k = 0; k < kK; k += 16) {
    wgmma(acc, descriptorK<Swizzle::k128>(start + 2 * k), descriptorK<Swizzle::k128>(tileB() + 2 * k), k > 0);
  }
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
}
// A product that nobody waits for.
template <bool kSound>
__global__ void __launch_bounds__(kThreads, 1) leftKernel(const bf16* a, const bf16* b, float* c) {
  stageBoth(a, b);
  float acc[kN / 2], unused[kN / 2];
  wgmmaFence();
  issue(acc, false);
  issue(acc, true);
  wgmmaWait<0>(acc);
  emit(c, acc);
  wgmmaFence();
  issue(unused, false);
  if (kSound) wgmmaWait<0>(unused);
}

const Control kTable[] = {
    ANNEAL_CONTROL("wgmma: accumulator read before the wait", "touched before wgmmaWait", waitKernel),
    ANNEAL_CONTROL("wgmma: wrong wait depth", "whose group it does not wait for", depthKernel),
    ANNEAL_CONTROL("wgmma: no wgmmaFence", "without wgmmaFence", fenceKernel),
    ANNEAL_CONTROL("wgmma: no wgmmaFence after a change", "without wgmmaFence", changeKernel),
    ANNEAL_CONTROL("wgmma: wgmmaFence before the change", "without wgmmaFence", earlyKernel),
    ANNEAL_CONTROL("wgmma: no fenceProxyAsync", "missing fenceProxyAsync", proxyKernel),
    ANNEAL_CONTROL("wgmma: no barrier before", "race on shared memory", barrierKernel),
    ANNEAL_CONTROL("wgmma: tile overwritten before the wait", "race on shared memory", overwriteKernel),
    ANNEAL_CONTROL("wgmma: warps disagree", "with different arguments", agreeKernel),
    ANNEAL_CONTROL("wgmma: a warp is missing", "ended", missingKernel),
    ANNEAL_CONTROL("wgmma: tile inside the swizzle's pattern", "inside the pattern", patternKernel),
    ANNEAL_CONTROL("wgmma: never waited for", "wgmma", leftKernel),
};

}  // namespace

std::span<const Control> wgmmaControls() { return kTable; }

}  // namespace anneal::controls
