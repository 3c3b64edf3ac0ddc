// attention_backward.cu — attentionBackward on the tensor cores, without atomics. Two kernels compute P again
// from lse: one walks a tile of queries over its keys for dq, the other a tile of keys over the queries (and
// over the query heads that share the key head, in order) for dk and dv. That makes seven products a pair of
// tiles where a single kernel, which adds to a dq in f32, needs five: 40 % more FLOPs. But those additions
// are 64 KiB read and written in L2 for each 64 × 64 pairs of a head of 128 channels, against 5.2 MFLOP,
// which at 500 TFLOP/s is 6 TB/s; and to give the same bits in every run they must wait for each other. Here
// nothing waits, the workspace is D alone (linear in the tokens), and dq is rounded once.
#include "cuda/device/attention_tile.h"
#include "cuda/device/reduce.h"
#include "cuda/kernels/attention.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"

namespace anneal::cuda {
namespace {

constexpr int kThreads = 128;

// P of a product, and what it becomes under a soft cap: P times the cap's derivative. `log`: lse in base 2.
struct Probability {
  float p, damped;
  ANNEAL_DEVICE Probability(const ScoreRule& rule, float product, float log) {
    if (rule.mode == ScoreMode::kCapped) {
      const float t = boundedTanh(product * rule.inner);
      p = exp2Approx(fmaf(rule.outer, t, -log));
      damped = p * (1.0f - t * t);
    } else {
      const float score = rule.mode == ScoreMode::kScaled ? product * rule.factor : product * rule.inner;
      damped = p = exp2Approx(score - log);
    }
  }
};

// Four warps of 16·kTiles queries each, kKeys keys a step, kStages steps in shared memory.
template <int kQk_, int kV_, int kTiles_, int kKeys_, int kStages_>
struct QueryTile {
  static constexpr int kQk = kQk_, kV = kV_, kTiles = kTiles_, kKeys = kKeys_, kStages = kStages_;
  static constexpr int kWarpRows = 16 * kTiles, kRows = 4 * kWarpRows;
  static constexpr int kPitchQ = kTilePitch<kQk>, kPitchV = kTilePitch<kV>;
  static constexpr int kStageBytes = kKeys * (kPitchQ + kPitchV);
  static constexpr int kSharedBytes =
      kRows * (kPitchQ + kPitchV) + kStages * kStageBytes + sizeof(KeptRows) + kRows * sizeof(Vec<float, 2>);
  static_assert(kRows <= kThreads && sizeof(KeptRows) % 8 == 0);
};

// Floor: 2·(2·kQk + kV) FLOPs for each query and key that it sees ÷ the rate of mma.
template <typename Tile>
__global__ void __launch_bounds__(kThreads, 2)
    queryGradientKernel(const __grid_constant__ BackwardParams<bf16> p) {
  constexpr int kM = Tile::kTiles, kKeys = Tile::kKeys;
  const AttentionWork& work = p.work;
  AttentionPlace place;
  if (!findPlace<false>(work, blockIdx.x, Tile::kRows, place)) return;
  const int head = place.unit;
  const int first = (work.causal ? place.tiles - 1 - place.tile : place.tile) * Tile::kRows;
  const int last = first + Tile::kRows < place.segment.queries ? first + Tile::kRows : place.segment.queries;

  auto* queries = sharedArena<unsigned char>();
  unsigned char* douts = queries + Tile::kRows * Tile::kPitchQ;
  unsigned char* ring = douts + Tile::kRows * Tile::kPitchV;
  const int keyHead = keyHeadOf(work, head);
  const auto* rows =
      keepRows(ring + Tile::kStages * Tile::kStageBytes, keyRows(p.tensors, place.segment.keyBegin, keyHead),
               valueRows(p.tensors, place.segment.keyBegin, keyHead), place,
               keysSeen(work, place.segment, first, last));
  const AttentionSegment& segment = rows->place.segment;
  const AttentionRange& range = rows->range;

  const int warp = static_cast<int>(warpId()), lane = static_cast<int>(laneId());
  const int warpFirst = first + warp * Tile::kWarpRows;
  unsigned char* ownRows = queries + warp * Tile::kWarpRows * Tile::kPitchQ;
  const uint32_t q = sharedAddress(ownRows) + rowOffset(Tile::kPitchQ);
  const uint32_t dout =
      sharedAddress(douts) + warp * Tile::kWarpRows * Tile::kPitchV + rowOffset(Tile::kPitchV);
  const uint32_t ringAddress = sharedAddress(ring);
  // lse in base 2 and D of the rows; a row without keys or beyond the last has P = 0.
  auto* statistics =
      reinterpret_cast<Vec<float, 2>*>(ring + Tile::kStages * Tile::kStageBytes + sizeof(KeptRows));
  if (static_cast<int>(threadIdx.x) < Tile::kRows) {
    const int query = first + static_cast<int>(threadIdx.x);
    const int64_t at = head * work.tokensQ + segment.queryBegin + query;
    const bool live = query < segment.queries && range.first < range.last;
    statistics[threadIdx.x] = {
        {live ? load<float>(p.lse + at) * kLog2e : kInfinity, live ? load<float>(p.delta + at) : 0.0f}};
  }
  statistics += warp * Tile::kWarpRows + lane / 4;

  float dq[kM][Tile::kQk / 8][4] = {};
  const auto fetch = [&](int key, int stage) {
    unsigned char* to = ring + stage * Tile::kStageBytes;
    copyRows<kKeys, Tile::kQk, kThreads>(to, rows->first, key, segment.keys);
    copyRows<kKeys, Tile::kV, kThreads>(to + kKeys * Tile::kPitchQ, rows->second, key, segment.keys);
    commitGroup();
  };
  const int begin = range.first / kKeys * kKeys;
  if (begin < range.last) {
    copyRows<Tile::kRows, Tile::kQk, kThreads>(queries, queryRows(p.tensors, segment.queryBegin, head), first,
                                               segment.queries);
    copyRows<Tile::kRows, Tile::kV, kThreads>(douts, outputRows(p.tensors, p.dout, segment.queryBegin, head),
                                              first, segment.queries);
    if (Tile::kStages == 2) fetch(begin, 0);
  }
  int stage = 0;
#pragma unroll 1
  for (int key = begin; key < range.last; key += kKeys) {
    if constexpr (Tile::kStages == 1) {
      syncThreads();
      fetch(key, 0);
    }
    waitGroups<0>();
    syncThreads();
    if (Tile::kStages == 2 && key + kKeys < range.last) fetch(key + kKeys, stage ^ 1);
    const uint32_t keys = ringAddress + stage * Tile::kStageBytes, values = keys + kKeys * Tile::kPitchQ;
    if constexpr (Tile::kStages == 2) stage ^= 1;

    float s[kM][kKeys / 8][4] = {};
    multiplyRows<Tile::kQk, Tile::kPitchQ, Tile::kPitchQ>(s, q, keys + columnOffset(Tile::kPitchQ));
    const bool masked = needsMask(work, segment, warpFirst, Tile::kWarpRows, key, kKeys);
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float log = statistics[16 * m + 8 * half].lane[0];
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            s[m][n][2 * half + i] = Probability(work.rule, s[m][n][2 * half + i], log).damped;
          }
        }
        if (!masked) continue;
        const int query = warpFirst + 16 * m + 8 * half + lane / 4;
        const AttentionRange seen = keysSeen(work, segment, query, query + 1);
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const int j = key + 8 * n + lane % 4 * 2 + i;
            if (j < seen.first || j >= seen.last) s[m][n][2 * half + i] = 0.0f;
          }
        }
      }
    }
    float ds[kM][kKeys / 8][4] = {};
    multiplyRows<Tile::kV, Tile::kPitchV, Tile::kPitchV>(ds, dout, values + columnOffset(Tile::kPitchV));
