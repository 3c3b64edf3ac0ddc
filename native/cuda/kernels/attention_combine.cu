// attention_combine.cu — puts together what attention over parts of the keys has left: o = Σ_i 2^(log_i −
// log)·o_i with log = log2 Σ_i 2^log_i, in order of i.
#include "cuda/device/reduce.h"
#include "cuda/kernels/attention.h"
#include "cuda/launch.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kWarps = 4;

// A warp a row of the output. Floor: bytes of the partial results ÷ bandwidth (mostly L2's).
template <typename T>
__global__ void __launch_bounds__(32 * kWarps) combineKernel(ForwardParams<T> p) {
  const int64_t rows = p.work.tokensQ * p.work.heads;
  const int64_t record = int64_t{blockIdx.x} * kWarps + warpId();
  if (record >= rows) return;
  const int lane = static_cast<int>(laneId());
  // kMostKeySplits parts, one a lane.
  const float log = lane < p.splits ? p.partialLog[lane * rows + record] : -kInfinity;
  const float most = warpReduce(log, Maximum{});
  const float power = most == -kInfinity ? 0.0f : exp2Approx(log - most);
  const float sum = warpReduce(power, Sum{});
  const float weight = sum == 0.0f ? 0.0f : power / sum;
  const int64_t head = record / p.work.tokensQ, token = record % p.work.tokensQ;
  if (p.lse != nullptr && lane == 0) p.lse[record] = sum == 0.0f ? kInfinity : (most + log2f(sum)) * kLn2;
  T* to = p.o + token * p.tensors.oRow + head * p.tensors.oHead;
  const int width = p.tensors.vDim;
  for (int begin = 0; begin < width; begin += 32) {
    const int channel = begin + lane;
    float total = 0.0f;
    for (int i = 0; i < p.splits; ++i) {
      const float factor = shuffle(weight, static_cast<unsigned>(i));
      if (channel < width) total += factor * load<float>(p.partial + (i * rows + record) * width + channel);
    }
    if (channel < width) store(to + channel, fromFloat<T>(total));
  }
}

}  // namespace

template <typename T>
int launchAttentionCombine(KernelContext* context, const ForwardParams<T>& p) {
  const int64_t rows = p.work.tokensQ * p.work.heads;
  return launch(context, combineKernel<T>, {static_cast<unsigned>((rows + kWarps - 1) / kWarps), 32 * kWarps},
                p);
}

template int launchAttentionCombine(KernelContext*, const ForwardParams<float>&);
template int launchAttentionCombine(KernelContext*, const ForwardParams<bf16>&);

}  // namespace anneal::cuda
