// unary.cu — y = f(x) and dx = dy·f'(x). The operation is chosen once for the elements of a pack, not by the
// type of the kernel: that is free beside the memory they cross.
#include <cmath>

#include "cuda/device/activations.h"
#include "cuda/device/elements.h"
#include "cuda/device_state.h"
#include "cuda/host/elements.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

// Operations that only kernels know: powers with an exponent of their own kind.
enum : int { kCube = kUnaryOpCount, kConstant };

struct Parameters {
  float p0, p1;
};

// The operation that computes x^exponent best.
int powerOp(float exponent, bool slope) {
  if (slope && exponent == 0.0f) return kConstant;
  if (exponent == 2.0f) return kSquare;
  if (exponent == 3.0f) return kCube;
  if (exponent == -1.0f) return kReciprocal;
  return kPowScalar;
}

ANNEAL_DEVICE float sigmoid(float x) { return reciprocalApprox(1.0f + expf(-x)); }
ANNEAL_DEVICE float sigmoidSlope(float x) {
  const SigmoidPair pair = sigmoidPair(x);
  return pair.s * pair.rest;
}
// ln(1 + eˣ) without overflow.
ANNEAL_DEVICE float softplus(float x) { return (x < 0.0f ? 0.0f : x) + log1pf(expf(-fabsf(x))); }

template <int N, typename F>
ANNEAL_DEVICE void each(float (&v)[N], F f) {
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = f(v[i]);
}

template <int N>
ANNEAL_DEVICE void forward(int op, Parameters p, float (&v)[N]) {
  switch (op) {
    case kNeg:
      return each(v, [](float x) { return -x; });
    case kExp:
      return each(v, [](float x) { return expf(x); });
    case kLog:
      return each(v, [](float x) { return logf(x); });
    case kSqrt:
      return each(v, [](float x) { return sqrtf(x); });
    case kRsqrt:
      return each(v, [](float x) { return 1.0f / sqrtf(x); });
    case kTanh:
      return each(v, [](float x) { return tanhf(x); });
    case kSigmoid:
      return each(v, [](float x) { return sigmoid(x); });
    case kRelu:
      return each(v, [](float x) { return x < 0.0f ? 0.0f : x; });
    case kSilu:
      return each(v, [](float x) { return Silu::value(x); });
    case kGelu:
      return each(v, [](float x) { return Gelu::value(x); });
    case kGeluTanh:
      return each(v, [](float x) { return GeluTanh::value(x); });
    case kAbs:
      return each(v, [](float x) { return fabsf(x); });
    case kSquare:
      return each(v, [](float x) { return x * x; });
    case kReciprocal:
      return each(v, [](float x) { return 1.0f / x; });
    case kSin:
      return each(v, [](float x) { return sinf(x); });
    case kCos:
      return each(v, [](float x) { return cosf(x); });
    case kSoftplus:
      return each(v, [](float x) { return softplus(x); });
    case kLogSigmoid:
      return each(v, [](float x) { return -softplus(-x); });
    case kClamp:
      return each(v, [p](float x) {
        const float low = x < p.p0 ? p.p0 : x;
        return low > p.p1 ? p.p1 : low;
      });
    case kAffine:
      return each(v, [p](float x) { return p.p0 * x + p.p1; });
    case kPowScalar:
      return each(v, [p](float x) { return powf(x, p.p0); });
    case kErf:
      return each(v, [](float x) { return erff(x); });
    case kCube:
      return each(v, [](float x) { return x * x * x; });
  }
}

// v: dy, becomes dy·f'(x).
template <int N, typename F>
ANNEAL_DEVICE void scale(const float (&x)[N], float (&v)[N], F slope) {
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] *= slope(x[i]);
}

// dy where `passes`, else 0, also where dy is infinite or NaN.
template <int N, typename F>
ANNEAL_DEVICE void select(const float (&x)[N], float (&v)[N], F passes) {
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = passes(x[i]) ? v[i] : 0.0f;
}

