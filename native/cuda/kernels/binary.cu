// binary.cu — out = a op b with broadcasting. One kernel walks over every case: a pack of output elements is
// 16 bytes of the inputs' dtype, and each input gives it one access, one repeated element, or single
// elements. The operation is chosen once a pack.
#include <cmath>
#include <type_traits>

#include "cuda/device/elements.h"
#include "cuda/device/walk.h"
#include "cuda/device_state.h"
#include "cuda/host/elements.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/math.h"

namespace anneal::cuda {
namespace {

// Arithmetic is done in f32 for f32 and bf16.
template <typename T>
using Number = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

template <int N, typename X, typename R, typename F>
ANNEAL_DEVICE void each(const X (&a)[N], const X (&b)[N], R (&out)[N], F f) {
#pragma unroll
  for (int i = 0; i < N; ++i) out[i] = static_cast<R>(f(a[i], b[i]));
}

// aᵇ with whole numbers, modulo 2³²; a negative exponent gives the truncated quotient.
ANNEAL_DEVICE uint32_t wholePower(uint32_t a, uint32_t b) {
  if (b >> 31 != 0) return a == 1 ? 1u : (a == 0xFFFFFFFFu ? ((b & 1) != 0 ? a : 1u) : 0u);
  uint32_t result = 1;
#pragma unroll 1
  for (; b != 0; b >>= 1) {
    if ((b & 1u) != 0) result *= a;
    a *= a;
  }
  return result;
}

template <int N>
ANNEAL_DEVICE void arithmetic(int op, const float (&a)[N], const float (&b)[N], float (&out)[N]) {
  switch (op) {
    case kAdd:
      return each(a, b, out, [](float x, float y) { return x + y; });
    case kSub:
      return each(a, b, out, [](float x, float y) { return x - y; });
    case kMul:
      return each(a, b, out, [](float x, float y) { return x * y; });
    case kDiv:
      return each(a, b, out, [](float x, float y) { return x / y; });
    case kPow:
      return each(a, b, out, [](float x, float y) { return powf(x, y); });
    case kMinimum:
      return each(a, b, out, [](float x, float y) { return minNan(x, y); });
    case kMaximum:
      return each(a, b, out, [](float x, float y) { return maxNan(x, y); });
  }
}

// Sums and products wrap, hence the unsigned arithmetic. A zero divisor gives 0 here and is reported by the
// kernel; −1 is apart because −2³¹/−1 does not fit.
template <int N>
ANNEAL_DEVICE void arithmetic(int op, const int32_t (&a)[N], const int32_t (&b)[N], int32_t (&out)[N]) {
  switch (op) {
    case kAdd:
      return each(a, b, out, [](uint32_t x, uint32_t y) { return x + y; });
    case kSub:
      return each(a, b, out, [](uint32_t x, uint32_t y) { return x - y; });
    case kMul:
      return each(a, b, out, [](uint32_t x, uint32_t y) { return x * y; });
    case kDiv:
      return each(a, b, out, [](int32_t x, int32_t y) {
        return y == 0 ? 0u : (y == -1 ? 0u - static_cast<uint32_t>(x) : static_cast<uint32_t>(x / y));
      });
    case kPow:
      return each(a, b, out, [](uint32_t x, uint32_t y) { return wholePower(x, y); });
    case kMinimum:
      return each(a, b, out, [](int32_t x, int32_t y) { return x < y ? x : y; });
    case kMaximum:
      return each(a, b, out, [](int32_t x, int32_t y) { return x > y ? x : y; });
  }
}

template <int N, typename X>
ANNEAL_DEVICE void comparison(int op, const X (&a)[N], const X (&b)[N], uint8_t (&out)[N]) {
  switch (op) {
    case kEqual:
      return each(a, b, out, [](X x, X y) { return x == y; });
    case kNotEqual:
      return each(a, b, out, [](X x, X y) { return x != y; });
    case kLess:
      return each(a, b, out, [](X x, X y) { return x < y; });
    case kLessEqual:
      return each(a, b, out, [](X x, X y) { return x <= y; });
    case kGreater:
      return each(a, b, out, [](X x, X y) { return x > y; });
    case kGreaterEqual:
      return each(a, b, out, [](X x, X y) { return x >= y; });
    case kLogicalAnd:
      return each(a, b, out, [](X x, X y) { return (x != X{0}) & (y != X{0}); });
    case kLogicalOr:
      return each(a, b, out, [](X x, X y) { return (x != X{0}) | (y != X{0}); });
  }
}

template <typename In, typename Out>
struct BinaryOperands {
  const In* a;
  const In* b;
  Out* out;
  Access aAccess, bAccess, outAccess;
  int op;
};

// Floor: bytes of a, b and out, each element of the inputs once. The walk's operands are a and b; out is
// contiguous.
template <typename In, typename Out, int N>
__global__ void __launch_bounds__(kElementThreads)
    binaryKernel(const __grid_constant__ BinaryOperands<In, Out> x, const __grid_constant__ Walk<2> walk,
                 int64_t span, FaultReporter reporter) {
  struct Inputs {
    Pack<In, N> a, b;
  };
  pipeline(
      walk.items, span,
      [&](int64_t item) {
        const Places<2> places = placesOf(walk, item);
        const int64_t valid = validLanes<N>(walk, item);
        return Inputs{readPack<N>(x.a + places.at[0], x.aAccess, walk.step[0], valid),
                      readPack<N>(x.b + places.at[1], x.bAccess, walk.step[1], valid)};
      },
      [&](int64_t item, const Inputs& inputs) {
        const int64_t valid = validLanes<N>(walk, item);
        Number<In> a[N], b[N];
        numbers(inputs.a, a);
        numbers(inputs.b, b);
        Pack<Out, N> out;
        if constexpr (std::is_same_v<Out, In> && !std::is_same_v<In, uint8_t>) {
          if constexpr (std::is_same_v<In, int32_t>) {
            if (x.op == kDiv) {
#pragma unroll
              for (int l = 0; l < N; ++l) {
                if (l < valid && b[l] == 0) reportFault(reporter, kFaultDivision, 0, 0, 0);
              }
            }
          }
          Number<In> values[N] = {};
          arithmetic(x.op, a, b, values);
          out = packOf<Out>(values);
        } else {
          uint8_t truth[N] = {};
          comparison(x.op, a, b, truth);
          out = packOf<Out>(truth);
        }
        writePack<N>(x.out + item * N, out, x.outAccess, 1, valid);
      });
}

template <typename In, typename Out, int N>
int launchBinary(KernelContext* context, const BinaryArgs& args, const Loops<2>& loops) {
  const Walk<2> walk = walkOf(loops, N);
  const Chunks chunks = chunksFor(walk.items, processors(context));
  const BinaryOperands<In, Out> operands{
      static_cast<const In*>(args.a),
      static_cast<const In*>(args.b),
      static_cast<Out*>(args.out),
      accessOf(loops, 0, args.a, sizeof(In), N),
      accessOf(loops, 1, args.b, sizeof(In), N),
      alignedTo(args.out, sizeof(Out) * N) ? Access::kWhole : Access::kStepped,
      static_cast<int>(args.op)};
  return launch(context, binaryKernel<In, Out, N>, {chunks.blocks, kElementThreads}, operands, walk,
                chunks.span, faultReporter(context));
}

template <typename In, typename Out>
int binaryOf(KernelContext* context, const BinaryArgs& args) {
  constexpr int kN = kLanes16<In>;
  const Loops<2> loops = joinLoops<2>(args.ndim, args.shape, {args.aStride, args.bStride});
  if (splitsInto(loops, kN) && alignedTo(args.out, sizeof(Out) * kN))
    return launchBinary<In, Out, kN>(context, args, loops);
  return launchBinary<In, Out, 1>(context, args, loops);
}

// Whether op is one of the first ones, which keep the inputs' dtype, or a comparison.
bool isArithmetic(int64_t op) { return op >= kAdd && op <= kMaximum; }
bool isComparison(int64_t op) { return op >= kEqual && op <= kGreaterEqual; }

int unknownOp(KernelContext* context, const BinaryArgs& args) {
  return fail(context, "binary: operation %lld does not take %s", static_cast<long long>(args.op),
              dtypeName(args.dtype));
}

template <typename In>
int binaryOn(KernelContext* context, const BinaryArgs& args) {
  if (isArithmetic(args.op)) return binaryOf<In, In>(context, args);
  if (isComparison(args.op)) return binaryOf<In, uint8_t>(context, args);
  return unknownOp(context, args);
}

int binary(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const BinaryArgs*>(raw);
  if (args.ndim < 0 || args.ndim > kMaxDims) return failDims(context, "binary", args.ndim);
  switch (args.dtype) {
    case kF32:
      return binaryOn<float>(context, args);
    case kBF16:
      return binaryOn<bf16>(context, args);
    case kI32:
      return binaryOn<int32_t>(context, args);
    case kU8:
      if (args.op == kEqual || args.op == kNotEqual || args.op == kLogicalAnd || args.op == kLogicalOr)
        return binaryOf<uint8_t, uint8_t>(context, args);
      return unknownOp(context, args);
    default:
      return fail(context, "binary: expected f32, bf16, i32 or u8, got %s", dtypeName(args.dtype));
  }
}

}  // namespace

void registerBinary(Backend& table) { table.kernels[kKernel_binary] = binary; }

}  // namespace anneal::cuda
