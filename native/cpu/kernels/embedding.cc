// embedding.cc — rows of a table by id, and the sum of gradients into those rows. Ids are checked before
// anything is written.
#include <cstring>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

// Position of the first id outside [0, vocab), or −1.
int64_t firstOutside(const int32_t* ids, int64_t tokens, int64_t vocab) {
  for (int64_t t = 0; t < tokens; ++t) {
    if (ids[t] < 0 || ids[t] >= vocab) return t;
  }
  return -1;
}

int failId(KernelContext* context, const char* kernel, const int32_t* ids, int64_t position, int64_t vocab) {
  return fail(context, "%s: id %d at position %lld is outside the vocabulary of %lld", kernel, ids[position],
              static_cast<long long>(position), static_cast<long long>(vocab));
}

int embeddingForward(KernelContext* context, const void* raw) {
  const EmbeddingForwardArgs& args = *static_cast<const EmbeddingForwardArgs*>(raw);
  if (args.dtype != kF32 && args.dtype != kBF16) {
    return fail(context, "embeddingForward: expected f32 or bf16, got %s", dtypeName(args.dtype));
  }
  const int32_t* ids = static_cast<const int32_t*>(args.ids);
  const int64_t bad = firstOutside(ids, args.tokens, args.vocab);
  if (bad >= 0) return failId(context, "embeddingForward", ids, bad, args.vocab);
  const size_t bytes = static_cast<size_t>(args.width) * dtypeSize(args.dtype);
  const char* weight = static_cast<const char*>(args.weight);
  char* out = static_cast<char*>(args.out);
  parallelFor(args.tokens, args.width, [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      std::memcpy(out + static_cast<size_t>(t) * bytes, weight + static_cast<size_t>(ids[t]) * bytes, bytes);
    }
  });
  return 0;
}

// A task owns some columns of the whole table, so that gradients of one id are added in the order of t.
template <typename T>
void addRows(const EmbeddingBackwardArgs& args) {
  const int32_t* ids = static_cast<const int32_t*>(args.ids);
  const T* dy = static_cast<const T*>(args.dy);
  float* dweight = static_cast<float*>(args.dweight);
  const int64_t width = args.width;
  if (args.accumulate == 0) {
    parallelElements(args.vocab * width, 1, [=](int64_t begin, int64_t end) {
      std::memset(dweight + begin, 0, static_cast<size_t>(end - begin) * sizeof(float));
    });
  }
  const int64_t groups = (width + kElementBlock - 1) / kElementBlock;
  parallelFor(groups, args.tokens * kElementBlock, [=](int64_t begin, int64_t end) {
    const int64_t from = begin * kElementBlock;
    const int64_t to = end * kElementBlock < width ? end * kElementBlock : width;
    for (int64_t t = 0; t < args.tokens; ++t) {
      float* row = dweight + ids[t] * width;
      const T* gradient = dy + t * width;
#pragma omp simd
      for (int64_t c = from; c < to; ++c) row[c] += toFloat(gradient[c]);
    }
  });
}

int embeddingBackward(KernelContext* context, const void* raw) {
  const EmbeddingBackwardArgs& args = *static_cast<const EmbeddingBackwardArgs*>(raw);
  if (args.dtype != kF32 && args.dtype != kBF16) {
    return fail(context, "embeddingBackward: expected f32 or bf16, got %s", dtypeName(args.dtype));
  }
  const int32_t* ids = static_cast<const int32_t*>(args.ids);
  const int64_t bad = firstOutside(ids, args.tokens, args.vocab);
  if (bad >= 0) return failId(context, "embeddingBackward", ids, bad, args.vocab);
  if (args.dtype == kF32)
    addRows<float>(args);
  else
    addRows<bf16>(args);
  return 0;
}

}  // namespace

void registerEmbedding(Backend& table) {
  table.kernels[kKernel_embeddingForward] = embeddingForward;
  table.kernels[kKernel_embeddingBackward] = embeddingBackward;
}

ANNEAL_CPU_NAMESPACE_END
