// unary.cc — y = f(x) and dx = dy·f'(x). Every function is one loop over contiguous f32; bf16 passes through
// a small buffer in the first cache.
#include <cmath>
#include <type_traits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/activations.h"
#include "cpu/elements.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kPiece = 512;
static_assert(kPiece % kElementBlock == 0);

struct Parameters {
  float p0, p1;
};

using ForwardFn = void (*)(const float* x, float* y, int64_t n, Parameters p);
using BackwardFn = void (*)(const float* x, const float* dy, float* dx, int64_t n, Parameters p);

template <typename F>
void forwardLoop(const float* x, float* y, int64_t n, Parameters p) {
  constexpr F f;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = f(x[i], p);
}

template <typename F>
void backwardLoop(const float* x, const float* dy, float* dx, int64_t n, Parameters p) {
  constexpr F slope;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * slope(x[i], p);
}

// dx = dy where F holds, else 0 (also where dy is infinite or NaN).
template <typename F>
void selectLoop(const float* x, const float* dy, float* dx, int64_t n, Parameters p) {
  constexpr F passes;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) dx[i] = passes(x[i], p) ? dy[i] : 0.0f;
}

template <typename F>
constexpr ForwardFn forwardOf(F) {
  return forwardLoop<F>;
}

template <typename F>
constexpr BackwardFn backwardOf(F) {
  return backwardLoop<F>;
}

template <typename F>
constexpr BackwardFn selectOf(F) {
  return selectLoop<F>;
}

using P = Parameters;

ANNEAL_INLINE float clampTo(float x, P p) {
  const float low = x < p.p0 ? p.p0 : x;
  return low > p.p1 ? p.p1 : low;
}

ForwardFn powLoop(float exponent) {
  if (exponent == 2.0f) return forwardOf([](float x, P) { return x * x; });
  if (exponent == 3.0f) return forwardOf([](float x, P) { return x * x * x; });
  if (exponent == -1.0f) return forwardOf([](float x, P) { return 1.0f / x; });
  return forwardOf([](float x, P p) { return powf(x, p.p0); });
}

ForwardFn forwardFor(int64_t op, Parameters p) {
  switch (op) {
    case kNeg:
      return forwardOf([](float x, P) { return -x; });
    case kExp:
      return forwardOf([](float x, P) { return vexp(x); });
    case kLog:
      return forwardOf([](float x, P) { return vlog(x); });
    case kSqrt:
      return forwardOf([](float x, P) { return sqrtf(x); });
    case kRsqrt:
      return forwardOf([](float x, P) { return 1.0f / sqrtf(x); });
    case kTanh:
      return forwardOf([](float x, P) { return vtanh(x); });
    case kSigmoid:
      return forwardOf([](float x, P) { return vsigmoid(x); });
    case kRelu:
      return forwardOf([](float x, P) { return x < 0.0f ? 0.0f : x; });
    case kSilu:
      return forwardOf([](float x, P) { return Silu::value(x); });
    case kGelu:
      return forwardOf([](float x, P) { return Gelu::value(x); });
    case kGeluTanh:
      return forwardOf([](float x, P) { return GeluTanh::value(x); });
    case kAbs:
      return forwardOf([](float x, P) { return fabsf(x); });
    case kSquare:
      return forwardOf([](float x, P) { return x * x; });
    case kReciprocal:
      return forwardOf([](float x, P) { return 1.0f / x; });
    case kSin:
      return forwardOf([](float x, P) { return sinf(x); });
    case kCos:
      return forwardOf([](float x, P) { return cosf(x); });
    case kSoftplus:
      return forwardOf([](float x, P) { return vsoftplus(x); });
    case kLogSigmoid:
      return forwardOf([](float x, P) { return -vsoftplus(-x); });
    case kClamp:
      return forwardOf([](float x, P q) { return clampTo(x, q); });
    case kAffine:
      return forwardOf([](float x, P q) { return q.p0 * x + q.p1; });
    case kPowScalar:
      return powLoop(p.p0);
    case kErf:
      return forwardOf([](float x, P) { return verf(x); });
    default:
      return nullptr;
  }
}

