// moe_dispatch.cu — rows of tokens to their experts and back: permutation, weighted combination and its
// gradients. One pass over memory, 16 bytes an access where rows allow it; sums run in the order of k.
#include "cuda/device/reduce.h"
#include "cuda/device_state.h"
#include "cuda/host/moe_plan.h"
#include "cuda/host/row_tiles.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr int kFlight = 4;  // accesses of a thread in flight

// A row is `units` accesses of type V, `lanes` threads a row. Floor: bytes of y twice (each row of x is read
// once per choice) ÷ bandwidth.
template <typename V>
__global__ void __launch_bounds__(kMoeThreads)
    permuteKernel(const V* x, const int32_t* order, V* y, int64_t rows, uint32_t chosen, int64_t units,
                  unsigned lanes) {
  const int64_t j = int64_t{blockIdx.x} * (kMoeThreads / lanes) + threadIdx.x / lanes;
  if (j >= rows) return;
  const V* from = x + static_cast<uint32_t>(order[j]) / chosen * units;
  V* to = y + j * units;
  for (int64_t u = threadIdx.x % lanes; u < units; u += kFlight * int64_t{lanes}) {
    V held[kFlight];
#pragma unroll
    for (int k = 0; k < kFlight; ++k) {
      if (u + k * int64_t{lanes} < units) held[k] = load<V>(from + u + k * int64_t{lanes});
    }
#pragma unroll
    for (int k = 0; k < kFlight; ++k) {
      if (u + k * int64_t{lanes} < units) store(to + u + k * int64_t{lanes}, held[k]);
    }
  }
}

// Rows as accesses of vec elements, `lanes` threads a token (forward) or a choice (backward).
struct Rows {
  int64_t count, chosen, units;
  unsigned lanes;
};

// Several of a token's rows are on their way at a time. Floor: bytes of the rows of x, of addend and of y ÷
// bandwidth.
template <typename T, int vec>
__global__ void __launch_bounds__(kMoeThreads)
    combineKernel(const T* x, const float* weights, const int32_t* inverse, const T* addend, T* y,
                  Rows rows) {
  using Vector = Vec<T, vec>;
  const int64_t t = int64_t{blockIdx.x} * (kMoeThreads / rows.lanes) + threadIdx.x / rows.lanes;
  if (t >= rows.count) return;
  const int64_t width = rows.units * vec;
  const int32_t* places = inverse + t * rows.chosen;
  const float* scales = weights == nullptr ? nullptr : weights + t * rows.chosen;
  for (int64_t u = threadIdx.x % rows.lanes; u < rows.units; u += rows.lanes) {
    float sum[vec] = {};
    if (addend != nullptr) {
      const Vector first = loadOnce<Vector>(addend + t * width + u * vec);
#pragma unroll
      for (int l = 0; l < vec; ++l) sum[l] = toFloat(first.lane[l]);
    }
    for (int64_t k = 0; k < rows.chosen; k += kFlight) {
      Vector held[kFlight];
      float scale[kFlight];
#pragma unroll
      for (int f = 0; f < kFlight; ++f) {
        if (k + f >= rows.chosen) continue;
        held[f] = loadOnce<Vector>(x + places[k + f] * width + u * vec);
        scale[f] = scales == nullptr ? 1.0f : scales[k + f];
      }
#pragma unroll
      for (int f = 0; f < kFlight; ++f) {
        if (k + f >= rows.chosen) continue;
#pragma unroll
        for (int l = 0; l < vec; ++l) sum[l] = fmaf(scale[f], toFloat(held[f].lane[l]), sum[l]);
      }
    }
    Vector out;
#pragma unroll
    for (int l = 0; l < vec; ++l) out.lane[l] = fromFloat<T>(sum[l]);
    store(y + t * width + u * vec, out);
  }
}

// Up to a warp a choice; the choices of a token lie in one block, which finds its row of dy in the cache.
// Floor: bytes of x, dx and dy ÷ bandwidth.
template <typename T, int vec>
__global__ void __launch_bounds__(kMoeThreads)
    combineBackwardKernel(const T* dy, const T* x, const float* weights, const int32_t* inverse, T* dx,
                          float* dweights, Rows rows) {
  using Vector = Vec<T, vec>;
  constexpr int kPairs = 2;  // accesses of dy and of x in flight
  const int64_t r = int64_t{blockIdx.x} * (kMoeThreads / rows.lanes) + threadIdx.x / rows.lanes;
  const int64_t lane = threadIdx.x % rows.lanes, width = rows.units * vec;
  const bool live = r < rows.count;
  const int64_t row = live ? inverse[r] : 0, units = live ? rows.units : 0;
  const float weight = live ? weights[r] : 0.0f;
  const T* gradient = dy + (live ? r / rows.chosen : 0) * width;
  const T* from = x + row * width;
  T* to = dx + row * width;
  float sum = 0.0f;
  for (int64_t u = lane; u < units; u += kPairs * int64_t{rows.lanes}) {
    Vector dyPart[kPairs], xPart[kPairs];
#pragma unroll
    for (int k = 0; k < kPairs; ++k) {
      const int64_t at = u + k * int64_t{rows.lanes};
      if (at >= units) continue;
      dyPart[k] = load<Vector>(gradient + at * vec);
      xPart[k] = loadOnce<Vector>(from + at * vec);
    }
#pragma unroll
    for (int k = 0; k < kPairs; ++k) {
      const int64_t at = u + k * int64_t{rows.lanes};
      if (at >= units) continue;
      Vector out;
      float terms = 0.0f;
#pragma unroll
      for (int l = 0; l < vec; ++l) {
        const float g = toFloat(dyPart[k].lane[l]);
        terms = fmaf(g, toFloat(xPart[k].lane[l]), terms);
        out.lane[l] = fromFloat<T>(weight * g);
      }
      sum += terms;
      store(to + at * vec, out);
    }
  }
  sum = warpReduce(sum, Sum{}, rows.lanes);
  if (live && lane == 0) dweights[r] = sum;
}

