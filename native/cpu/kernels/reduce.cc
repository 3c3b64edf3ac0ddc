// reduce.cc — folds over the middle axis of [outer, n, inner] and the cumulative sum. Long sums are cut into
// blocks of a fixed size whose partial results are combined in order, so that they use all threads and do not
// depend on their number. Arg-extremes and log-sum-exp are in reduce_lines.cc, softmax is in softmax.cc.
#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/folds.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// reduce_lines.cc; args.dtype is f32 or bf16.
void argExtreme(const ReduceArgs& args);
void logSumExp(const ReduceArgs& args);

namespace {

// inner = 1: each output folds a contiguous row, in blocks.
template <typename T, typename Fold>
void foldRows(const T* x, T* out, int64_t outer, int64_t n, float factor) {
  using Number = NumberOf<T>;
  const int64_t blocks = n <= kRowBlock ? 1 : (n + kRowBlock - 1) / kRowBlock;
  Number* partial =
      static_cast<Number*>(threadScratch(0, static_cast<size_t>(outer * blocks) * sizeof(Number)));
  parallelFor(outer * blocks, n < kRowBlock ? n + kPartials : kRowBlock, [&](int64_t begin, int64_t end) {
    alignas(64) Number buffer[kRowBlock];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t start = task % blocks * kRowBlock, count = n - start < kRowBlock ? n - start : kRowBlock;
      partial[task] = foldSpan<Fold>(widen(x + task / blocks * n + start, count, buffer), count);
    }
  });
  for (int64_t o = 0; o < outer; ++o) {
    const Number total = blocks == 1 ? partial[o] : foldSpan<Fold>(partial + o * blocks, blocks);
    out[o] = finish<T>(total, factor);
  }
}

// inner > 1: columns are folded side by side; blocks of the axis give partial rows, which are folded the same
// way.
template <typename T, typename Fold>
void foldAxis(const T* x, T* out, int64_t outer, int64_t n, int64_t inner, float factor) {
  using Number = NumberOf<T>;
  const int64_t groups = (inner + kColumns - 1) / kColumns, width = inner < kColumns ? inner : kColumns;
  const int64_t blocks = n <= kAxisBlock ? 1 : (n + kAxisBlock - 1) / kAxisBlock;
  Number* partial = nullptr;
  if (blocks > 1) {
    partial =
        static_cast<Number*>(threadScratch(0, static_cast<size_t>(outer * blocks * inner) * sizeof(Number)));
    parallelFor(outer * blocks * groups, kAxisBlock * width, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t column = task % groups * kColumns, block = task / groups % blocks,
                      o = task / groups / blocks;
        const int64_t start = block * kAxisBlock;
        foldColumns<T, Fold>(x + (o * n + start) * inner + column,
                             n - start < kAxisBlock ? n - start : kAxisBlock, inner,
                             inner - column < kColumns ? inner - column : kColumns,
                             partial + (o * blocks + block) * inner + column);
      }
    });
  }
  const int64_t positions = blocks > 1 ? blocks : n;
  parallelFor(outer * groups, positions * width, [&](int64_t begin, int64_t end) {
    Number state[kColumns];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / groups, column = task % groups * kColumns;
      const int64_t count = inner - column < kColumns ? inner - column : kColumns;
      const int64_t from = o * positions * inner + column;
      if (blocks > 1)
        foldColumns<Number, Fold>(partial + from, positions, inner, count, state);
      else
        foldColumns<T, Fold>(x + from, positions, inner, count, state);
      T* row = out + o * inner + column;
      for (int64_t i = 0; i < count; ++i) row[i] = finish<T>(state[i], factor);
    }
  });
}

template <typename T, typename Fold>
int fold(const ReduceArgs& args, float factor = 1.0f) {
  const T* x = static_cast<const T*>(args.x);
  T* out = static_cast<T*>(args.out);
  if (args.inner == 1)
    foldRows<T, Fold>(x, out, args.outer, args.n, factor);
  else
    foldAxis<T, Fold>(x, out, args.outer, args.n, args.inner, factor);
  return 0;
}

