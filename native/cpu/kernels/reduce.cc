// reduce.cc — reductions over the middle axis of [outer, n, inner] and the cumulative sum. Long sums are cut into blocks of a fixed size whose
// partial results are combined in order, so that they use all threads and do not depend on their number. Softmax is in softmax.cc.
#include <type_traits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kRowBlock = 4096;    // elements of a contiguous axis per partial result
constexpr int64_t kAxisBlock = 256;    // positions of a strided axis per partial result
constexpr int64_t kColumns = 128;      // columns (inner) that one task of a strided axis takes; their state is on its stack
constexpr float kLowest = -kFloatInfinity;

// What a fold needs: start value, step, and the number type of its state (f32, or i32 for i32 input).
struct Sum {
  template <typename Number>
  static constexpr Number identity = Number{0};
  ANNEAL_INLINE float operator()(float a, float b) const { return a + b; }
  ANNEAL_INLINE int32_t operator()(int32_t a, int32_t b) const {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }
};

struct Product {
  template <typename Number>
  static constexpr Number identity = Number{1};
  ANNEAL_INLINE float operator()(float a, float b) const { return a * b; }
};

template <typename Number>
constexpr Number extreme(float ofFloat, int32_t ofInt) {
  if constexpr (std::is_same_v<Number, float>) return ofFloat;
  else return ofInt;
}

struct Maximum {
  template <typename Number>
  static constexpr Number identity = extreme<Number>(kLowest, INT32_MIN);
  ANNEAL_INLINE float operator()(float a, float b) const { return maxOrNan(a, b); }
  ANNEAL_INLINE int32_t operator()(int32_t a, int32_t b) const { return a > b ? a : b; }
};

struct Minimum {
  template <typename Number>
  static constexpr Number identity = extreme<Number>(kFloatInfinity, INT32_MAX);
  ANNEAL_INLINE float operator()(float a, float b) const { return minOrNan(a, b); }
  ANNEAL_INLINE int32_t operator()(int32_t a, int32_t b) const { return a < b ? a : b; }
};

// Numbers are folded as f32 or i32; bf16 is widened into a buffer of the caller first, so that there is one loop per fold.
ANNEAL_INLINE int32_t numberOf(int32_t x) { return x; }
ANNEAL_INLINE float numberOf(float x) { return x; }
ANNEAL_INLINE float numberOf(bf16 x) { return toFloat(x); }

template <typename T>
using NumberOf = decltype(numberOf(T{}));

template <typename T>
const NumberOf<T>* widen(const T* x, int64_t n, NumberOf<T>* buffer) {
  if constexpr (std::is_same_v<T, bf16>) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) buffer[i] = toFloat(x[i]);
    return buffer;
  } else {
    return x;
  }
}

template <typename T>
ANNEAL_INLINE T finish(NumberOf<T> value, float factor) {
  if constexpr (std::is_same_v<T, int32_t>) return value;
  else return fromFloat<T>(value * factor);
}

// Folds n contiguous numbers.
template <typename Fold, typename Number>
[[gnu::noinline]] Number foldSpan(const Number* x, int64_t n) {
  return laneFold(
      n, Fold::template identity<Number>, [x](int64_t i) { return x[i]; }, Fold{});
}

// Folds n numbers into as many states.
template <typename Fold, typename Number>
[[gnu::noinline]] void foldInto(Number* state, const Number* x, int64_t n) {
  constexpr Fold fold;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) state[i] = fold(state[i], x[i]);
}

