// copy_engine.cu — controls of the copy engine: boxes of 2 to 5 dimensions with every swizzle against plain
// indexing, edges of tensors, stores and additions, and the order that they need.
#include <string>

#include "cuda/host/tensor_map.h"
#include "cuda/launch.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/mbarrier.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/tma.h"
#include "simt/controls/control.h"
#include "simt/controls/reference.h"

namespace anneal::controls {
namespace {

using namespace anneal::cuda;

constexpr unsigned kThreads = 64;

ANNEAL_DEVICE uint32_t tileAddress() { return sharedAddress(sharedArena<char>()); }
ANNEAL_DEVICE uint32_t barrierAddress() { return sharedAddress(sharedArena<char>() + 16384); }
constexpr size_t kShared = 16384 + 64;

ANNEAL_DEVICE void begin() {
  if (threadIdx.x == 0) {
    mbarrierInit(barrierAddress(), 1);
    fenceMbarrierInit();
  }
  syncThreads();
}

template <int... I>
struct Places {};
template <int N, int... I>
struct MakePlaces : MakePlaces<N - 1, N - 1, I...> {};
template <int... I>
struct MakePlaces<0, I...> {
  using Type = Places<I...>;
};

struct Corner {
  int32_t at[5];
};

template <int... I>
ANNEAL_DEVICE void loadAt(const TensorMap* map, const Corner& corner, Places<I...>) {
  tmaLoad(tileAddress(), map, barrierAddress(), corner.at[I]...);
}
template <int... I>
ANNEAL_DEVICE void storeAt(const TensorMap* map, const Corner& corner, Places<I...>) {
  tmaStore(map, tileAddress(), corner.at[I]...);
}

// The box at `corner` of a tensor of rank kRank, through shared memory to y as it lies there without swizzle.
template <int kRank, bool kSound>
__global__ void boxKernel(const __grid_constant__ TensorMap map, Corner corner, Swizzle swizzle,
                          uint32_t bytes, bf16* y) {
  begin();
  if (threadIdx.x == 0) {
    mbarrierArriveExpect(barrierAddress(), bytes);
    loadAt(&map, corner, typename MakePlaces<kRank>::Type());
  }
  mbarrierWait(barrierAddress(), 0);
  const bf16* tile = sharedArena<bf16>();
  const Swizzle used = kSound ? swizzle : Swizzle::kNone;
  for (uint32_t i = threadIdx.x; i < bytes / 2; i += kThreads) y[i] = tile[swizzled(used, 2 * i) / 2];
}

// Tensors whose boxes hang over the edges: dimensions that no box divides, corners outside on both sides.
template <int kRank, bool kSound>
int runBoxOf(KernelContext* context, Swizzle swizzle, TensorMapFill fill) {
  const uint64_t dims[5] = {88, 7, 5, 4, 3};
  TensorMapShape shape{};
  Buffer x(88 * 7 * 5 * 4 * 3 * sizeof(bf16)), y(16384);
  fillSample(x.as<bf16>(), 88 * 7 * 5 * 4 * 3, 3);
  shape.base = x.as<bf16>();
  shape.type = TensorMapType::kBf16;
  shape.rank = kRank;
  shape.swizzle = swizzle;
  shape.fill = fill;
  const uint32_t inner = swizzle == Swizzle::kNone ? 72 : spanBytes(swizzle) / 2;
  const uint32_t boxes[5] = {inner, 4, 3, 2, 2};
  uint64_t stride = sizeof(bf16);
  for (int d = 0; d < kRank; ++d) {
    shape.dims[d] = dims[d];
    shape.strides[d] = stride;
    shape.box[d] = boxes[d];
    stride *= dims[d];
  }
  TensorMap map;
  if (encodeTensorMap(context, shape, &map)) return 1;
  for (const Corner corner :
       {Corner{{0, 0, 0, 0, 0}}, Corner{{40, 5, 3, 3, 2}}, Corner{{-8, -1, -1, -1, -1}}}) {
    if (launch(context, boxKernel<kRank, kSound>, {1, kThreads, kShared}, map, corner, swizzle,
               boxBytes(shape), y.as<bf16>())) {
      return 1;
    }
    for (uint32_t i = 0; i < boxBytes(shape) / 2; ++i) {
      uint32_t rest = i;
      uint64_t index = 0;
      bool insideTensor = true;
      for (int d = 0; d < kRank; ++d) {
        const int64_t place = int64_t{corner.at[d]} + rest % boxes[d];
        rest /= boxes[d];
        insideTensor = insideTensor && place >= 0 && place < static_cast<int64_t>(dims[d]);
        index += static_cast<uint64_t>(place) * shape.strides[d] / 2;
      }
      const uint16_t outside = fill == TensorMapFill::kNan ? 0x7fff : 0;
      const uint16_t want = insideTensor ? x.as<bf16>()[index].bits : outside;
      if (y.as<bf16>()[i].bits != want) {
        return fail(context,
                    "wrong result: element %u of a box of rank %d is %04x, plain indexing gives %04x", i,
                    kRank, y.as<bf16>()[i].bits, want);
      }
    }
  }
  return 0;
}

template <bool kSound>
int runBoxes(KernelContext* context) {
  for (const Swizzle swizzle : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128}) {
    const TensorMapFill fill = swizzle == Swizzle::k64 ? TensorMapFill::kNan : TensorMapFill::kZero;
    if (runBoxOf<2, kSound>(context, swizzle, fill)) return 1;
    if (runBoxOf<3, kSound>(context, swizzle, fill)) return 1;
    if (runBoxOf<4, kSound>(context, swizzle, fill)) return 1;
    if (runBoxOf<5, kSound>(context, swizzle, fill)) return 1;
  }
  return 0;
}

// ---- A matrix [40, 64] of f32 in boxes of 16 × 32 with a swizzle of 128 bytes: loads, stores, additions.

constexpr uint32_t kRows = 40, kColumns = 64, kBoxRows = 16, kBoxColumns = 32;
constexpr uint32_t kBoxBytes = kBoxRows * kBoxColumns * 4;

template <typename Kernel>
int runMatrix(KernelContext* context, Kernel kernel, uint32_t boxColumns, float factor) {
  Buffer x(kRows * kColumns * 4), y(kRows * kColumns * 4);
  for (uint32_t i = 0; i < kRows * kColumns; ++i) {
    x.as<float>()[i] = sampleValue(i, 4);
    y.as<float>()[i] = 0.5f;
  }
  TensorMap from, to;
  if (encodeTensorMap(context,
                      matrixMap(x.as<float>(), TensorMapType::kF32, kRows, kColumns, kColumns * 4, kBoxRows,
                                boxColumns, Swizzle::k128),
                      &from)) {
    return 1;
  }
  if (encodeTensorMap(context,
                      matrixMap(y.as<float>(), TensorMapType::kF32, kRows, kColumns, kColumns * 4, kBoxRows,
                                kBoxColumns, Swizzle::k128),
                      &to)) {
    return 1;
  }
  const dim3 grid(kColumns / kBoxColumns, (kRows + kBoxRows - 1) / kBoxRows);
  if (launch(context, kernel, {grid, kThreads, kShared}, from, to)) return 1;
  for (uint32_t i = 0; i < kRows * kColumns; ++i) {
    const float want = 2.0f * x.as<float>()[i] + factor;
    if (y.as<float>()[i] != want) {
      return fail(context, "wrong result: element %u is %g instead of %g", i,
                  static_cast<double>(y.as<float>()[i]), static_cast<double>(want));
    }
  }
  return 0;
}
template <typename Kernel>
int run(KernelContext* context, Kernel kernel) {
  return runMatrix(context, kernel, kBoxColumns, 0.0f);
}

ANNEAL_DEVICE void loadTile(const TensorMap* from, uint32_t destination) {
  begin();
  if (threadIdx.x == 0) {
    mbarrierArriveExpect(barrierAddress(), kBoxBytes);
    tmaLoad(destination, from, barrierAddress(), blockIdx.x * kBoxColumns, blockIdx.y * kBoxRows);
  }
}
ANNEAL_DEVICE void doubleTile() {
  float* tile = sharedArena<float>();
  for (uint32_t i = threadIdx.x; i < kBoxBytes / 4; i += kThreads) tile[i] += tile[i];
}
ANNEAL_DEVICE void storeTile(const TensorMap* to) {
  tmaStore(to, tileAddress(), blockIdx.x * kBoxColumns, blockIdx.y * kBoxRows);
  bulkCommit();
}

// y = 2·x by a load, ordinary arithmetic and a store; one part left out in each broken twin.
enum Part { kWaitForLoad, kProxyFence, kBarrier, kWaitForStore, kAll };
template <Part kMissing>
ANNEAL_DEVICE void doubled(const TensorMap* from, const TensorMap* to) {
  loadTile(from, tileAddress());
  if (kMissing != kWaitForLoad) mbarrierWait(barrierAddress(), 0);
  doubleTile();
  if (kMissing != kProxyFence) fenceProxyAsync();
  if (kMissing != kBarrier) syncThreads();
  if (threadIdx.x == 0) {
    storeTile(to);
    if (kMissing != kWaitForStore) bulkWaitRead<0>();
  }
}
template <bool kSound>
__global__ void loadKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  doubled<kSound ? kAll : kWaitForLoad>(&from, &to);
}
template <bool kSound>
__global__ void fenceKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  doubled<kSound ? kAll : kProxyFence>(&from, &to);
}
template <bool kSound>
__global__ void barrierKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  doubled<kSound ? kAll : kBarrier>(&from, &to);
}
template <bool kSound>
__global__ void endKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  doubled<kSound ? kAll : kWaitForStore>(&from, &to);
}
// The tile is written again after the store: only behind the wait for its reads.
template <bool kSound>
__global__ void reuseKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  loadTile(&from, tileAddress());
  mbarrierWait(barrierAddress(), 0);
  doubleTile();
  fenceProxyAsync();
  syncThreads();
  if (threadIdx.x == 0) {
    storeTile(&to);
    if (kSound) bulkWaitRead<0>();
    sharedArena<float>()[0] = 7.0f;
    bulkWait<0>();
  }
}
// y = 0.5 + x + x by two additions of the tile.
template <bool kSound>
__global__ void addKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  loadTile(&from, tileAddress());
  mbarrierWait(barrierAddress(), 0);
  if (threadIdx.x == 0) {
    for (unsigned i = 0; i < 2; ++i) {
      if (kSound) {
        tmaReduceAdd(&to, tileAddress(), blockIdx.x * kBoxColumns, blockIdx.y * kBoxRows);
      } else {
        tmaStore(&to, tileAddress(), blockIdx.x * kBoxColumns, blockIdx.y * kBoxRows);
      }
      bulkCommit();
    }
    bulkWaitRead<0>();
  }
}
template <bool kSound>
__global__ void alignKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  loadTile(&from, tileAddress() + (kSound ? 0 : 64));
  mbarrierWait(barrierAddress(), 0);
  doubleTile();
  fenceProxyAsync();
  syncThreads();
  if (threadIdx.x == 0) {
    storeTile(&to);
    bulkWaitRead<0>();
  }
}
// Ordinary stores to memory that the engine fills next, without a fence in between.
template <bool kSound>
__global__ void clearKernel(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to) {
  for (uint32_t i = threadIdx.x; i < kBoxBytes / 4; i += kThreads) sharedArena<float>()[i] = 0.0f;
  if (kSound) fenceProxyAsync();
  syncThreads();
  doubled<kAll>(&from, &to);
}

