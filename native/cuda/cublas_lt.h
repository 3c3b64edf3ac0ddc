// cublas_lt.h — dense matrix products by cuBLASLt, where it was found: what gemm() asks before its own
// kernels.
#pragma once

#include "cuda/gemm.h"

namespace anneal::cuda {

// The workspace that algorithms may use, as NVIDIA recommends it for Hopper.
constexpr size_t kCublasLtScratchBytes = size_t{32} << 20;

enum class CublasLtResult {
  kQueued,
  kNotServed,  // the own kernels take it
  kFailed      // context->error says why
};

// Whether products go to the library in this process: it was found, and no device has refused it.
bool cublasLtServes();

// Not served are: an empty k, activations other than gelu-tanh (the library's only gelu), leading dimensions
// shorter than a row, and what the library has no algorithm for.
CublasLtResult cublasLtGemm(KernelContext* context, const MatmulArgs& args, void* scratch,
                            size_t scratchBytes, const GemmEpilogue& epilogue, const char* what);

// See gemmLibrary().
const char* cublasLtDescription();

}  // namespace anneal::cuda
