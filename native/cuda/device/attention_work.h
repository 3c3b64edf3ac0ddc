// attention_work.h — what all attention kernels share: arguments as a kernel takes them, which part of which
// segment a block works on, which keys a query sees, and how products become scores in base 2.
#pragma once

#include "cuda/host/attention_plan.h"
#include "cuda/ptx/math.h"
#include "cuda/ptx/target.h"
#include "cuda/ptx/warp.h"

namespace anneal::cuda {

// How scores come from q·k. kScaled: score·log2 e = product·factor, folded into the exponent. kCapped:
// outer·tanh(inner ·product). kNegative: inner·product, for scales that are not positive and would turn a
// maximum into a minimum.
enum class ScoreMode : int { kScaled, kCapped, kNegative };

struct ScoreRule {
  ScoreMode mode;
  float factor, inner, outer;
};

inline ScoreRule scoreRule(double scale, double softcap) {
  constexpr double kLog2 = 1.4426950408889634;
  if (softcap > 0) {
    return {ScoreMode::kCapped, 1.0f, static_cast<float>(scale / softcap),
            static_cast<float>(softcap * kLog2)};
  }
  const auto factor = static_cast<float>(scale * kLog2);
  if (factor > 0) return {ScoreMode::kScaled, factor, 0.0f, 0.0f};
  return {ScoreMode::kNegative, 1.0f, factor, 0.0f};
}

// The tensors of both passes; strides in elements, dout like o, gradients like what they belong to.
// `…Vectors`: rows of all heads begin at multiples of 16 bytes (and, for k, the shared channels at a whole
// vector).
template <typename T>
struct AttentionTensors {
  const T* q;
  const T* k;
  const T* v;
  const T* kShared;
  int64_t qRow, qHead, kRow, kHead, vRow, vHead, oRow, oHead, sharedRow;
  int qkDim, vDim, sharedDim;
  bool qVectors, kVectors, vVectors, oVectors;
};

// The work of a launch. A unit is what blocks of its own are made for: a head, or a key head.
struct AttentionWork {
  const int32_t* cuQ;
  const int32_t* cuK;
  const int32_t* kLengths;
  const int32_t* pages;  // [segments, pageColumns] or null: as AttentionForwardArgs says
  int pageColumns, pageShift, pageCount;
  int64_t tokensQ, tokensK;
  int segments, heads, kvHeads;
  int units, firstUnit, band;
  int rowsPerToken;  // of a tile: 1, or the heads of a key head
  unsigned slots;
  bool causal;
  int window;  // 0: none
  ScoreRule rule;
};

// A segment's rows. The rows before the first segment and after the last form two more, without keys.
struct AttentionSegment {
  int64_t queryBegin, keyBegin;
  int queries, keys;
  ANNEAL_DEVICE int shift() const { return keys - queries; }  // of a key position against a query's number
};

// A block's place: unit, segment and the number of its tile.
struct AttentionPlace {
  AttentionSegment segment;
  int unit, tile, tiles;
  int number;  // of the segment; −1 and `segments` outside
};

// The heads [first, last) that read key head `kvHead`: those h with h·kvHeads/heads = kvHead.
struct HeadRange {
  int first, last;
  ANNEAL_DEVICE HeadRange(int kvHead, int heads, int kvHeads)
      : first(ceilOf(kvHead, heads, kvHeads)), last(ceilOf(kvHead + 1, heads, kvHeads)) {}