BackwardFn powSlope(float exponent) {
  if (exponent == 0.0f) return backwardOf([](float, P) { return 0.0f; });
  if (exponent == 2.0f) return backwardOf([](float x, P) { return 2.0f * x; });
  if (exponent == 3.0f) return backwardOf([](float x, P) { return 3.0f * x * x; });
  if (exponent == -1.0f) return backwardOf([](float x, P) { return -1.0f / (x * x); });
  return backwardOf([](float x, P p) { return p.p0 * powf(x, p.p0 - 1.0f); });
}

// e/(1 + e)² with e = e^(−|x|): the derivative of the logistic function, without cancellation.
ANNEAL_INLINE float logisticSlope(float x) {
  const float e = vexp(x < 0.0f ? x : -x);
  const float r = 1.0f / (1.0f + e);
  return e * r * r;
}

BackwardFn backwardFor(int64_t op, Parameters p) {
  switch (op) {
    case kNeg:
      return backwardOf([](float, P) { return -1.0f; });
    case kExp:
      return backwardOf([](float x, P) { return vexp(x); });
    case kLog:
      return backwardOf([](float x, P) { return 1.0f / x; });
    case kSqrt:
      return backwardOf([](float x, P) { return 0.5f / sqrtf(x); });
    case kRsqrt:
      return backwardOf([](float x, P) { return -0.5f / (x * sqrtf(x)); });
    case kTanh:
      return backwardOf([](float x, P) { return 4.0f * logisticSlope(x + x); });
    case kSigmoid:
      return backwardOf([](float x, P) { return logisticSlope(x); });
    case kRelu:
      return selectOf([](float x, P) { return x > 0.0f; });
    case kSilu:
      return backwardOf([](float x, P) { return Silu::both(x).slope; });
    case kGelu:
      return backwardOf([](float x, P) { return Gelu::both(x).slope; });
    case kGeluTanh:
      return backwardOf([](float x, P) { return GeluTanh::both(x).slope; });
    case kAbs:
      return backwardOf([](float x, P) { return x > 0.0f ? 1.0f : (x < 0.0f ? -1.0f : x); });
    case kSquare:
      return backwardOf([](float x, P) { return 2.0f * x; });
    case kReciprocal:
      return backwardOf([](float x, P) { return -1.0f / (x * x); });
    case kSin:
      return backwardOf([](float x, P) { return cosf(x); });
    case kCos:
      return backwardOf([](float x, P) { return -sinf(x); });
    case kSoftplus:
      return backwardOf([](float x, P) { return vsigmoid(x); });
    case kLogSigmoid:
      return backwardOf([](float x, P) { return vsigmoid(-x); });
    case kClamp:
      return selectOf([](float x, P q) { return (x >= q.p0) & (x <= q.p1); });
    case kAffine:
      return backwardOf([](float, P q) { return q.p0; });
    case kPowScalar:
      return powSlope(p.p0);
    case kErf:
      return backwardOf([](float x, P) { return 1.12837917f * vexp(-x * x); });
    default:
      return nullptr;
  }
}

// Elementary operations per element, for the decision to use threads.
int64_t costOf(int64_t op) {
  switch (op) {
    case kNeg:
    case kRelu:
    case kAbs:
    case kSquare:
    case kClamp:
    case kAffine:
      return 1;
    case kSin:
    case kCos:
    case kPowScalar:
      return 32;
    default:
      return 4;
  }
}

void readPiece(const bf16* x, float* buffer, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) buffer[i] = toFloat(x[i]);
}

void writePiece(const float* buffer, bf16* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = roundToBf16(buffer[i]);
}

// The i32 operations; the parameters of clamp and affine are whole numbers there.
template <typename F>
int intLoop(const UnaryArgs& args, const F& f) {
  const int32_t* x = static_cast<const int32_t*>(args.x);
  int32_t* y = static_cast<int32_t*>(args.y);
  parallelElements(args.n, 1, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) y[i] = static_cast<int32_t>(f(x[i]));
  });
  return 0;
}

// A parameter as i32, beyond its range the nearest end of it.
int32_t wholeParameter(double p) {
  return p <= -2147483648.0 ? INT32_MIN : (p >= 2147483647.0 ? INT32_MAX : static_cast<int32_t>(p));
}

