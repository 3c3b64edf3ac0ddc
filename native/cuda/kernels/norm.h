// norm.h — RMSNorm and LayerNorm as one pair of functions: what core/kernels/norm.h says, with layer = true
// for LayerNorm.
#pragma once

#include "core/backend.h"

namespace anneal::cuda {

struct NormForward {
  const void *x, *residual, *weight, *bias;
  void *y, *sum, *mean, *rstd;
  int64_t rows, width, xStride, dtype;
  double eps;
  bool layer;
};

struct NormBackward {
  const void *dy, *dsum, *x, *weight, *mean, *rstd;
  void *dx, *dweight, *dbias;
  int64_t rows, width, xStride, dxStride, dtype, accumulate;
  bool layer;
};

// Queue the kernels; dtype is f32 or bf16.
int normForward(KernelContext* context, const NormForward& args);
int normBackward(KernelContext* context, const NormBackward& args);

}  // namespace anneal::cuda
