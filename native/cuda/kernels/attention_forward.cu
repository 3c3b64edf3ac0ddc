// attention_forward.cu — attentionForward on the tensor cores (Dao, "FlashAttention-2", 2023): a block keeps
// a tile of queries of one head, whose running maximum, sum and output stay in registers, and goes through
// the keys that they see. Keys and values take turns in shared memory: values arrive while the scores are
// computed, the next keys while probabilities meet the values.
#include "cuda/device/attention_pages.h"
#include "cuda/device/attention_tile.h"
#include "cuda/device/reduce.h"
#include "cuda/kernels/attention.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"

namespace anneal::cuda {
namespace {

// Four warps of 16·kTiles queries each; heads of kQk and kV channels; kKeys keys a step.
template <int kQk_, int kV_, int kTiles_, int kKeys_>
struct ForwardTile {
  static constexpr int kQk = kQk_, kV = kV_, kTiles = kTiles_, kKeys = kKeys_;
  static constexpr int kThreads = 128, kWarpRows = 16 * kTiles, kRows = 4 * kWarpRows;
  static constexpr int kPitchQ = kTilePitch<kQk>, kPitchV = kTilePitch<kV>;
  static constexpr int kKeyBytes = kKeys * kPitchQ;
  static constexpr int kSharedBytes = kRows * kPitchQ + kKeyBytes + kKeys * kPitchV + sizeof(KeptRows);
  static_assert(kV <= kQk, "results are collected where the queries stood");
};

// The running softmax of a warp's rows; a lane has two rows of each 16. Sums are the lane's own until the
// end.
template <int kM>
struct RunningSoftmax {
  float top[kM][2], sum[kM][2];

  ANNEAL_DEVICE RunningSoftmax() {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
      top[m][0] = top[m][1] = -kInfinity;
      sum[m][0] = sum[m][1] = 0.0f;
    }
  }

  // Scores s become probabilities against the new maxima; `o` shrinks accordingly.
  template <int kN, int kO>
  ANNEAL_DEVICE void advance(float (&s)[kM][kN][4], float (&o)[kM][kO][4], float factor) {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = top[m][half];
#pragma unroll
        for (int n = 0; n < kN; ++n) most = fmaxf(most, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
        most = fmaxf(most, shuffleXor(most, 1));
        most = fmaxf(most, shuffleXor(most, 2));
        // A row that has seen no key yet subtracts nothing from −∞.
        const float shift = most == -kInfinity ? 0.0f : most * factor;
        const float shrink = exp2Approx(top[m][half] * factor - shift);
        top[m][half] = most;
        float total = sum[m][half] * shrink;
#pragma unroll
        for (int n = 0; n < kN; ++n) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            float& x = s[m][n][2 * half + i];
            x = exp2Approx(fmaf(x, factor, -shift));
            total += x;
          }
        }
        sum[m][half] = total;
#pragma unroll
        for (int n = 0; n < kO; ++n) {
          o[m][n][2 * half] *= shrink;
          o[m][n][2 * half + 1] *= shrink;
        }
      }
    }
  }
};

