// reduce.h — arguments of kernels along one axis. A tensor is seen as [outer, n, inner], the axis in the
// middle. Sums run in f32 in a fixed order that does not depend on the number of threads.
#pragma once

#include <cstdint>

namespace anneal {

enum ReduceOp : int64_t {
  kReduceSum = 0,
  kReduceMean,
  kReduceMax,
  kReduceMin,
  kReduceProd,
  kReduceArgMax,  // i32 out, lowest index on ties
  kReduceArgMin,  // i32 out, lowest index on ties
  kReduceLogSumExp,
  kReduceOpCount
};

// out[o, i] = op over n of x[o, n, i]; f32, bf16 (i32 for sum, max, min). n = 0: sum 0, prod 1, max −inf, min
// +inf, mean NaN, logsumexp −inf; argmax fails.
struct ReduceArgs {
  const void* x;
  void* out;
  int64_t op, dtype, outer, n, inner;
};

// y[o, j, i] = Σ_{m<=j} x[o, m, i] (reverse = 1: m >= j); f32, bf16 (summed in f32), i32.
struct CumsumArgs {
  const void* x;
  void* y;
  int64_t dtype, outer, n, inner, reverse;
};

// y = softmax(x) (log = 1: log-softmax) over rows of width n, statistics in f32; f32, bf16. x may be y.
struct SoftmaxArgs {
  const void* x;
  void* y;
  int64_t rows, n, log, dtype;
};

// y is the forward output. softmax: dx = y·(dy − Σ dy·y); log-softmax: dx = dy − exp(y)·Σ dy. dx may be dy.
struct SoftmaxBackwardArgs {
  const void* y;
  const void* dy;
  void* dx;
  int64_t rows, n, log, dtype;
};

// out[o, j, i] = x[o, index[o, j, i], i] for j < m; index i32 in [0, n), any dtype. An index outside is an
// error.
struct GatherArgs {
  const void* x;
  const void* index;
  void* out;
  int64_t dtype, outer, n, m, inner;
};

// out[o, index[o, j, i], i] += src[o, j, i], j ascending (deterministic); out [outer, n, inner] is zeroed
// first unless accumulate = 1. f32 or bf16 (each addition rounded to bf16).
struct ScatterAddArgs {
  const void* src;
  const void* index;
  void* out;
  int64_t dtype, outer, n, m, inner, accumulate;
};

}  // namespace anneal
