// copy.cu — copyStrided: any permutation, slice, concatenation, expansion or padding, as one run of bytes, as
// packs of 16 bytes, through tiles in shared memory where the contiguous dimension changes, or as single
// elements.
#include "cuda/device/elements.h"
#include "cuda/device/walk.h"
#include "cuda/device_state.h"
#include "cuda/host/copy_plan.h"
#include "cuda/host/elements.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"

namespace anneal::cuda {
namespace {

// to + from; integers wrap.
ANNEAL_DEVICE float sum(float to, float from) { return to + from; }
ANNEAL_DEVICE bf16 sum(bf16 to, bf16 from) { return toBf16(toFloat(to) + toFloat(from)); }
ANNEAL_DEVICE int32_t sum(int32_t to, int32_t from) {
  return static_cast<int32_t>(static_cast<uint32_t>(to) + static_cast<uint32_t>(from));
}

// Floor: bytes of src and dst, with kAdd those of dst twice. The walk's operands are src and dst.
template <typename T, int N, bool kAdd>
__global__ void __launch_bounds__(kElementThreads)
    copyKernel(const T* src, T* dst, Access from, Access to, const __grid_constant__ Walk<2> walk,
               int64_t span) {
  struct Inputs {
    Pack<T, N> src, dst;
    int64_t place;
  };
  pipeline(
      walk.items, span,
      [&](int64_t item) {
        const Places<2> places = placesOf(walk, item);
        const int64_t valid = validLanes<N>(walk, item);
        Inputs inputs{readPack<N>(src + places.at[0], from, walk.step[0], valid), {}, places.at[1]};
        if constexpr (kAdd)
          inputs.dst = readPack<N>(static_cast<const T*>(dst) + places.at[1], to, walk.step[1], valid);
        return inputs;
      },
      [&](int64_t item, const Inputs& inputs) {
        Pack<T, N> out = inputs.src;
        if constexpr (kAdd) {
#pragma unroll
          for (int l = 0; l < N; ++l) out.set(l, sum(inputs.dst.get(l), inputs.src.get(l)));
        }
        writePack<N>(dst + inputs.place, out, to, walk.step[1], validLanes<N>(walk, item));
      });
}

template <typename T, int N, bool kAdd>
int launchCopy(KernelContext* context, const Loops<2>& loops, const void* src, void* dst) {
  const Walk<2> walk = walkOf(loops, N);
  const Chunks chunks = chunksFor(walk.items, processors(context));
  return launch(context, copyKernel<T, N, kAdd>, {chunks.blocks, kElementThreads}, static_cast<const T*>(src),
                static_cast<T*>(dst), accessOf(loops, 0, src, sizeof(T), N),
                accessOf(loops, 1, dst, sizeof(T), N), walk, chunks.span);
}

// A tile in shared memory: rows of kTile elements and one word, so that neither its rows nor its columns meet
// one bank.
template <typename T>
constexpr int kTile = sizeof(T) <= 2 ? 64 : 32;
template <typename T>
constexpr int kPitch = kTile<T> + (sizeof(T) < 4 ? 4 / static_cast<int>(sizeof(T)) : 1);

// Floor: bytes of src and dst, with kAdd those of dst twice. dst[r, c] = src[c, r] for each index of the
// batch loops; one block a tile. A thread has kTile²/256 loads in flight.
template <typename T, bool kAdd>
__global__ void __launch_bounds__(kElementThreads)
    transposeKernel(const T* src, T* dst, const __grid_constant__ Transpose plan) {
  constexpr int kSide = kTile<T>, kWarps = kElementThreads / kWarpSize;
  constexpr int kRounds = kSide / kWarps, kParts = kSide / kWarpSize;
  T* tile = sharedArena<T>();
  const int64_t batch = quotient(blockIdx.x, plan.tiles), number = blockIdx.x - batch * plan.tiles.divisor;
  const int64_t tileRow = quotient(number, plan.tileColumns);
  const int64_t row = tileRow * kSide, column = (number - tileRow * plan.tileColumns.divisor) * kSide;
  const Places<2> places = placesOf(plan.batch, batch);
  const int lane = static_cast<int>(laneId()), warp = static_cast<int>(warpId());
  const int64_t rows = plan.rows - row, columns = plan.columns - column;

  const T* from = src + places.at[0] + column * plan.srcStride + row;
  T values[kRounds][kParts];
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    const int c = warp + i * kWarps;
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const int r = lane + p * static_cast<int>(kWarpSize);
      if (c < columns && r < rows) values[i][p] = from[c * plan.srcStride + r];
    }
  }
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    const int c = warp + i * kWarps;
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const int r = lane + p * static_cast<int>(kWarpSize);
      if (c < columns && r < rows) tile[c * kPitch<T> + r] = values[i][p];
    }
  }
  syncThreads();
  T* to = dst + places.at[1] + row * plan.dstStride + column;
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    const int r = warp + i * kWarps;
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const int c = lane + p * static_cast<int>(kWarpSize);
      if (r >= rows || c >= columns) continue;
      T* place = to + r * plan.dstStride + c;
      if constexpr (kAdd)
        *place = sum(*place, tile[c * kPitch<T> + r]);
      else
        *place = tile[c * kPitch<T> + r];
    }
  }
}

