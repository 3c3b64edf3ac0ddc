// reduce_lines.cc — the reductions that look at a line twice or remember where they were: argmax, argmin and
// log-sum-exp.
#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/folds.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

// Index of the largest (sign = 1) or smallest (−1) element of each line; the lowest on ties, the first NaN
// before all.
template <typename T>
void argExtremeColumns(const ReduceArgs& args, float sign) {
  const T* x = static_cast<const T*>(args.x);
  int32_t* out = static_cast<int32_t*>(args.out);
  const int64_t n = args.n, inner = args.inner;
  const int64_t groups = (inner + kColumns - 1) / kColumns;
  parallelFor(args.outer * groups, n * (inner < kColumns ? inner : kColumns),
              [&](int64_t begin, int64_t end) {
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
      blocks(x + o * n, [&](const float* block, int64_t count) {
        top = maxOrNan(top, foldSpan<Maximum>(block, count));
      });
      const float shift = shiftOf(top);
      blocks(x + o * n,
             [&](const float* block, int64_t count) { sum += sumExponentials(block, shift, count); });
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
  parallelFor(args.outer * groups, 8 * n * (inner < kColumns ? inner : kColumns),
              [&](int64_t begin, int64_t end) {
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
                  for (int64_t j = 0; j < n; ++j)
                    addExponentials(sum, widen(line + j * inner, count, buffer), shift, count);
                  for (int64_t i = 0; i < count; ++i)
                    out[o * inner + column + i] = fromFloat<T>(shift[i] + vlog(sum[i]));
                }
              });
}

template <typename T>
void argExtremeOf(const ReduceArgs& args) {
  const bool largest = args.op == kReduceArgMax;
  if (args.inner == 1)
    argExtremeRows<T>(args, largest);
  else
    argExtremeColumns<T>(args, largest ? 1.0f : -1.0f);
}

template <typename T>
void logSumExpOf(const ReduceArgs& args) {
  if (args.inner == 1)
    logSumExpRows<T>(args);
  else
    logSumExpColumns<T>(args);
}

}  // namespace

void argExtreme(const ReduceArgs& args) {
  if (args.dtype == kBF16)
    argExtremeOf<bf16>(args);
  else
    argExtremeOf<float>(args);
}

void logSumExp(const ReduceArgs& args) {
  if (args.dtype == kBF16)
    logSumExpOf<bf16>(args);
  else
    logSumExpOf<float>(args);
}

ANNEAL_CPU_NAMESPACE_END
