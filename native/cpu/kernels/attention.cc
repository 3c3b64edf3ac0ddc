// attention.cc — attentionForward: online softmax over key blocks (FlashAttention), queries across vector
// lanes as attention_plan.h says. A long row of keys that only a few queries read (decoding) is cut into
// chunks of fixed length, whose results are merged in order.
#include <limits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/attention_pages.h"
#include "cpu/attention_plan.h"
#include "cpu/attention_rows.h"
#include "cpu/attention_scratch.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/tile.h"
#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int kPlanSlot = 5, kPartialSlot = 6;
// One segment: its rows, and how its work is cut. All of it follows from lengths alone, never from the number
// of threads.
struct Segment {
  int64_t queryBegin, queries, keyBegin, keys;
  bool flat;  // a block's lanes run over the heads of a group too; else a block holds queries of one head
  int64_t blocks, splits;
  static constexpr int64_t kSplitKeys = 512;
  KeyPlaces places;

  Segment(const AttentionForwardArgs& a, int64_t s) : places(a, s) {
    const auto* cuQ = static_cast<const int32_t*>(a.cuQ);
    const auto* cuK = static_cast<const int32_t*>(a.cuK);
    queryBegin = cuQ[s];
    queries = cuQ[s + 1] - queryBegin;
    keyBegin = a.pages != nullptr ? 0 : cuK[s];
    keys = a.kLengths != nullptr ? static_cast<const int32_t*>(a.kLengths)[s] : cuK[s + 1] - keyBegin;
    const int64_t group = (a.heads + a.kvHeads - 1) / a.kvHeads;
    flat = queries < kQueryBlock / 2;
    blocks = flat ? (queries * group + kQueryBlock - 1) / kQueryBlock
                  : group * ((queries + kQueryBlock - 1) / kQueryBlock);
    splits = flat && blocks == 1 && keys > kSplitKeys * 3 / 2 ? (keys + kSplitKeys - 1) / kSplitKeys : 1;
  }
};

// The queries of one work item, one a lane.
template <typename T>
struct QueryBlock {
  int64_t count = 0;
  const T* q[kQueryBlock];
  T* o[kQueryBlock];
  float* lse[kQueryBlock];  // null when the caller wants none
  Positions positions;

  QueryBlock(const AttentionForwardArgs& a, const Segment& segment, const HeadRange& heads, int64_t block) {
    if (segment.flat) {
      const int64_t first = block * kQueryBlock,
                    last = std::min(first + kQueryBlock, heads.count() * segment.queries);
      for (int64_t i = first; i < last;) {
        const int64_t head = heads.first + i / segment.queries, t = i % segment.queries;
        const int64_t taken = std::min(last - i, segment.queries - t);
        append(a, segment, head, t, taken);
        i += taken;
      }
    } else {
      const int64_t perHead = (segment.queries + kQueryBlock - 1) / kQueryBlock,
                    head = heads.first + block / perHead;
      // The last queries see the most keys and go first, which leaves small items for the end.
      const int64_t first = (perHead - 1 - block % perHead) * kQueryBlock;
      if (head < heads.last) append(a, segment, head, first, std::min(kQueryBlock, segment.queries - first));
    }
    if (count > 0) positions.finish(count, !segment.flat);
  }

 private:
  // Queries first .. first + taken of one head go to the next lanes.
  void append(const AttentionForwardArgs& a, const Segment& segment, int64_t head, int64_t first,
              int64_t taken) {
    const int64_t row = segment.queryBegin + first;
    const T* fromQ = static_cast<const T*>(a.q) + row * a.qRow + head * a.qHead;
    T* toO = static_cast<T*>(a.o) + row * a.oRow + head * a.oHead;
    float* toLse = a.lse != nullptr ? static_cast<float*>(a.lse) + head * a.tokensQ + row : nullptr;
    const auto position = static_cast<int32_t>(first + segment.keys - segment.queries);
    for (int64_t i = 0; i < taken; ++i, ++count, fromQ += a.qRow, toO += a.oRow) {
      q[count] = fromQ;
      o[count] = toO;
      lse[count] = toLse != nullptr ? toLse + i : nullptr;
      positions.at[count] = position + static_cast<int32_t>(i);
    }
  }
};

