// softmax.cc — softmax and log-softmax over contiguous rows, and their gradients. A row that is all −inf
// gives zeros.
#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

template <typename T>
float largestOf(const T* row, int64_t n) {
  return laneFold(
      n, -kFloatInfinity, [row](int64_t i) { return toFloat(row[i]); },
      [](float a, float b) { return maxOrNan(a, b); });
}

template <typename T>
void softmaxRow(const T* x, T* y, int64_t n, float* exponentials) {
  const float top = largestOf(x, n);
  const float shift = top == -kFloatInfinity ? 0.0f : top;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) exponentials[i] = vexp(toFloat(x[i]) - shift);
  const float sum = laneSum(n, [exponentials](int64_t i) { return exponentials[i]; });
  const float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = fromFloat<T>(exponentials[i] * factor);
}

template <typename T>
void logSoftmaxRow(const T* x, T* y, int64_t n) {
  const float top = largestOf(x, n);
  const float logSum = vlog(laneSum(n, [x, top](int64_t i) { return vexp(toFloat(x[i]) - top); }));
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = fromFloat<T>((toFloat(x[i]) - top) - logSum);
}

template <typename T>
int softmaxOf(const SoftmaxArgs& args) {
  const T* x = static_cast<const T*>(args.x);
  T* y = static_cast<T*>(args.y);
  const int64_t n = args.n;
  parallelFor(args.rows, 8 * n, [&](int64_t begin, int64_t end) {
    float* row = nullptr;
    if (args.log == 0 && args.dtype == kBF16) {
      row = static_cast<float*>(threadScratch(0, static_cast<size_t>(n) * sizeof(float)));
    }
    for (int64_t r = begin; r < end; ++r) {
      if (args.log != 0)
        logSoftmaxRow(x + r * n, y + r * n, n);
      else
        softmaxRow(x + r * n, y + r * n, n, row != nullptr ? row : reinterpret_cast<float*>(y + r * n));
    }
  });
  return 0;
}

template <typename T>
int softmaxBackwardOf(const SoftmaxBackwardArgs& args) {
  const int64_t n = args.n;
  parallelFor(args.rows, 4 * n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* y = static_cast<const T*>(args.y) + r * n;
      const T* dy = static_cast<const T*>(args.dy) + r * n;
      T* dx = static_cast<T*>(args.dx) + r * n;
      if (args.log != 0) {
        const float total = laneSum(n, [dy](int64_t i) { return toFloat(dy[i]); });
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) dx[i] = fromFloat<T>(toFloat(dy[i]) - vexp(toFloat(y[i])) * total);
      } else {
        const float dot = laneSum(n, [y, dy](int64_t i) { return toFloat(dy[i]) * toFloat(y[i]); });
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) dx[i] = fromFloat<T>(toFloat(y[i]) * (toFloat(dy[i]) - dot));
      }
    }
  });
  return 0;
}

}  // namespace

int softmax(KernelContext* context, const void* raw) {
  const SoftmaxArgs& args = *static_cast<const SoftmaxArgs*>(raw);
  if (args.dtype == kF32) return softmaxOf<float>(args);
  if (args.dtype == kBF16) return softmaxOf<bf16>(args);
  return fail(context, "softmax: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

int softmaxBackward(KernelContext* context, const void* raw) {
  const SoftmaxBackwardArgs& args = *static_cast<const SoftmaxBackwardArgs*>(raw);
  if (args.dtype == kF32) return softmaxBackwardOf<float>(args);
  if (args.dtype == kBF16) return softmaxBackwardOf<bf16>(args);
  return fail(context, "softmaxBackward: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

ANNEAL_CPU_NAMESPACE_END