template <int N>
ANNEAL_DEVICE void backward(int op, Parameters p, const float (&x)[N], float (&v)[N]) {
  switch (op) {
    case kNeg:
      return scale(x, v, [](float) { return -1.0f; });
    case kExp:
      return scale(x, v, [](float t) { return expf(t); });
    case kLog:
      return scale(x, v, [](float t) { return 1.0f / t; });
    case kSqrt:
      return scale(x, v, [](float t) { return 0.5f / sqrtf(t); });
    case kRsqrt:
      return scale(x, v, [](float t) { return -0.5f / (t * sqrtf(t)); });
    case kTanh:
      return scale(x, v, [](float t) { return 4.0f * sigmoidSlope(t + t); });
    case kSigmoid:
      return scale(x, v, [](float t) { return sigmoidSlope(t); });
    case kRelu:
      return select(x, v, [](float t) { return t > 0.0f; });
    case kSilu:
      return scale(x, v, [](float t) { return Silu::both(t).slope; });
    case kGelu:
      return scale(x, v, [](float t) { return Gelu::both(t).slope; });
    case kGeluTanh:
      return scale(x, v, [](float t) { return GeluTanh::both(t).slope; });
    case kAbs:
      return scale(x, v, [](float t) { return t > 0.0f ? 1.0f : (t < 0.0f ? -1.0f : t); });
    case kSquare:
      return scale(x, v, [](float t) { return 2.0f * t; });
    case kReciprocal:
      return scale(x, v, [](float t) { return -1.0f / (t * t); });
    case kSin:
      return scale(x, v, [](float t) { return cosf(t); });
    case kCos:
      return scale(x, v, [](float t) { return -sinf(t); });
    case kSoftplus:
      return scale(x, v, [](float t) { return sigmoid(t); });
    case kLogSigmoid:
      return scale(x, v, [](float t) { return sigmoid(-t); });
    case kClamp:
      return select(x, v, [p](float t) { return t >= p.p0 && t <= p.p1; });
    case kAffine:
      return scale(x, v, [p](float) { return p.p0; });
    case kPowScalar:
      return scale(x, v, [p](float t) { return p.p0 * powf(t, p.p0 - 1.0f); });
    case kErf:
      return scale(x, v, [](float t) { return 1.12837917f * expf(-t * t); });
    case kCube:
      return scale(x, v, [](float t) { return 3.0f * t * t; });
    case kConstant:
      return scale(x, v, [](float) { return 0.0f; });
  }
}

// Floor: bytes of x and y.
template <typename T>
__global__ void __launch_bounds__(kElementThreads)
    unaryKernel(const T* x, T* y, int64_t n, int op, Parameters p, bool aligned, int64_t span) {
  constexpr int kN = kLanes16<T>;
  pipeline((n + kN - 1) / kN, span, [=](int64_t i) { return readPack<kN>(x, i, n, aligned); },
           [=](int64_t i, const Pack<T, kN>& pack) {
             float v[kN];
             numbers(pack, v);
             forward(op, p, v);
             writePack<kN>(y, i, packOf<T>(v), n, aligned);
           });
}

// Floor: bytes of x, dy and dx.
template <typename T>
__global__ void __launch_bounds__(kElementThreads)
    unaryBackwardKernel(const T* x, const T* dy, T* dx, int64_t n, int op, Parameters p, bool aligned,
                        int64_t span) {
  constexpr int kN = kLanes16<T>;
  struct Inputs {
    Pack<T, kN> x, dy;
  };
  pipeline((n + kN - 1) / kN, span,
           [=](int64_t i) {
             return Inputs{readPack<kN>(x, i, n, aligned), readPack<kN>(dy, i, n, aligned)};
           },
           [=](int64_t i, const Inputs& inputs) {
             float at[kN], v[kN];
             numbers(inputs.x, at);
             numbers(inputs.dy, v);
             backward(op, p, at, v);
             writePack<kN>(dx, i, packOf<T>(v), n, aligned);
           });
}

// Floor: bytes of x and y. clamp: into [p0, p1]; else y = p0·x + p1, or |x|, wrapping.
__global__ void __launch_bounds__(kElementThreads)
    unaryIntKernel(const int32_t* x, int32_t* y, int64_t n, int op, int32_t p0, int32_t p1, bool aligned,
                   int64_t span) {
  constexpr int kN = kLanes16<int32_t>;
  pipeline((n + kN - 1) / kN, span, [=](int64_t i) { return readPack<kN>(x, i, n, aligned); },
           [=](int64_t i, const Pack<int32_t, kN>& pack) {
             Pack<int32_t, kN> out;
#pragma unroll
             for (int l = 0; l < kN; ++l) {
               const int32_t value = pack.get(l);
               const auto bits = static_cast<uint32_t>(value);
               if (op == kClamp) {
                 const int32_t low = value < p0 ? p0 : value;
                 out.set(l, low > p1 ? p1 : low);
               } else if (op == kAbs) {
                 out.set(l, static_cast<int32_t>(value < 0 ? 0u - bits : bits));
               } else {
                 out.set(l,
                         static_cast<int32_t>(bits * static_cast<uint32_t>(p0) + static_cast<uint32_t>(p1)));
               }
             }
             writePack<kN>(y, i, out, n, aligned);
           });
}

