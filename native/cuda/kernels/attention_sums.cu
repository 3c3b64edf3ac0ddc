// attention_sums.cu — what attentionBackward sums before and after its products: D = Σ dout·o of every row,
// and the gradients that each key head leaves for the channels that all heads share.
#include "cuda/device/reduce.h"
#include "cuda/kernels/attention.h"
#include "cuda/launch.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256, kRowLanes = 16;

// delta [heads, tokens]; 16 lanes a row, heads of a token side by side. Floor: bytes of o and dout ÷
// bandwidth.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    deltaKernel(const __grid_constant__ AttentionTensors<T> t, const T* o, const T* dout, float* delta,
                int64_t tokens, int heads) {
  constexpr int kLanes = kLanes16<T>;
  const int64_t item = globalIndex() / kRowLanes;
  const int lane = static_cast<int>(threadIdx.x % kRowLanes);
  const int64_t token = item / heads, head = item % heads;
  const bool live = token < tokens;
  float sum = 0.0f;
  if (live) {
    const int64_t at = token * t.oRow + head * t.oHead;
    if (t.oVectors && t.vDim % kLanes == 0) {
      for (int c = lane * kLanes; c < t.vDim; c += kRowLanes * kLanes) {
        const auto x = loadOnce<Vec<T, kLanes>>(o + at + c), y = loadOnce<Vec<T, kLanes>>(dout + at + c);
#pragma unroll
        for (int i = 0; i < kLanes; ++i) sum = fmaf(toFloat(x.lane[i]), toFloat(y.lane[i]), sum);
      }
    } else {
      for (int c = lane; c < t.vDim; c += kRowLanes)
        sum = fmaf(toFloat(load<T>(o + at + c)), toFloat(load<T>(dout + at + c)), sum);
    }
  }
  sum = warpReduce(sum, Sum{}, kRowLanes);
  if (live && lane == 0) delta[head * tokens + token] = sum;
}

// sums [tokensK, sharedDim] (+)= Σ over key heads of partial [heads, tokensK, sharedDim], in their order; the
// last pass rounds to `out`. Floor: bytes of the partial gradients ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    sharedSumKernel(const float* partial, float* sums, T* out, int64_t elements, int sharedDim,
                    int64_t outRow, int heads, bool isFirst, bool isLast) {
  const int64_t index = globalIndex();
  if (index >= elements) return;
  float sum = isFirst ? 0.0f : sums[index];
#pragma unroll 8
  for (int h = 0; h < heads; ++h) sum += load<float>(partial + h * elements + index);
  if (isLast) {
    store(out + index / sharedDim * outRow + index % sharedDim, fromFloat<T>(sum));
  } else {
    sums[index] = sum;
  }
}

unsigned blocksFor(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

}  // namespace

template <typename T>
int launchAttentionDelta(KernelContext* context, const BackwardParams<T>& p, const T* o, float* delta) {
  const int64_t threads = p.work.tokensQ * p.work.heads * int64_t{kRowLanes};
  return launch(context, deltaKernel<T>, {blocksFor(threads), kThreads}, p.tensors, o, p.dout, delta,
                p.work.tokensQ, p.work.heads);
}

template <typename T>
int launchAttentionSharedSum(KernelContext* context, const BackwardParams<T>& p, float* sums, T* out,
                             bool isFirst, bool isLast) {
  const int64_t elements = p.work.tokensK * p.tensors.sharedDim;
  return launch(context, sharedSumKernel<T>, {blocksFor(elements), kThreads}, p.shared, sums, out, elements,
                p.tensors.sharedDim, p.tensors.sharedRow, p.work.units, isFirst, isLast);
}

template int launchAttentionDelta(KernelContext*, const BackwardParams<float>&, const float*, float*);
template int launchAttentionDelta(KernelContext*, const BackwardParams<bf16>&, const bf16*, float*);
template int launchAttentionSharedSum(KernelContext*, const BackwardParams<float>&, float*, float*, bool,
                                      bool);
template int launchAttentionSharedSum(KernelContext*, const BackwardParams<bf16>&, float*, bf16*, bool, bool);

}  // namespace anneal::cuda
