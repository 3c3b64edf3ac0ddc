// norm_backward.cu — gradients of RMSNorm and LayerNorm. Blocks stay for many rows: a thread always meets the
// same columns, whose weights and sums for the weight's gradient it keeps in registers, and reads its share
// of the next row while the group adds up the present one. Each block leaves one partial sum; a second launch
// adds these in order.
#include <algorithm>
#include <cmath>

#include "cuda/device/row_group.h"
#include "cuda/device_state.h"
#include "cuda/host/norm_plan.h"
#include "cuda/host/row_tiles.h"
#include "cuda/kernels/norm.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kMostThreads = 512;
// Shared memory that the sums of columns beyond a group's registers may take; above, they stand in the
// partial sums.
constexpr size_t kMostExtra = 160 * 1024;
// Elements of a block that are added across its groups: 256 threads of at most 16.
constexpr size_t kExchange = 256 * 16 * sizeof(float);

template <typename T>
struct BackwardArrays {
  const T* dy;
  const T* dsum;
  const T* x;
  const T* weight;
  const float* mean;
  const float* rstd;
  T* dx;
  float* partial;  // [1 or 2, blocks, width]: Σ dy ⊙ x̂, and Σ dy for LayerNorm; null where nobody asks
  int64_t rows, xStride, dxStride;
  int width;
  float perWidth;
  bool extraShared;  // wide rows: where the sums of columns beyond the registers stand
};

// One thread's share of a row, and the row's statistics.
template <typename T, int N, bool kLayer>
struct RowShare {
  static constexpr int kItems = normItems(N, kLayer);
  Vec<T, N> dy[kItems], x[kItems];
  float rstd, mean;

  ANNEAL_DEVICE void read(const BackwardArrays<T>& a, int64_t row, int first, int step) {
#pragma unroll
    for (int k = 0; k < kItems; ++k) {
      const int c = first + k * step;
      if (c >= a.width) continue;
      dy[k] = loadOnce<Vec<T, N>>(a.dy + row * a.width + c);
      x[k] = loadOnce<Vec<T, N>>(a.x + row * a.xStride + c);
    }
    rstd = a.rstd[row];
    mean = kLayer ? a.mean[row] : 0.0f;
  }
};