// ---- Runs of bytes.

constexpr uint32_t kRun = 512;  // floats

template <typename Kernel>
int runBytes(KernelContext* context, Kernel kernel) {
  Buffer x(kRun * 4), y(2 * kRun * 4);
  for (uint32_t i = 0; i < kRun; ++i) {
    x.as<float>()[i] = sampleValue(i, 5);
    y.as<float>()[kRun + i] = 1.0f;
  }
  if (launch(context, kernel, {1, kThreads, kShared}, x.as<float>(), y.as<float>())) return 1;
  for (uint32_t i = 0; i < kRun; ++i) {
    const float value = x.as<float>()[i];
    if (y.as<float>()[i] != value || y.as<float>()[kRun + i] != value + 1.0f) {
      return fail(context, "wrong result: element %u of a copied run", i);
    }
  }
  return 0;
}
template <bool kSound>
__global__ void runKernel(const float* x, float* y) {
  begin();
  if (threadIdx.x == 0) {
    mbarrierArriveExpect(barrierAddress(), kRun * 4);
    bulkLoad(tileAddress(), x, kRun * 4, barrierAddress());
    mbarrierWait(barrierAddress(), 0);
    bulkStore(y, tileAddress(), kSound ? kRun * 4 : kRun * 4 - 16);
    bulkReduceAdd(y + kRun, tileAddress(), kRun * 4);
    bulkCommit();
    bulkWait<0>();
  }
}
template <bool kSound>
__global__ void pastKernel(const float* x, float* y) {
  begin();
  if (threadIdx.x == 0) {
    mbarrierArriveExpect(barrierAddress(), kRun * 4);
    bulkLoad(tileAddress(), x + (kSound ? 0 : 4), kRun * 4, barrierAddress());
    mbarrierWait(barrierAddress(), 0);
    bulkStore(y, tileAddress(), kRun * 4);
    bulkReduceAdd(y + kRun, tileAddress(), kRun * 4);
    bulkCommit();
    bulkWait<0>();
  }
}

