// kernels.h — the kernel table: every kernel's name, argument struct and argument signature, in the order of
// ids.
//
// An Args struct consists of 8-byte words only, so that a call crosses the language border as a row of
// numbers:
//   t  pointer to device memory (JavaScript passes a tensor handle; handle 0 is a null pointer where the
//   struct says "or null") i  int64_t f  double
// The signature string spells those words in order, a number after a letter repeating it: "t2 i3" is two
// tensors and three integers. To add a kernel: declare its struct under kernels/, add it here, fill it in
// each backend, bind it in lib/native/kernels.ts, and write its oracle under tests/reference.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/kernels/activation.h"
#include "core/kernels/attention.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/embedding.h"
#include "core/kernels/loss.h"
#include "core/kernels/matmul.h"
#include "core/kernels/moe.h"
#include "core/kernels/norm.h"
#include "core/kernels/optimizer.h"
#include "core/kernels/random.h"
#include "core/kernels/reduce.h"
#include "core/kernels/rope.h"

namespace anneal {

// clang-format off
#define ANNEAL_KERNELS(X) \
  X(fill, FillArgs, "t i2 f") \
  X(cast, CastArgs, "t2 i3") \
  X(copyStrided, CopyStridedArgs, "t2 i23") \
  X(axpy, AxpyArgs, "t3 i3 f2") \
  X(unary, UnaryArgs, "t2 i3 f2") \
  X(unaryBackward, UnaryBackwardArgs, "t3 i3 f2") \
  X(binary, BinaryArgs, "t3 i21") \
  X(where, WhereArgs, "t4 i26") \
  X(reduce, ReduceArgs, "t2 i5") \
  X(cumsum, CumsumArgs, "t2 i5") \
  X(softmax, SoftmaxArgs, "t2 i4") \
  X(softmaxBackward, SoftmaxBackwardArgs, "t3 i4") \
  X(gather, GatherArgs, "t3 i5") \
  X(scatterAdd, ScatterAddArgs, "t3 i6") \
  X(random, RandomArgs, "t i5 f2") \
  X(dropout, DropoutArgs, "t3 i2 f i2") \
  X(sample, SampleArgs, "t3 i3 f i f2 i2") \
  X(embeddingForward, EmbeddingForwardArgs, "t3 i4") \
  X(embeddingBackward, EmbeddingBackwardArgs, "t3 i5") \
  X(rmsNormForward, RmsNormForwardArgs, "t6 i4 f") \
  X(rmsNormBackward, RmsNormBackwardArgs, "t7 i6") \
  X(layerNormForward, LayerNormForwardArgs, "t8 i3 f") \
  X(layerNormBackward, LayerNormBackwardArgs, "t9 i4") \
  X(rope, RopeArgs, "t5 i14") \
  X(gatedForward, GatedForwardArgs, "t3 i5") \
  X(gatedBackward, GatedBackwardArgs, "t5 i5") \
  X(attentionForward, AttentionForwardArgs, "t10 i19 f2 i3") \
  X(attentionBackward, AttentionBackwardArgs, "t13 i17 f2 i3") \
  X(matmul, MatmulArgs, "t4 i12 f2 i2") \
  X(groupedMatmul, GroupedMatmulArgs, "t4 i5 f i2") \
  X(linearCrossEntropy, LinearCrossEntropyArgs, "t8 i4 f6 i2") \
  X(tokenLogProbsForward, TokenLogProbsForwardArgs, "t6 i4 f i2") \
  X(tokenLogProbsBackward, TokenLogProbsBackwardArgs, "t9 i4 f2 i2") \
  X(routerForward, RouterForwardArgs, "t5 i8 f") \
  X(routerBackward, RouterBackwardArgs, "t4 i5 f") \
  X(balanceLossForward, BalanceLossForwardArgs, "t5 i6 f") \
  X(balanceLossBackward, BalanceLossBackwardArgs, "t4 i5 f") \
  X(moeSort, MoeSortArgs, "t7 i3") \
  X(moePermute, MoePermuteArgs, "t3 i4") \
  X(moeCombineForward, MoeCombineForwardArgs, "t5 i4") \
  X(moeCombineBackward, MoeCombineBackwardArgs, "t6 i4") \
  X(moeBiasUpdate, MoeBiasUpdateArgs, "t2 i f") \
  X(gradNorm, GradNormArgs, "t3 i f") \
  X(adamw, AdamWArgs, "t3 i f5 i3") \
  X(sgd, SgdArgs, "t3 i f4 i2")
// clang-format on

enum KernelId : uint32_t {
#define ANNEAL_ENUM(name, args, signature) kKernel_##name,
  ANNEAL_KERNELS(ANNEAL_ENUM)
#undef ANNEAL_ENUM
      kKernelCount
};

// Number of words that a signature spells.
constexpr size_t signatureLength(const char* signature) {
  size_t words = 0;
  for (size_t i = 0; signature[i] != 0;) {
    if (signature[i++] == ' ') continue;
    size_t repeat = 0;
    for (; signature[i] >= '0' && signature[i] <= '9'; ++i)
      repeat = repeat * 10 + static_cast<size_t>(signature[i] - '0');
    words += repeat == 0 ? 1 : repeat;
  }
  return words;
}

#define ANNEAL_CHECK(name, args, signature)                     \
  static_assert(sizeof(args) == 8 * signatureLength(signature), \
                "the signature of " #name " does not spell the words of " #args);
ANNEAL_KERNELS(ANNEAL_CHECK)
#undef ANNEAL_CHECK

// The longest Args struct, in words; a queued command reserves this much.
constexpr size_t kMaxArgWords = 40;
#define ANNEAL_CHECK(name, args, signature) static_assert(signatureLength(signature) <= kMaxArgWords);
ANNEAL_KERNELS(ANNEAL_CHECK)
#undef ANNEAL_CHECK

}  // namespace anneal
