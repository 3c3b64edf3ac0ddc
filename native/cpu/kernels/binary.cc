// binary.cc — out = a op b with broadcasting. Every operation is one loop over two contiguous pieces of f32,
// i32 or u8; operands that are bf16, constant or strided are first brought into a small buffer, which stays
// in the first cache.
#include <cmath>
#include <type_traits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/strides.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kPiece = 512;

template <typename Number, typename Result>
using PieceFn = void (*)(const Number* a, const Number* b, Result* out, int64_t n);

// The loop of one operation. F is a stateless functor.
template <typename Number, typename Result, typename F>
void pieceLoop(const Number* a, const Number* b, Result* out, int64_t n) {
  constexpr F f;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Result>(f(a[i], b[i]));
}

template <typename Number, typename Result, typename F>
constexpr PieceFn<Number, Result> loopOf(F) {
  return pieceLoop<Number, Result, F>;
}

// n elements of an operand as contiguous Numbers: in place where they are that already, else in the buffer.
template <typename Number, typename In>
const Number* stage(const In* x, int64_t stride, int64_t n, Number* buffer) {
  const auto number = [](In value) {
    if constexpr (std::is_same_v<In, bf16>)
      return toFloat(value);
    else
      return value;
  };
  if (stride == 0) {
    const Number value = number(*x);
    for (int64_t i = 0; i < n; ++i) buffer[i] = value;
    return buffer;
  }
  if (stride != 1) {
    for (int64_t i = 0; i < n; ++i) buffer[i] = number(x[i * stride]);
    return buffer;
  }
  if constexpr (std::is_same_v<In, Number>) {
    return x;
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) buffer[i] = number(x[i]);
    return buffer;
  }
}

// Runs `loop` over everything. In: the inputs' dtype; Out: the output's.
template <typename In, typename Out, typename Number, typename Result>
int runPieces(const BinaryArgs& args, int64_t cost, PieceFn<Number, Result> loop) {
  const int64_t* strides[2] = {args.aStride, args.bStride};
  const Loops<2> loops(args.ndim, args.shape, strides);
  const int64_t aStride = loops.innerStride(0), bStride = loops.innerStride(1);
  forEachRow(loops, cost, [&](const int64_t* at, int64_t outAt, int64_t count) {
    const In* a = static_cast<const In*>(args.a) + at[0];
    const In* b = static_cast<const In*>(args.b) + at[1];
    Out* out = static_cast<Out*>(args.out) + outAt;
    alignas(64) Number left[kPiece], right[kPiece];
    for (int64_t i = 0; i < count; i += kPiece) {
      const int64_t n = count - i < kPiece ? count - i : kPiece;
      const Number* x = stage(a + i * aStride, aStride, n, left);
      const Number* y = stage(b + i * bStride, bStride, n, right);
      if constexpr (std::is_same_v<Out, Result>) {
        loop(x, y, out + i, n);
      } else {
        loop(x, y, left, n);
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) out[i + j] = fromFloat<Out>(left[j]);
      }
    }
  });
  return 0;
}

// aᵇ with whole numbers, modulo 2³²; a negative exponent gives the truncated quotient.
inline uint32_t wholePower(uint32_t a, uint32_t b) {
  if (b >> 31 != 0) return a == 1 ? 1u : (a == 0xFFFFFFFFu ? ((b & 1) != 0 ? a : 1u) : 0u);
  uint32_t result = 1;
  for (; b != 0; b >>= 1) {
    if ((b & 1u) != 0) result *= a;
    a *= a;
  }
  return result;
}

PieceFn<float, float> floatLoop(int64_t op) {
  switch (op) {
    case kAdd:
      return loopOf<float, float>([](float a, float b) { return a + b; });
    case kSub:
      return loopOf<float, float>([](float a, float b) { return a - b; });
    case kMul:
      return loopOf<float, float>([](float a, float b) { return a * b; });
    case kDiv:
      return loopOf<float, float>([](float a, float b) { return a / b; });
    case kPow:
      return loopOf<float, float>([](float a, float b) { return powf(a, b); });
    case kMinimum:
      return loopOf<float, float>([](float a, float b) { return minOrNan(a, b); });
    case kMaximum:
      return loopOf<float, float>([](float a, float b) { return maxOrNan(a, b); });
    default:
      return nullptr;
  }
}

