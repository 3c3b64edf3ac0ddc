// attention_backward_f32.cu — attentionBackward on the plain cores, f32 throughout: for f32 inputs, and for
// bf16 heads larger than the tensor-core tiles. As in attention_backward.cu, one kernel walks queries over
// keys for dq and one keys over queries for dk and dv; a block has up to 128 channels of them, and larger
// heads take several blocks.
#include "cuda/device/attention_plain.h"
#include "cuda/device/reduce.h"
#include "cuda/kernels/attention.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

constexpr int kRows = 64;

// What the rows of a tile belong to. It stays in shared memory, because the sums leave no registers for it.
template <typename T>
struct PlainTensors {
  PlainRows<T> queries, douts, keys, values;
};

// All threads of the block call it; two barriers.
template <typename T>
ANNEAL_DEVICE void keepTensors(PlainTensors<T>* rows, const BackwardParams<T>& p,
                               const AttentionSegment& segment, int head, int keyHead) {
  syncThreads();
  if (threadIdx.x == 0) {
    rows->queries = plainQueries(p.tensors, segment.queryBegin, head, segment.queries);
    rows->douts = plainOutputs(p.tensors, p.dout, segment.queryBegin, head, segment.queries);
    rows->keys = plainKeys(p.tensors, segment.keyBegin, keyHead, segment.keys);
    rows->values = plainValues(p.tensors, segment.keyBegin, keyHead, segment.keys);
  }
  syncThreads();
}

// P (what the mask hides is 0) and dS of a tile [64 queries, 64 keys]; `query` and `key` are its first. The
// products q·k wait in `weights`, each thread's at the places where keepWeights<kOverColumns> will put its
// results.
template <bool kOverColumns, typename T>
ANNEAL_DEVICE void differentiate(const BackwardParams<T>& p, const AttentionSegment& segment, int head,
                                 int query, int key, const PlainTensors<T>& rows, float* staging,
                                 float* weights, float (&probability)[4][4], float (&gradient)[4][4]) {
  const AttentionWork& work = p.work;
  plainScores(gradient, rows.queries, query, rows.keys, key, staging);
  keepWeights<kOverColumns>(weights, gradient);
  plainScores(gradient, rows.douts, query, rows.values, key, staging);
  const bool masked = needsMask(work, segment, query, kRows, key, kPlainKeys);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int t = query + 4 * plainY() + i;
    const int64_t at = head * work.tokensQ + segment.queryBegin + t;
    const bool live = t < segment.queries;
    const float log = live ? load<float>(p.lse + at) * kLog2e : kInfinity;
    const float delta = live ? load<float>(p.delta + at) : 0.0f;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float product = weights[weightAt<kOverColumns>(4 * plainY() + i, 4 * plainX() + j)];
      float damping = 1.0f, score = product * work.rule.factor;
      if (work.rule.mode == ScoreMode::kCapped) {
        const float bounded = tanhf(product * work.rule.inner);
        score = work.rule.outer * bounded;
        damping = 1.0f - bounded * bounded;
      } else if (work.rule.mode == ScoreMode::kNegative) {
        score = product * work.rule.inner;
      }
      const bool seen = !masked || seesKey(work, segment, t, key + 4 * plainX() + j);
      probability[i][j] = seen ? exp2Approx(score - log) : 0.0f;
      gradient[i][j] = probability[i][j] * damping * (gradient[i][j] - delta);
    }
  }
}

// Floor: 2·(2·qkDim + vDim) FLOPs for each query and key that it sees ÷ the FFMA rate, with heads of more
// than 128 channels 2·(qkDim + vDim) more for each further 128.
template <typename T, int kH>
__global__ void __launch_bounds__(kPlainThreads, 2)
    plainQueryGradientKernel(const __grid_constant__ BackwardParams<T> p) {
  const AttentionWork& work = p.work;
  AttentionPlace place;
  if (!findPlace<false>(work, blockIdx.x, kRows, place)) return;
  const AttentionSegment& segment = place.segment;
  const int head = place.unit, keyHead = keyHeadOf(work, head);
  const int first = (work.causal ? place.tiles - 1 - place.tile : place.tile) * kRows;
  const int last = first + kRows < segment.queries ? first + kRows : segment.queries;
  const AttentionRange range = keysSeen(work, segment, first, last);
  const int channel = static_cast<int>(blockIdx.y) * 64 * kH;

  float* staging = sharedArena<float>();
  float* weights = staging + kPlainStaging;
  auto* rows = reinterpret_cast<PlainTensors<T>*>(weights + kPlainWeights);
  keepTensors(rows, p, segment, head, keyHead);
  float dq[4][kH][4] = {};
#pragma unroll 1
  for (int key = range.first / kPlainKeys * kPlainKeys; key < range.last; key += kPlainKeys) {
    float probability[4][4], gradient[4][4];
    differentiate<true>(p, segment, head, first, key, *rows, staging, weights, probability, gradient);
    keepWeights<true>(weights, gradient);
    plainWeighted(dq, weights, rows->keys, key, channel, staging);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int query = first + 4 * plainY() + i;
    if (query >= segment.queries) continue;
    T* to = p.dq + (segment.queryBegin + query) * p.tensors.qRow + head * p.tensors.qHead;
#pragma unroll
    for (int h = 0; h < kH; ++h) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int c = channel + 64 * h + 4 * plainX() + j;
        if (c < p.tensors.qkDim) store(to + c, fromFloat<T>(p.scale * dq[i][h][j]));
      }
    }
  }
}

