// random.cu — random numbers and dropout. Element i depends on (seed, offset, i) alone: a thread draws a
// block of four words for each four of its elements.
#include <cmath>

#include "core/philox.h"
#include "cuda/device/elements.h"
#include "cuda/device_state.h"
#include "cuda/host/elements.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/math.h"

namespace anneal::cuda {
namespace {

constexpr int kWords = 4;  // of a Philox block

// What a kernel draws from: key and the second half of the counter.
struct Stream {
  uint64_t seed, offset;
};

ANNEAL_DEVICE double uniformOf(uint32_t word) {
  return static_cast<double>(static_cast<int32_t>(word >> 8)) * 0x1p-24;
}

// Two normal numbers from two words.
ANNEAL_DEVICE void boxMuller(const uint32_t* word, double* z) {
  const double radius = sqrt(-2.0 * log(1.0 - uniformOf(word[0])));
  double sine, cosine;
  sinCosTurns(uniformOf(word[1]), sine, cosine);
  z[0] = radius * cosine;
  z[1] = radius * sine;
}

struct Distribution {
  int64_t kind;
  double p0, p1;
};

// The four numbers of a block. Parameters are applied in double precision, the store rounds once.
ANNEAL_DEVICE void draw(const Distribution& from, const PhiloxBlock& block, double (&x)[kWords]) {
  if (from.kind == kRandomNormal || from.kind == kRandomTruncatedNormal) {
    const double limit = from.kind == kRandomNormal ? 1e9 : 3.0;
    boxMuller(block.word, x);
    boxMuller(block.word + 2, x + 2);
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const double clipped = x[i] < -limit ? -limit : (x[i] > limit ? limit : x[i]);
      x[i] = from.p0 + from.p1 * clipped;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    const double u = uniformOf(block.word[i]);
    x[i] = from.kind == kRandomUniform ? from.p0 + (from.p1 - from.p0) * u : (u < from.p0 ? 1.0 : 0.0);
  }
}

template <typename T>
ANNEAL_DEVICE void storeNumbers(void* out, int64_t index, const double (&x)[kWords], int64_t n,
                                bool aligned) {
  T values[kWords];
#pragma unroll
  for (int i = 0; i < kWords; ++i) values[i] = static_cast<T>(x[i]);
  writePack<kWords>(static_cast<T*>(out), index, packOf<T>(values), n, aligned);
}

// Floor: bytes of the output; for normal numbers about 50 operations in double precision each. One kernel for
// every dtype: what differs is the last conversion.
__global__ void __launch_bounds__(kElementThreads)
    randomKernel(void* out, int64_t n, int dtype, Stream stream, Distribution from, bool aligned,
                 int64_t span) {
  pipeline((n + kWords - 1) / kWords, span, [](int64_t) { return 0; },
           [&](int64_t index, int) {
             double x[kWords];
             draw(from, philox(stream.seed, static_cast<uint64_t>(index), stream.offset), x);
             if (dtype == kI32) return storeNumbers<int32_t>(out, index, x, n, aligned);
             if (dtype == kU8) return storeNumbers<uint8_t>(out, index, x, n, aligned);
             if (dtype == kF32) return storeNumbers<float>(out, index, x, n, aligned);
             float rounded[kWords];
#pragma unroll
             for (int i = 0; i < kWords; ++i) rounded[i] = static_cast<float>(x[i]);
             writePack<kWords>(static_cast<bf16*>(out), index, packOf<bf16>(rounded), n, aligned);
           });
}

int random(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const RandomArgs*>(raw);
  if (args.dtype != kF32 && args.dtype != kBF16 && args.dtype != kI32 && args.dtype != kU8)
    return fail(context, "random: expected f32, bf16, i32 or u8, got %s", dtypeName(args.dtype));
  if (args.kind < kRandomUniform || args.kind > kRandomTruncatedNormal)
    return fail(context, "random: unknown distribution %lld", static_cast<long long>(args.kind));
  const Chunks chunks = chunksFor((args.n + kWords - 1) / kWords, processors(context));
  const Stream stream{static_cast<uint64_t>(args.seed), static_cast<uint64_t>(args.offset)};
  return launch(context, randomKernel, {chunks.blocks, kElementThreads}, args.out, args.n,
                static_cast<int>(args.dtype), stream, Distribution{args.kind, args.p0, args.p1},
                alignedTo(args.out, kWords * static_cast<int64_t>(dtypeSize(args.dtype))), chunks.span);
}

// Floor: bytes of x and y. An element is kept where the upper 24 bits of its word reach the threshold:
// uniform >= p as whole numbers, exact.
template <typename T>
__global__ void __launch_bounds__(kElementThreads)
    dropoutKernel(const T* x, T* y, int64_t n, Stream stream, const int64_t* counter, uint32_t threshold,
                  float scale, bool aligned, int64_t span) {
  constexpr int kN = kLanes16<T>;
  if (counter != nullptr) stream.offset += static_cast<uint64_t>(*counter);
  pipeline((n + kN - 1) / kN, span, [=](int64_t i) { return readPack<kN>(x, i, n, aligned); },
           [=](int64_t i, const Pack<T, kN>& pack) {
             float v[kN];
             numbers(pack, v);
#pragma unroll
             for (int b = 0; b < kN / kWords; ++b) {
               const auto number = static_cast<uint64_t>(i * (kN / kWords) + b);
               const PhiloxBlock block = philox(stream.seed, number, stream.offset);
#pragma unroll
               for (int w = 0; w < kWords; ++w) {
                 float& value = v[b * kWords + w];
                 value = block.word[w] >> 8 >= threshold ? value * scale : 0.0f;
               }
             }
             writePack<kN>(y, i, packOf<T>(v), n, aligned);
           });
}

template <typename T>
int dropoutOf(KernelContext* context, const DropoutArgs& args) {
  const auto threshold = static_cast<uint32_t>(std::ceil(args.p * 0x1p24));
  const float scale = args.p < 1.0 ? static_cast<float>(1.0 / (1.0 - args.p)) : 0.0f;
  const Chunks chunks = chunksFor((args.n + kLanes16<T> - 1) / kLanes16<T>, processors(context));
  const Stream stream{static_cast<uint64_t>(args.seed), static_cast<uint64_t>(args.offset)};
  return launch(context, dropoutKernel<T>, {chunks.blocks, kElementThreads}, static_cast<const T*>(args.x),
                static_cast<T*>(args.y), args.n, stream, static_cast<const int64_t*>(args.counter), threshold,
                scale, alignedTo(args.x, 16) && alignedTo(args.y, 16), chunks.span);
}

int dropout(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const DropoutArgs*>(raw);
  if (!(args.p >= 0.0 && args.p <= 1.0)) return fail(context, "dropout: p must be in [0, 1], got %g", args.p);
  if (args.dtype == kF32) return dropoutOf<float>(context, args);
  if (args.dtype == kBF16) return dropoutOf<bf16>(context, args);
  return fail(context, "dropout: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerRandom(Backend& table) {
  table.kernels[kKernel_random] = random;
  table.kernels[kKernel_dropout] = dropout;
}

}  // namespace anneal::cuda