template <typename T>
int reduceFloat(KernelContext* context, const ReduceArgs& args) {
  switch (args.op) {
    case kReduceSum:
      return fold<T, Sum>(args);
    case kReduceMean:
      // 0·(1/0) is the NaN that an empty mean is.
      return fold<T, Sum>(args, static_cast<float>(1.0 / static_cast<double>(args.n)));
    case kReduceMax:
      return fold<T, Maximum>(args);
    case kReduceMin:
      return fold<T, Minimum>(args);
    case kReduceProd:
      return fold<T, Product>(args);
    case kReduceArgMax:
    case kReduceArgMin:
      if (args.n == 0) return fail(context, "reduce: argmax and argmin need at least one element, got n = 0");
      argExtreme(args);
      return 0;
    case kReduceLogSumExp:
      logSumExp(args);
      return 0;
    default:
      return fail(context, "reduce: unknown operation %lld", static_cast<long long>(args.op));
  }
}

int reduce(KernelContext* context, const void* raw) {
  const ReduceArgs& args = *static_cast<const ReduceArgs*>(raw);
  switch (args.dtype) {
    case kF32:
      return reduceFloat<float>(context, args);
    case kBF16:
      return reduceFloat<bf16>(context, args);
    case kI32:
      if (args.op == kReduceSum) return fold<int32_t, Sum>(args);
      if (args.op == kReduceMax) return fold<int32_t, Maximum>(args);
      if (args.op == kReduceMin) return fold<int32_t, Minimum>(args);
      return fail(context, "reduce: operation %lld does not take i32", static_cast<long long>(args.op));
    default:
      return fail(context, "reduce: expected f32, bf16 or i32, got %s", dtypeName(args.dtype));
  }
}

template <typename T>
int cumsumOf(const CumsumArgs& args) {
  using Number = NumberOf<T>;
  constexpr Sum add;
  const T* x = static_cast<const T*>(args.x);
  T* y = static_cast<T*>(args.y);
  const int64_t n = args.n, inner = args.inner;
  const int64_t groups = (inner + kColumns - 1) / kColumns;
  const int64_t first = args.reverse != 0 ? n - 1 : 0, step = args.reverse != 0 ? -inner : inner;
  parallelFor(args.outer * groups, n * (inner < kColumns ? inner : kColumns),
              [&](int64_t begin, int64_t end) {
                Number sum[kColumns];
                for (int64_t task = begin; task < end; ++task) {
                  const int64_t o = task / groups, column = task % groups * kColumns;
                  const int64_t count = inner - column < kColumns ? inner - column : kColumns;
                  for (int64_t i = 0; i < count; ++i) sum[i] = Number{0};
                  int64_t at = (o * n + first) * inner + column;
                  for (int64_t j = 0; j < n; ++j, at += step) {
#pragma omp simd
                    for (int64_t i = 0; i < count; ++i) {
                      sum[i] = add(sum[i], numberOf(x[at + i]));
                      y[at + i] = finish<T>(sum[i], 1.0f);
                    }
                  }
                }
              });
  return 0;
}

int cumsum(KernelContext* context, const void* raw) {
  const CumsumArgs& args = *static_cast<const CumsumArgs*>(raw);
  switch (args.dtype) {
    case kF32:
      return cumsumOf<float>(args);
    case kBF16:
      return cumsumOf<bf16>(args);
    case kI32:
      return cumsumOf<int32_t>(args);
    default:
      return fail(context, "cumsum: expected f32, bf16 or i32, got %s", dtypeName(args.dtype));
  }
}

}  // namespace

int softmax(KernelContext* context, const void* raw);
int softmaxBackward(KernelContext* context, const void* raw);

void registerReduce(Backend& table) {
  table.kernels[kKernel_reduce] = reduce;
  table.kernels[kKernel_cumsum] = cumsum;
  table.kernels[kKernel_softmax] = softmax;
  table.kernels[kKernel_softmaxBackward] = softmaxBackward;
}

ANNEAL_CPU_NAMESPACE_END