// inner = 1: each output folds a contiguous row, in blocks.
template <typename T, typename Fold>
void foldRows(const T* x, T* out, int64_t outer, int64_t n, float factor) {
  using Number = NumberOf<T>;
  const int64_t blocks = n <= kRowBlock ? 1 : (n + kRowBlock - 1) / kRowBlock;
  Number* partial = static_cast<Number*>(threadScratch(0, static_cast<size_t>(outer * blocks) * sizeof(Number)));
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

// Folds `positions` rows of `count` columns into state; rows are `inner` elements apart.
template <typename T, typename Fold>
void foldColumns(const T* x, int64_t positions, int64_t inner, int64_t count, NumberOf<T>* state) {
  NumberOf<T> buffer[kColumns];
  for (int64_t i = 0; i < count; ++i) state[i] = Fold::template identity<NumberOf<T>>;
  for (int64_t j = 0; j < positions; ++j) foldInto<Fold>(state, widen(x + j * inner, count, buffer), count);
}

// inner > 1: columns are folded side by side; blocks of the axis give partial rows, which are folded the same way.
template <typename T, typename Fold>
void foldAxis(const T* x, T* out, int64_t outer, int64_t n, int64_t inner, float factor) {
  using Number = NumberOf<T>;
  const int64_t groups = (inner + kColumns - 1) / kColumns, width = inner < kColumns ? inner : kColumns;
  const int64_t blocks = n <= kAxisBlock ? 1 : (n + kAxisBlock - 1) / kAxisBlock;
  Number* partial = nullptr;
  if (blocks > 1) {
    partial = static_cast<Number*>(threadScratch(0, static_cast<size_t>(outer * blocks * inner) * sizeof(Number)));
    parallelFor(outer * blocks * groups, kAxisBlock * width, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t column = task % groups * kColumns, block = task / groups % blocks, o = task / groups / blocks;
        const int64_t start = block * kAxisBlock;
        foldColumns<T, Fold>(x + (o * n + start) * inner + column, n - start < kAxisBlock ? n - start : kAxisBlock,
                             inner, inner - column < kColumns ? inner - column : kColumns,
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
      if (blocks > 1) foldColumns<Number, Fold>(partial + from, positions, inner, count, state);
      else foldColumns<T, Fold>(x + from, positions, inner, count, state);
      T* row = out + o * inner + column;
      for (int64_t i = 0; i < count; ++i) row[i] = finish<T>(state[i], factor);
    }
  });
}

template <typename T, typename Fold>
int fold(const ReduceArgs& args, float factor = 1.0f) {
  const T* x = static_cast<const T*>(args.x);
  T* out = static_cast<T*>(args.out);
  if (args.inner == 1) foldRows<T, Fold>(x, out, args.outer, args.n, factor);
  else foldAxis<T, Fold>(x, out, args.outer, args.n, args.inner, factor);
  return 0;
}

// Index of the largest (sign = 1) or smallest (−1) element of each line; the lowest on ties, the first NaN before all.
template <typename T>
void argExtreme(const ReduceArgs& args, float sign) {
  const T* x = static_cast<const T*>(args.x);
  int32_t* out = static_cast<int32_t*>(args.out);
  const int64_t n = args.n, inner = args.inner;
  const int64_t groups = (inner + kColumns - 1) / kColumns;
  parallelFor(args.outer * groups, n * (inner < kColumns ? inner : kColumns), [&](int64_t begin, int64_t end) {
    float best[kColumns];
    int32_t at[kColumns];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / groups, column = task % groups * kColumns;
      const int64_t count = inner - column < kColumns ? inner - column : kColumns;
      const T* line = x + o * n * inner + column;
      for (int64_t i = 0; i < count; ++i) {
        best[i] = sign * toFloat(line[i]);
        at[i] = 0;
      }
      for (int64_t j = 1; j < n; ++j) {
        const int32_t here = static_cast<int32_t>(j);
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) {
          const float value = sign * toFloat(line[j * inner + i]);
          const bool better = (value > best[i]) | ((value != value) & (best[i] == best[i]));
          best[i] = better ? value : best[i];
          at[i] = better ? here : at[i];
        }
      }
      for (int64_t i = 0; i < count; ++i) out[o * inner + column + i] = at[i];
    }
  });
}