// Turns the raw products of a run into base-2 scores: soft cap, then −inf where the mask hides a key.
inline void finishScores(float* scores, const Run& run, const Positions& positions, const Mask& mask,
                         float cap) {
  const int64_t from = run.firstVector * kLanes, to = run.lastVector * kLanes;
  if (cap > 0) {
    const float scale = cap * kLog2e;
    for (int64_t j = 0; j < run.end - run.begin; ++j) {
      float* row = scores + j * kQueryBlock;
      for (int64_t i = from; i < to; ++i) row[i] = scale * vtanh(row[i]);
    }
  }
  for (int v = run.firstVector; v < run.lastVector; ++v) {
    if (positions.sees(mask, v, run.begin, run.end)) continue;
    float* at = scores + v * kLanes;
    for (int64_t j = run.begin; j < run.end; ++j, at += kQueryBlock) {
      const VecInt seen = positions.lanesThatSee(mask, v, j);
      store(at, seen ? load(at) : broadcast(-std::numeric_limits<float>::infinity()));
    }
  }
}

// One block of queries against the keys [firstKey, lastKey) of its segment; o and the sums are left in
// scratch.
template <typename T>
void attendBlock(const AttentionForwardArgs& a, const Mask& mask, const Segment& segment, int64_t kvHead,
                 const QueryBlock<T>& block, int64_t firstKey, int64_t lastKey, const BlockScratch& scratch) {
  const Positions& positions = block.positions;
  const int vectors = positions.vectors;
  const float cap = static_cast<float>(a.softcap);
  packTransposed(scratch.q, block.q, block.count, a.qkDim,
                 static_cast<float>(cap > 0 ? a.scale / a.softcap : a.scale * 1.4426950408889634));
  for (int64_t c = 0; c < a.vDim; ++c) {
    for (int v = 0; v < vectors; ++v) store(scratch.o + c * kQueryBlock + v * kLanes, Vec{});
  }
  for (int v = 0; v < vectors; ++v) {
    store(scratch.maxima + v * kLanes, broadcast(kLowest));
    store(scratch.sums + v * kLanes, Vec{});
  }

  firstKey = std::max(firstKey, positions.firstKey(mask));
  lastKey = std::min(lastKey, positions.lastKey(mask, segment.keys));
  const FirstKey<T> from(a, segment.keyBegin, kvHead);
  for (int64_t begin = firstKey; begin < lastKey; begin += kKeyBlock) {
    const int64_t end = std::min(begin + kKeyBlock, lastKey);
    const Rows keys = placedRows(scratch.keys, scratch.keyRow, segment.places, begin, end - begin, from.own,
                                 a.kRow, a.qkDim - a.sharedDim, from.shared, a.kSharedRow, a.sharedDim);
    const Rows values = placedRows<T>(scratch.values, scratch.valueRow, segment.places, begin, end - begin,
                                      from.value, a.vRow, a.vDim, nullptr, 0, 0);

    Run runs[kMaxRuns];
    const int runCount = positions.runs(mask, begin, end, runs);
    Vec largest[kQueryVectors];
    for (int v = 0; v < vectors; ++v) largest[v] = load(scratch.maxima + v * kLanes);
    for (int i = 0; i < runCount; ++i) {
      const Run& run = runs[i];
      float* scores = scratch.scores + (run.begin - begin) * kQueryBlock;
      tileProduct<false>(keys.at + (run.begin - begin) * keys.stride, keys.stride,
                         scratch.q + run.firstVector * kLanes, kQueryBlock, scores + run.firstVector * kLanes,
                         kQueryBlock, run.end - run.begin, run.lastVector - run.firstVector, a.qkDim, false);
      finishScores(scores, run, positions, mask, cap);
      for (int v = run.firstVector; v < run.lastVector; ++v) {
        Vec most = largest[v];
        for (int64_t j = 0; j < run.end - run.begin; ++j)
          most = larger(load(scores + j * kQueryBlock + v * kLanes), most);
        largest[v] = most;
      }
    }

    for (int v = 0; v < vectors; ++v) {
      const Vec before = load(scratch.maxima + v * kLanes), shrink = exp2Lanes(before - largest[v]);
      store(scratch.maxima + v * kLanes, largest[v]);
      store(scratch.sums + v * kLanes, load(scratch.sums + v * kLanes) * shrink);
      if (begin == firstKey) continue;
      for (int64_t c = 0; c < a.vDim; ++c) {
        float* at = scratch.o + c * kQueryBlock + v * kLanes;
        store(at, load(at) * shrink);
      }
    }
    for (int i = 0; i < runCount; ++i) {
      const Run& run = runs[i];
      float* scores = scratch.scores + (run.begin - begin) * kQueryBlock;
      for (int v = run.firstVector; v < run.lastVector; ++v) {
        Vec sum = load(scratch.sums + v * kLanes);
        for (int64_t j = 0; j < run.end - run.begin; ++j) {
          float* at = scores + j * kQueryBlock + v * kLanes;
          const Vec p = exp2Lanes(load(at) - largest[v]);
          store(at, p);
          sum += p;
        }
        store(scratch.sums + v * kLanes, sum);
      }
      tileProduct<true>(values.at + (run.begin - begin) * values.stride, values.stride,
                        scores + run.firstVector * kLanes, kQueryBlock, scratch.o + run.firstVector * kLanes,
                        kQueryBlock, a.vDim, run.lastVector - run.firstVector, run.end - run.begin, true);
    }
  }
}

