// attention_forward_f32.cu — attentionForward on the plain cores: f32 inputs, whose products and sums are f32
// throughout, and bf16 heads larger than the tensor-core tiles. Online softmax over tiles of 64 keys; a block
// computes up to 128 channels of the output, and larger values take several blocks.
#include "cuda/device/attention_pages.h"
#include "cuda/device/attention_plain.h"
#include "cuda/device/reduce.h"
#include "cuda/kernels/attention.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

// Floor: 2·(qkDim + vDim) FLOPs for each query and key that it sees ÷ the FFMA rate (67 TFLOP/s on an H200;
// values of more than 128 channels compute the scores anew for each 128); with few rows (kR = 1) the bytes of
// the keys and values. Tiles of 16·kR rows and 64·kH channels of the output; blockIdx.y: the channels,
// blockIdx.z: the part of the keys.
template <typename T, int kR, int kH>
__global__ void __launch_bounds__(kPlainThreads, 2)
    plainForwardKernel(const __grid_constant__ ForwardParams<T> p, bool packed) {
  constexpr int kRows = 16 * kR;
  const AttentionWork& work = p.work;
  AttentionPlace place;
  if (!findPlace<false>(work, blockIdx.x, kRows, place)) return;
  checkPages(work, place, p.faults);
  const AttentionSegment& segment = place.segment;
  const int keyHead = packed ? place.unit : keyHeadOf(work, place.unit);
  const HeadRange heads(keyHead, work.heads, work.kvHeads);
  const int firstHead = packed ? heads.first : place.unit;
  const auto queries = plainQueries(p.tensors, segment.queryBegin, firstHead, segment.queries,
                                    work.rowsPerToken, packed ? heads.last - heads.first : 1);
  const PageMap pages{&work, place.number};
  const auto keys = placed(plainKeys(p.tensors, segment.keyBegin, keyHead, segment.keys), pages);
  const auto values = placed(plainValues(p.tensors, segment.keyBegin, keyHead, segment.keys), pages);
  const int first = (work.causal ? place.tiles - 1 - place.tile : place.tile) * kRows;
  const int lastRow = first + kRows < queries.rows ? first + kRows - 1 : queries.rows - 1;
  const int lastToken = queries.token(lastRow) + 1;
  const AttentionRange range = keysSeen(work, segment, queries.token(first), lastToken);

  // This block's part of the keys, in whole tiles.
  int begin = range.first / kPlainKeys * kPlainKeys, end = range.last;
  if (p.splits > 1 && begin < end) {
    const int tiles = (end - begin + kPlainKeys - 1) / kPlainKeys, part = (tiles + p.splits - 1) / p.splits;
    begin += static_cast<int>(blockIdx.z) * part * kPlainKeys;
    end = begin + part * kPlainKeys < end ? begin + part * kPlainKeys : end;
  }

  float* staging = sharedArena<float>();
  float* weights = staging + kPlainStaging;
  float o[kR][kH][4] = {}, top[kR], sum[kR] = {};
#pragma unroll
  for (int i = 0; i < kR; ++i) top[i] = -kInfinity;
  const int channel = static_cast<int>(blockIdx.y) * 64 * kH;
#pragma unroll 1
  for (int key = begin; key < end; key += kPlainKeys) {
    float s[kR][4];
    plainScores(s, queries, first, keys, key, staging);
    const int token = queries.token(first);
    const bool masked = needsMask(work, segment, token, lastToken - token, key, kPlainKeys);
#pragma unroll
    for (int i = 0; i < kR; ++i) {
      const int query = queries.token(first + kR * plainY() + i);
      float most = top[i];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (work.rule.mode != ScoreMode::kScaled) s[i][j] = scoreOf<true>(work.rule, s[i][j]);
        if (masked && !seesKey(work, segment, query, key + 4 * plainX() + j)) s[i][j] = -kInfinity;
        most = fmaxf(most, s[i][j]);
      }
      most = plainRowMax(most);
      const float factor = work.rule.factor, shift = most == -kInfinity ? 0.0f : most * factor;
      const float shrink = exp2Approx(top[i] * factor - shift);
      top[i] = most;
      sum[i] *= shrink;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        s[i][j] = exp2Approx(fmaf(s[i][j], factor, -shift));
        sum[i] += s[i][j];
      }
#pragma unroll
      for (int h = 0; h < kH; ++h) {
#pragma unroll
        for (int j = 0; j < 4; ++j) o[i][h][j] *= shrink;
      }
    }
    keepWeights<true>(weights, s);
    plainWeighted(o, weights, values, key, channel, staging);
  }

#pragma unroll
  for (int i = 0; i < kR; ++i) {
    const int row = first + kR * plainY() + i;
    const float total = plainRowSum(sum[i]), factor = total == 0.0f ? 0.0f : 1.0f / total;
    if (!queries.has(row)) continue;
    const int head = firstHead + queries.head(row);
    const int64_t token = segment.queryBegin + queries.token(row);
    const float log = top[i] * work.rule.factor + log2f(total);
    const int64_t record = (int64_t{blockIdx.z} * work.heads + head) * work.tokensQ + token;
    if (plainX() == 0 && channel == 0) {
      if (p.splits > 1) {
        p.partialLog[record] = total == 0.0f ? -kInfinity : log;
      } else if (p.lse != nullptr) {
        p.lse[record] = total == 0.0f ? kInfinity : log * kLn2;
      }
    }
#pragma unroll
    for (int h = 0; h < kH; ++h) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int c = channel + 64 * h + 4 * plainX() + j;
        if (c >= p.tensors.vDim) continue;
        const float value = o[i][h][j] * factor;
        if (p.splits > 1) {
          p.partial[record * p.tensors.vDim + c] = value;
        } else {
          store(p.o + token * p.tensors.oRow + head * p.tensors.oHead + c, fromFloat<T>(value));
        }
      }
    }
  }
}

template <typename T, int kR, int kH>
int launchRows(KernelContext* context, ForwardParams<T> p, bool packed) {
  const int64_t bytesPerToken = (p.tensors.qkDim + p.tensors.vDim) * int64_t{sizeof(T)};
  const int64_t blocks = attentionBlocks(context, p.work, false, 16 * kR, bytesPerToken);
  if (blocks == 0) return 1;
  const auto parts = static_cast<unsigned>((p.tensors.vDim + 64 * kH - 1) / (64 * kH));
  const dim3 grid(static_cast<unsigned>(blocks), parts == 0 ? 1 : parts, static_cast<unsigned>(p.splits));
  constexpr size_t kBytes = (kPlainStaging + kPlainWeights) * sizeof(float);
  return launch(context, plainForwardKernel<T, kR, kH>, {grid, kPlainThreads, kBytes}, p, packed);
}

}  // namespace

template <typename T>
int launchAttentionForwardPlain(KernelContext* context, const ForwardParams<T>& p, bool packed) {
  if (packed) return launchRows<T, 1, 2>(context, p, true);
  // bf16 comes here with large heads only.
  if constexpr (sizeof(T) == 4) {
    if (p.tensors.vDim <= 64) return launchRows<T, 4, 1>(context, p, false);
  }
  return launchRows<T, 4, 2>(context, p, false);
}

template int launchAttentionForwardPlain(KernelContext*, const ForwardParams<float>&, bool);
template int launchAttentionForwardPlain(KernelContext*, const ForwardParams<bf16>&, bool);

}  // namespace anneal::cuda
