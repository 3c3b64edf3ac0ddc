// pipeline.cu — a whole matrix product as Hopper runs it, and what goes wrong when one of its promises is
// broken: C [M, N] = A [M, K] · B [N, K] transposed, bf16 in, f32 out. A block computes 128 × 128: one warp
// of the first warpgroup feeds tiles through the copy engine into a ring of stages, two warpgroups multiply
// 64 rows each.
//
// Per stage there are two barriers. `full`: the producer arrives once and announces the stage's bytes.
// `empty`: each consumer warpgroup arrives once when its products no longer read the stage.
#include "cuda/host/tensor_map.h"
#include "cuda/launch.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/cluster.h"
#include "cuda/ptx/mbarrier.h"
#include "cuda/ptx/registers.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/tma.h"
#include "cuda/ptx/wgmma.h"
#include "simt/controls/control.h"
#include "simt/controls/reference.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr int kTileM = 128, kTileN = 128, kTileK = 64;
constexpr int kStages = 3;
constexpr unsigned kConsumers = 2;
constexpr unsigned kThreads = 128 * (1 + kConsumers);
constexpr uint32_t kBytesA = kTileM * kTileK * sizeof(bf16);
constexpr uint32_t kBytesB = kTileN * kTileK * sizeof(bf16);
constexpr uint32_t kStageBytes = kBytesA + kBytesB;
constexpr size_t kShared = kStages * kStageBytes + 2 * kStages * 8;

static_assert(kTileK * sizeof(bf16) == spanBytes(Swizzle::k128), "a row of a tile is one span");
static_assert(kStageBytes % 1024 == 0, "tiles start where the swizzle's pattern does");

// What a broken twin leaves out or does wrong.
enum Fault {
  kSoundKernel,
  kNoEmptyWait,  // the producer overwrites stages that are still read
  kNoFullWait,   // the consumers do not wait for the tiles
  kParityNotFlipped,
  kEarlyRelease,  // a stage is given back before its products have ended
  kWrongBytes,    // only A is announced
  kWrongSwizzle,  // the tensor maps swizzle by 128 bytes, the descriptors by 64
  kNoFence,       // no wgmma.fence after the accumulators were set
  kOwnRelease,    // in a cluster: a stage is given back to the own block alone
  kEarlyEnd,      // in a cluster: no barrier at the end
};

ANNEAL_DEVICE uint32_t arena() { return sharedAddress(sharedArena<char>()); }
ANNEAL_DEVICE uint32_t tileA(int stage) { return arena() + stage * kStageBytes; }
ANNEAL_DEVICE uint32_t tileB(int stage) { return tileA(stage) + kBytesA; }
ANNEAL_DEVICE uint32_t full(int stage) { return arena() + kStages * kStageBytes + stage * 8; }
ANNEAL_DEVICE uint32_t empty(int stage) { return full(stage) + kStages * 8; }

// A position in the ring: the stage, and the parity of its current round.
struct Ring {
  int stage = 0;
  uint32_t parity = 0;
  ANNEAL_DEVICE void advance(bool flip) {
    if (++stage < kStages) return;
    stage = 0;
    if (flip) parity ^= 1;
  }
};

// Gives a stage back to all who fill it.
template <Fault kFault, unsigned kPeers>
ANNEAL_DEVICE void release(int stage) {
  if constexpr (kPeers == 1 || kFault == kOwnRelease) {
    mbarrierArrive(empty(stage));
  } else {
    for (unsigned rank = 0; rank < kPeers; ++rank) mbarrierArrivePeer(empty(stage), rank);
  }
}