 private:
  static ANNEAL_DEVICE int ceilOf(int kvHead, int heads, int kvHeads) {
    return static_cast<int>((int64_t{kvHead} * heads + kvHeads - 1) / kvHeads);
  }
};

ANNEAL_DEVICE int keyHeadOf(const AttentionWork& work, int head) {
  return static_cast<int>(int64_t{head} * work.kvHeads / work.heads);
}

// The place of block `index` of a launch of units·slots blocks, tiles of `tileRows` queries (kOfKeys: keys).
// False where the slot is empty. Every lane of a warp calls it; each warp searches for itself, 32 segments at
// a time.
template <bool kOfKeys>
ANNEAL_DEVICE bool findPlace(const AttentionWork& work, int64_t index, int tileRows, AttentionPlace& place) {
  const int64_t perBand = int64_t{work.band} * work.slots;
  const int band = static_cast<int>(index / perBand) * work.band;
  const int units = work.units - band < work.band ? work.units - band : work.band;
  const int64_t within = index % perBand;
  const int64_t slot = within / units;
  place.unit = work.firstUnit + band + static_cast<int>(within % units);

  const int32_t* cu = kOfKeys ? work.cuK : work.cuQ;
  const int64_t tokens = kOfKeys ? work.tokensK : work.tokensQ;
  const int last = work.segments + 1;  // segment 0 is what lies before the first, `last` what lies behind
  const auto boundary = [&](int i) {
    if (work.segments == 0) return i == 0 ? 0 : tokens;
    return i == 0 ? 0 : i > last ? tokens : int64_t{cu[i - 1]};
  };
  int low = 0, high = last + 1;
  while (high - low > 1) {
    const int step = (high - low + 31) / 32, probe = low + static_cast<int>(laneId()) * step;
    const bool before =
        probe < high && firstSlot(boundary(probe), probe, work.rowsPerToken, tileRows) <= slot;
    low += (countBits(ballot(before)) - 1) * step;
    high = low + step < high ? low + step : high;
  }
  const int64_t begin = boundary(low);
  const int rows = static_cast<int>(boundary(low + 1) - begin);
  place.tile = static_cast<int>(slot - firstSlot(begin, low, work.rowsPerToken, tileRows));
  place.tiles = static_cast<int>((int64_t{rows} * work.rowsPerToken + tileRows - 1) / tileRows);
  if (place.tile >= place.tiles) return false;

  AttentionSegment& segment = place.segment;
  const bool inside = low > 0 && low < last;
  segment = {0, 0, 0, 0};
  place.number = low - 1;
  if (inside) {
    segment.queryBegin = work.cuQ[low - 1];
    if (work.pages == nullptr) segment.keyBegin = work.cuK[low - 1];
  }
  if constexpr (kOfKeys) {
    segment.keyBegin = begin;
    segment.keys = rows;
    if (inside) segment.queries = static_cast<int>(work.cuQ[low] - segment.queryBegin);
  } else {
    segment.queryBegin = begin;
    segment.queries = rows;
    if (inside) {
      segment.keys = work.kLengths != nullptr ? work.kLengths[low - 1]
                                              : static_cast<int>(work.cuK[low] - segment.keyBegin);
    }
  }
  return true;
}

struct AttentionRange {
  int first, last;
};

// The keys that any of the queries [first, last) of a segment sees.
ANNEAL_DEVICE AttentionRange keysSeen(const AttentionWork& work, const AttentionSegment& segment, int first,
                                      int last) {
  AttentionRange range{0, segment.keys};
  if (work.causal && last + segment.shift() < range.last) range.last = last + segment.shift();
  if (work.window > 0 && first + segment.shift() - work.window + 1 > 0) {
    range.first = first + segment.shift() - work.window + 1;
  }
  return range;
}

// The queries that see any of the keys [first, last).
ANNEAL_DEVICE AttentionRange queriesSeeing(const AttentionWork& work, const AttentionSegment& segment,
                                           int first, int last) {
  AttentionRange range{0, segment.queries};
  if (work.causal && first - segment.shift() > 0) range.first = first - segment.shift();
  if (work.window > 0 && last - 1 + work.window - segment.shift() < range.last) {
    range.last = last - 1 + work.window - segment.shift();
  }
  return range;
}

// Whether some of the queries [query, query + queries) does not see some of the keys [key, key + keys).
ANNEAL_DEVICE bool needsMask(const AttentionWork& work, const AttentionSegment& segment, int query,
                             int queries, int key, int keys) {
  const int position = query + segment.shift();
  return key + keys > segment.keys || (work.causal && key + keys - 1 > position) ||
         (work.window > 0 && key <= position + queries - 1 - work.window);
}

// Whether query t sees key j < keys.
ANNEAL_DEVICE bool seesKey(const AttentionWork& work, const AttentionSegment& segment, int query, int key) {
  const int position = query + segment.shift();
  return key < segment.keys && (!work.causal || key <= position) &&
         (work.window == 0 || key > position - work.window);
}

// tanh within 2·10⁻⁷ (absolute, which is what an exponent needs), without tanhf's two cases.
ANNEAL_DEVICE float boundedTanh(float x) {
  return 1.0f - 2.0f * reciprocalApprox(exp2Approx(x * (2.0f * kLog2e)) + 1.0f);
}

// Other modes than kScaled: the score, of which the exponent is taken as it is. kPrecise for kernels of f32.
template <bool kPrecise>
ANNEAL_DEVICE float scoreOf(const ScoreRule& rule, float product) {
  const float x = product * rule.inner;
  if (rule.mode != ScoreMode::kCapped) return x;
  return rule.outer * (kPrecise ? tanhf(x) : boundedTanh(x));
}

}  // namespace anneal::cuda