// A parameter as i32, beyond its range the nearest end of it.
int32_t wholeParameter(double p) {
  return p <= -2147483648.0 ? INT32_MIN : (p >= 2147483647.0 ? INT32_MAX : static_cast<int32_t>(p));
}

int unaryInt(KernelContext* context, const UnaryArgs& args) {
  int32_t p0 = wholeParameter(args.p0), p1 = wholeParameter(args.p1);
  if (args.op == kNeg) {
    p0 = -1;
    p1 = 0;
  } else if (args.op != kAbs && args.op != kClamp && args.op != kAffine) {
    return fail(context, "unary: operation %lld does not take i32", static_cast<long long>(args.op));
  }
  const Chunks chunks = chunksFor((args.n + 3) / 4, processors(context));
  return launch(context, unaryIntKernel, {chunks.blocks, kElementThreads},
                static_cast<const int32_t*>(args.x), static_cast<int32_t*>(args.y), args.n,
                static_cast<int>(args.op), p0, p1, alignedTo(args.x, 16) && alignedTo(args.y, 16),
                chunks.span);
}

template <typename T>
int unaryOf(KernelContext* context, const UnaryArgs& args, int op, Parameters p) {
  const Chunks chunks = chunksFor((args.n + kLanes16<T> - 1) / kLanes16<T>, processors(context));
  return launch(context, unaryKernel<T>, {chunks.blocks, kElementThreads}, static_cast<const T*>(args.x),
                static_cast<T*>(args.y), args.n, op, p, alignedTo(args.x, 16) && alignedTo(args.y, 16),
                chunks.span);
}

int unary(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const UnaryArgs*>(raw);
  if (args.dtype == kI32) return unaryInt(context, args);
  if (args.op < 0 || args.op >= kUnaryOpCount)
    return fail(context, "unary: unknown operation %lld", static_cast<long long>(args.op));
  const Parameters p{static_cast<float>(args.p0), static_cast<float>(args.p1)};
  const int op = args.op == kPowScalar ? powerOp(p.p0, false) : static_cast<int>(args.op);
  if (args.dtype == kF32) return unaryOf<float>(context, args, op, p);
  if (args.dtype == kBF16) return unaryOf<bf16>(context, args, op, p);
  return fail(context, "unary: expected f32, bf16 or i32, got %s", dtypeName(args.dtype));
}

template <typename T>
int unaryBackwardOf(KernelContext* context, const UnaryBackwardArgs& args, int op, Parameters p) {
  const Chunks chunks = chunksFor((args.n + kLanes16<T> - 1) / kLanes16<T>, processors(context));
  return launch(context, unaryBackwardKernel<T>, {chunks.blocks, kElementThreads},
                static_cast<const T*>(args.x), static_cast<const T*>(args.dy), static_cast<T*>(args.dx),
                args.n, op, p, alignedTo(args.x, 16) && alignedTo(args.dy, 16) && alignedTo(args.dx, 16),
                chunks.span);
}

int unaryBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const UnaryBackwardArgs*>(raw);
  if (args.op < 0 || args.op >= kUnaryOpCount)
    return fail(context, "unaryBackward: unknown operation %lld", static_cast<long long>(args.op));
  const Parameters p{static_cast<float>(args.p0), static_cast<float>(args.p1)};
  const int op = args.op == kPowScalar ? powerOp(p.p0, true) : static_cast<int>(args.op);
  if (args.dtype == kF32) return unaryBackwardOf<float>(context, args, op, p);
  if (args.dtype == kBF16) return unaryBackwardOf<bf16>(context, args, op, p);
  return fail(context, "unaryBackward: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerUnary(Backend& table) {
  table.kernels[kKernel_unary] = unary;
  table.kernels[kKernel_unaryBackward] = unaryBackward;
}

}  // namespace anneal::cuda