template <Fault kFault, unsigned kPeers>
ANNEAL_DEVICE void produce(const TensorMap* a, const TensorMap* b, int steps) {
  Ring ring;
  for (int step = 0; step < steps; ++step) {
    // A fresh barrier counts as one whose phase before has ended: the first round does not wait.
    if (kFault != kNoEmptyWait) mbarrierWait(empty(ring.stage), ring.parity ^ 1);
    mbarrierArriveExpect(full(ring.stage), kFault == kWrongBytes ? kBytesA : kStageBytes);
    const int rowA = static_cast<int>(blockIdx.y) * kTileM;
    if constexpr (kPeers == 1) {
      tmaLoad(tileA(ring.stage), a, full(ring.stage), step * kTileK, rowA);
    } else {
      const int part = static_cast<int>(clusterRank()) * (kTileM / static_cast<int>(kPeers));
      tmaLoadMulticast(tileA(ring.stage) + part * kTileK * 2, a, full(ring.stage), (1u << kPeers) - 1,
                       step * kTileK, rowA + part);
    }
    tmaLoad(tileB(ring.stage), b, full(ring.stage), step * kTileK, blockIdx.x * kTileN);
    ring.advance(true);
  }
}

template <Fault kFault, unsigned kPeers>
ANNEAL_DEVICE void consume(float (&acc)[kTileN / 2], unsigned group, int steps) {
  constexpr Swizzle kSwizzle = kFault == kWrongSwizzle ? Swizzle::k64 : Swizzle::k128;
  Ring ring, last;
  for (int i = 0; i < kTileN / 2; ++i) acc[i] = 0.0f;
  for (int step = 0; step < steps; ++step) {
    if (kFault != kNoFullWait) mbarrierWait(full(ring.stage), ring.parity);
    if (kFault != kNoFence) wgmmaFence();
#pragma unroll
    for (int k = 0; k < kTileK; k += 16) {
      const uint64_t left =
          matrixDescriptor(tileA(ring.stage) + group * 64 * kTileK * 2 + 2 * k, 16, 1024, kSwizzle);
      const uint64_t right = matrixDescriptor(tileB(ring.stage) + 2 * k, 16, 1024, kSwizzle);
      wgmma(acc, left, right, true);
    }
    wgmmaCommit();
    // The products of this stage may run on; those of the stage before have ended, which gives it back.
    if (step > 0) {
      if (kFault != kEarlyRelease) wgmmaWait<1>();
      if (threadIdx.x % 128 == 0) release<kFault, kPeers>(last.stage);
    }
    last = ring;
    ring.advance(kFault != kParityNotFlipped);
  }
  wgmmaWait<0>(acc);
}

template <Fault kFault, unsigned kPeers>
__global__ void __launch_bounds__(kThreads, 1)
    productKernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int m,
                  int n, int k) {
  const int steps = (k + kTileK - 1) / kTileK;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      mbarrierInit(full(stage), 1);
      mbarrierInit(empty(stage), kFault == kOwnRelease ? kConsumers : kConsumers * kPeers);
    }
    fenceMbarrierInit();
  }
  if constexpr (kPeers == 1) {
    syncThreads();
  } else {
    clusterSync();
  }
  if (threadIdx.x < 128) {
    decreaseRegisters<40>();
    if (threadIdx.x == 0) {
      tmaPrefetchMap(&a);
      tmaPrefetchMap(&b);
      produce<kFault, kPeers>(&a, &b, steps);
    }
  } else {
    increaseRegisters<232>();
    const unsigned group = threadIdx.x / 128 - 1;
    float acc[kTileN / 2];
    consume<kFault, kPeers>(acc, group, steps);
    const int row =
        static_cast<int>(blockIdx.y * kTileM + group * 64 + threadIdx.x % 128 / 32 * 16 + laneId() / 4);
    const int column = static_cast<int>(blockIdx.x * kTileN + 2 * (laneId() % 4));
#pragma unroll
    for (int i = 0; i < kTileN / 2; ++i) {
      const int y = row + i / 2 % 2 * 8, x = column + i / 4 * 8 + i % 2;
      if (y < m && x < n) c[static_cast<int64_t>(y) * n + x] = acc[i];
    }
  }
  if constexpr (kPeers > 1 && kFault != kEarlyEnd) clusterSync();
}

