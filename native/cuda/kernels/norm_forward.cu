// norm_forward.cu — RMSNorm and LayerNorm with a fused residual addition. A group of threads keeps its row in
// registers, so that memory is read once; one row a group, and rows of 128 channels still fill whole warps.
#include <algorithm>
#include <cmath>

#include "cuda/device/row_group.h"
#include "cuda/host/norm_plan.h"
#include "cuda/host/row_tiles.h"
#include "cuda/kernels/norm.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kMostThreads = 1024;

template <typename T>
struct ForwardArrays {
  const T* x;
  const T* residual;
  const T* weight;
  const T* bias;
  T* y;
  T* sum;
  float* mean;
  float* rstd;
  int64_t rows, xStride;
  int width;
  float eps, perWidth;
};

// Floor: x (and residual) read, y (and sum) written ÷ bandwidth. N: elements of an item.
template <typename T, int N, bool kLayer>
__global__ void __launch_bounds__(kMostThreads) normForwardKernel(ForwardArrays<T> a, unsigned groupSize) {
  constexpr int kItems = normItems(N);
  using Item = Vec<T, N>;
  RowGroup group(groupSize, sharedArena<float>());
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / groupSize) + group.index;
  const bool inside = row < a.rows;
  // Threads without a row take part in the sums.
  const int width = inside ? a.width : 0;
  const T* x = a.x + row * a.xStride;
  const T* residual = a.residual == nullptr ? nullptr : a.residual + row * a.width;
  T* sum = a.sum == nullptr ? nullptr : a.sum + row * a.width;
  T* y = a.y + row * a.width;
  const int step = static_cast<int>(groupSize) * N, first = static_cast<int>(group.lane) * N;

  const auto addTo = [&](Item& item, const Item& other, int c) {
#pragma unroll
    for (int l = 0; l < N; ++l) item.lane[l] = fromFloat<T>(toFloat(item.lane[l]) + toFloat(other.lane[l]));
    store(sum + c, item);
  };
  // The row's items: the first kItems of each thread in registers; any others come from memory, where a sum
  // with the residual stands by then. All loads are on their way before the first store.
  Item kept[kItems], other[kItems];
#pragma unroll
  for (int k = 0; k < kItems; ++k) {
    const int c = first + k * step;
    if (c >= width) continue;
    kept[k] = loadOnce<Item>(x + c);
    if (residual != nullptr) other[k] = loadOnce<Item>(residual + c);
  }
  if (residual != nullptr) {
#pragma unroll
    for (int k = 0; k < kItems; ++k) {
      const int c = first + k * step;
      if (c < width) addTo(kept[k], other[k], c);
    }
#pragma unroll 1
    for (int c = first + kItems * step; c < width; c += step) {
      Item item = loadOnce<Item>(x + c);
      addTo(item, loadOnce<Item>(residual + c), c);
    }
  }
  const T* again = residual == nullptr ? x : sum;
  const auto forEachItem = [&](const auto& body) {
#pragma unroll
    for (int k = 0; k < kItems; ++k) {
      const int c = first + k * step;
      if (c < width) body(c, kept[k]);
    }
#pragma unroll 1
    for (int c = first + kItems * step; c < width; c += step) body(c, load<Item>(again + c));
  };
  const auto sumOf = [&](const auto& term) {
    float total[1] = {0.0f};
    forEachItem([&](int, const Item& item) {
#pragma unroll
      for (int l = 0; l < N; ++l) total[0] += term(toFloat(item.lane[l]));
    });
    group.sum(total);
    return total[0];
  };

  float mean = 0.0f;
  if constexpr (kLayer) mean = a.perWidth * sumOf([](float s) { return s; });
  const float variance = a.perWidth * sumOf([mean](float s) { return (s - mean) * (s - mean); });
  const float rstd = 1.0f / sqrtf(variance + a.eps);
  if (inside && group.lane == 0) {
    a.rstd[row] = rstd;
    if constexpr (kLayer) a.mean[row] = mean;
  }
  forEachItem([&](int c, const Item& item) {
    const Item weight = load<Item>(a.weight + c);
    Item out;
    if constexpr (kLayer) {
      Item bias{};
      if (a.bias != nullptr) bias = load<Item>(a.bias + c);
#pragma unroll
      for (int l = 0; l < N; ++l) {
        const float normal = (toFloat(item.lane[l]) - mean) * rstd;
        out.lane[l] = fromFloat<T>(toFloat(weight.lane[l]) * normal + toFloat(bias.lane[l]));
      }
    } else {
#pragma unroll
      for (int l = 0; l < N; ++l) {
        const float normal = toFloat(fromFloat<T>(toFloat(item.lane[l]) * rstd));
        out.lane[l] = fromFloat<T>(toFloat(weight.lane[l]) * normal);
      }
    }
    store(y + c, out);
  });
}

template <typename T, int N, bool kLayer>
int forwardOf(KernelContext* context, const ForwardArrays<T>& arrays) {
  const NormPlan plan = normPlan(arrays.width, N, normItems(N), kMostThreads);
  const auto blocks = static_cast<unsigned>((arrays.rows + plan.groups - 1) / plan.groups);
  return launch(context, normForwardKernel<T, N, kLayer>, {blocks, plan.threads, kGroupScratch}, arrays,
                plan.group);
}

template <typename T, bool kLayer>
int forwardType(KernelContext* context, const NormForward& args) {
  if (args.rows == 0 || args.width == 0) return 0;
  const auto in = [](const void* pointer) { return static_cast<const T*>(pointer); };
  const auto out = [](void* pointer) { return static_cast<T*>(pointer); };
  const ForwardArrays<T> arrays{in(args.x),
                                in(args.residual),
                                in(args.weight),
                                in(args.bias),
                                out(args.y),
                                args.residual == nullptr ? nullptr : out(args.sum),
                                static_cast<float*>(args.mean),
                                static_cast<float*>(args.rstd),
                                args.rows,
                                args.xStride,
                                static_cast<int>(args.width),
                                static_cast<float>(args.eps),
                                1.0f / static_cast<float>(args.width)};
  constexpr int kLanes = kLanes16<T>;
  const bool vectors = args.width % kLanes == 0 && args.xStride % kLanes == 0 &&
                       aligned16(args.x, args.residual, args.weight, args.bias, args.y, args.sum);
  return vectors ? forwardOf<T, kLanes, kLayer>(context, arrays) : forwardOf<T, 1, kLayer>(context, arrays);
}

}  // namespace

int normForward(KernelContext* context, const NormForward& args) {
  if (args.dtype == kF32) {
    return args.layer ? forwardType<float, true>(context, args) : forwardType<float, false>(context, args);
  }
  return args.layer ? forwardType<bf16, true>(context, args) : forwardType<bf16, false>(context, args);
}

}  // namespace anneal::cuda