template <typename V>
int permute(KernelContext* context, const MoePermuteArgs& args, int64_t units) {
  const unsigned lanes = moeLanes(units, kFlight, kMoeThreads);
  const unsigned blocks = static_cast<unsigned>(divideUp(args.rows, kMoeThreads / lanes));
  return launch(context, permuteKernel<V>, {blocks, kMoeThreads}, static_cast<const V*>(args.x),
                static_cast<const int32_t*>(args.order), static_cast<V*>(args.y), args.rows,
                static_cast<uint32_t>(args.chosen), units, lanes);
}

int moePermute(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const MoePermuteArgs*>(raw);
  const int64_t bytes = args.width * static_cast<int64_t>(dtypeSize(args.dtype));
  if (bytes == 0 && args.width != 0)
    return fail(context, "moePermute got the unknown dtype %lld", static_cast<long long>(args.dtype));
  if (bytes == 0) return 0;
  if (bytes % 16 == 0 && aligned16(args.x, args.y))
    return permute<Vec<uint32_t, 4>>(context, args, bytes / 16);
  if (dtypeSize(args.dtype) % 4 == 0) return permute<uint32_t>(context, args, bytes / 4);
  if (args.dtype == kBF16) return permute<uint16_t>(context, args, bytes / 2);
  return permute<uint8_t>(context, args, bytes);
}

template <typename T, int vec>
int combine(KernelContext* context, const MoeCombineForwardArgs& args) {
  const int64_t units = args.width / vec;
  const Rows rows{args.tokens, args.chosen, units, moeLanes(units, 1, kMoeThreads)};
  const unsigned blocks = static_cast<unsigned>(divideUp(args.tokens, kMoeThreads / rows.lanes));
  return launch(context, combineKernel<T, vec>, {blocks, kMoeThreads}, static_cast<const T*>(args.x),
                static_cast<const float*>(args.weights), static_cast<const int32_t*>(args.inverse),
                static_cast<const T*>(args.addend), static_cast<T*>(args.y), rows);
}

template <typename T, int vec>
int combineBackward(KernelContext* context, const MoeCombineBackwardArgs& args) {
  const int64_t units = args.width / vec, choices = args.tokens * args.chosen;
  const Rows rows{choices, args.chosen, units, powerOfTwo(units, kWarpSize)};
  const unsigned blocks = static_cast<unsigned>(divideUp(choices, kMoeThreads / rows.lanes));
  return launch(context, combineBackwardKernel<T, vec>, {blocks, kMoeThreads}, static_cast<const T*>(args.dy),
                static_cast<const T*>(args.x), static_cast<const float*>(args.weights),
                static_cast<const int32_t*>(args.inverse), static_cast<T*>(args.dx),
                static_cast<float*>(args.dweights), rows);
}

template <typename T>
int combineOf(KernelContext* context, const MoeCombineForwardArgs& args) {
  const bool whole = args.width % kLanes16<T> == 0 && aligned16(args.x, args.addend, args.y);
  return whole ? combine<T, kLanes16<T>>(context, args) : combine<T, 1>(context, args);
}

template <typename T>
int combineBackwardOf(KernelContext* context, const MoeCombineBackwardArgs& args) {
  const bool whole = args.width % kLanes16<T> == 0 && aligned16(args.dy, args.x, args.dx);
  return whole ? combineBackward<T, kLanes16<T>>(context, args) : combineBackward<T, 1>(context, args);
}

int moeCombineForward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const MoeCombineForwardArgs*>(raw);
  if (args.dtype == kF32) return combineOf<float>(context, args);
  if (args.dtype == kBF16) return combineOf<bf16>(context, args);
  return fail(context, "moeCombineForward takes f32 or bf16, got %s", dtypeName(args.dtype));
}

int moeCombineBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const MoeCombineBackwardArgs*>(raw);
  if (args.dtype == kF32) return combineBackwardOf<float>(context, args);
  if (args.dtype == kBF16) return combineBackwardOf<bf16>(context, args);
  return fail(context, "moeCombineBackward takes f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerMoe(Backend& table) {
  table.kernels[kKernel_moePermute] = moePermute;
  table.kernels[kKernel_moeCombineForward] = moeCombineForward;
  table.kernels[kKernel_moeCombineBackward] = moeCombineBackward;
}

}  // namespace anneal::cuda
