// attention.h — what the files of the attention family call of each other; argument checks are
// attention.cu's.
#pragma once

#include "core/backend.h"
#include "cuda/device/attention_work.h"
#include "cuda/device_state.h"
#include "cuda/ptx/bf16.h"

namespace anneal::cuda {

template <typename T>
struct ForwardParams {
  AttentionTensors<T> tensors;
  AttentionWork work;
  FaultReporter faults;
  T* o;
  float* lse;  // [heads, tokensQ] or null
  // Keys cut into parts: their results [splits, heads, tokensQ, vDim], normalised, and base-2 logs of their
  // sums [splits, heads, tokensQ], −∞ for a part without keys. Null with one part.
  float* partial;
  float* partialLog;
  int splits;
};

template <typename T>
struct BackwardParams {
  AttentionTensors<T> tensors;
  AttentionWork work;
  const T* dout;
  const float* lse;    // [heads, tokensQ]
  const float* delta;  // [heads, tokensQ]: Σ dout·o
  T* dq;
  T* dk;
  T* dv;
  float*
      shared;  // [key heads of this launch, tokensK, sharedDim], the gradient of the shared channels; or null
  float scale;
};

// The tensor-core kernels of the head sizes that `tile` names.
int launchAttentionForward(KernelContext* context, const ForwardParams<bf16>& p, HeadTile tile);
int launchAttentionQueryGradient(KernelContext* context, const BackwardParams<bf16>& p, HeadTile tile);
int launchAttentionKeyGradient(KernelContext* context, const BackwardParams<bf16>& p, HeadTile tile);

// Decoding with tensor cores, as `plan` says; p.splits parts of the keys.
int launchAttentionDecode(KernelContext* context, const ForwardParams<bf16>& p, const DecodePlan& plan,
                          bool sharesValues);
// Puts the parts of the keys together.
template <typename T>
int launchAttentionCombine(KernelContext* context, const ForwardParams<T>& p);

// delta [heads, tokensQ] = Σ dout·o.
template <typename T>
int launchAttentionDelta(KernelContext* context, const BackwardParams<T>& p, const T* o, float* delta);
// Adds up p.shared over the p.work.units key heads of a pass; `sums` carries on between passes, `out` is the
// gradient of the shared channels with p.tensors.sharedRow.
template <typename T>
int launchAttentionSharedSum(KernelContext* context, const BackwardParams<T>& p, float* sums, T* out,
                             bool isFirst, bool isLast);

// Any head size, on the plain cores with f32 products. packed: a tile holds the queries of all heads that
// share a key head, work.rowsPerToken of them a token.
template <typename T>
int launchAttentionForwardPlain(KernelContext* context, const ForwardParams<T>& p, bool packed);
template <typename T>
int launchAttentionQueryGradientPlain(KernelContext* context, const BackwardParams<T>& p);
template <typename T>
int launchAttentionKeyGradientPlain(KernelContext* context, const BackwardParams<T>& p);

// Fills work.slots for tiles of `rows` queries (ofKeys: keys) and gives the launch's number of blocks, 0 with
// an error where the grid does not hold them.
int64_t attentionBlocks(KernelContext* context, AttentionWork& work, bool ofKeys, int rows,
                        int64_t bytesPerToken);

}  // namespace anneal::cuda