#define ANNEAL_HOST_CONTROL(name, message, function) \
  { name, message, function<true>, function<false> }
#define ANNEAL_RUN_CONTROL(name, message, runner, kernel)                                \
  {                                                                                      \
    name, message, [](KernelContext* context) { return runner(context, kernel<true>); }, \
        [](KernelContext* context) { return runner(context, kernel<false>); }            \
  }

template <bool kSound>
int runWideBox(KernelContext* context) {
  return runMatrix(context, loadKernel<true>, kSound ? kBoxColumns : 2 * kBoxColumns, 0.0f);
}
template <bool kSound>
int runAdd(KernelContext* context) {
  return runMatrix(context, addKernel<kSound>, kBoxColumns, 0.5f);
}

const Control kTable[] = {
    ANNEAL_HOST_CONTROL("copy engine: boxes of 2 to 5 dimensions, swizzle ignored", "wrong result", runBoxes),
    ANNEAL_HOST_CONTROL("copy engine: box wider than the swizzle", "must fit the swizzle's span", runWideBox),
    ANNEAL_CONTROL("copy engine: tile read before the wait", "shared memory at byte", loadKernel),
    ANNEAL_CONTROL("copy engine: store without fenceProxyAsync", "missing fenceProxyAsync", fenceKernel),
    ANNEAL_CONTROL("copy engine: store without a barrier", "shared memory at byte", barrierKernel),
    ANNEAL_CONTROL("copy engine: block ends during a store", "must wait for", endKernel),
    ANNEAL_CONTROL("copy engine: tile reused during a store", "shared memory at byte", reuseKernel),
    ANNEAL_CONTROL("copy engine: load over ordinary stores without fenceProxyAsync",
                   "missing fenceProxyAsync", clearKernel),
    ANNEAL_HOST_CONTROL("copy engine: additions, and stores instead", "race on global memory", runAdd),
    ANNEAL_CONTROL("copy engine: misaligned tile", "misaligned tensor load", alignKernel),
    ANNEAL_RUN_CONTROL("copy engine: runs of bytes, one too short", "wrong result", runBytes, runKernel),
    ANNEAL_RUN_CONTROL("copy engine: run past the end", "out of bounds", runBytes, pastKernel),
};

}  // namespace

std::span<const Control> copyEngineControls() { return kTable; }

}  // namespace anneal::controls
