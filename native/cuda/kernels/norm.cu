// norm.cu — the entries of RMSNorm and LayerNorm in the kernel table: checks, and the way to the kernels of
// norm_forward.cu and norm_backward.cu.
#include "core/dtype.h"
#include "cuda/kernels/norm.h"
#include "cuda/kernels/table.h"

namespace anneal::cuda {
namespace {

// 0 where rows of `dtype` can be normalised, else the status of the failure.
int checkDtype(KernelContext* context, const char* kernel, int64_t dtype) {
  if (dtype == kF32 || dtype == kBF16) return 0;
  return fail(context, "%s: expected f32 or bf16, got %s", kernel, dtypeName(dtype));
}

int checkForward(KernelContext* context, const char* kernel, const void* residual, const void* sum,
                 int64_t dtype) {
  if (residual != nullptr && sum == nullptr)
    return fail(context, "%s: with a residual, sum must be given", kernel);
  return checkDtype(context, kernel, dtype);
}

int rmsNormForward(KernelContext* context, const void* raw) {
  const auto& a = *static_cast<const RmsNormForwardArgs*>(raw);
  if (const int status = checkForward(context, "rmsNormForward", a.residual, a.sum, a.dtype)) return status;
  return normForward(context, {a.x, a.residual, a.weight, nullptr, a.y, a.sum, nullptr, a.rstd, a.rows,
                               a.width, a.xStride, a.dtype, a.eps, false});
}

int rmsNormBackward(KernelContext* context, const void* raw) {
  const auto& a = *static_cast<const RmsNormBackwardArgs*>(raw);
  if (const int status = checkDtype(context, "rmsNormBackward", a.dtype)) return status;
  return normBackward(context, {a.dy, a.dsum, a.x, a.weight, nullptr, a.rstd, a.dx, a.dweight, nullptr,
                                a.rows, a.width, a.xStride, a.dxStride, a.dtype, a.accumulate, false});
}

int layerNormForward(KernelContext* context, const void* raw) {
  const auto& a = *static_cast<const LayerNormForwardArgs*>(raw);
  if (const int status = checkForward(context, "layerNormForward", a.residual, a.sum, a.dtype)) return status;
  return normForward(context, {a.x, a.residual, a.weight, a.bias, a.y, a.sum, a.mean, a.rstd, a.rows, a.width,
                               a.width, a.dtype, a.eps, true});
}

int layerNormBackward(KernelContext* context, const void* raw) {
  const auto& a = *static_cast<const LayerNormBackwardArgs*>(raw);
  if (const int status = checkDtype(context, "layerNormBackward", a.dtype)) return status;
  return normBackward(context, {a.dy, a.dsum, a.x, a.weight, a.mean, a.rstd, a.dx, a.dweight, a.dbias, a.rows,
                                a.width, a.width, a.width, a.dtype, a.accumulate, true});
}

}  // namespace

void registerNorm(Backend& table) {
  table.kernels[kKernel_rmsNormForward] = rmsNormForward;
  table.kernels[kKernel_rmsNormBackward] = rmsNormBackward;
  table.kernels[kKernel_layerNormForward] = layerNormForward;
  table.kernels[kKernel_layerNormBackward] = layerNormBackward;
}

}  // namespace anneal::cuda