#pragma unroll
    for (int m = 0; m < kM; ++m) {
      const float delta[2] = {statistics[16 * m].lane[1], statistics[16 * m + 8].lane[1]};
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) ds[m][n][i] = s[m][n][i] * (ds[m][n][i] - delta[i / 2]);
      }
    }
    uint32_t w[kM][kKeys / 16][4];
    toOperand(w, ds);
    multiplyColumns<Tile::kPitchQ>(dq, w, keys + rowOffset(Tile::kPitchQ));
  }

  float factor[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) factor[m][0] = factor[m][1] = p.scale;
  bf16* to = p.dq + (segment.queryBegin + warpFirst) * p.tensors.qRow + head * p.tensors.qHead;
  writeRows<Tile::kPitchQ>(dq, factor, ownRows, to, p.tensors.qRow, segment.queries - warpFirst,
                           p.tensors.qkDim, p.tensors.qVectors);
}

// Four warps of 16·kTiles keys each, kQueries queries a step. kParts blocks share the channels of a tile of
// keys where the sums of all of them do not fit the registers.
template <int kQk_, int kV_, int kTiles_, int kQueries_, int kStages_, int kParts_>
struct KeyTile {
  static constexpr int kQk = kQk_, kV = kV_, kTiles = kTiles_, kQueries = kQueries_, kStages = kStages_;
  static constexpr int kParts = kParts_;
  static constexpr int kWarpRows = 16 * kTiles, kRows = 4 * kWarpRows;
  static constexpr int kPitchQ = kTilePitch<kQk>, kPitchV = kTilePitch<kV>;
  static constexpr int kStatistics = kQueries * (kPitchQ + kPitchV);  // where a stage's lse and D lie
  static constexpr int kStageBytes = kStatistics + 2 * kQueries * 4;
  static constexpr int kSharedBytes = kRows * (kPitchQ + kPitchV) + kStages * kStageBytes + sizeof(KeptRows);
};

