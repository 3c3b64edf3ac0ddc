// wgmma_layout.cu — every shape and layout of wgmma against plain arithmetic: all N, A in shared memory or
// registers, both operands along K and across, each swizzle. The tiles are laid out by the rules of the copy
// engine; a descriptor that names another swizzle must give other numbers.
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

constexpr int kM = 64;
constexpr int kK = 32;  // two steps
constexpr unsigned kThreads = 128;
constexpr uint32_t kTileB = 8192;  // where B starts in shared memory

// A tile of `rows` (M or N) × kK values in shared memory: where value (r, k) lies, and the descriptor of step
// s.
template <Major kMajor, Swizzle S>
struct TileLayout {
  static ANNEAL_DEVICE uint32_t place(uint32_t rows, uint32_t r, uint32_t k) {
    if constexpr (S == Swizzle::kNone) {
      // Blocks of 8 × 16 bytes: along K first, then along the rows.
      const uint32_t inner = kMajor == Major::kK ? r % 8 * 16 + k % 8 * 2 : k % 8 * 16 + r % 8 * 2;
      return (r / 8 * (kK / 8) + k / 8) * 128 + inner;
    } else {
      constexpr uint32_t kSpan = spanBytes(S);
      const uint32_t line = kMajor == Major::kK ? r : k;         // one span long
      const uint32_t along = 2 * (kMajor == Major::kK ? k : r);  // bytes
      const uint32_t lines = kMajor == Major::kK ? rows : kK;
      return swizzled(S, along / kSpan * lines * kSpan + line * kSpan + along % kSpan);
    }
  }

  static ANNEAL_DEVICE uint64_t descriptor(uint32_t start, uint32_t rows, uint32_t step) {
    if constexpr (S == Swizzle::kNone) {
      return matrixDescriptor(start + step * 256, 128, kK / 8 * 128, S);
    } else if constexpr (kMajor == Major::kMN) {
      return descriptorMN<S>(start + step * 16 * spanBytes(S), kK);
    } else {
      return descriptorK<S>(start + (S == Swizzle::k32 ? step * rows * 32 : step * 32));
    }
  }
};

// Zeros where no value lies, so that a wrong descriptor meets numbers.
ANNEAL_DEVICE void clear(uint32_t bytes) {
  for (uint32_t i = threadIdx.x; i < bytes / 4; i += kThreads) sharedArena<uint32_t>()[i] = 0;
  syncThreads();
}

template <Major kMajor, Swizzle S>
ANNEAL_DEVICE void stage(uint32_t start, const bf16* values, uint32_t rows) {
  char* shared = sharedArena<char>() + start;
  for (uint32_t i = threadIdx.x; i < rows * kK; i += kThreads) {
    *reinterpret_cast<bf16*>(shared + TileLayout<kMajor, S>::place(rows, i / kK, i % kK)) = values[i];
  }
}

template <int N>
ANNEAL_DEVICE void emit(float* c, const float (&acc)[N / 2]) {
  const unsigned row = threadIdx.x / 32 * 16 + laneId() / 4, column = 2 * (laneId() % 4);
  for (int i = 0; i < N / 2; ++i) c[(row + i / 2 % 2 * 8) * N + i / 4 * 8 + column + i % 2] = acc[i];
}

// The swizzle that a descriptor names wrongly.
constexpr Swizzle otherThan(Swizzle s) { return s == Swizzle::k128 ? Swizzle::k64 : Swizzle::k128; }

template <int N, Major A, Swizzle SA, Major B, Swizzle SB, bool kSound>
__global__ void __launch_bounds__(kThreads, 1) sharedKernel(const bf16* a, const bf16* b, float* c) {
  clear(kTileB + 8192);
  stage<A, SA>(0, a, kM);
  stage<B, SB>(kTileB, b, N);
  fenceProxyAsync();
  syncThreads();
  const uint32_t start = sharedAddress(sharedArena<char>());
  float acc[N / 2];
  wgmmaFence();
  for (uint32_t step = 0; step < kK / 16; ++step) {
    uint64_t left = TileLayout<A, SA>::descriptor(start, kM, step);
    if (!kSound) left = matrixDescriptor(start, 16, 8 * spanBytes(otherThan(SA)), otherThan(SA));
    wgmma<A, B>(acc, left, TileLayout<B, SB>::descriptor(start + kTileB, N, step), step != 0);
  }
  wgmmaCommit();
  wgmmaWait<0>(acc);
  emit<N>(c, acc);
}

