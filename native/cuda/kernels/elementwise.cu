// elementwise.cu — fill, cast, axpy and where: memory-bound; each thread moves 16 bytes of the wider operand
// at a time.
#include <cstring>
#include <type_traits>

#include "cuda/device/elements.h"
#include "cuda/device/walk.h"
#include "cuda/device_state.h"
#include "cuda/host/elements.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

// Floor: bytes of y. `pattern` is the value, repeated over 8 bytes; addresses that are multiples of 8 get its
// byte 0.
__global__ void __launch_bounds__(kElementThreads)
    fillKernel(uint8_t* y, int64_t bytes, uint64_t pattern, int64_t items, int64_t span) {
  const Vec<uint64_t, 2> whole{pattern, pattern};
  const int64_t begin = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) % 16);
  pipeline(
      items, span, [](int64_t) { return 0; },
      [&](int64_t item, int) {
        const int64_t first = item * 16 - begin;
        if (first >= 0 && first + 16 <= bytes) return store(y + first, whole);
#pragma unroll 1
        for (int i = 0; i < 16; ++i) {
          if (first + i >= 0 && first + i < bytes)
            y[first + i] = static_cast<uint8_t>(pattern >> (8 * (i % 8)));
        }
      });
}

// f32 to bf16 on the host: to nearest even, NaN stays NaN.
uint16_t bf16Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if (value != value) return static_cast<uint16_t>((bits | 0x00400000u) >> 16);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

template <typename T>
uint64_t repeated(T value) {
  uint64_t pattern;
  for (size_t i = 0; i < sizeof(pattern); i += sizeof(T))
    std::memcpy(reinterpret_cast<uint8_t*>(&pattern) + i, &value, sizeof(T));
  return pattern;
}

int fill(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const FillArgs*>(raw);
  uint64_t pattern;
  switch (args.dtype) {
    case kF32:
      pattern = repeated(static_cast<float>(args.value));
      break;
    case kBF16:
      pattern = repeated(bf16Bits(static_cast<float>(args.value)));
      break;
    case kI32:
      pattern = repeated(static_cast<int32_t>(args.value));
      break;
    case kU8:
      pattern = repeated(static_cast<uint8_t>(args.value));
      break;
    case kI64:
      pattern = repeated(static_cast<int64_t>(args.value));
      break;
    default:
      return fail(context, "fill: unknown dtype %lld", static_cast<long long>(args.dtype));
  }
  const int64_t bytes = args.n * static_cast<int64_t>(dtypeSize(args.dtype));
  const int64_t begin = static_cast<int64_t>(reinterpret_cast<uintptr_t>(args.y) % 16);
  const int64_t items = bytes == 0 ? 0 : (begin + bytes + 15) / 16;
  const Chunks chunks = chunksFor(items, processors(context));
  return launch(context, fillKernel, {chunks.blocks, kElementThreads}, static_cast<uint8_t*>(args.y), bytes,
                pattern, items, chunks.span);
}

template <typename To, typename From>
ANNEAL_DEVICE To convert(From x) {
  constexpr bool kFromFloat = std::is_same_v<From, float> || std::is_same_v<From, bf16>;
  if constexpr (std::is_same_v<To, uint8_t>) {
    if constexpr (kFromFloat)
      return toFloat(x) != 0.0f;
    else
      return x != 0;
  } else if constexpr (std::is_same_v<To, int32_t>) {
    if constexpr (kFromFloat)
      return static_cast<int32_t>(toFloat(x));
    else
      return x;
  } else {
    if constexpr (kFromFloat)
      return fromFloat<To>(toFloat(x));
    else
      return fromFloat<To>(static_cast<float>(x));
  }
}

template <typename A, typename B>
constexpr int kLanesOfBoth = 16 / static_cast<int>(sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));

// Floor: bytes of x and y.
template <typename To, typename From>
__global__ void __launch_bounds__(kElementThreads)
    castKernel(const From* x, To* y, int64_t n, bool aligned, int64_t span) {
  constexpr int kN = kLanesOfBoth<To, From>;
  pipeline((n + kN - 1) / kN, span, [=](int64_t i) { return readPack<kN>(x, i, n, aligned); },
           [=](int64_t i, const Pack<From, kN>& values) {
             Pack<To, kN> out;
#pragma unroll
             for (int l = 0; l < kN; ++l) out.set(l, convert<To>(values.get(l)));
             writePack<kN>(y, i, out, n, aligned);
           });
}