// Floor: dy, x (and dsum) read, dx written ÷ bandwidth. N: elements of an item. kWide: rows are wider than
// what a group keeps.
template <typename T, int N, bool kLayer, bool kWide>
__global__ void __launch_bounds__(kMostThreads, 1)
    normBackwardKernel(BackwardArrays<T> a, unsigned groupSize) {
  constexpr int kItems = normItems(N, kLayer), kSums = kLayer ? 2 : 1;
  // Two rows would not fit the registers otherwise; the other block of the multiprocessor reads meanwhile.
  constexpr bool kAhead = sizeof(T) == 2 && !kWide;
  using Item = Vec<T, N>;
  using Share = RowShare<T, N, kLayer>;
  float* arena = sharedArena<float>();
  RowGroup group(groupSize, arena);
  float* exchange = arena + kGroupScratch / sizeof(float);
  const int width = a.width, step = static_cast<int>(groupSize) * N, first = static_cast<int>(group.lane) * N;
  const int keptWidth = kItems * step, groups = static_cast<int>(blockDim.x / groupSize);
  float* own = a.partial == nullptr ? nullptr : a.partial + int64_t{blockIdx.x} * width;
  const int64_t plane = int64_t{gridDim.x} * width;
  // Sums of the columns from keptWidth on; each has one thread. Σ dy lies behind Σ dy ⊙ x̂.
  float* extra = a.extraShared ? exchange + kExchange / sizeof(float) - keptWidth : own;
  const int64_t extraPlane = a.extraShared ? width - keptWidth : plane;
  if (kWide && own != nullptr) {
    for (int c = first + keptWidth; c < width; c += step) {
#pragma unroll
      for (int l = 0; l < N; ++l) {
        extra[c + l] = 0.0f;
        if constexpr (kLayer) extra[extraPlane + c + l] = 0.0f;
      }
    }
  }

  Item weight[kItems] = {};
#pragma unroll
  for (int k = 0; k < kItems; ++k) {
    const int c = first + k * step;
    if (!kWide && c < width) weight[k] = load<Item>(a.weight + c);
  }
  // Wide rows need the registers for themselves; there the weight comes from L1.
  const auto weightOf = [&](int k) {
    if constexpr (kWide)
      return load<Item>(a.weight + first + k * step);
    else
      return weight[k];
  };
  float sums[kSums][kItems][N] = {};

  // Rows of a warp are passed together, because its lanes add up together.
  const int64_t stride = int64_t{gridDim.x} * groups;
  int64_t row = int64_t{blockIdx.x} * groups + group.index;
  int64_t ahead = row - (groupSize < kWarpSize ? laneId() / groupSize : 0);
  Share next;
  if (kAhead && row < a.rows) next.read(a, row, first, step);
#pragma unroll 1
  for (; ahead < a.rows; ahead += stride, row += stride) {
    if (!kAhead && row < a.rows) next.read(a, row, first, step);
    const Share share = next;
    const int end = row < a.rows ? width : 0;
    if (kAhead && row + stride < a.rows) next.read(a, row + stride, first, step);
    const T* dyRow = a.dy + row * width;
    const T* xRow = a.x + row * a.xStride;
    const T* dsumRow = a.dsum == nullptr ? nullptr : a.dsum + row * width;
    const auto normal = [&](T x) { return (toFloat(x) - share.mean) * share.rstd; };

    Item more[kItems] = {};
#pragma unroll
    for (int k = 0; k < kItems; ++k) {
      const int c = first + k * step;
      if (dsumRow != nullptr && c < end) more[k] = loadOnce<Item>(dsumRow + c);
    }

    // Σ u ⊙ x̂ and Σ u, u = dy ⊙ weight.
    float total[kSums] = {};
    const auto addUp = [&](const Item& dy, const Item& x, const Item& w) {
#pragma unroll
      for (int l = 0; l < N; ++l) {
        const float u = toFloat(dy.lane[l]) * toFloat(w.lane[l]);
        total[0] += u * normal(x.lane[l]);
        if constexpr (kLayer) total[1] += u;
      }
    };
#pragma unroll
    for (int k = 0; k < kItems; ++k) {
      if (first + k * step < end) addUp(share.dy[k], share.x[k], weightOf(k));
    }
    if constexpr (kWide) {
#pragma unroll 1
      for (int c = first + keptWidth; c < end; c += step)
        addUp(load<Item>(dyRow + c), load<Item>(xRow + c), load<Item>(a.weight + c));
    }
    group.sum(total);
    const float meanUX = total[0] * a.perWidth, meanU = kLayer ? total[kSums - 1] * a.perWidth : 0.0f;

    const auto finish = [&](int c, const Item& dy, const Item& x, const Item& w, const Item& add) {
      Item out;
#pragma unroll
      for (int l = 0; l < N; ++l) {
        const float u = toFloat(dy.lane[l]) * toFloat(w.lane[l]);
        const float gradient = share.rstd * ((u - meanU) - normal(x.lane[l]) * meanUX);
        out.lane[l] = fromFloat<T>(gradient + toFloat(add.lane[l]));
      }
      store(a.dx + row * a.dxStride + c, out);
    };
#pragma unroll
    for (int k = 0; k < kItems; ++k) {
      const int c = first + k * step;
      if (c >= end) continue;
      finish(c, share.dy[k], share.x[k], weightOf(k), more[k]);
#pragma unroll
      for (int l = 0; l < N; ++l) {
        const float dy = toFloat(share.dy[k].lane[l]);
        sums[0][k][l] += dy * normal(share.x[k].lane[l]);
        if constexpr (kLayer) sums[1][k][l] += dy;
      }
    }
    if constexpr (kWide) {
#pragma unroll 1
      for (int c = first + keptWidth; c < end; c += step) {
        const Item dy = load<Item>(dyRow + c), x = load<Item>(xRow + c);
        Item add{};
        if (dsumRow != nullptr) add = loadOnce<Item>(dsumRow + c);
        finish(c, dy, x, load<Item>(a.weight + c), add);
        if (own == nullptr) continue;
#pragma unroll
        for (int l = 0; l < N; ++l) {
          extra[c + l] += toFloat(dy.lane[l]) * normal(x.lane[l]);
          if constexpr (kLayer) extra[extraPlane + c + l] += toFloat(dy.lane[l]);
        }
      }
    }
  }
  if (own == nullptr) return;

  // The groups' sums, added in their order, become the block's.
  const int kept = width < keptWidth ? width : keptWidth;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    if (groups > 1) {
#pragma unroll
      for (int k = 0; k < kItems; ++k) {
        const int c = first + k * step;
#pragma unroll
        for (int l = 0; l < N; ++l) {
          if (c < width) exchange[static_cast<int>(group.index) * keptWidth + c + l] = sums[s][k][l];
        }
      }
      syncThreads();
      for (int c = static_cast<int>(threadIdx.x); c < kept; c += static_cast<int>(blockDim.x)) {
        float sum = 0.0f;
        for (int g = 0; g < groups; ++g) sum += exchange[g * keptWidth + c];
        own[s * plane + c] = sum;
      }
      syncThreads();
    } else {
#pragma unroll
      for (int k = 0; k < kItems; ++k) {
        const int c = first + k * step;
#pragma unroll
        for (int l = 0; l < N; ++l) {
          if (c < width) own[s * plane + c + l] = sums[s][k][l];
        }
      }
    }
    if constexpr (kWide) {
      for (int c = first + keptWidth; a.extraShared && c < width; c += step) {
#pragma unroll
        for (int l = 0; l < N; ++l) own[s * plane + c + l] = extra[s * extraPlane + c + l];
      }
    }
  }
}