// Sums and products of i32 wrap, hence the unsigned arithmetic.
PieceFn<int32_t, int32_t> intLoop(int64_t op) {
  switch (op) {
    case kAdd:
      return loopOf<int32_t, int32_t>([](uint32_t a, uint32_t b) { return a + b; });
    case kSub:
      return loopOf<int32_t, int32_t>([](uint32_t a, uint32_t b) { return a - b; });
    case kMul:
      return loopOf<int32_t, int32_t>([](uint32_t a, uint32_t b) { return a * b; });
    case kDiv:
      // A zero divisor is answered with 0 here and reported by hasZero; −1 is apart because −2³¹/−1 traps.
      return loopOf<int32_t, int32_t>([](int32_t a, int32_t b) {
        return b == 0 ? 0u : (b == -1 ? 0u - static_cast<uint32_t>(a) : static_cast<uint32_t>(a / b));
      });
    case kPow:
      return loopOf<int32_t, int32_t>([](uint32_t a, uint32_t b) { return wholePower(a, b); });
    case kMinimum:
      return loopOf<int32_t, int32_t>([](int32_t a, int32_t b) { return a < b ? a : b; });
    case kMaximum:
      return loopOf<int32_t, int32_t>([](int32_t a, int32_t b) { return a > b ? a : b; });
    default:
      return nullptr;
  }
}

template <typename Number>
PieceFn<Number, uint8_t> comparison(int64_t op) {
  switch (op) {
    case kEqual:
      return loopOf<Number, uint8_t>([](Number a, Number b) { return a == b; });
    case kNotEqual:
      return loopOf<Number, uint8_t>([](Number a, Number b) { return a != b; });
    case kLess:
      return loopOf<Number, uint8_t>([](Number a, Number b) { return a < b; });
    case kLessEqual:
      return loopOf<Number, uint8_t>([](Number a, Number b) { return a <= b; });
    case kGreater:
      return loopOf<Number, uint8_t>([](Number a, Number b) { return a > b; });
    case kGreaterEqual:
      return loopOf<Number, uint8_t>([](Number a, Number b) { return a >= b; });
    default:
      return nullptr;
  }
}

PieceFn<uint8_t, uint8_t> byteLoop(int64_t op) {
  switch (op) {
    case kEqual:
    case kNotEqual:
      return comparison<uint8_t>(op);
    case kLogicalAnd:
      return loopOf<uint8_t, uint8_t>([](uint8_t a, uint8_t b) { return (a != 0) & (b != 0); });
    case kLogicalOr:
      return loopOf<uint8_t, uint8_t>([](uint8_t a, uint8_t b) { return (a | b) != 0; });
    default:
      return nullptr;
  }
}

int unknownOp(KernelContext* context, const BinaryArgs& args) {
  return fail(context, "binary: operation %lld does not take %s", static_cast<long long>(args.op),
              dtypeName(args.dtype));
}

template <typename In>
int runFloat(KernelContext* context, const BinaryArgs& args) {
  if (const auto loop = floatLoop(args.op)) {
    return runPieces<In, In>(args, args.op == kPow ? 32 : args.op == kDiv ? 2 : 1, loop);
  }
  if (const auto loop = comparison<float>(args.op)) return runPieces<In, uint8_t>(args, 1, loop);
  return unknownOp(context, args);
}

// Whether a strided operand holds a zero.
bool hasZero(const int32_t* x, const int64_t* shape, const int64_t* stride, int64_t ndim) {
  const Loops<1> loops(ndim, shape, &stride);
  bool found = false;
  forEachRow(loops, 1, [&](const int64_t* at, int64_t, int64_t n) {
    bool zero = false;
    for (int64_t i = 0; i < n; ++i) zero |= x[at[0] + i * loops.innerStride(0)] == 0;
    if (zero) __atomic_store_n(&found, true, __ATOMIC_RELAXED);
  });
  return found;
}

int runInt(KernelContext* context, const BinaryArgs& args) {
  if (args.op == kDiv && hasZero(static_cast<const int32_t*>(args.b), args.shape, args.bStride, args.ndim)) {
    return fail(context, "binary: division of i32 by zero");
  }
  if (const auto loop = intLoop(args.op))
    return runPieces<int32_t, int32_t>(args, args.op >= kDiv ? 8 : 1, loop);
  if (const auto loop = comparison<int32_t>(args.op)) return runPieces<int32_t, uint8_t>(args, 1, loop);
  return unknownOp(context, args);
}

}  // namespace

int binary(KernelContext* context, const void* raw) {
  const BinaryArgs& args = *static_cast<const BinaryArgs*>(raw);
  if (args.ndim < 0 || args.ndim > kMaxDims) return failDims(context, "binary", args.ndim);
  switch (args.dtype) {
    case kF32:
      return runFloat<float>(context, args);
    case kBF16:
      return runFloat<bf16>(context, args);
    case kI32:
      return runInt(context, args);
    case kU8:
      if (const auto loop = byteLoop(args.op)) return runPieces<uint8_t, uint8_t>(args, 1, loop);
      return unknownOp(context, args);
    default:
      return fail(context, "binary: expected f32, bf16, i32 or u8, got %s", dtypeName(args.dtype));
  }
}

ANNEAL_CPU_NAMESPACE_END