// Calls attendRows for the number of rows that `count` says.
template <int kRows, typename T>
void attendCounted(int64_t count, const RowsJob<T>& job, const Mask& mask) {
  if constexpr (kRows < kFewRows) {
    if (count > kRows) return attendCounted<kRows + 1>(count, job, mask);
  }
  attendRows<kRows>(job, mask);
}

// The same for a block of at most kFewRows queries. scratch.o is left as [query][padded vDim].
template <typename T>
void attendFewRows(const AttentionForwardArgs& a, const Mask& mask, const Segment& segment, int64_t kvHead,
                   const QueryBlock<T>& block, int64_t firstKey, int64_t lastKey,
                   const BlockScratch& scratch) {
  const int64_t ownDim = a.qkDim - a.sharedDim, ownRow = padded(ownDim),
                queryRow = ownRow + padded(a.sharedDim);
  const float scale = static_cast<float>(a.softcap > 0 ? a.scale / a.softcap : a.scale * 1.4426950408889634);
  std::fill(scratch.q, scratch.q + block.count * queryRow, 0.0f);
  for (int64_t r = 0; r < block.count; ++r) {
    float* to = scratch.q + r * queryRow;
    for (int64_t c = 0; c < ownDim; ++c) to[c] = scale * toFloat(block.q[r][c]);
    for (int64_t c = 0; c < a.sharedDim; ++c) to[ownRow + c] = scale * toFloat(block.q[r][ownDim + c]);
  }
  const FirstKey<T> from(a, segment.keyBegin, kvHead);
  const RowsJob<T> job{.keys = from.own,
                       .sharedKeys = from.shared,
                       .values = from.value,
                       .keyStride = a.kRow,
                       .sharedStride = a.kSharedRow,
                       .valueStride = a.vRow,
                       .ownDim = ownDim,
                       .sharedDim = a.sharedDim,
                       .valueDim = a.vDim,
                       .places = segment.places,
                       .begin = std::max(firstKey, block.positions.firstKey(mask)),
                       .end = std::min(lastKey, block.positions.lastKey(mask, segment.keys)),
                       .positions = block.positions.at,
                       .queries = scratch.q,
                       .scores = scratch.scores,
                       .o = scratch.o,
                       .maxima = scratch.maxima,
                       .sums = scratch.sums,
                       .cap = static_cast<float>(a.softcap)};
  attendCounted<1>(block.count, job, mask);
}