int unaryInt(KernelContext* context, const UnaryArgs& args) {
  const int32_t p0 = wholeParameter(args.p0), p1 = wholeParameter(args.p1);
  const uint32_t factor = static_cast<uint32_t>(p0), offset = static_cast<uint32_t>(p1);
  switch (args.op) {
    case kNeg:
      return intLoop(args, [](int32_t x) { return 0u - static_cast<uint32_t>(x); });
    case kAbs:
      return intLoop(
          args, [](int32_t x) { return x < 0 ? 0u - static_cast<uint32_t>(x) : static_cast<uint32_t>(x); });
    case kClamp:
      return intLoop(args, [=](int32_t x) {
        const int32_t low = x < p0 ? p0 : x;
        return low > p1 ? p1 : low;
      });
    case kAffine:
      return intLoop(args, [=](int32_t x) { return static_cast<uint32_t>(x) * factor + offset; });
    default:
      return fail(context, "unary: operation %lld does not take i32", static_cast<long long>(args.op));
  }
}

int unary(KernelContext* context, const void* raw) {
  const UnaryArgs& args = *static_cast<const UnaryArgs*>(raw);
  const Parameters p{static_cast<float>(args.p0), static_cast<float>(args.p1)};
  if (args.dtype == kI32) return unaryInt(context, args);
  const ForwardFn f = forwardFor(args.op, p);
  if (f == nullptr) return fail(context, "unary: unknown operation %lld", static_cast<long long>(args.op));
  if (args.dtype == kF32) {
    const float* x = static_cast<const float*>(args.x);
    float* y = static_cast<float*>(args.y);
    parallelElements(args.n, costOf(args.op),
                     [=](int64_t begin, int64_t end) { f(x + begin, y + begin, end - begin, p); });
    return 0;
  }
  if (args.dtype != kBF16)
    return fail(context, "unary: expected f32, bf16 or i32, got %s", dtypeName(args.dtype));
  const bf16* x = static_cast<const bf16*>(args.x);
  bf16* y = static_cast<bf16*>(args.y);
  parallelElements(args.n, costOf(args.op), [=](int64_t begin, int64_t end) {
    alignas(64) float buffer[kPiece];
    for (int64_t i = begin; i < end; i += kPiece) {
      const int64_t n = end - i < kPiece ? end - i : kPiece;
      readPiece(x + i, buffer, n);
      f(buffer, buffer, n, p);
      writePiece(buffer, y + i, n);
    }
  });
  return 0;
}

int unaryBackward(KernelContext* context, const void* raw) {
  const UnaryBackwardArgs& args = *static_cast<const UnaryBackwardArgs*>(raw);
  const Parameters p{static_cast<float>(args.p0), static_cast<float>(args.p1)};
  const BackwardFn f = backwardFor(args.op, p);
  if (f == nullptr)
    return fail(context, "unaryBackward: unknown operation %lld", static_cast<long long>(args.op));
  if (args.dtype == kF32) {
    const float* x = static_cast<const float*>(args.x);
    const float* dy = static_cast<const float*>(args.dy);
    float* dx = static_cast<float*>(args.dx);
    parallelElements(args.n, costOf(args.op), [=](int64_t begin, int64_t end) {
      f(x + begin, dy + begin, dx + begin, end - begin, p);
    });
    return 0;
  }
  if (args.dtype != kBF16)
    return fail(context, "unaryBackward: expected f32 or bf16, got %s", dtypeName(args.dtype));
  const bf16* x = static_cast<const bf16*>(args.x);
  const bf16* dy = static_cast<const bf16*>(args.dy);
  bf16* dx = static_cast<bf16*>(args.dx);
  parallelElements(args.n, costOf(args.op), [=](int64_t begin, int64_t end) {
    alignas(64) float inputs[kPiece], gradients[kPiece];
    for (int64_t i = begin; i < end; i += kPiece) {
      const int64_t n = end - i < kPiece ? end - i : kPiece;
      readPiece(x + i, inputs, n);
      readPiece(dy + i, gradients, n);
      f(inputs, gradients, gradients, n, p);
      writePiece(gradients, dx + i, n);
    }
  });
  return 0;
}

}  // namespace

void registerUnary(Backend& table) {
  table.kernels[kKernel_unary] = unary;
  table.kernels[kKernel_unaryBackward] = unaryBackward;
}

ANNEAL_CPU_NAMESPACE_END
