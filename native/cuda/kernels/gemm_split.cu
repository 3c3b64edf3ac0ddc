// gemm_split.cu — the second stage of matrix products whose k was split: adds the parts in their order, so
// that the result does not depend on which block came first, and applies the epilogue.
#include "cuda/device/gemm_epilogue.h"
#include "cuda/host/grid.h"
#include "cuda/kernels/gemm_launch.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256;

// partial: [splits, batch·m, width] f32, width = n rounded up to 4. Four columns a thread and iteration.
// Floor: bytes of the partial sums and of c ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    splitSumKernel(const __grid_constant__ GemmParams p, const float* partial, int64_t splits,
                   int64_t batch) {
  const int64_t groups = ceilDiv(p.n, 4), count = batch * p.m * groups;
  for (int64_t i = globalIndex(); i < count; i += globalStride()) {
    const int64_t line = i / groups, column = (i - line * groups) * 4, matrix = line / p.m;
    auto sum = load<FourFloats>(partial + i * 4);
#pragma unroll 4
    for (int64_t split = 1; split < splits; ++split) {
      const auto part = load<FourFloats>(partial + (split * count + i) * 4);
#pragma unroll
      for (int j = 0; j < 4; ++j) sum.lane[j] += part.lane[j];
    }
    storeFour<T, true>(p, matrix * p.cBatch + (line - matrix * p.m) * p.ldc + column, column, sum);
  }
}

}  // namespace

int launchSplitSum(KernelContext* context, const GemmParams& p, const float* partial, int64_t splits,
                   int64_t batch, bool isBf16) {
  const LaunchShape shape{gridFor(batch * p.m * ceilDiv(p.n, 4), kThreads, processors(context)), kThreads};
  return isBf16 ? launch(context, splitSumKernel<bf16>, shape, p, partial, splits, batch)
                : launch(context, splitSumKernel<float>, shape, p, partial, splits, batch);
}

}  // namespace anneal::cuda
