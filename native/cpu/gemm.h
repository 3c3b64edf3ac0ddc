// gemm.h — the matrix product that other CPU kernels call: row-major, f32 or bf16 inputs, f32 accumulation.
// The result is the same for any number of threads, bit for bit.
#pragma once

#include <cstdint>

namespace anneal::cpu {

// c [m, n] = alpha·op(a)·op(b) + beta·c + bias, for each of `batch`; see MatmulArgs in core/kernels/matmul.h
// for every field.
struct GemmCall {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;
  int64_t batch = 1, m = 0, n = 0, k = 0;
  bool transA = false, transB = false;
  int64_t lda = 0, ldb = 0, ldc = 0, aBatch = 0, bBatch = 0, cBatch = 0;
  float alpha = 1, beta = 0;
  // dtype of a and of bias, of c, and of b where it differs (a f32, b bf16: gradients that were never
  // rounded); −1: as a.
  int64_t dtype = 0, outDtype = 0, bDtype = -1;
};

// Runs on the calling thread and its OpenMP team (on the calling thread alone when called inside a parallel
// region). Throws std::runtime_error with a plain message.
void gemm(const GemmCall& call);

}  // namespace anneal::cpu
