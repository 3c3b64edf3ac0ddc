// activation.cc — gated activations y = act(gate) ⊙ up and their gradients, in one pass.
#include "core/backend.h"
#include "core/dtype.h"
#include "core/kernels/elementwise.h"
#include "cpu/activations.h"
#include "cpu/elements.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kCost = 8;

template <typename T, typename Act>
int forwardOf(const GatedForwardArgs& args) {
  const T* gate = static_cast<const T*>(args.gate);
  const T* up = static_cast<const T*>(args.up);
  T* y = static_cast<T*>(args.y);
  const int64_t width = args.width, inStride = args.inStride;
  parallelFor(args.rows, kCost * width, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* g = gate + r * inStride;
      const T* u = up + r * inStride;
      T* out = y + r * width;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) out[c] = fromFloat<T>(Act::value(toFloat(g[c])) * toFloat(u[c]));
    }
  });
  return 0;
}

template <typename T, typename Act>
int backwardOf(const GatedBackwardArgs& args) {
  const T* dy = static_cast<const T*>(args.dy);
  const T* gate = static_cast<const T*>(args.gate);
  const T* up = static_cast<const T*>(args.up);
  T* dgate = static_cast<T*>(args.dgate);
  T* dup = static_cast<T*>(args.dup);
  const int64_t width = args.width, inStride = args.inStride;
  parallelFor(args.rows, kCost * width, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* d = dy + r * width;
      const T* g = gate + r * inStride;
      const T* u = up + r * inStride;
      T* dg = dgate + r * inStride;
      T* du = dup + r * inStride;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) {
        const float upstream = toFloat(d[c]), factor = toFloat(u[c]);
        const ValueAndSlope act = Act::both(toFloat(g[c]));
        dg[c] = fromFloat<T>(upstream * factor * act.slope);
        du[c] = fromFloat<T>(upstream * act.value);
      }
    }
  });
  return 0;
}

int unknown(KernelContext* context, const char* kernel, int64_t act, int64_t dtype) {
  if (dtype != kF32 && dtype != kBF16) {
    return fail(context, "%s: expected f32 or bf16, got %s", kernel, dtypeName(dtype));
  }
  return fail(context, "%s: activation %lld is none of silu, gelu and geluTanh", kernel,
              static_cast<long long>(act));
}

int gatedForward(KernelContext* context, const void* raw) {
  const GatedForwardArgs& args = *static_cast<const GatedForwardArgs*>(raw);
  if (args.dtype == kF32) {
    if (args.act == kSilu) return forwardOf<float, Silu>(args);
    if (args.act == kGelu) return forwardOf<float, Gelu>(args);
    if (args.act == kGeluTanh) return forwardOf<float, GeluTanh>(args);
  } else if (args.dtype == kBF16) {
    if (args.act == kSilu) return forwardOf<bf16, Silu>(args);
    if (args.act == kGelu) return forwardOf<bf16, Gelu>(args);
    if (args.act == kGeluTanh) return forwardOf<bf16, GeluTanh>(args);
  }
  return unknown(context, "gatedForward", args.act, args.dtype);
}

int gatedBackward(KernelContext* context, const void* raw) {
  const GatedBackwardArgs& args = *static_cast<const GatedBackwardArgs*>(raw);
  if (args.dtype == kF32) {
    if (args.act == kSilu) return backwardOf<float, Silu>(args);
    if (args.act == kGelu) return backwardOf<float, Gelu>(args);
    if (args.act == kGeluTanh) return backwardOf<float, GeluTanh>(args);
  } else if (args.dtype == kBF16) {
    if (args.act == kSilu) return backwardOf<bf16, Silu>(args);
    if (args.act == kGelu) return backwardOf<bf16, Gelu>(args);
    if (args.act == kGeluTanh) return backwardOf<bf16, GeluTanh>(args);
  }
  return unknown(context, "gatedBackward", args.act, args.dtype);
}

}  // namespace

void registerActivation(Backend& table) {
  table.kernels[kKernel_gatedForward] = gatedForward;
  table.kernels[kKernel_gatedBackward] = gatedBackward;
}

ANNEAL_CPU_NAMESPACE_END