// The scores are computed transposed, [keys, queries], so that P and dS leave the registers of one product as
// the left operand of the next. Floor: 4·(kQk + kV) FLOPs for each query and key that it sees ÷ the rate of
// mma.
template <typename Tile>
__global__ void __launch_bounds__(kThreads, 2)
    keyGradientKernel(const __grid_constant__ BackwardParams<bf16> p) {
  constexpr int kM = Tile::kTiles, kQueries = Tile::kQueries;
  constexpr int kPartQk = Tile::kQk / Tile::kParts, kPartV = Tile::kV / Tile::kParts;
  const AttentionWork& work = p.work;
  AttentionPlace place;
  if (!findPlace<true>(work, blockIdx.x, Tile::kRows, place)) return;
  const int part = Tile::kParts == 1 ? 0 : static_cast<int>(blockIdx.y);
  const HeadRange heads(place.unit, work.heads, work.kvHeads);
  // Earlier keys are seen by more queries: their tiles come first as they are.
  const int first = place.tile * Tile::kRows;
  const int last = first + Tile::kRows < place.segment.keys ? first + Tile::kRows : place.segment.keys;

  auto* keys = sharedArena<unsigned char>();
  unsigned char* values = keys + Tile::kRows * Tile::kPitchQ;
  unsigned char* ring = values + Tile::kRows * Tile::kPitchV;
  const auto* rows =
      keepRows(ring + Tile::kStages * Tile::kStageBytes, queryRows(p.tensors, place.segment.queryBegin, 0),
               outputRows(p.tensors, p.dout, place.segment.queryBegin, 0), place,
               queriesSeeing(work, place.segment, first, last));
  const AttentionSegment& segment = rows->place.segment;
  const AttentionRange& range = rows->range;
  const int warp = static_cast<int>(warpId()), lane = static_cast<int>(laneId());
  const int warpFirst = first + warp * Tile::kWarpRows;
  unsigned char* ownKeys = keys + warp * Tile::kWarpRows * Tile::kPitchQ;
  unsigned char* ownValues = values + warp * Tile::kWarpRows * Tile::kPitchV;
  const uint32_t k = sharedAddress(ownKeys) + rowOffset(Tile::kPitchQ);
  const uint32_t v = sharedAddress(ownValues) + rowOffset(Tile::kPitchV);

  const int begin = range.first / kQueries * kQueries;
  // The step that is fetched next; the one that is computed lies kQueries before it, or is the last of a
  // head.
  int nextHead = heads.first, nextQuery = begin, stage = 0;
  int left =
      begin < range.last ? (heads.last - heads.first) * ((range.last - begin + kQueries - 1) / kQueries) : 0;
  const auto fetchNext = [&](int stage) {
    unsigned char* to = ring + stage * Tile::kStageBytes;
    const int head = nextHead, query = nextQuery;
    copyRows<kQueries, Tile::kQk, kThreads>(to, rows->first, query, segment.queries, head * p.tensors.qHead);
    copyRows<kQueries, Tile::kV, kThreads>(to + kQueries * Tile::kPitchQ, rows->second, query,
                                           segment.queries, head * p.tensors.oHead);
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < 2 * kQueries) {
      const int at = query + thread % kQueries;
      const float* from = (thread < kQueries ? p.lse : p.delta) + head * work.tokensQ + segment.queryBegin;
      const bool live = at < segment.queries;
      copyAsync<4>(sharedAddress(to) + Tile::kStatistics + thread * 4, from + (live ? at : 0), live ? 4 : 0);
    }
    commitGroup();
    nextQuery += kQueries;
    if (nextQuery >= range.last) {
      nextQuery = range.first / kQueries * kQueries;
      ++nextHead;
    }
  };

  float dk[kM][kPartQk / 8][4] = {}, dv[kM][kPartV / 8][4] = {};
  if (left > 0) {
    copyRows<Tile::kRows, Tile::kQk, kThreads>(keys, keyRows(p.tensors, segment.keyBegin, place.unit), first,
                                               segment.keys);
    copyRows<Tile::kRows, Tile::kV, kThreads>(values, valueRows(p.tensors, segment.keyBegin, place.unit),
                                              first, segment.keys);
    if (Tile::kStages == 2) fetchNext(0);
  }