// Floor: 4·(qkDim + vDim) FLOPs for each query and key that it sees ÷ the FFMA rate, with heads of more than
// 128 channels 2·(qkDim + vDim) more for each further 128.
template <typename T, int kH>
__global__ void __launch_bounds__(kPlainThreads, sizeof(T) == 2 ? 1 : 2)
    plainKeyGradientKernel(const __grid_constant__ BackwardParams<T> p) {
  const AttentionWork& work = p.work;
  AttentionPlace place;
  if (!findPlace<true>(work, blockIdx.x, kPlainKeys, place)) return;
  const AttentionSegment& segment = place.segment;
  const int keyHead = place.unit, first = place.tile * kPlainKeys;
  const int last = first + kPlainKeys < segment.keys ? first + kPlainKeys : segment.keys;
  const AttentionRange range = queriesSeeing(work, segment, first, last);
  const HeadRange heads(keyHead, work.heads, work.kvHeads);
  const int channel = static_cast<int>(blockIdx.y) * 64 * kH;

  float* staging = sharedArena<float>();
  float* weightsP = staging + kPlainStaging;
  float* weightsS = weightsP + kPlainWeights;
  auto* rows = reinterpret_cast<PlainTensors<T>*>(weightsS + kPlainWeights);
  float dk[4][kH][4] = {}, dv[4][kH][4] = {};
#pragma unroll 1
  for (int head = heads.first; head < heads.last; ++head) {
    keepTensors(rows, p, segment, head, keyHead);
#pragma unroll 1
    for (int query = range.first / kRows * kRows; query < range.last; query += kRows) {
      float probability[4][4], gradient[4][4];
      differentiate<false>(p, segment, head, query, first, *rows, staging, weightsS, probability, gradient);
      keepWeights<false>(weightsP, probability);
      keepWeights<false>(weightsS, gradient);
      plainWeighted(dv, weightsP, rows->douts, query, channel, staging);
      plainWeighted(dk, weightsS, rows->queries, query, channel, staging);
    }
  }
  const int own = p.tensors.qkDim - p.tensors.sharedDim;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int key = first + 4 * plainY() + i;
    if (key >= segment.keys) continue;
    const int64_t row = segment.keyBegin + key;
    T* toK = p.dk + row * p.tensors.kRow + keyHead * p.tensors.kHead;
    T* toV = p.dv + row * p.tensors.vRow + keyHead * p.tensors.vHead;
    float* toShared = p.shared + ((keyHead - work.firstUnit) * work.tokensK + row) * p.tensors.sharedDim;
#pragma unroll
    for (int h = 0; h < kH; ++h) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int c = channel + 64 * h + 4 * plainX() + j;
        const float gradient = p.scale * dk[i][h][j];
        if (c < p.tensors.vDim) store(toV + c, fromFloat<T>(dv[i][h][j]));
        if (c < own) {
          store(toK + c, fromFloat<T>(gradient));
        } else if (c < p.tensors.qkDim && p.shared != nullptr) {
          toShared[c - own] = gradient;
        }
      }
    }
  }
}

template <typename T, int kH>
int launchQueries(KernelContext* context, BackwardParams<T> p) {
  const int64_t bytesPerToken = (p.tensors.qkDim + p.tensors.vDim) * int64_t{sizeof(T)};
  const int64_t blocks = attentionBlocks(context, p.work, false, kRows, bytesPerToken);
  if (blocks == 0) return 1;
  const dim3 grid(static_cast<unsigned>(blocks),
                  static_cast<unsigned>((p.tensors.qkDim + 64 * kH - 1) / (64 * kH)));
  constexpr size_t kBytes = (kPlainStaging + kPlainWeights) * sizeof(float) + sizeof(PlainTensors<T>);
  return launch(context, plainQueryGradientKernel<T, kH>, {grid, kPlainThreads, kBytes}, p);
}

template <typename T, int kH>
int launchKeys(KernelContext* context, BackwardParams<T> p) {
  const int64_t group = (p.work.heads + p.work.kvHeads - 1) / p.work.kvHeads;
  const int64_t bytesPerToken = group * (p.tensors.qkDim + p.tensors.vDim) * int64_t{sizeof(T)};
  const int64_t blocks = attentionBlocks(context, p.work, true, kPlainKeys, bytesPerToken);
  if (blocks == 0) return 1;
  const int most = p.tensors.qkDim > p.tensors.vDim ? p.tensors.qkDim : p.tensors.vDim;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>((most + 64 * kH - 1) / (64 * kH)));
  constexpr size_t kBytes = (kPlainStaging + 2 * kPlainWeights) * sizeof(float) + sizeof(PlainTensors<T>);
  return launch(context, plainKeyGradientKernel<T, kH>, {grid, kPlainThreads, kBytes}, p);
}

}  // namespace

template <typename T>
int launchAttentionQueryGradientPlain(KernelContext* context, const BackwardParams<T>& p) {
  if constexpr (sizeof(T) == 4) {
    if (p.tensors.qkDim <= 64) return launchQueries<T, 1>(context, p);
  }
  return launchQueries<T, 2>(context, p);
}
template <typename T>
int launchAttentionKeyGradientPlain(KernelContext* context, const BackwardParams<T>& p) {
  if constexpr (sizeof(T) == 4) {
    if (p.tensors.qkDim <= 64 && p.tensors.vDim <= 64) return launchKeys<T, 1>(context, p);
  }
  return launchKeys<T, 2>(context, p);
}

template int launchAttentionQueryGradientPlain(KernelContext*, const BackwardParams<float>&);
template int launchAttentionQueryGradientPlain(KernelContext*, const BackwardParams<bf16>&);
template int launchAttentionKeyGradientPlain(KernelContext*, const BackwardParams<float>&);
template int launchAttentionKeyGradientPlain(KernelContext*, const BackwardParams<bf16>&);

}  // namespace anneal::cuda