template <Fault kFault, unsigned kPeers>
int runShape(KernelContext* context, int m, int n, int k) {
  const auto size = [](int rows, int columns) {
    return static_cast<size_t>(rows) * static_cast<size_t>(columns);
  };
  Buffer a(size(m, k) * sizeof(bf16)), b(size(n, k) * sizeof(bf16)), c(size(m, n) * sizeof(float));
  fillSample(a.as<bf16>(), size(m, k), 11);
  fillSample(b.as<bf16>(), size(n, k), 12);
  TensorMap mapA, mapB;
  const auto rowBytes = static_cast<uint64_t>(k) * sizeof(bf16);
  if (encodeTensorMap(context,
                      matrixMap(a.as<bf16>(), TensorMapType::kBf16, m, k, rowBytes, kTileM / kPeers, kTileK,
                                Swizzle::k128),
                      &mapA) ||
      encodeTensorMap(
          context,
          matrixMap(b.as<bf16>(), TensorMapType::kBf16, n, k, rowBytes, kTileN, kTileK, Swizzle::k128),
          &mapB)) {
    return 1;
  }
  const dim3 grid((n + kTileN - 1) / kTileN, (m + kTileM - 1) / kTileM);
  if (launch(context, productKernel<kFault, kPeers>, {grid, kThreads, kShared, kPeers}, mapA, mapB,
             c.as<float>(), m, n, k))
    return 1;
  return checkProduct(
      context, c.as<float>(), m, n, k, [&](int i, int p) { return valueOf(a.as<bf16>()[size(i, k) + p]); },
      [&](int p, int j) { return valueOf(b.as<bf16>()[size(j, k) + p]); });
}

// Sizes that no tile divides, more steps than stages, and fewer.
template <unsigned kPeers>
int runSound(KernelContext* context) {
  if (runShape<kSoundKernel, kPeers>(context, 200, 136, 456)) return 1;
  return runShape<kSoundKernel, kPeers>(context, 128, 256, 64);
}
template <Fault kFault, unsigned kPeers = 1>
int runBroken(KernelContext* context) {
  return runShape<kFault, kPeers>(context, 128, kPeers * 128, 512);
}

const Control kTable[] = {
    {"pipelined product: no wait for the empty stage", "shared memory at byte|one arrival too many",
     runSound<1>, runBroken<kNoEmptyWait>},
    {"pipelined product: no wait for the full stage", "shared memory at byte", runSound<1>,
     runBroken<kNoFullWait>},
    {"pipelined product: parity not flipped", "deadlock|shared memory at byte|one arrival too many",
     runSound<1>, runBroken<kParityNotFlipped>},
    {"pipelined product: stage released too early", "shared memory at byte", runSound<1>,
     runBroken<kEarlyRelease>},
    {"pipelined product: bytes of A alone announced", "shared memory at byte|bytes more arrived", runSound<1>,
     runBroken<kWrongBytes>},
    {"pipelined product: descriptors with another swizzle", "inside the pattern", runSound<1>,
     runBroken<kWrongSwizzle>},
    {"pipelined product: no wgmmaFence", "without wgmmaFence", runSound<1>, runBroken<kNoFence>},
    {"pipelined product in a cluster: stage released to the own block alone",
     "shared memory at byte|one arrival too many|more arrived", runSound<2>, runBroken<kOwnRelease, 2>},
    {"pipelined product in a cluster: stage released too early", "shared memory at byte", runSound<2>,
     runBroken<kEarlyRelease, 2>},
    {"pipelined product in a cluster: no barrier at the end", "ended", runSound<2>, runBroken<kEarlyEnd, 2>},
};

}  // namespace

std::span<const Control> pipelineControls() { return kTable; }

}  // namespace anneal::controls