template <int N, Major B, Swizzle SB, bool kSound>
__global__ void __launch_bounds__(kThreads, 1) registersKernel(const bf16* a, const bf16* b, float* c) {
  stage<B, SB>(kTileB, b, N);
  fenceProxyAsync();
  syncThreads();
  const uint32_t start = sharedAddress(sharedArena<char>());
  const unsigned row = threadIdx.x / 32 * 16 + laneId() / 4, column = 2 * (laneId() % 4);
  uint32_t fragments[kK / 16][4];
  for (int step = 0; step < kK / 16; ++step) {
    for (int i = 0; i < 4; ++i) {
      const bf16* at = a + (row + i % 2 * 8) * kK + 16 * step + column + i / 2 * 8;
      fragments[step][kSound ? i : 3 - i] = uint32_t{at[0].bits} | uint32_t{at[1].bits} << 16;
    }
  }
  float acc[N / 2];
  wgmmaFence();
  wgmma<B>(acc, fragments[0], TileLayout<B, SB>::descriptor(start + kTileB, N, 0), false);
  wgmma<B>(acc, fragments[1], TileLayout<B, SB>::descriptor(start + kTileB, N, 1), true);
  wgmmaCommit();
  wgmmaWait<0>(acc);
  emit<N>(c, acc);
}

template <typename Kernel>
int runOf(KernelContext* context, Kernel kernel, int n) {
  Buffer a(kM * kK * sizeof(bf16)), b(static_cast<size_t>(n) * kK * sizeof(bf16)),
      c(static_cast<size_t>(kM) * n * 4);
  fillSample(a.as<bf16>(), kM * kK, 6);
  fillSample(b.as<bf16>(), static_cast<size_t>(n) * kK, 7);
  if (launch(context, kernel, {1, kThreads, kTileB + 32768}, a.as<bf16>(), b.as<bf16>(), c.as<float>()))
    return 1;
  return checkProduct(
      context, c.as<float>(), kM, n, kK, [&](int i, int k) { return valueOf(a.as<bf16>()[i * kK + k]); },
      [&](int k, int j) { return valueOf(b.as<bf16>()[j * kK + k]); });
}

// Runs the instances in turn until one fails.
template <bool kSound, int... N>
int runColumns(KernelContext* context) {
  int status = 0;
  ((status =
        status != 0
            ? status
            : runOf(context, sharedKernel<N, Major::kK, Swizzle::k128, Major::kK, Swizzle::k128, kSound>, N)),
   ...);
  return status;
}
template <bool kSound, int... N>
int runRegisterColumns(KernelContext* context) {
  int status = 0;
  ((status = status != 0 ? status : runOf(context, registersKernel<N, Major::kMN, Swizzle::k128, kSound>, N)),
   ...);
  return status;
}
template <bool kSound>
int runAllColumns(KernelContext* context) {
  return runColumns<kSound, 8, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256>(
      context);
}
template <bool kSound>
int runAllRegisterColumns(KernelContext* context) {
  return runRegisterColumns<kSound, 8, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240,
                            256>(context);
}

template <bool kSound, Swizzle SA, Swizzle SB>
int runMajors(KernelContext* context) {
  constexpr int kN = 96;
  if (runOf(context, sharedKernel<kN, Major::kK, SA, Major::kK, SB, kSound>, kN)) return 1;
  if (runOf(context, sharedKernel<kN, Major::kK, SA, Major::kMN, SB, kSound>, kN)) return 1;
  if (runOf(context, sharedKernel<kN, Major::kMN, SA, Major::kK, SB, kSound>, kN)) return 1;
  if (runOf(context, sharedKernel<kN, Major::kMN, SA, Major::kMN, SB, kSound>, kN)) return 1;
  if (runOf(context, registersKernel<kN, Major::kK, SB, true>, kN)) return 1;
  return runOf(context, registersKernel<kN, Major::kMN, SB, true>, kN);
}
template <bool kSound>
int runSwizzles(KernelContext* context) {
  if (runMajors<kSound, Swizzle::k128, Swizzle::k64>(context)) return 1;
  if (runMajors<kSound, Swizzle::k64, Swizzle::k32>(context)) return 1;
  if (runMajors<kSound, Swizzle::k32, Swizzle::kNone>(context)) return 1;
  return runMajors<kSound, Swizzle::kNone, Swizzle::k128>(context);
}

const Control kTable[] = {
    {"wgmma, every N: descriptor with the wrong swizzle", "wrong result", runAllColumns<true>,
     runAllColumns<false>},
    {"wgmma with A in registers, every N: fragment in the wrong order", "wrong result",
     runAllRegisterColumns<true>, runAllRegisterColumns<false>},
    {"wgmma, every layout and swizzle: descriptor with the wrong swizzle", "wrong result", runSwizzles<true>,
     runSwizzles<false>},
};

}  // namespace

std::span<const Control> wgmmaLayoutControls() { return kTable; }

}  // namespace anneal::controls