template <typename T, bool kAdd>
int launchTranspose(KernelContext* context, const Loops<2>& loops, int rowLoop, const void* src, void* dst) {
  const Transpose plan = transposeOf(loops, rowLoop, kTile<T>);
  const int64_t blocks = plan.batch.items * plan.tiles.divisor;
  if (blocks > INT32_MAX) {
    return fail(context, "copyStrided: %lld tiles are more than a grid has blocks",
                static_cast<long long>(blocks));
  }
  return launch(context, transposeKernel<T, kAdd>,
                {static_cast<unsigned>(blocks), kElementThreads, sizeof(T) * kTile<T> * kPitch<T>},
                static_cast<const T*>(src), static_cast<T*>(dst), plan);
}

// Packs of 16 bytes where the destination takes them whole, else single elements: stores of parts of a pack
// would each cost a whole sector.
template <typename T, bool kAdd>
int copyAll(KernelContext* context, const Loops<2>& loops, const void* src, void* dst) {
  if (const int rowLoop = transposedLoop(loops); rowLoop > 0)
    return launchTranspose<T, kAdd>(context, loops, rowLoop, src, dst);
  constexpr int kN = kLanes16<T>;
  if (loops.stride[0][0] <= 1 && splitsInto(loops, kN) &&
      accessOf(loops, 1, dst, sizeof(T), kN) != Access::kStepped)
    return launchCopy<T, kN, kAdd>(context, loops, src, dst);
  return launchCopy<T, 1, kAdd>(context, loops, src, dst);
}

int copyStrided(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const CopyStridedArgs*>(raw);
  if (args.ndim < 0 || args.ndim > kMaxDims) return failDims(context, "copyStrided", args.ndim);
  for (int64_t d = 0; d < args.ndim; ++d) {
    if (args.dstStride[d] == 0 && args.shape[d] > 1) {
      return fail(context,
                  "copyStrided: dimension %lld writes its %lld elements to one place (destination stride 0)",
                  static_cast<long long>(d), static_cast<long long>(args.shape[d]));
    }
  }
  const auto bytes = static_cast<int64_t>(dtypeSize(args.dtype));
  Loops<2> loops = copyLoops(args);
  const void* src = static_cast<const uint8_t*>(args.src) + args.srcOffset * bytes;
  void* dst = static_cast<uint8_t*>(args.dst) + args.dstOffset * bytes;
  if (args.accumulate != 0) {
    switch (args.dtype) {
      case kF32:
        return copyAll<float, true>(context, loops, src, dst);
      case kBF16:
        return copyAll<bf16, true>(context, loops, src, dst);
      case kI32:
        return copyAll<int32_t, true>(context, loops, src, dst);
      default:
        return fail(context, "copyStrided: expected f32, bf16 or i32 to accumulate, got %s",
                    dtypeName(args.dtype));
    }
  }
  if (bytes == 0) return fail(context, "copyStrided: unknown dtype %lld", static_cast<long long>(args.dtype));
  if (isOneRun(loops)) {
    const int64_t count = loops.count();
    return count == 0 ? 0 : copyBytes(context, dst, src, static_cast<size_t>(count * bytes));
  }
  switch (widen(loops, src, dst, bytes)) {
    case 1:
      return copyAll<uint8_t, false>(context, loops, src, dst);
    case 2:
      return copyAll<uint16_t, false>(context, loops, src, dst);
    case 4:
      return copyAll<uint32_t, false>(context, loops, src, dst);
    default:
      return copyAll<uint64_t, false>(context, loops, src, dst);
  }
}

}  // namespace

void registerCopy(Backend& table) { table.kernels[kKernel_copyStrided] = copyStrided; }

}  // namespace anneal::cuda
