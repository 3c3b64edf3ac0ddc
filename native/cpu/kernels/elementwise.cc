// elementwise.cc — fill, cast, axpy, and the broadcasting kernels binary and where. copyStrided is in
// copy.cc.
#include <type_traits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/strides.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

template <typename T>
void fillWith(void* y, int64_t n, T value) {
  T* out = static_cast<T*>(y);
  parallelElements(n, 1, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) out[i] = value;
  });
}

int fill(KernelContext* context, const void* raw) {
  const FillArgs& args = *static_cast<const FillArgs*>(raw);
  switch (args.dtype) {
    case kF32:
      fillWith(args.y, args.n, static_cast<float>(args.value));
      return 0;
    case kBF16:
      fillWith(args.y, args.n, roundToBf16(static_cast<float>(args.value)));
      return 0;
    case kI32:
      fillWith(args.y, args.n, static_cast<int32_t>(args.value));
      return 0;
    case kU8:
      fillWith(args.y, args.n, static_cast<uint8_t>(args.value));
      return 0;
    case kI64:
      fillWith(args.y, args.n, static_cast<int64_t>(args.value));
      return 0;
    default:
      return fail(context, "fill: unknown dtype %lld", static_cast<long long>(args.dtype));
  }
}

template <typename To, typename From>
ANNEAL_INLINE To convert(From x) {
  constexpr bool kFromFloat = std::is_same_v<From, float> || std::is_same_v<From, bf16>;
  if constexpr (std::is_same_v<To, uint8_t>) {
    if constexpr (kFromFloat)
      return toFloat(x) != 0.0f;
    else
      return x != 0;
  } else if constexpr (std::is_same_v<To, From>) {
    return x;
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

template <typename To, typename From>
void castTo(const CastArgs& args) {
  const From* x = static_cast<const From*>(args.x);
  To* y = static_cast<To*>(args.y);
  parallelElements(args.n, 1, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) y[i] = convert<To>(x[i]);
  });
}

template <typename From>
int castFrom(KernelContext* context, const CastArgs& args) {
  switch (args.to) {
    case kF32:
      castTo<float, From>(args);
      return 0;
    case kBF16:
      castTo<bf16, From>(args);
      return 0;
    case kI32:
      castTo<int32_t, From>(args);
      return 0;
    case kU8:
      castTo<uint8_t, From>(args);
      return 0;
    default:
      return fail(context, "cast: cannot convert to %s; expected f32, bf16, i32 or u8", dtypeName(args.to));
  }
}

int cast(KernelContext* context, const void* raw) {
  const CastArgs& args = *static_cast<const CastArgs*>(raw);
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

template <typename X, typename Y>
void axpyOf(const AxpyArgs& args) {
  const X* x = static_cast<const X*>(args.x);
  Y* y = static_cast<Y*>(args.y);
  const float scale = args.scale == nullptr ? 1.0f : *static_cast<const float*>(args.scale);
  const float alpha = static_cast<float>(args.alpha) * scale, beta = static_cast<float>(args.beta);
  parallelElements(args.n, 1, [=](int64_t begin, int64_t end) {
    if (beta == 0.0f) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) y[i] = fromFloat<Y>(alpha * toFloat(x[i]));
    } else {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) y[i] = fromFloat<Y>(beta * toFloat(y[i]) + alpha * toFloat(x[i]));
    }
  });
}

int axpy(KernelContext* context, const void* raw) {
  const AxpyArgs& args = *static_cast<const AxpyArgs*>(raw);
  if (args.xDtype == kF32 && args.yDtype == kF32)
    axpyOf<float, float>(args);
  else if (args.xDtype == kF32 && args.yDtype == kBF16)
    axpyOf<float, bf16>(args);
  else if (args.xDtype == kBF16 && args.yDtype == kF32)
    axpyOf<bf16, float>(args);
  else if (args.xDtype == kBF16 && args.yDtype == kBF16)
    axpyOf<bf16, bf16>(args);
  else {
    return fail(context, "axpy: expected f32 or bf16, got x %s and y %s", dtypeName(args.xDtype),
                dtypeName(args.yDtype));
  }
  return 0;
}

// out = condition ? a : b along one row; a stride of 0 is a constant that the compiler keeps in a register.
template <typename Word>
void chooseRow(const uint8_t* condition, int64_t conditionStride, const Word* a, int64_t aStride,
               const Word* b, int64_t bStride, Word* out, int64_t n) {
  if (conditionStride == 1 && aStride == 1 && bStride == 1) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Word x = a[i], y = b[i];
      out[i] = condition[i] != 0 ? x : y;
    }
  } else if (conditionStride == 1 && aStride == 1 && bStride == 0) {
    const Word y = *b;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Word x = a[i];
      out[i] = condition[i] != 0 ? x : y;
    }
  } else if (conditionStride == 1 && aStride == 0 && bStride == 1) {
    const Word x = *a;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Word y = b[i];
      out[i] = condition[i] != 0 ? x : y;
    }
  } else {
    for (int64_t i = 0; i < n; ++i)
      out[i] = condition[i * conditionStride] != 0 ? a[i * aStride] : b[i * bStride];
  }
}

template <typename Word>
void chooseAll(const WhereArgs& args, const Loops<3>& loops) {
  const uint8_t* condition = static_cast<const uint8_t*>(args.condition);
  const Word* a = static_cast<const Word*>(args.a);
  const Word* b = static_cast<const Word*>(args.b);
  Word* out = static_cast<Word*>(args.out);
  forEachRow(loops, 2, [&](const int64_t* at, int64_t outAt, int64_t n) {
    chooseRow(condition + at[0], loops.innerStride(0), a + at[1], loops.innerStride(1), b + at[2],
              loops.innerStride(2), out + outAt, n);
  });
}

int where(KernelContext* context, const void* raw) {
  const WhereArgs& args = *static_cast<const WhereArgs*>(raw);
  if (args.ndim < 0 || args.ndim > kMaxDims) return failDims(context, "where", args.ndim);
  const int64_t* strides[3] = {args.conditionStride, args.aStride, args.bStride};
  const Loops<3> loops(args.ndim, args.shape, strides);
  switch (dtypeSize(args.dtype)) {
    case 1:
      chooseAll<uint8_t>(args, loops);
      return 0;
    case 2:
      chooseAll<uint16_t>(args, loops);
      return 0;
    case 4:
      chooseAll<uint32_t>(args, loops);
      return 0;
    case 8:
      chooseAll<uint64_t>(args, loops);
      return 0;
    default:
      return fail(context, "where: unknown dtype %lld", static_cast<long long>(args.dtype));
  }
}

}  // namespace

int binary(KernelContext* context, const void* raw);
int copyStrided(KernelContext* context, const void* raw);

void registerElementwise(Backend& table) {
  table.kernels[kKernel_fill] = fill;
  table.kernels[kKernel_cast] = cast;
  table.kernels[kKernel_axpy] = axpy;
  table.kernels[kKernel_where] = where;
  table.kernels[kKernel_binary] = binary;
  table.kernels[kKernel_copyStrided] = copyStrided;
}

ANNEAL_CPU_NAMESPACE_END
