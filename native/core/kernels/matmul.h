// matmul.h — arguments of dense and grouped matrix products, row-major, accumulated in f32.
#pragma once

#include <cstdint>

namespace anneal {

// c = alpha·op(a)·op(b) + beta·c + bias for each of `batch` matrices, c [m, n], op(a) [m, k], op(b) [k, n];
// transA = 1: a is stored [k, m], transB = 1: b is stored [n, k]. lda, ldb, ldc are row strides in elements,
// aBatch, bBatch, cBatch strides between matrices (0 shares one). dtype (f32, bf16) is that of a and b,
// outDtype that of c (f32 or dtype). bias [n] of dtype or null. beta = 0 never reads c. k = 0 gives beta·c +
// bias.
struct MatmulArgs {
  const void* a;
  const void* b;
  void* c;
  const void* bias;
  int64_t batch, m, n, k, transA, transB, lda, ldb, ldc, aBatch, bBatch, cBatch;
  double alpha, beta;
  int64_t dtype, outDtype;
};

enum GroupedMode : int64_t {
  kGroupedNT = 0,  // c[r, :] = a[r, :]·b[e]ᵀ   a [rows, k], b [experts, n, k], c [rows, n]   (forward;
                   // weights as stored)
  kGroupedNN,  // c[r, :] = a[r, :]·b[e]    a [rows, k], b [experts, k, n], c [rows, n]   (gradient of the
               // rows)
  kGroupedTN  // c[e] = Σ_{r in e} a[r, :]ᵀ b[r, :]   a [rows, n], b [rows, k], c [experts, n, k]   (gradient
              // of the weights)
};

// Products over expert segments: rows offsets[e]..offsets[e+1] belong to expert e; rows >= offsets[experts]
// are left untouched in row outputs. kGroupedTN: c = beta·c + product; an expert without rows gives beta·c (0
// when beta = 0). Row modes ignore beta.
struct GroupedMatmulArgs {
  const void* a;
  const void* b;
  void* c;
  const void* offsets;  // i32 [experts + 1], on the device
  int64_t experts, rows, n, k, mode;
  double beta;
  int64_t dtype, outDtype;
};

}  // namespace anneal
