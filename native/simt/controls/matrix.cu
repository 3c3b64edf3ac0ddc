// matrix.cu — controls of ldmatrix, stmatrix and mma: products of random matrices must equal plain
// arithmetic, and a fragment in a wrong place must show.
#include "cuda/launch.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/mma.h"
#include "cuda/ptx/shared.h"
#include "simt/controls/control.h"
#include "simt/controls/reference.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr int kM = 16, kN = 8, kK = 16;
constexpr unsigned kRow = 16;  // elements of a row in shared memory

// a [16, 16] and b [8, 16] (a row for each column of B) into shared memory, and c out of the fragments.
ANNEAL_DEVICE bf16* stage(const bf16* a, const bf16* b) {
  bf16* shared = sharedArena<bf16>();
  for (unsigned i = threadIdx.x; i < kM * kRow; i += kWarpSize) shared[i] = a[i];
  for (unsigned i = threadIdx.x; i < kN * kRow; i += kWarpSize) shared[kM * kRow + i] = b[i];
  syncWarp();
  return shared;
}
ANNEAL_DEVICE void emit(float* c, const float (&fragment)[4]) {
  const unsigned g = laneId() / 4, t = 2 * (laneId() % 4);
  for (unsigned i = 0; i < 4; ++i) c[(g + i / 2 * 8) * kN + t + i % 2] = fragment[i];
}

template <typename Kernel>
int runWith(KernelContext* context, Kernel kernel, bool transposedB) {
  Buffer a(kM * kK * sizeof(bf16)), b(kN * kK * sizeof(bf16)), c(kM * kN * sizeof(float));
  fillSample(a.as<bf16>(), kM * kK, 1);
  fillSample(b.as<bf16>(), kN * kK, 2);
  if (launch(context, kernel, {1, kWarpSize, 2048}, a.as<bf16>(), b.as<bf16>(), c.as<float>())) return 1;
  const bf16 *x = a.as<bf16>(), *y = b.as<bf16>();
  return checkProduct(
      context, c.as<float>(), kM, kN, kK, [&](int i, int k) { return valueOf(x[i * kK + k]); },
      [&](int k, int j) { return valueOf(transposedB ? y[k * kN + j] : y[j * kK + k]); });
}
template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  return runWith(context, kernel, false);
}

