// random.cc — random numbers and dropout. Element i depends on (seed, offset, i) alone, so that threads draw
// their parts independently.
#include <type_traits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/random_lanes.h"
#include "cpu/vec_math_double.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

static_assert(kRandomWords == kElementBlock,
              "a thread's range starts at a multiple of what one call of philoxWords gives");

// Calls body(first element, words, count) for consecutive groups of 64 elements.
template <typename Body>
void forEachGroup(int64_t n, int64_t seed, int64_t offset, int64_t cost, const Body& body) {
  parallelElements(n, cost, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[kRandomWords];
    for (int64_t i = begin; i < end; i += kRandomWords) {
      philoxWords(static_cast<uint64_t>(seed), static_cast<uint64_t>(i) / 4, static_cast<uint64_t>(offset),
                  words);
      body(i, words, end - i < kRandomWords ? end - i : kRandomWords);
    }
  });
}

ANNEAL_INLINE double uniformOf(uint32_t word) {
  return static_cast<double>(static_cast<int32_t>(word >> 8)) * 0x1p-24;
}

// 64 normal numbers, two from each pair of words.
void boxMuller(const uint32_t* words, double* z) {
#pragma omp simd
  for (int64_t pair = 0; pair < kRandomWords / 2; ++pair) {
    const double u1 = 1.0 - uniformOf(words[2 * pair]);
    const double radius = __builtin_sqrt(-2.0 * vlogDouble(u1));
    double sine, cosine;
    vsinCosTurns(uniformOf(words[2 * pair + 1]), sine, cosine);
    z[2 * pair] = radius * cosine;
    z[2 * pair + 1] = radius * sine;
  }
}

template <typename T>
ANNEAL_INLINE T numberAs(double x) {
  if constexpr (sizeof(T) == 2 || std::is_same_v<T, float>)
    return fromFloat<T>(static_cast<float>(x));
  else
    return static_cast<T>(x);
}

template <typename T>
int randomOf(KernelContext* context, const RandomArgs& args) {
  T* out = static_cast<T*>(args.out);
  const double p0 = args.p0, p1 = args.p1;
  switch (args.kind) {
    case kRandomUniform:
      forEachGroup(args.n, args.seed, args.offset, 8,
                   [=](int64_t first, const uint32_t* words, int64_t count) {
#pragma omp simd
                     for (int64_t i = 0; i < count; ++i)
                       out[first + i] = numberAs<T>(p0 + (p1 - p0) * uniformOf(words[i]));
                   });
      return 0;
    case kRandomNormal:
    case kRandomTruncatedNormal: {
      const double limit = args.kind == kRandomNormal ? 1e9 : 3.0;
      forEachGroup(args.n, args.seed, args.offset, 32,
                   [=](int64_t first, const uint32_t* words, int64_t count) {
                     alignas(64) double z[kRandomWords];
                     boxMuller(words, z);
#pragma omp simd
                     for (int64_t i = 0; i < count; ++i) {
                       const double clipped = z[i] < -limit ? -limit : (z[i] > limit ? limit : z[i]);
                       out[first + i] = numberAs<T>(p0 + p1 * clipped);
                     }
                   });
      return 0;
    }
    case kRandomBernoulli:
      forEachGroup(args.n, args.seed, args.offset, 8,
                   [=](int64_t first, const uint32_t* words, int64_t count) {
#pragma omp simd
                     for (int64_t i = 0; i < count; ++i)
                       out[first + i] = numberAs<T>(uniformOf(words[i]) < p0 ? 1.0 : 0.0);
                   });
      return 0;
    default:
      return fail(context, "random: unknown distribution %lld", static_cast<long long>(args.kind));
  }
}

int random(KernelContext* context, const void* raw) {
  const RandomArgs& args = *static_cast<const RandomArgs*>(raw);
  switch (args.dtype) {
    case kF32:
      return randomOf<float>(context, args);
    case kBF16:
      return randomOf<bf16>(context, args);
    case kI32:
      return randomOf<int32_t>(context, args);
    case kU8:
      return randomOf<uint8_t>(context, args);
    default:
      return fail(context, "random: expected f32, bf16, i32 or u8, got %s", dtypeName(args.dtype));
  }
}

template <typename T>
int dropoutOf(const DropoutArgs& args) {
  const T* x = static_cast<const T*>(args.x);
  T* y = static_cast<T*>(args.y);
  // uniform >= p as whole numbers of 24 bits: exact, and one comparison.
  const int32_t threshold = static_cast<int32_t>(__builtin_ceil(args.p * 0x1p24));
  const float scale = args.p < 1.0 ? static_cast<float>(1.0 / (1.0 - args.p)) : 0.0f;
  const int64_t before = args.counter == nullptr ? 0 : *static_cast<const int64_t*>(args.counter);
  const int64_t offset = args.offset + before;
  forEachGroup(args.n, args.seed, offset, 8, [=](int64_t first, const uint32_t* words, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      const float kept = toFloat(x[first + i]) * scale;
      y[first + i] = fromFloat<T>(static_cast<int32_t>(words[i] >> 8) >= threshold ? kept : 0.0f);
    }
  });
  return 0;
}

int dropout(KernelContext* context, const void* raw) {
  const DropoutArgs& args = *static_cast<const DropoutArgs*>(raw);
  if (!(args.p >= 0.0 && args.p <= 1.0)) return fail(context, "dropout: p must be in [0, 1], got %g", args.p);
  if (args.dtype == kF32) return dropoutOf<float>(args);
  if (args.dtype == kBF16) return dropoutOf<bf16>(args);
  return fail(context, "dropout: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerRandom(Backend& table) {
  table.kernels[kKernel_random] = random;
  table.kernels[kKernel_dropout] = dropout;
}

ANNEAL_CPU_NAMESPACE_END