// Floor: 2·(kQk + kV) FLOPs for each query and key that it sees ÷ the rate of mma (causal: half of all
// pairs).
template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    attentionForwardKernel(const __grid_constant__ ForwardParams<bf16> p) {
  constexpr int kM = Tile::kTiles, kKeys = Tile::kKeys;
  const AttentionWork& work = p.work;
  AttentionPlace place;
  if (!findPlace<false>(work, blockIdx.x, Tile::kRows, place)) return;
  checkPages(work, place, p.faults);
  const int head = place.unit, keyHead = keyHeadOf(work, head);
  // Later queries see more keys, and their tiles begin first.
  const int first = (work.causal ? place.tiles - 1 - place.tile : place.tile) * Tile::kRows;
  const int last = first + Tile::kRows < place.segment.queries ? first + Tile::kRows : place.segment.queries;

  auto* queries = sharedArena<unsigned char>();
  unsigned char* keys = queries + Tile::kRows * Tile::kPitchQ;
  unsigned char* values = keys + Tile::kKeyBytes;
  const auto* rows =
      keepRows(values + kKeys * Tile::kPitchV, keyRows(p.tensors, place.segment.keyBegin, keyHead),
               valueRows(p.tensors, place.segment.keyBegin, keyHead), place,
               keysSeen(work, place.segment, first, last));
  const AttentionSegment& segment = rows->place.segment;
  const AttentionRange& range = rows->range;

  const int warp = static_cast<int>(warpId()), lane = static_cast<int>(laneId());
  const int warpFirst = first + warp * Tile::kWarpRows;
  unsigned char* ownRows = queries + warp * Tile::kWarpRows * Tile::kPitchQ;
  const uint32_t q = sharedAddress(ownRows) + rowOffset(Tile::kPitchQ);
  const uint32_t k = sharedAddress(keys) + columnOffset(Tile::kPitchQ);
  const uint32_t v = sharedAddress(values) + rowOffset(Tile::kPitchV);

  float o[kM][Tile::kV / 8][4] = {};
  RunningSoftmax<kM> softmax;
  const int begin = range.first / kKeys * kKeys;
  if (begin < range.last) {
    copyRows<Tile::kRows, Tile::kQk, Tile::kThreads>(queries, queryRows(p.tensors, segment.queryBegin, head),
                                                     first, segment.queries);
    copyKeyRows<kKeys, Tile::kQk, Tile::kThreads>(keys, rows->first, work, rows->place.number, begin,
                                                  segment.keys);
    commitGroup();
  }
#pragma unroll 1
  for (int key = begin; key < range.last; key += kKeys) {
    // The keys are there, and nobody reads the last values any more.
    waitGroups<0>();
    syncThreads();
    copyKeyRows<kKeys, Tile::kV, Tile::kThreads>(values, rows->second, work, rows->place.number, key,
                                                 segment.keys);
    commitGroup();

    float s[kM][kKeys / 8][4] = {};
    multiplyRows<Tile::kQk, Tile::kPitchQ, Tile::kPitchQ>(s, q, k);
    // The values are there, and nobody reads these keys any more.
    waitGroups<0>();
    syncThreads();
    if (key + kKeys < range.last) {
      copyKeyRows<kKeys, Tile::kQk, Tile::kThreads>(keys, rows->first, work, rows->place.number, key + kKeys,
                                                    segment.keys);
      commitGroup();
    }

    if (work.rule.mode != ScoreMode::kScaled) {
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) s[m][n][i] = scoreOf<false>(work.rule, s[m][n][i]);
        }
      }
    }
    if (needsMask(work, segment, warpFirst, Tile::kWarpRows, key, kKeys)) {
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int query = warpFirst + 16 * m + 8 * half + lane / 4;
          const AttentionRange seen = keysSeen(work, segment, query, query + 1);
#pragma unroll
          for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
              const int j = key + 8 * n + lane % 4 * 2 + i;
              if (j < seen.first || j >= seen.last) s[m][n][2 * half + i] = -kInfinity;
            }
          }
        }
      }
    }
    softmax.advance(s, o, work.rule.factor);
    uint32_t probabilities[kM][kKeys / 16][4];
    toOperand(probabilities, s);
    multiplyColumns<Tile::kPitchV>(o, probabilities, v);
  }

  float factor[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = softmax.sum[m][half];
      sum += shuffleXor(sum, 1);
      sum += shuffleXor(sum, 2);
      factor[m][half] = sum == 0.0f ? 0.0f : 1.0f / sum;
      const int query = warpFirst + 16 * m + 8 * half + lane / 4;
      if (p.lse != nullptr && lane % 4 == 0 && query < segment.queries) {
        p.lse[head * work.tokensQ + segment.queryBegin + query] =
            sum == 0.0f ? kInfinity : (softmax.top[m][half] * work.rule.factor + log2f(sum)) * kLn2;
      }
    }
  }
  const int64_t row = segment.queryBegin + warpFirst;
  writeRows<Tile::kPitchQ>(o, factor, ownRows, p.o + row * p.tensors.oRow + head * p.tensors.oHead,
                           p.tensors.oRow, segment.queries - warpFirst, p.tensors.vDim, p.tensors.oVectors);
}

template <typename Tile>
int launchTile(KernelContext* context, ForwardParams<bf16> p) {
  const int64_t bytesPerToken = (p.tensors.qkDim + p.tensors.vDim) * 2;
  const int64_t blocks = attentionBlocks(context, p.work, false, Tile::kRows, bytesPerToken);
  if (blocks == 0) return 1;
  return launch(context, attentionForwardKernel<Tile>,
                {static_cast<unsigned>(blocks), Tile::kThreads, Tile::kSharedBytes}, p);
}

}  // namespace

int launchAttentionForward(KernelContext* context, const ForwardParams<bf16>& p, HeadTile tile) {
  switch (tile) {
    case HeadTile::k64:
      return launchTile<ForwardTile<64, 64, 2, 64>>(context, p);
    case HeadTile::k96:
      return launchTile<ForwardTile<96, 96, 2, 64>>(context, p);
    case HeadTile::k128:
      return launchTile<ForwardTile<128, 128, 2, 48>>(context, p);
    case HeadTile::k192x128:
      return launchTile<ForwardTile<192, 128, 2, 48>>(context, p);
    default:
      return launchTile<ForwardTile<256, 256, 1, 64>>(context, p);
  }
}

}  // namespace anneal::cuda