// Four matrices of A, two of B.
template <bool kSound>
__global__ void mmaKernel(const bf16* a, const bf16* b, float* c) {
  const bf16* shared = stage(a, b);
  const unsigned lane = laneId();
  uint32_t fa[4], fb[2];
  const unsigned row = kSound ? lane % 16 : lane / 2;
  loadMatrices(fa, sharedAddress(shared + row * kRow + lane / 16 * 8));
  loadMatrices(fb, sharedAddress(shared + kM * kRow + lane % 8 * kRow + lane / 8 % 2 * 8));
  float fc[4] = {};
  mmaBf16(fc, fa, fb);
  emit(c, fc);
}
// One matrix at a time.
template <bool kSound>
__global__ void singleKernel(const bf16* a, const bf16* b, float* c) {
  const bf16* shared = stage(a, b);
  const unsigned lane = laneId();
  uint32_t fa[4], fb[2], one[1];
  for (unsigned i = 0; i < 4; ++i) {
    loadMatrices(one, sharedAddress(shared + (lane % 8 + i % 2 * 8) * kRow + i / 2 * 8));
    fa[kSound ? i : 3 - i] = one[0];
  }
  for (unsigned i = 0; i < 2; ++i) {
    loadMatrices(one, sharedAddress(shared + kM * kRow + lane % 8 * kRow + i * 8));
    fb[i] = one[0];
  }
  float fc[4] = {};
  mmaBf16(fc, fa, fb[0], fb[1]);
  emit(c, fc);
}
// B [16, 8] row-major, which the transposing load turns.
template <bool kSound>
__global__ void transposedKernel(const bf16* a, const bf16* b, float* c) {
  const bf16* shared = stage(a, b);
  const unsigned lane = laneId();
  uint32_t fa[4], fb[2];
  loadMatrices(fa, sharedAddress(shared + lane % 16 * kRow + lane / 16 * 8));
  const uint32_t rows = sharedAddress(shared + kM * kRow + lane % 16 * kN);
  if (kSound) {
    loadMatricesTransposed(fb, rows);
  } else {
    loadMatrices(fb, rows);
  }
  float fc[4] = {};
  mmaBf16(fc, fa, fb);
  emit(c, fc);
}
// A goes through stmatrix into other memory and comes back, plainly and transposed twice.
template <bool kSound>
__global__ void storeKernel(const bf16* a, const bf16* b, float* c) {
  bf16* shared = stage(a, b);
  bf16* copy = shared + (kM + kN) * kRow;
  const unsigned lane = laneId();
  const unsigned place = lane % 16 * kRow + lane / 16 * 8;
  uint32_t fa[4], fb[2], half[2], one[1];
  loadMatrices(fa, sharedAddress(shared + place));
  storeMatrices(sharedAddress(copy + place), fa);
  syncWarp();
  loadMatricesTransposed(fa, sharedAddress(copy + place));
  syncWarp();
  if (kSound) {
    storeMatricesTransposed(sharedAddress(copy + place), fa);
  } else {
    storeMatrices(sharedAddress(copy + place), fa);
  }
  syncWarp();
  for (unsigned i = 0; i < 2; ++i) {
    const unsigned part = (lane % 8 + lane / 8 % 2 * 8) * kRow + i * 8;
    loadMatrices(half, sharedAddress(copy + part));
    syncWarp();
    storeMatrices(sharedAddress(copy + part), half);
    one[0] = half[0];
    syncWarp();
    storeMatrices(sharedAddress(copy + lane % 8 * kRow + i * 8), one);
  }
  syncWarp();
  loadMatrices(fa, sharedAddress(copy + place));
  loadMatrices(fb, sharedAddress(shared + kM * kRow + lane % 8 * kRow + lane / 8 % 2 * 8));
  float fc[4] = {};
  mmaBf16(fc, fa, fb);
  emit(c, fc);
}
// Two steps of 8 along K in tf32, from global memory.
template <bool kSound>
__global__ void tf32Kernel(const bf16* a, const bf16* b, float* c) {
  const unsigned g = laneId() / 4, t = laneId() % 4;
  float fc[4] = {};
  for (unsigned k = 0; k < kK; k += 8) {
    uint32_t fa[4];
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = g + i % 2 * 8, column = k + t + i / 2 * 4;
      fa[i] = toTf32(toFloat(a[row * kK + column]));
    }
    const uint32_t b0 = toTf32(toFloat(b[g * kK + k + t])), b1 = toTf32(toFloat(b[g * kK + k + t + 4]));
    mmaTf32(fc, fa, kSound ? b0 : b1, kSound ? b1 : b0);
  }
  emit(c, fc);
}
// All lanes of the warp must call.
template <bool kSound>
__global__ void divergedKernel(const bf16* a, const bf16* b, float* c) {
  const bf16* shared = stage(a, b);
  const unsigned lane = laneId();
  uint32_t fa[4] = {}, fb[2];
  loadMatrices(fa, sharedAddress(shared + lane % 16 * kRow + lane / 16 * 8));
  if (kSound || lane < 16)
    loadMatrices(fb, sharedAddress(shared + kM * kRow + lane % 8 * kRow + lane / 8 % 2 * 8));
  float fc[4] = {};
  mmaBf16(fc, fa, fb);
  emit(c, fc);
}
template <bool kSound>
__global__ void alignKernel(const bf16* a, const bf16* b, float* c) {
  const bf16* shared = stage(a, b);
  const unsigned lane = laneId();
  uint32_t fa[4], fb[2];
  loadMatrices(fa, sharedAddress(shared + lane % 16 * kRow + lane / 16 * 8));
  loadMatrices(fb, sharedAddress(shared + kM * kRow + lane % 8 * kRow + lane / 8 % 2 * 8) + (kSound ? 0 : 4));
  float fc[4] = {};
  mmaBf16(fc, fa, fb);
  emit(c, fc);
}

const Control kTable[] = {
    ANNEAL_CONTROL("ldmatrix x4, x2 and mma: rows in the wrong place", "wrong result", mmaKernel),
    ANNEAL_CONTROL("ldmatrix x1 and mma: fragment in the wrong order", "wrong result", singleKernel),
    {"ldmatrix.trans: forgotten", "wrong result",
     [](KernelContext* context) { return runWith(context, transposedKernel<true>, true); },
     [](KernelContext* context) { return runWith(context, transposedKernel<false>, true); }},
    ANNEAL_CONTROL("stmatrix x1, x2, x4, trans: forgotten", "wrong result", storeKernel),
    ANNEAL_CONTROL("mma tf32: fragment in the wrong order", "wrong result", tf32Kernel),
    ANNEAL_CONTROL("ldmatrix by half a warp", "diverged warp", divergedKernel),
    ANNEAL_CONTROL("ldmatrix: misaligned row", "not a multiple of 16", alignKernel),
};

}  // namespace

std::span<const Control> matrixControls() { return kTable; }

}  // namespace anneal::controls