#pragma unroll 1
  for (; left > 0; --left) {
    if constexpr (Tile::kStages == 1) {
      syncThreads();
      fetchNext(0);
    }
    waitGroups<0>();
    syncThreads();
    const int query = nextQuery > range.first / kQueries * kQueries ? nextQuery - kQueries
                                                                    : (range.last - 1) / kQueries * kQueries;
    if (Tile::kStages == 2 && left > 1) fetchNext(stage ^ 1);
    const unsigned char* step = ring + stage * Tile::kStageBytes;
    const uint32_t queries = sharedAddress(step), douts = queries + kQueries * Tile::kPitchQ;
    const auto* logs = reinterpret_cast<const float*>(step + Tile::kStatistics);
    if constexpr (Tile::kStages == 2) stage ^= 1;

    float s[kM][kQueries / 8][4] = {};
    multiplyRows<Tile::kQk, Tile::kPitchQ, Tile::kPitchQ>(s, k, queries + columnOffset(Tile::kPitchQ));
    const bool masked = needsMask(work, segment, query, kQueries, warpFirst, Tile::kWarpRows);
    uint32_t w[kM][kQueries / 16][4];
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
      const auto log = *reinterpret_cast<const Vec<float, 2>*>(logs + 8 * n + lane % 4 * 2);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float value[2];
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const Probability probability(work.rule, s[m][n][2 * half + i], log.lane[i] * kLog2e);
            const int key = warpFirst + 16 * m + 8 * half + lane / 4;
            const bool seen = !masked || seesKey(work, segment, query + 8 * n + lane % 4 * 2 + i, key);
            value[i] = seen ? probability.p : 0.0f;
            s[m][n][2 * half + i] = seen ? probability.damped : 0.0f;
          }
          w[m][n / 2][n % 2 * 2 + half] = packBf16(value[0], value[1]);
        }
      }
    }
    multiplyColumns<Tile::kPitchV>(dv, w, douts + part * kPartV * 2 + rowOffset(Tile::kPitchV));

    float ds[kM][kQueries / 8][4] = {};
    multiplyRows<Tile::kV, Tile::kPitchV, Tile::kPitchV>(ds, v, douts + columnOffset(Tile::kPitchV));
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
      const auto delta = *reinterpret_cast<const Vec<float, 2>*>(logs + kQueries + 8 * n + lane % 4 * 2);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int i = 0; i < 4; ++i) ds[m][n][i] = s[m][n][i] * (ds[m][n][i] - delta.lane[i % 2]);
      }
    }
    toOperand(w, ds);
    multiplyColumns<Tile::kPitchQ>(dk, w, queries + part * kPartQk * 2 + rowOffset(Tile::kPitchQ));
  }

  const int keyHead = rows->place.unit;
  const int64_t row = segment.keyBegin + warpFirst;
  const int live = segment.keys - warpFirst, own = p.tensors.qkDim - p.tensors.sharedDim;
  if (p.shared != nullptr) {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kPartQk / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int inWarp = 16 * m + 8 * (i / 2) + lane / 4;
          const int channel = part * kPartQk + 8 * n + lane % 4 * 2 + i % 2;
          if (inWarp >= live || channel < own || channel >= p.tensors.qkDim) continue;
          const int64_t record = (keyHead - work.firstUnit) * work.tokensK + row + inWarp;
          p.shared[record * p.tensors.sharedDim + channel - own] = p.scale * dk[m][n][i];
        }
      }
    }
  }
  float factor[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) factor[m][0] = factor[m][1] = p.scale;
  writeRows<Tile::kPitchQ>(dk, factor, ownKeys,
                           p.dk + row * p.tensors.kRow + keyHead * p.tensors.kHead + part * kPartQk,
                           p.tensors.kRow, live, own - part * kPartQk, p.tensors.kVectors);