// The same for contiguous lines: the extreme of each block first, then where the best stands.
template <typename T>
void argExtremeRows(const ReduceArgs& args, bool largest) {
  const T* x = static_cast<const T*>(args.x);
  int32_t* out = static_cast<int32_t*>(args.out);
  const int64_t n = args.n;
  parallelFor(args.outer, n, [&](int64_t begin, int64_t end) {
    alignas(64) float buffer[kRowBlock];
    for (int64_t o = begin; o < end; ++o) {
      const T* row = x + o * n;
      float best = toFloat(row[0]);
      for (int64_t start = 0; start < n; start += kRowBlock) {
        const int64_t count = n - start < kRowBlock ? n - start : kRowBlock;
        const float* block = widen(row + start, count, buffer);
        best = largest ? maxOrNan(best, foldSpan<Maximum>(block, count))
                       : minOrNan(best, foldSpan<Minimum>(block, count));
      }
      int64_t at = 0;
      while (best == best ? toFloat(row[at]) != best : toFloat(row[at]) == toFloat(row[at])) ++at;
      out[o] = static_cast<int32_t>(at);
    }
  });
}

// Σ e^(x − shift) with a shift for each column; used for one line with shifts of equal value too.
[[gnu::noinline]] void addExponentials(float* sum, const float* x, const float* shift, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) sum[i] += vexp(x[i] - shift[i]);
}

[[gnu::noinline]] float sumExponentials(const float* x, float shift, int64_t n) {
  return laneSum(n, [x, shift](int64_t i) { return vexp(x[i] - shift); });
}

// What to subtract before exponentials are taken: the largest element, unless that is infinite.
inline float shiftOf(float top) { return top == kLowest || top == kFloatInfinity ? 0.0f : top; }

// ln Σ eˣ by the largest element: two passes over each line.
template <typename T>
void logSumExpRows(const ReduceArgs& args) {
  const T* x = static_cast<const T*>(args.x);
  T* out = static_cast<T*>(args.out);
  const int64_t n = args.n;
  parallelFor(args.outer, 8 * n, [&](int64_t begin, int64_t end) {
    alignas(64) float buffer[kRowBlock];
    const auto blocks = [&](const T* row, const auto& body) {
      for (int64_t start = 0; start < n; start += kRowBlock) {
        const int64_t count = n - start < kRowBlock ? n - start : kRowBlock;
        body(widen(row + start, count, buffer), count);
      }
    };
    for (int64_t o = begin; o < end; ++o) {
      float top = kLowest, sum = 0.0f;
      blocks(x + o * n, [&](const float* block, int64_t count) { top = maxOrNan(top, foldSpan<Maximum>(block, count)); });
      const float shift = shiftOf(top);
      blocks(x + o * n, [&](const float* block, int64_t count) { sum += sumExponentials(block, shift, count); });
      out[o] = fromFloat<T>(shift + vlog(sum));
    }
  });
}

template <typename T>
void logSumExpColumns(const ReduceArgs& args) {
  const T* x = static_cast<const T*>(args.x);
  T* out = static_cast<T*>(args.out);
  const int64_t n = args.n, inner = args.inner;
  const int64_t groups = (inner + kColumns - 1) / kColumns;
  parallelFor(args.outer * groups, 8 * n * (inner < kColumns ? inner : kColumns), [&](int64_t begin, int64_t end) {
    float shift[kColumns], sum[kColumns], buffer[kColumns];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / groups, column = task % groups * kColumns;
      const int64_t count = inner - column < kColumns ? inner - column : kColumns;
      const T* line = x + o * n * inner + column;
      foldColumns<T, Maximum>(line, n, inner, count, shift);
      for (int64_t i = 0; i < count; ++i) {
        shift[i] = shiftOf(shift[i]);
        sum[i] = 0.0f;
      }
      for (int64_t j = 0; j < n; ++j) addExponentials(sum, widen(line + j * inner, count, buffer), shift, count);
      for (int64_t i = 0; i < count; ++i) out[o * inner + column + i] = fromFloat<T>(shift[i] + vlog(sum[i]));
    }
  });
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
      if (args.inner == 1) argExtremeRows<T>(args, args.op == kReduceArgMax);
      else argExtreme<T>(args, args.op == kReduceArgMax ? 1.0f : -1.0f);
      return 0;
    case kReduceLogSumExp:
      if (args.inner == 1) logSumExpRows<T>(args);
      else logSumExpColumns<T>(args);
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
  parallelFor(args.outer * groups, n * (inner < kColumns ? inner : kColumns), [&](int64_t begin, int64_t end) {
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