constexpr unsigned kSlices = 32;  // of the blocks, whose partial sums are read side by side

// out (+)= Σ over blocks of partial [blocks, width]; blockIdx.y: 0 the weight's, 1 the bias's. A warp takes
// 32 columns of every 32nd block. Floor: latency; the partial sums come from L2.
__global__ void __launch_bounds__(kWarpSize* kSlices)
    combineKernel(const float* partial, float* dweight, float* dbias, int blocks, int width,
                  bool accumulate) {
  float* out = blockIdx.y == 0 ? dweight : dbias;
  if (out == nullptr) return;
  float* slices = sharedArena<float>();
  const int column = static_cast<int>(blockIdx.x * kWarpSize + laneId());
  const float* own = partial + int64_t{blockIdx.y} * blocks * width + column;
  float sum = 0.0f;
  if (column < width) {
#pragma unroll 4
    for (int b = static_cast<int>(warpId()); b < blocks; b += kSlices) sum += own[int64_t{b} * width];
  }
  slices[threadIdx.x] = sum;
  syncThreads();
  if (warpId() != 0 || column >= width) return;
  sum = 0.0f;
  for (unsigned s = 0; s < kSlices; ++s) sum += slices[s * kWarpSize + laneId()];
  out[column] = accumulate ? out[column] + sum : sum;
}

template <typename T, int N, bool kLayer>
int backwardOf(KernelContext* context, const NormBackward& args, BackwardArrays<T> arrays) {
  const NormPlan plan = normPlan(args.width, N, normItems(N, kLayer), kMostThreads);
  const int64_t blocks = normBackwardBlocks(plan, args.rows, processors(context));
  const bool summed = args.dweight != nullptr || args.dbias != nullptr;
  const int64_t beyond = std::max<int64_t>(args.width - normKept(plan, N, normItems(N, kLayer)), 0);
  size_t extra = summed ? static_cast<size_t>(beyond) * sizeof(float) * (kLayer ? 2 : 1) : 0;
  if (extra > kMostExtra) extra = 0;
  arrays.extraShared = extra > 0;
  if (summed) {
    const auto elements = static_cast<size_t>(blocks * args.width * (kLayer ? 2 : 1));
    arrays.partial = static_cast<float*>(workspace(context, elements * sizeof(float)));
    if (arrays.partial == nullptr) return 1;
  }
  const size_t shared = kGroupScratch + kExchange + extra;
  const auto kernel =
      beyond > 0 ? normBackwardKernel<T, N, kLayer, true> : normBackwardKernel<T, N, kLayer, false>;
  if (const int status = launch(context, kernel, {static_cast<unsigned>(blocks), plan.threads, shared},
                                arrays, plan.group)) {
    return status;
  }
  if (!summed) return 0;
  const dim3 grid(static_cast<unsigned>((args.width + kWarpSize - 1) / kWarpSize), kLayer ? 2 : 1);
  return launch(context, combineKernel, {grid, kWarpSize * kSlices, kWarpSize * kSlices * sizeof(float)},
                arrays.partial, static_cast<float*>(args.dweight), static_cast<float*>(args.dbias),
                static_cast<int>(blocks), static_cast<int>(args.width), args.accumulate != 0);
}

template <typename T, bool kLayer>
int backwardType(KernelContext* context, const NormBackward& args) {
  if (args.width == 0) return 0;
  const auto in = [](const void* pointer) { return static_cast<const T*>(pointer); };
  BackwardArrays<T> arrays{};
  arrays.dy = in(args.dy);
  arrays.dsum = in(args.dsum);
  arrays.x = in(args.x);
  arrays.weight = in(args.weight);
  arrays.mean = static_cast<const float*>(args.mean);
  arrays.rstd = static_cast<const float*>(args.rstd);
  arrays.dx = static_cast<T*>(args.dx);
  arrays.rows = args.rows;
  arrays.xStride = args.xStride;
  arrays.dxStride = args.dxStride;
  arrays.width = static_cast<int>(args.width);
  arrays.perWidth = 1.0f / static_cast<float>(args.width);
  constexpr int kLanes = kLanes16<T>;
  const bool vectors = args.width % kLanes == 0 && args.xStride % kLanes == 0 &&
                       args.dxStride % kLanes == 0 &&
                       aligned16(args.dy, args.dsum, args.x, args.weight, args.dx);
  return vectors ? backwardOf<T, kLanes, kLayer>(context, args, arrays)
                 : backwardOf<T, 1, kLayer>(context, args, arrays);
}

}  // namespace

int normBackward(KernelContext* context, const NormBackward& args) {
  if (args.dtype == kF32) {
    return args.layer ? backwardType<float, true>(context, args) : backwardType<float, false>(context, args);
  }
  return args.layer ? backwardType<bf16, true>(context, args) : backwardType<bf16, false>(context, args);
}

}  // namespace anneal::cuda