template <typename To, typename From>
int castTo(KernelContext* context, const CastArgs& args) {
  if constexpr (std::is_same_v<To, From> && !std::is_same_v<To, uint8_t>) {
    if (args.x == args.y || args.n == 0) return 0;
    return copyBytes(context, args.y, args.x, static_cast<size_t>(args.n) * sizeof(To));
  } else {
    constexpr int kN = kLanesOfBoth<To, From>;
    const Chunks chunks = chunksFor((args.n + kN - 1) / kN, processors(context));
    const bool aligned = alignedTo(args.x, kN * sizeof(From)) && alignedTo(args.y, kN * sizeof(To));
    return launch(context, castKernel<To, From>, {chunks.blocks, kElementThreads},
                  static_cast<const From*>(args.x), static_cast<To*>(args.y), args.n, aligned, chunks.span);
  }
}

template <typename From>
int castFrom(KernelContext* context, const CastArgs& args) {
  switch (args.to) {
    case kF32:
      return castTo<float, From>(context, args);
    case kBF16:
      return castTo<bf16, From>(context, args);
    case kI32:
      return castTo<int32_t, From>(context, args);
    case kU8:
      return castTo<uint8_t, From>(context, args);
    default:
      return fail(context, "cast: cannot convert to %s; expected f32, bf16, i32 or u8", dtypeName(args.to));
  }
}

int cast(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const CastArgs*>(raw);
  switch (args.from) {
    case kF32:
      return castFrom<float>(context, args);
    case kBF16:
      return castFrom<bf16>(context, args);
    case kI32:
      return castFrom<int32_t>(context, args);
    case kU8:
      return castFrom<uint8_t>(context, args);
    default:
      return fail(context, "cast: cannot convert from %s; expected f32, bf16, i32 or u8",
                  dtypeName(args.from));
  }
}

// Floor: bytes of x, of y written, and of y read unless beta is 0.
template <typename X, typename Y>
__global__ void __launch_bounds__(kElementThreads)
    axpyKernel(const X* x, const float* scale, Y* y, int64_t n, float alpha, float beta, bool aligned,
               int64_t span) {
  constexpr int kN = kLanesOfBoth<X, Y>;
  struct Pair {
    Pack<X, kN> x;
    Pack<Y, kN> y;
  };
  const float factor = scale == nullptr ? alpha : alpha * *scale;
  pipeline((n + kN - 1) / kN, span,
           [=](int64_t i) {
             Pair pair{readPack<kN>(x, i, n, aligned), {}};
             if (beta != 0.0f) pair.y = readPack<kN>(static_cast<const Y*>(y), i, n, aligned);
             return pair;
           },
           [=](int64_t i, const Pair& pair) {
             float from[kN], to[kN];
             numbers(pair.x, from);
             numbers(pair.y, to);
#pragma unroll
             for (int l = 0; l < kN; ++l)
               to[l] = beta == 0.0f ? factor * from[l] : beta * to[l] + factor * from[l];
             writePack<kN>(y, i, packOf<Y>(to), n, aligned);
           });
}

template <typename X, typename Y>
int axpyOf(KernelContext* context, const AxpyArgs& args) {
  constexpr int kN = kLanesOfBoth<X, Y>;
  const Chunks chunks = chunksFor((args.n + kN - 1) / kN, processors(context));
  const bool aligned = alignedTo(args.x, kN * sizeof(X)) && alignedTo(args.y, kN * sizeof(Y));
  return launch(context, axpyKernel<X, Y>, {chunks.blocks, kElementThreads}, static_cast<const X*>(args.x),
                static_cast<const float*>(args.scale), static_cast<Y*>(args.y), args.n,
                static_cast<float>(args.alpha), static_cast<float>(args.beta), aligned, chunks.span);
}

