// grad_norm.cu — the norm of all gradients of a table and the factor that clips it, without reading anything
// back.
#include <cmath>

#include "cuda/device/parameter_chunks.h"
#include "cuda/device/reduce.h"
#include "cuda/device_state.h"
#include "cuda/kernels/parameter_plan.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256;
// Eight blocks for each multiprocessor of an H200; the same everywhere, so that the sum is too.
constexpr unsigned kBlocks = 1056;

ANNEAL_DEVICE double squareOf(float g) { return static_cast<double>(g) * static_cast<double>(g); }

// Σ g² over this thread's elements of n, in double, because squares of large gradients leave the range of f32
// before their root does.
ANNEAL_DEVICE double sumOfSquares(const float* g, int n) {
  using Four = Vec<float, 4>;
  constexpr int kFlight = kSpan / (4 * kThreads);
  double sum[4] = {};
  const int vectors = reinterpret_cast<uintptr_t>(g) % 16 == 0 ? n / 4 : 0;
  Four held[kFlight];
#pragma unroll
  for (int k = 0; k < kFlight; ++k) {
    const int v = static_cast<int>(threadIdx.x + k * kThreads);
    held[k] = v < vectors ? loadOnce<Four>(g + 4 * v) : Four{};
  }
#pragma unroll
  for (int k = 0; k < kFlight; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] += squareOf(held[k].lane[i]);
  }
  for (int i = 4 * vectors + static_cast<int>(threadIdx.x); i < n; i += kThreads) sum[0] += squareOf(g[i]);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// Floor: 4 bytes a gradient ÷ bandwidth. Each block writes one partial sum; the last to finish adds them in
// order.
__global__ void __launch_bounds__(kThreads)
    gradNormKernel(const ParameterEntry* table, const int32_t* starts, int entries, double* partial,
                   uint32_t* ticket, float maxNorm, float* norm, float* clip) {
  double* scratch = sharedArena<double>();
  uint32_t* order = reinterpret_cast<uint32_t*>(scratch + kWarpSize);
  const int spans = starts[entries] * kSpansPerChunk;
  const unsigned blocks =
      spans == 0 ? 1 : (spans < static_cast<int>(kBlocks) ? static_cast<unsigned>(spans) : kBlocks);
  if (blockIdx.x >= blocks) return;
  double sum = 0.0;
  forEachSpan(table, starts, entries, [&](const Span& span) {
    sum += sumOfSquares(static_cast<const float*>(table[span.entry].gradient) + span.first, span.count);
  });
  sum = blockReduce(sum, Sum{}, 0.0, scratch);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    *order = atomicAddOrdered(ticket, 1);
  }
  syncThreads();
  if (*order != blocks - 1) return;
  sum = 0.0;
  for (unsigned b = threadIdx.x; b < blocks; b += kThreads) sum += partial[b];
  sum = blockReduce(sum, Sum{}, 0.0, scratch);
  if (threadIdx.x != 0) return;
  const float root = static_cast<float>(sqrt(sum));
  float factor = 1.0f;
  if (!(root < kInfinity)) {
    factor = -1.0f;
  } else if (maxNorm > 0.0f) {
    const float wanted = maxNorm / (root + 1e-6f);
    if (wanted < 1.0f) factor = wanted;
  }
  *norm = root;
  *clip = factor;
}

}  // namespace

int gradNorm(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const GradNormArgs*>(raw);
  if (args.entries < 0) return fail(context, "gradNorm: negative number of tensors");
  const size_t head = kBlocks * sizeof(double) + sizeof(uint32_t);
  auto* partial = static_cast<double*>(
      workspace(context, head + static_cast<size_t>(args.entries + 1) * sizeof(int32_t)));
  if (partial == nullptr) return 1;
  auto* ticket = reinterpret_cast<uint32_t*>(partial + kBlocks);
  auto* starts = reinterpret_cast<int32_t*>(ticket + 1);
  if (const int status =
          planChunks(context, args.table, args.entries, TableNeeds::kGradients, 0.0, starts, ticket)) {
    return status;
  }
  return launch(context, gradNormKernel, {kBlocks, kThreads, (kWarpSize + 1) * sizeof(double)},
                static_cast<const ParameterEntry*>(args.table), starts, static_cast<int>(args.entries),
                partial, ticket, static_cast<float>(args.maxNorm), static_cast<float*>(args.norm),
                static_cast<float*>(args.clip));
}

}  // namespace anneal::cuda
