// rope.cc — the rotary position embedding, forward and inverse, in halves and interleaved layouts.
#include <cstring>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

// One head: pair j is read at (x[j·inStep], x[j·inStep + inGap]) and written likewise; for halves the step is
// 1 and the gap `half`, interleaved the step is 2 and the gap 1. x may be y when both layouts are the same.
template <typename T, int kInStep, int kOutStep>
void rotateHead(const T* x, T* y, const float* cos, const float* sin, float sign, int64_t half) {
  const int64_t inGap = kInStep == 1 ? half : 1, outGap = kOutStep == 1 ? half : 1;
#pragma omp simd
  for (int64_t j = 0; j < half; ++j) {
    const float a = toFloat(x[j * kInStep]), b = toFloat(x[j * kInStep + inGap]);
    const float c = cos[j], s = sign * sin[j];
    y[j * kOutStep] = fromFloat<T>(a * c - b * s);
    y[j * kOutStep + outGap] = fromFloat<T>(b * c + a * s);
  }
}

template <typename T, int kInStep, int kOutStep>
void rotate(const RopeArgs& args) {
  const int32_t* positions = static_cast<const int32_t*>(args.positions);
  const int64_t half = args.rotary / 2, rotary = half * 2, after = args.offset + rotary;
  const float sign = args.inverse != 0 ? -1.0f : 1.0f;
  const bool inPlace = args.x == args.y;
  parallelFor(args.tokens, 2 * args.heads * args.headSize, [&](int64_t begin, int64_t end) {
    // Layouts that differ exchange channels, so that in place the head is first copied aside.
    T* copy = nullptr;
    if (inPlace && kInStep != kOutStep)
      copy = static_cast<T*>(threadScratch(0, static_cast<size_t>(rotary) * sizeof(T)));
    for (int64_t t = begin; t < end; ++t) {
      const float* cos = static_cast<const float*>(args.cos) + positions[t] * half;
      const float* sin = static_cast<const float*>(args.sin) + positions[t] * half;
      for (int64_t h = 0; h < args.heads; ++h) {
        const T* x = static_cast<const T*>(args.x) + t * args.xRow + h * args.xHead;
        T* y = static_cast<T*>(args.y) + t * args.yRow + h * args.yHead;
        if (!inPlace) {
          std::memcpy(y, x, static_cast<size_t>(args.offset) * sizeof(T));
          std::memcpy(y + after, x + after, static_cast<size_t>(args.headSize - after) * sizeof(T));
        }
        const T* source = x + args.offset;
        if (copy != nullptr) {
          std::memcpy(copy, source, static_cast<size_t>(rotary) * sizeof(T));
          source = copy;
        }
        rotateHead<T, kInStep, kOutStep>(source, y + args.offset, cos, sin, sign, half);
      }
    }
  });
}

template <typename T>
int rotateLayouts(const RopeArgs& args) {
  if (args.inputInterleaved != 0) {
    if (args.outputInterleaved != 0)
      rotate<T, 2, 2>(args);
    else
      rotate<T, 2, 1>(args);
  } else {
    if (args.outputInterleaved != 0)
      rotate<T, 1, 2>(args);
    else
      rotate<T, 1, 1>(args);
  }
  return 0;
}

int rope(KernelContext* context, const void* raw) {
  const RopeArgs& args = *static_cast<const RopeArgs*>(raw);
  if (args.rotary % 2 != 0 || args.rotary < 0 || args.offset < 0 ||
      args.offset + args.rotary > args.headSize) {
    return fail(context, "rope: channels %lld to %lld are no even range of a head of %lld",
                static_cast<long long>(args.offset), static_cast<long long>(args.offset + args.rotary),
                static_cast<long long>(args.headSize));
  }
  const int32_t* positions = static_cast<const int32_t*>(args.positions);
  for (int64_t t = 0; t < args.tokens; ++t) {
    if (positions[t] < 0 || positions[t] >= args.maxPositions) {
      return fail(context, "rope: position %d of token %lld is outside the table of %lld positions",
                  positions[t], static_cast<long long>(t), static_cast<long long>(args.maxPositions));
    }
  }
  if (args.dtype == kF32) return rotateLayouts<float>(args);
  if (args.dtype == kBF16) return rotateLayouts<bf16>(args);
  return fail(context, "rope: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerRope(Backend& table) { table.kernels[kKernel_rope] = rope; }

ANNEAL_CPU_NAMESPACE_END
