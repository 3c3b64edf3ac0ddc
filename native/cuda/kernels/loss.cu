// loss.cu — cross-entropy fused with the output projection. Floor: the three products, 6·rows·width·vocab
// operations with gradients and 2·rows·width·vocab without; the row kernels add 10 bytes a logit (6 where a
// row fits into shared memory) to the 4 that the product writes.
#include "core/dtype.h"
#include "cuda/device_state.h"
#include "cuda/kernels/projection.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kListThreads = 1024;  // of the single block that walks over all rows

// What the rows share, in device memory: factor ÷ normaliser and the number of rows that count.
struct Totals {
  double scale;
  float count;
};

struct CrossEntropy {
  float smoothing, zLoss;
  const Totals* totals;
  float* rowLoss;
};

unsigned listThreads(int64_t rows) {
  return static_cast<unsigned>(std::clamp<int64_t>((rows + 31) / 32 * 32, kWarpSize, kListThreads));
}

// Counts the rows that count; one block. Floor: 4 · rows bytes.
__global__ void __launch_bounds__(kListThreads)
    countTargetsKernel(Targets targets, int64_t rows, double factor, double normaliser, Totals* totals) {
  int32_t count = 0;
#pragma unroll 4
  for (int64_t r = threadIdx.x; r < rows; r += blockDim.x) count += targets.of(r) >= 0 ? 1 : 0;
  count = blockReduce(count, Sum{}, 0, sharedArena<int32_t>());
  if (threadIdx.x == 0) {
    const double divisor = normaliser > 0.0 ? normaliser : static_cast<double>(count > 1 ? count : 1);
    *totals = {factor / divisor, static_cast<float>(count)};
  }
}

// Loss of a row, and dz in place of its logits; a block a row. Floor: 4 bytes a logit, with gradients 4 +
// sizeof(T), and 4 more where the row is read twice.
template <typename T, bool kGradients>
__global__ void __launch_bounds__(1024)
    crossEntropyKernel(LogitChunk chunk, CrossEntropy options, FaultReporter reporter) {
  const int64_t r = blockIdx.x;
  const LogitRow row = rowOf(chunk, r);
  const int target = chunk.targets.of(r);
  if (target < 0) {
    if (threadIdx.x == 0) {
      chunk.targets.check(r, reporter);
      options.rowLoss[chunk.targets.first + r] = 0.0f;
    }
    if constexpr (kGradients) clearLogits<T>(row.data, row.vocab);
    return;
  }
  const float hit = row.map(load<Vec<float, 1>>(row.data + target).lane[0]);
  const LogitStatistics s = statisticsOf<false>(row, sharedArena<LogitStatistics>());
  const float lse = s.top + logf(s.sum), classes = static_cast<float>(row.vocab);
  if (threadIdx.x == 0) {
    options.rowLoss[chunk.targets.first + r] = lse - (1.0f - options.smoothing) * hit -
                                               options.smoothing * (s.total / classes) +
                                               options.zLoss * lse * lse;
  }
  if constexpr (kGradients) {
    const float scale = static_cast<float>(options.totals->scale);
    const float byProbability = scale * (1.0f + 2.0f * options.zLoss * lse) / s.sum;
    const float uniform = scale * options.smoothing / classes, share = scale * (1.0f - options.smoothing);
    const float inverse = row.map.cap == 0.0f ? 0.0f : 1.0f / row.map.cap;
    const float top = s.top;
    syncThreads();
    replaceLogits<T>(row, [=](int j, float z) {
      const float p = exp2Approx((z - top) * kLog2e), bend = z * inverse;
      const float dz = fmaf(p, byProbability, -uniform) - (j == target ? share : 0.0f);
      return dz * fmaf(-bend, bend, 1.0f);
    });
  }
}

// loss = scale · Σ row losses, in double and in a fixed order; one block. Floor: 4 · rows bytes.
__global__ void __launch_bounds__(kListThreads)
    sumLossesKernel(const float* rowLoss, int64_t rows, const Totals* totals, float* loss, float* count) {
  double total = 0.0;
#pragma unroll 4
  for (int64_t r = threadIdx.x; r < rows; r += blockDim.x) total += static_cast<double>(rowLoss[r]);
  total = blockReduce(total, Sum{}, 0.0, sharedArena<double>());
  if (threadIdx.x != 0) return;
  *loss = static_cast<float>(totals->scale * total);
  if (count != nullptr) *count = totals->count;
}

int linearCrossEntropy(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const LinearCrossEntropyArgs*>(raw);
  const bool gradients = args.dweight != nullptr;
  Projection projection(context, "linearCrossEntropy",
                        {args.h, args.weight, args.targets, args.dh, args.dweight, args.rows, args.width,
                         args.vocab, args.ignoreIndex, args.beta, args.chunkRows, args.dtype});
  const size_t lossBytes = args.rowLoss == nullptr ? static_cast<size_t>(args.rows) * sizeof(float) : 0;
  if (const int status = projection.open(sizeof(Totals) + lossBytes)) return status;
  auto* totals = static_cast<Totals*>(projection.own());
  float* rowLoss =
      args.rowLoss == nullptr ? reinterpret_cast<float*>(totals + 1) : static_cast<float*>(args.rowLoss);

  const LogitMap map{1.0f, static_cast<float>(args.softcap)};
  const CrossEntropy options{static_cast<float>(args.labelSmoothing), static_cast<float>(args.zLoss), totals,
                             rowLoss};
  const RowLaunch rows = projection.rowLaunch(gradients);
  const Targets targets = projection.chunk(map, rows).targets;
  const LaunchShape list{1, listThreads(args.rows), kWarpSize * sizeof(double)};
  if (const int status =
          launch(context, countTargetsKernel, list, targets, args.rows, args.factor, args.normaliser, totals))
    return status;
  if (gradients && args.rows == 0) {
    if (const int status = projection.scaleWeightGradient()) return status;
  }
  const auto kernel = !gradients            ? crossEntropyKernel<float, false>
                      : args.dtype == kBF16 ? crossEntropyKernel<bf16, true>
                                            : crossEntropyKernel<float, true>;
  for (int64_t begin = 0; begin < args.rows; begin += projection.chunkRows()) {
    const int64_t count = std::min(projection.chunkRows(), args.rows - begin);
    if (const int status = projection.logits(begin, count)) return status;
    const LaunchShape shape{static_cast<unsigned>(count), rows.threads, rows.shared};
    if (const int status =
            launch(context, kernel, shape, projection.chunk(map, rows), options, faultReporter(context)))
      return status;
    if (!gradients) continue;
    if (const int status = projection.backward()) return status;
  }
  return launch(context, sumLossesKernel, list, rowLoss, args.rows, totals, static_cast<float*>(args.loss),
                static_cast<float*>(args.count));
}

}  // namespace

void registerLoss(Backend& table) { table.kernels[kKernel_linearCrossEntropy] = linearCrossEntropy; }

}  // namespace anneal::cuda