#pragma unroll
  for (int m = 0; m < kM; ++m) factor[m][0] = factor[m][1] = 1.0f;
  writeRows<Tile::kPitchV>(dv, factor, ownValues,
                           p.dv + row * p.tensors.vRow + keyHead * p.tensors.vHead + part * kPartV,
                           p.tensors.vRow, live, p.tensors.vDim - part * kPartV, p.tensors.vVectors);
}

template <typename Tile>
int launchQueries(KernelContext* context, BackwardParams<bf16> p) {
  const int64_t blocks =
      attentionBlocks(context, p.work, false, Tile::kRows, (p.tensors.qkDim + p.tensors.vDim) * 2);
  if (blocks == 0) return 1;
  return launch(context, queryGradientKernel<Tile>,
                {static_cast<unsigned>(blocks), kThreads, Tile::kSharedBytes}, p);
}

template <typename Tile>
int launchKeys(KernelContext* context, BackwardParams<bf16> p) {
  const int64_t group = (p.work.heads + p.work.kvHeads - 1) / p.work.kvHeads;
  const int64_t blocks =
      attentionBlocks(context, p.work, true, Tile::kRows, group * (p.tensors.qkDim + p.tensors.vDim) * 2);
  if (blocks == 0) return 1;
  return launch(context, keyGradientKernel<Tile>,
                {dim3(static_cast<unsigned>(blocks), Tile::kParts), kThreads, Tile::kSharedBytes}, p);
}

}  // namespace

int launchAttentionQueryGradient(KernelContext* context, const BackwardParams<bf16>& p, HeadTile tile) {
  switch (tile) {
    case HeadTile::k64:
      return launchQueries<QueryTile<64, 64, 2, 48, 2>>(context, p);
    case HeadTile::k96:
      return launchQueries<QueryTile<96, 96, 2, 32, 2>>(context, p);
    case HeadTile::k128:
      return launchQueries<QueryTile<128, 128, 2, 32, 2>>(context, p);
    case HeadTile::k192x128:
      return launchQueries<QueryTile<192, 128, 1, 32, 2>>(context, p);
    default:
      return launchQueries<QueryTile<256, 256, 1, 32, 1>>(context, p);
  }
}

int launchAttentionKeyGradient(KernelContext* context, const BackwardParams<bf16>& p, HeadTile tile) {
  switch (tile) {
    case HeadTile::k64:
      return launchKeys<KeyTile<64, 64, 2, 32, 2, 1>>(context, p);
    case HeadTile::k96:
      return launchKeys<KeyTile<96, 96, 1, 64, 2, 1>>(context, p);
    case HeadTile::k128:
      return launchKeys<KeyTile<128, 128, 1, 48, 2, 1>>(context, p);
    case HeadTile::k192x128:
      return launchKeys<KeyTile<192, 128, 1, 32, 2, 1>>(context, p);
    default:
      return launchKeys<KeyTile<256, 256, 1, 32, 1, 2>>(context, p);
  }
}

}  // namespace anneal::cuda