// Where a block's result goes: tensor rows, or f32 partial rows [vDim] when the keys are split.
template <typename T>
void writeBlock(const BlockScratch& scratch, T* const* o, float* const* lse, int64_t count, int64_t vDim) {
  const int64_t lanes = padded(count);
  alignas(64) float logs[kQueryBlock];
  std::fill(scratch.sums + count, scratch.sums + lanes, 0.0f);
  std::fill(scratch.maxima + count, scratch.maxima + lanes, 0.0f);
  for (int64_t i = 0; i < lanes; ++i) {
    const float sum = scratch.sums[i], log = kLn2 * scratch.maxima[i] + vlog(sum), inverse = 1.0f / sum;
    scratch.factors[i] = sum == 0.0f ? 0.0f : inverse;
    logs[i] = sum == 0.0f ? std::numeric_limits<float>::infinity() : log;
  }
  if (lse[0] != nullptr) {
    for (int64_t i = 0; i < count; ++i) *lse[i] = logs[i];
  }
  if (count > kFewRows) {
    unpackTransposed(o, scratch.o, count, vDim, scratch.factors);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float* from = scratch.o + i * padded(vDim);
    for (int64_t c = 0; c < vDim; ++c) o[i][c] = fromFloat<T>(from[c] * scratch.factors[i]);
  }
}

// Merges the results of a block's key chunks: o = Σ_i e^(lse_i − lse)·o_i, in order of i. Overwrites the
// partial lse.
template <typename T>
void mergeSplits(const QueryBlock<T>& block, float* partial, int64_t record, int64_t splits, int64_t vDim) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int64_t row = 0; row < block.count; ++row) {
    float* weight = partial + block.count * vDim + row;
    const float* o = partial + row * vDim;
    // A chunk without keys has lse = +inf and gets no weight.
    float most = kLowest, sum = 0;
    for (int64_t i = 0; i < splits; ++i) {
      const float lse = weight[i * record];
      most = lse != kInfinity && !(lse <= most) ? lse : most;
    }
    for (int64_t i = 0; i < splits; ++i) {
      const float lse = weight[i * record];
      weight[i * record] = lse == kInfinity ? 0.0f : vexp(lse - most);
      sum += weight[i * record];
    }
    if (block.lse[row] != nullptr) *block.lse[row] = sum == 0.0f ? kInfinity : most + vlog(sum);
    const float scale = sum == 0.0f ? 0.0f : 1.0f / sum;
    for (int64_t c = 0; c < vDim; ++c) {
      float total = 0;
      for (int64_t i = 0; i < splits; ++i) total += weight[i * record] * o[i * record + c];
      block.o[row][c] = fromFloat<T>(scale * total);
    }
  }
}

// Rows that belong to no segment get o = 0 and lse = +inf.
template <typename T>
void clearOutside(const AttentionForwardArgs& a) {
  const auto* cuQ = static_cast<const int32_t*>(a.cuQ);
  const auto clear = [&a](int64_t row) {
    for (int64_t h = 0; h < a.heads; ++h) {
      T* o = static_cast<T*>(a.o) + row * a.oRow + h * a.oHead;
      std::fill(o, o + a.vDim, T{});
      if (a.lse != nullptr)
        static_cast<float*>(a.lse)[h * a.tokensQ + row] = std::numeric_limits<float>::infinity();
    }
  };
  const int64_t first = a.segments > 0 ? cuQ[0] : a.tokensQ,
                last = a.segments > 0 ? cuQ[a.segments] : a.tokensQ;
  for (int64_t row = 0; row < first; ++row) clear(row);
  for (int64_t row = last; row < a.tokensQ; ++row) clear(row);
}