int axpy(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const AxpyArgs*>(raw);
  if (args.xDtype == kF32 && args.yDtype == kF32) return axpyOf<float, float>(context, args);
  if (args.xDtype == kF32 && args.yDtype == kBF16) return axpyOf<float, bf16>(context, args);
  if (args.xDtype == kBF16 && args.yDtype == kF32) return axpyOf<bf16, float>(context, args);
  if (args.xDtype == kBF16 && args.yDtype == kBF16) return axpyOf<bf16, bf16>(context, args);
  return fail(context, "axpy: expected f32 or bf16, got x %s and y %s", dtypeName(args.xDtype),
              dtypeName(args.yDtype));
}

template <typename Word>
struct WhereOperands {
  const uint8_t* condition;
  const Word* a;
  const Word* b;
  Word* out;
  Access conditionAccess, aAccess, bAccess, outAccess;
};

// Floor: bytes of the condition, a, b and out, each element of the inputs once. Operands in the order of
// Walk: condition, a, b; out is contiguous.
template <typename Word, int N>
__global__ void __launch_bounds__(kElementThreads)
    whereKernel(const __grid_constant__ WhereOperands<Word> x, const __grid_constant__ Walk<3> walk,
                int64_t span) {
  struct Inputs {
    Pack<uint8_t, N> condition;
    Pack<Word, N> a, b;
  };
  pipeline(
      walk.items, span,
      [&](int64_t item) {
        const Places<3> places = placesOf(walk, item);
        const int64_t valid = validLanes<N>(walk, item);
        return Inputs{readPack<N>(x.condition + places.at[0], x.conditionAccess, walk.step[0], valid),
                      readPack<N>(x.a + places.at[1], x.aAccess, walk.step[1], valid),
                      readPack<N>(x.b + places.at[2], x.bAccess, walk.step[2], valid)};
      },
      [&](int64_t item, const Inputs& inputs) {
        Pack<Word, N> out;
#pragma unroll
        for (int l = 0; l < N; ++l)
          out.set(l, inputs.condition.get(l) != 0 ? inputs.a.get(l) : inputs.b.get(l));
        writePack<N>(x.out + item * N, out, x.outAccess, 1, validLanes<N>(walk, item));
      });
}

template <typename Word, int N>
int launchWhere(KernelContext* context, const WhereArgs& args, const Loops<3>& loops) {
  const Walk<3> walk = walkOf(loops, N);
  const Chunks chunks = chunksFor(walk.items, processors(context));
  const WhereOperands<Word> operands{
      static_cast<const uint8_t*>(args.condition),
      static_cast<const Word*>(args.a),
      static_cast<const Word*>(args.b),
      static_cast<Word*>(args.out),
      accessOf(loops, 0, args.condition, 1, N),
      accessOf(loops, 1, args.a, sizeof(Word), N),
      accessOf(loops, 2, args.b, sizeof(Word), N),
      alignedTo(args.out, sizeof(Word) * N) ? Access::kWhole : Access::kStepped};
  return launch(context, whereKernel<Word, N>, {chunks.blocks, kElementThreads}, operands, walk, chunks.span);
}

template <typename Word>
int whereOf(KernelContext* context, const WhereArgs& args, const Loops<3>& loops) {
  if (splitsInto(loops, kLanes16<Word>) && alignedTo(args.out, 16))
    return launchWhere<Word, kLanes16<Word>>(context, args, loops);
  return launchWhere<Word, 1>(context, args, loops);
}

int where(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const WhereArgs*>(raw);
  if (args.ndim < 0 || args.ndim > kMaxDims) return failDims(context, "where", args.ndim);
  const Loops<3> loops =
      joinLoops<3>(args.ndim, args.shape, {args.conditionStride, args.aStride, args.bStride});
  switch (dtypeSize(args.dtype)) {
    case 1:
      return whereOf<uint8_t>(context, args, loops);
    case 2:
      return whereOf<uint16_t>(context, args, loops);
    case 4:
      return whereOf<uint32_t>(context, args, loops);
    case 8:
      return whereOf<uint64_t>(context, args, loops);
    default:
      return fail(context, "where: unknown dtype %lld", static_cast<long long>(args.dtype));
  }
}

}  // namespace

void registerElementwise(Backend& table) {
  table.kernels[kKernel_fill] = fill;
  table.kernels[kKernel_cast] = cast;
  table.kernels[kKernel_axpy] = axpy;
  table.kernels[kKernel_where] = where;
}

}  // namespace anneal::cuda
