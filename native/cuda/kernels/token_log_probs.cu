// token_log_probs.cu — log-probabilities of given tokens and the entropy of their distributions, fused with
// the output projection. Floor: the products, 2·rows·width·vocab operations forward and 6 times
// rows·width·vocab backward; the row kernels read 4 bytes a logit and, backward, write sizeof(T).
#include "core/dtype.h"
#include "cuda/device_state.h"
#include "cuda/kernels/projection.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

struct LogProbOutputs {
  float* logp;
  float* entropy;  // or null
  float* lse;
};

struct LogProbGradients {
  const float* lse;
  const float* entropy;  // or null
  const float* dlogp;
  const float* dentropy;  // or null
  float coldness;         // 1 ÷ temperature
};

// One walk over the row, a block each. Floor: 4 bytes a logit.
__global__ void __launch_bounds__(1024)
    logProbKernel(LogitChunk chunk, LogProbOutputs outputs, FaultReporter reporter) {
  const int64_t r = blockIdx.x, at = chunk.targets.first + r;
  const LogitRow row = rowOf(chunk, r);
  const int target = chunk.targets.of(r);
  if (target < 0) {
    if (threadIdx.x != 0) return;
    chunk.targets.check(r, reporter);
    outputs.logp[at] = outputs.lse[at] = 0.0f;
    if (outputs.entropy != nullptr) outputs.entropy[at] = 0.0f;
    return;
  }
  const LogitStatistics s = statisticsOf<true>(row, sharedArena<LogitStatistics>());
  if (threadIdx.x != 0) return;
  const float logSum = logf(s.sum), hit = row.map(load<Vec<float, 1>>(row.data + target).lane[0]);
  outputs.lse[at] = s.top + logSum;
  outputs.logp[at] = hit - (s.top + logSum);
  // −Σ p ln p with ln p = z − top − logSum.
  if (outputs.entropy != nullptr) outputs.entropy[at] = logSum - s.weighted / s.sum;
}

// dz in place of the logits, one walk, a block a row. Floor: 4 + sizeof(T) bytes a logit.
template <typename T>
__global__ void __launch_bounds__(1024)
    logProbBackwardKernel(LogitChunk chunk, LogProbGradients gradients, FaultReporter reporter) {
  const int64_t r = blockIdx.x, at = chunk.targets.first + r;
  const LogitRow row = rowOf(chunk, r);
  const int target = chunk.targets.of(r);
  if (target < 0) {
    if (threadIdx.x == 0) chunk.targets.check(r, reporter);
    clearLogits<T>(row.data, row.vocab);
    return;
  }
  const float lse = gradients.lse[at], byLogp = gradients.dlogp[at] * gradients.coldness;
  const float byEntropy = gradients.dentropy == nullptr ? 0.0f : gradients.dentropy[at] * gradients.coldness;
  const float entropy = byEntropy == 0.0f ? 0.0f : gradients.entropy[at];
  replaceLogits<T>(row, [=](int j, float z) {
    const float logP = z - lse, p = exp2Approx(logP * kLog2e);
    // p = 0 may meet ln p = −∞.
    const float dz = p == 0.0f ? 0.0f : -p * fmaf(byEntropy, logP + entropy, byLogp);
    return dz + (j == target ? byLogp : 0.0f);
  });
}

int tokenLogProbsForward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const TokenLogProbsForwardArgs*>(raw);
  Projection projection(context, "tokenLogProbsForward",
                        {args.h, args.weight, args.targets, nullptr, nullptr, args.rows, args.width,
                         args.vocab, args.ignoreIndex, 0.0, args.chunkRows, args.dtype});
  if (const int status = projection.open(0)) return status;
  const LogitMap map{static_cast<float>(1.0 / args.temperature), 0.0f};
  const RowLaunch rows = projection.rowLaunch(false);
  const LogProbOutputs outputs{static_cast<float*>(args.logp), static_cast<float*>(args.entropy),
                               static_cast<float*>(args.lse)};
  for (int64_t begin = 0; begin < args.rows; begin += projection.chunkRows()) {
    const int64_t count = std::min(projection.chunkRows(), args.rows - begin);
    if (const int status = projection.logits(begin, count)) return status;
    const LaunchShape shape{static_cast<unsigned>(count), rows.threads, rows.shared};
    if (const int status = launch(context, logProbKernel, shape, projection.chunk(map, rows), outputs,
                                  faultReporter(context)))
      return status;
  }
  return 0;
}

int tokenLogProbsBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const TokenLogProbsBackwardArgs*>(raw);
  Projection projection(context, "tokenLogProbsBackward",
                        {args.h, args.weight, args.targets, args.dh, args.dweight, args.rows, args.width,
                         args.vocab, args.ignoreIndex, args.beta, args.chunkRows, args.dtype});
  if (const int status = projection.open(0)) return status;
  if (args.rows == 0) return projection.scaleWeightGradient();
  const auto coldness = static_cast<float>(1.0 / args.temperature);
  const RowLaunch rows = projection.rowLaunch(false);
  const LogProbGradients gradients{
      static_cast<const float*>(args.lse), static_cast<const float*>(args.entropy),
      static_cast<const float*>(args.dlogp), static_cast<const float*>(args.dentropy), coldness};
  const auto kernel = args.dtype == kBF16 ? logProbBackwardKernel<bf16> : logProbBackwardKernel<float>;
  for (int64_t begin = 0; begin < args.rows; begin += projection.chunkRows()) {
    const int64_t count = std::min(projection.chunkRows(), args.rows - begin);
    if (const int status = projection.logits(begin, count)) return status;
    const LaunchShape shape{static_cast<unsigned>(count), rows.threads, rows.shared};
    if (const int status = launch(context, kernel, shape, projection.chunk({coldness, 0.0f}, rows), gradients,
                                  faultReporter(context)))
      return status;
    if (const int status = projection.backward()) return status;
  }
  return 0;
}

}  // namespace

void registerTokenLogProbs(Backend& table) {
  table.kernels[kKernel_tokenLogProbsForward] = tokenLogProbsForward;
  table.kernels[kKernel_tokenLogProbsBackward] = tokenLogProbsBackward;
}

}  // namespace anneal::cuda