template <typename T>
int forward(const AttentionForwardArgs& a) {
  const Mask mask(a.causal, a.window);
  clearOutside<T>(a);
  // itemEnd[s]: items of segments up to s. partialAt[s]: where the partial results of segment s begin.
  auto* itemEnd =
      static_cast<int64_t*>(threadScratch(kPlanSlot, static_cast<size_t>(2 * a.segments) * sizeof(int64_t)));
  int64_t* partialAt = itemEnd + a.segments;
  int64_t items = 0, numbers = 0;
  const int64_t group = (a.heads + a.kvHeads - 1) / a.kvHeads;
  for (int64_t s = 0; s < a.segments; ++s) {
    const Segment segment(a, s);
    items += a.kvHeads * segment.blocks * segment.splits;
    itemEnd[s] = items;
    partialAt[s] = numbers;
    if (segment.splits > 1) numbers += a.kvHeads * segment.splits * segment.queries * group * (a.vDim + 1);
  }
  float* partials =
      static_cast<float*>(threadScratch(kPartialSlot, static_cast<size_t>(numbers) * sizeof(float)));

  parallelDynamic(items, [&](int64_t item) {
    const int64_t s = std::upper_bound(itemEnd, itemEnd + a.segments, item) - itemEnd;
    const Segment segment(a, s);
    int64_t index = item - (s > 0 ? itemEnd[s - 1] : 0);
    const int64_t split = index % segment.splits;
    index /= segment.splits;
    const int64_t kvHead = index / segment.blocks;
    const HeadRange heads(kvHead, a.heads, a.kvHeads);
    const QueryBlock<T> block(a, segment, heads, index % segment.blocks);
    if (block.count == 0) return;
    const BlockScratch scratch(a);
    const int64_t firstKey = split * Segment::kSplitKeys;
    const int64_t lastKey =
        segment.splits > 1 ? std::min(firstKey + Segment::kSplitKeys, segment.keys) : segment.keys;
    if (block.count <= kFewRows) {
      attendFewRows(a, mask, segment, kvHead, block, firstKey, lastKey, scratch);
    } else {
      attendBlock(a, mask, segment, kvHead, block, firstKey, lastKey, scratch);
    }
    if (segment.splits == 1) {
      writeBlock<T>(scratch, block.o, block.lse, block.count, a.vDim);
      return;
    }
    float* record =
        partials + partialAt[s] + (kvHead * segment.splits + split) * segment.queries * group * (a.vDim + 1);
    float *o[kQueryBlock], *lse[kQueryBlock];
    for (int64_t i = 0; i < block.count; ++i) {
      o[i] = record + i * a.vDim;
      lse[i] = record + block.count * a.vDim + i;
    }
    writeBlock<float>(scratch, o, lse, block.count, a.vDim);
  });

  if (numbers == 0) return 0;
  parallelFor(a.segments * a.kvHeads, kParallelGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t s = i / a.kvHeads, kvHead = i % a.kvHeads;
      const Segment segment(a, s);
      if (segment.splits == 1) continue;
      const QueryBlock<T> block(a, segment, HeadRange(kvHead, a.heads, a.kvHeads), 0);
      if (block.count == 0) continue;
      const int64_t record = segment.queries * group * (a.vDim + 1);
      mergeSplits(block, partials + partialAt[s] + kvHead * segment.splits * record, record, segment.splits,
                  a.vDim);
    }
  });
  return 0;
}

int attentionForward(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const AttentionForwardArgs*>(args);
  if (a.tokensQ == 0 || a.heads == 0) return 0;
  if (a.kvHeads < 1 || a.kvHeads > a.heads) {
    return fail(context, "attentionForward: kvHeads must lie in 1..heads = %lld, got %lld",
                static_cast<long long>(a.heads), static_cast<long long>(a.kvHeads));
  }
  if (checkPages(context, a) != 0) return 1;
  switch (a.dtype) {
    case kF32:
      return forward<float>(a);
    case kBF16:
      return forward<bf16>(a);
    default:
      return fail(context, "attentionForward takes f32 or bf16, got %s", dtypeName(a.dtype));
  }
}

}  // namespace

void registerAttention(Backend& table) { table.kernels[kKernel_attentionForward] = attentionForward; }

ANNEAL_CPU_NAMESPACE_END
