// attention_backward.cc — attentionBackward: P is recomputed from the saved log-sum-exp, one pair of a query
// block and a key block at a time, laid out as attention_plan.h says. dq of a query block sums over key
// blocks in ascending order; dk and dv of a key block sum over the group's heads and their query blocks in
// ascending order. Two ways of handing out the work keep these orders, so both give the same bits.
#include <limits>
#include <tuple>
#include <utility>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/attention_plan.h"
#include "cpu/attention_scratch.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/tile.h"
#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int kPlanSlot = 5, kSumSlot = 6;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Segment {
  int64_t queryBegin, queries, keyBegin, keys;
  Segment(const AttentionBackwardArgs& a, int64_t s) {
    const auto* cuQ = static_cast<const int32_t*>(a.cuQ);
    const auto* cuK = static_cast<const int32_t*>(a.cuK);
    queryBegin = cuQ[s];
    queries = cuQ[s + 1] - queryBegin;
    keyBegin = cuK[s];
    keys = cuK[s + 1] - keyBegin;
  }
  int64_t queryBlocks() const { return (queries + kQueryBlock - 1) / kQueryBlock; }
  int64_t keyBlocks() const { return (keys + kKeyBlock - 1) / kKeyBlock; }
};

template <typename T>
class Backward {
 public:
  explicit Backward(const AttentionBackwardArgs& args)
      : a_(args),
        mask_(args.causal, args.window),
        cap_(static_cast<float>(args.softcap)),
        scale_(static_cast<float>(args.scale)),
        ownDim_(args.qkDim - args.sharedDim) {}

  int run() {
    clearOutside();
    // sharedSums_ [kvHeads, tokensK, sharedDim]: what each key head adds to dkShared.
    const int64_t numbers = a_.sharedDim > 0 ? a_.kvHeads * a_.tokensK * a_.sharedDim : 0;
    auto* ends = static_cast<int64_t*>(
        threadScratch(kPlanSlot, static_cast<size_t>(2 * a_.segments) * sizeof(int64_t) +
                                     static_cast<size_t>(numbers) * sizeof(float)));
    sharedSums_ = reinterpret_cast<float*>(ends + 2 * a_.segments);
    if (splitIsFaster()) {
      runSplit(ends, ends + a_.segments);
    } else {
      parallelDynamic(a_.segments * a_.kvHeads,
                      [this](int64_t item) { runWhole(Segment(a_, item / a_.kvHeads), item % a_.kvHeads); });
    }
    if (a_.sharedDim > 0) sumShared();
    return 0;
  }

 private:
  // A whole key head of a segment is one item of 5 products per pair of blocks; the split way has small items
  // but 7 products.
  bool splitIsFaster() const {
    const double threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    const double group = static_cast<double>((a_.heads + a_.kvHeads - 1) / a_.kvHeads);
    double total = 0, whole = 0, perQueries = 0, perKeys = 0;
    for (int64_t s = 0; s < a_.segments; ++s) {
      const Segment segment(a_, s);
      const double queries = static_cast<double>(segment.queries), keys = static_cast<double>(segment.keys);
      total += queries * keys * static_cast<double>(a_.heads);
      whole = std::max(whole, queries * keys * group);
      perQueries = std::max(perQueries, std::min<double>(queries, kQueryBlock) * keys);
      perKeys = std::max(perKeys, std::min<double>(keys, kKeyBlock) * queries * group);
    }
    // The last item to finish may have just begun when the others run out.
    const double wait = 1 - 1 / threads;
    return 7 * total / threads + wait * (3 * perQueries + 4 * perKeys) < 5 * (total / threads + wait * whole);
  }

  // dq, dk and dv of one key head of one segment.
  void runWhole(const Segment& segment, int64_t kvHead) {
    const PairScratch scratch(a_);
    float* dk = static_cast<float*>(threadScratch(
        kSumSlot, static_cast<size_t>(segment.keys * (scratch.qkRow + scratch.vRow)) * sizeof(float)));
    float* dv = dk + segment.keys * scratch.qkRow;
    std::fill(dk, dv + segment.keys * scratch.vRow, 0.0f);
    const HeadRange heads(kvHead, a_.heads, a_.kvHeads);
    for (int64_t head = heads.first; head < heads.last; ++head) {
      for (int64_t block = 0; block < segment.queryBlocks(); ++block) {
        const Queries queries(*this, segment, head, block, scratch, true);
        clearQueryGradient(queries, scratch);
        for (int64_t keyBlock = queries.firstBlock; keyBlock < queries.lastBlock; ++keyBlock) {
          const int64_t at = keyBlock * kKeyBlock;
          visitPair(segment, kvHead, queries, keyBlock, scratch, true, dk + at * scratch.qkRow,
                    dv + at * scratch.vRow);
        }
        writeQueryGradient(segment, head, block, queries, scratch);
      }
    }
    writeKeyGradients(segment, kvHead, 0, segment.keys, dk, dv, scratch);
  }

  // First pass: items of one query block, dq. Second pass: items of one key block, dk and dv.
  void runSplit(int64_t* queryEnds, int64_t* keyEnds) {
    int64_t queryItems = 0, keyItems = 0;
    for (int64_t s = 0; s < a_.segments; ++s) {
      const Segment segment(a_, s);
      queryEnds[s] = queryItems += segment.queryBlocks() * a_.heads;
      keyEnds[s] = keyItems += segment.keyBlocks() * a_.kvHeads;
    }
    parallelDynamic(queryItems, [&](int64_t item) {
      const int64_t s = std::upper_bound(queryEnds, queryEnds + a_.segments, item) - queryEnds;
      const Segment segment(a_, s);
      const int64_t index = item - (s > 0 ? queryEnds[s - 1] : 0);
      // The last queries see the most keys and go first, which leaves small items for the end.
      const int64_t head = index % a_.heads, block = segment.queryBlocks() - 1 - index / a_.heads;
      const PairScratch scratch(a_);
      const Queries queries(*this, segment, head, block, scratch, false);
      clearQueryGradient(queries, scratch);
      for (int64_t keyBlock = queries.firstBlock; keyBlock < queries.lastBlock; ++keyBlock) {
        visitPair(segment, head * a_.kvHeads / a_.heads, queries, keyBlock, scratch, true, nullptr, nullptr);
      }
      writeQueryGradient(segment, head, block, queries, scratch);
    });
    parallelDynamic(keyItems, [&](int64_t item) {
      const int64_t s = std::upper_bound(keyEnds, keyEnds + a_.segments, item) - keyEnds;
      const Segment segment(a_, s);
      const int64_t index = item - (s > 0 ? keyEnds[s - 1] : 0);
      const int64_t kvHead = index % a_.kvHeads, keyBlock = index / a_.kvHeads;
      const PairScratch scratch(a_);
      float* dk = static_cast<float*>(threadScratch(
          kSumSlot, static_cast<size_t>(kKeyBlock * (scratch.qkRow + scratch.vRow)) * sizeof(float)));
      float* dv = dk + kKeyBlock * scratch.qkRow;
      std::fill(dk, dv + kKeyBlock * scratch.vRow, 0.0f);
      const HeadRange heads(kvHead, a_.heads, a_.kvHeads);
      for (int64_t head = heads.first; head < heads.last; ++head) {
        for (int64_t block = 0; block < segment.queryBlocks(); ++block) {
          const auto [first, last] = keyBlocksOf(segment, block);
          if (keyBlock < first || keyBlock >= last) continue;
          const Queries queries(*this, segment, head, block, scratch, true);
          visitPair(segment, kvHead, queries, keyBlock, scratch, false, dk, dv);
        }
      }
      const int64_t begin = keyBlock * kKeyBlock;
      writeKeyGradients(segment, kvHead, begin, std::min(begin + kKeyBlock, segment.keys), dk, dv, scratch);
    });
  }

  // The key blocks [first, last) that a query block sees.
  std::pair<int64_t, int64_t> keyBlocksOf(const Segment& segment, int64_t block) const {
    const int64_t shift = segment.keys - segment.queries, first = block * kQueryBlock + shift;
    const int64_t last = std::min((block + 1) * kQueryBlock, segment.queries) + shift;
    const int64_t begin = mask_.window > 0 ? std::max<int64_t>(0, first - mask_.window + 1) : 0;
    const int64_t end = mask_.causal ? std::clamp<int64_t>(last, 0, segment.keys) : segment.keys;
    return {begin / kKeyBlock, begin < end ? (end + kKeyBlock - 1) / kKeyBlock : begin / kKeyBlock};
  }

  // A query block, brought into scratch: q times the score's scale, dout, D = Σ dout·o and lse in base 2.
  struct Queries {
    int64_t count, firstBlock, lastBlock;
    Positions positions;
    Rows qRows{}, doutRows{};  // only when asked for

    Queries(const Backward& self, const Segment& segment, int64_t head, int64_t block,
            const PairScratch& scratch, bool rows) {
      const AttentionBackwardArgs& a = self.a_;
      const int64_t first = block * kQueryBlock, row = segment.queryBegin + first;
      count = std::min(kQueryBlock, segment.queries - first);
      std::tie(firstBlock, lastBlock) = self.keyBlocksOf(segment, block);
      for (int64_t i = 0; i < count; ++i) {
        positions.at[i] = static_cast<int32_t>(first + i + segment.keys - segment.queries);
      }
      positions.finish(count, true);
      if (firstBlock == lastBlock) return;

      const T* q = static_cast<const T*>(a.q) + row * a.qRow + head * a.qHead;
      const T* o = static_cast<const T*>(a.o) + row * a.oRow + head * a.oHead;
      const T* dout = static_cast<const T*>(a.dout) + row * a.oRow + head * a.oHead;
      const float* lse = static_cast<const float*>(a.lse) + head * a.tokensQ + row;
      const T *qAt[kQueryBlock], *doutAt[kQueryBlock];
      for (int64_t i = 0; i < count; ++i) {
        qAt[i] = q + i * a.qRow;
        doutAt[i] = dout + i * a.oRow;
      }
      packTransposed(scratch.q, qAt, count, a.qkDim,
                     static_cast<float>(a.softcap > 0 ? a.scale / a.softcap : a.scale * 1.4426950408889634));
      packTransposed(scratch.dout, doutAt, count, a.vDim, 1.0f);
      if (rows) {
        qRows = vectorRows(scratch.qRows, scratch.qkRow, q, a.qRow, count, a.qkDim);
        doutRows = vectorRows(scratch.doutRows, scratch.vRow, dout, a.oRow, count, a.vDim);
      }
      for (int64_t lane = 0; lane < count; lane += kLanes) {
        Vec products[kLanes];
        for (int64_t i = 0; i < kLanes; ++i) {
          products[i] = Vec{};
          if (lane + i >= count) continue;
          const T *x = o + (lane + i) * a.oRow, *y = dout + (lane + i) * a.oRow;
          for (int64_t c = 0; c < a.vDim; c += kLanes)
            products[i] += loadUpTo(x + c, a.vDim - c) * loadUpTo(y + c, a.vDim - c);
        }
        store(scratch.delta + lane, sumRows(products));
        // Empty lanes look like rows without keys: lse = +inf makes their P zero.
        for (int64_t i = lane; i < lane + kLanes; ++i)
          scratch.lse[i] = i < count ? lse[i] * kLog2e : kInfinity;
      }
    }
  };

  void clearQueryGradient(const Queries& queries, const PairScratch& scratch) const {
    for (int64_t c = 0; c < a_.qkDim; ++c) {
      for (int v = 0; v < queries.positions.vectors; ++v)
        store(scratch.dq + c * kQueryBlock + v * kLanes, Vec{});
    }
  }

  void writeQueryGradient(const Segment& segment, int64_t head, int64_t block, const Queries& queries,
                          const PairScratch& scratch) const {
    T* dq = static_cast<T*>(a_.dq) + (segment.queryBegin + block * kQueryBlock) * a_.qRow + head * a_.qHead;
    T* rows[kQueryBlock];
    for (int64_t i = 0; i < queries.count; ++i) rows[i] = dq + i * a_.qRow;
    std::fill(scratch.factors, scratch.factors + kQueryBlock, scale_);
    unpackTransposed(rows, scratch.dq, queries.count, a_.qkDim, scratch.factors);
  }

  // Scores of a run to P in scratch.p, and dout·vᵀ in scratch.ds to dS.
  void differentiate(const Queries& queries, const Run& run, int64_t offset,
                     const PairScratch& scratch) const {
    float *p = scratch.p + offset, *ds = scratch.ds + offset;
    const int64_t keys = run.end - run.begin;
    if (cap_ > 0) {
      for (int64_t j = 0; j < keys; ++j) {
        float* row = p + j * kQueryBlock;
        for (int64_t i = run.firstVector * kLanes; i < run.lastVector * kLanes; ++i) row[i] = vtanh(row[i]);
      }
    }
    for (int v = run.firstVector; v < run.lastVector; ++v) {
      const Vec lse = load(scratch.lse + v * kLanes), delta = load(scratch.delta + v * kLanes);
      const bool full = queries.positions.sees(mask_, v, run.begin, run.end);
      for (int64_t j = 0; j < keys; ++j) {
        const int64_t at = j * kQueryBlock + v * kLanes;
        const Vec score = load(p + at);
        Vec probability = exp2Lanes((cap_ > 0 ? score * (cap_ * kLog2e) : score) - lse);
        if (!full)
          probability = queries.positions.lanesThatSee(mask_, v, run.begin + j) ? probability : Vec{};
        Vec gradient = probability * (load(ds + at) - delta);
        if (cap_ > 0) gradient *= 1.0f - score * score;
        store(p + at, probability);
        store(ds + at, gradient);
      }
    }
  }

  // Adds what a pair of blocks gives to scratch.dq (when wanted) and to dk and dv of the key block (when not
  // null).
  void visitPair(const Segment& segment, int64_t kvHead, const Queries& queries, int64_t keyBlock,
                 const PairScratch& scratch, bool wantQueries, float* dk, float* dv) const {
    const int64_t begin = keyBlock * kKeyBlock, end = std::min(begin + kKeyBlock, segment.keys);
    const int64_t row = segment.keyBegin + begin;
    const T* shared = a_.sharedDim > 0 ? static_cast<const T*>(a_.kShared) + row * a_.kSharedRow : nullptr;
    const Rows kRows =
        keyRows(scratch.keys, scratch.qkRow, static_cast<const T*>(a_.k) + row * a_.kRow + kvHead * a_.kHead,
                a_.kRow, ownDim_, shared, a_.kSharedRow, a_.sharedDim, end - begin);
    const Rows vRows = blockRows(scratch.values, scratch.vRow,
                                 static_cast<const T*>(a_.v) + row * a_.vRow + kvHead * a_.vHead, a_.vRow,
                                 end - begin, a_.vDim);

    Run runs[kMaxRuns];
    const int count = queries.positions.runs(mask_, begin, end, runs);
    for (int i = 0; i < count; ++i) {
      const Run& run = runs[i];
      const int64_t keys = run.end - run.begin, vectors = run.lastVector - run.firstVector;
      const int64_t lane = run.firstVector * kLanes, at = run.begin - begin, offset = at * kQueryBlock;
      const float *k = kRows.at + at * kRows.stride, *v = vRows.at + at * vRows.stride;
      float *p = scratch.p + offset + lane, *ds = scratch.ds + offset + lane;
      tileProduct<false>(k, kRows.stride, scratch.q + lane, kQueryBlock, p, kQueryBlock, keys, vectors,
                         a_.qkDim, false);
      tileProduct<false>(v, vRows.stride, scratch.dout + lane, kQueryBlock, ds, kQueryBlock, keys, vectors,
                         a_.vDim, false);
      differentiate(queries, run, offset, scratch);
      if (wantQueries) {
        tileProduct<true>(k, kRows.stride, ds, kQueryBlock, scratch.dq + lane, kQueryBlock, a_.qkDim, vectors,
                          keys, true);
      }
      if (dk == nullptr) continue;
      const int64_t depth = std::min<int64_t>(run.lastVector * kLanes, queries.count) - lane;
      tileProduct<false>(p, kQueryBlock, queries.doutRows.at + lane * queries.doutRows.stride,
                         queries.doutRows.stride, dv + at * scratch.vRow, scratch.vRow, keys,
                         vectorsOf(a_.vDim), depth, true);
      tileProduct<false>(ds, kQueryBlock, queries.qRows.at + lane * queries.qRows.stride,
                         queries.qRows.stride, dk + at * scratch.qkRow, scratch.qkRow, keys,
                         vectorsOf(a_.qkDim), depth, true);
    }
  }

  // Rounds the sums of the keys [begin, end) of a segment; dk and dv begin at key `begin`.
  void writeKeyGradients(const Segment& segment, int64_t kvHead, int64_t begin, int64_t end, const float* dk,
                         const float* dv, const PairScratch& scratch) const {
    const auto write = [](auto* to, const float* from, int64_t width, float factor) {
      for (int64_t c = 0; c < width; c += kLanes) storeUpTo(to + c, load(from + c) * factor, width - c);
    };
    for (int64_t j = begin; j < end; ++j, dk += scratch.qkRow, dv += scratch.vRow) {
      const int64_t row = segment.keyBegin + j;
      write(static_cast<T*>(a_.dk) + row * a_.kRow + kvHead * a_.kHead, dk, ownDim_, scale_);
      write(static_cast<T*>(a_.dv) + row * a_.vRow + kvHead * a_.vHead, dv, a_.vDim, 1.0f);
      float* toShared = sharedSums_ + (kvHead * a_.tokensK + row) * a_.sharedDim;
      for (int64_t c = 0; c < a_.sharedDim; ++c) toShared[c] = scale_ * dk[ownDim_ + c];
    }
  }

  // The rows that segments cover, as [first, last).
  std::pair<int64_t, int64_t> covered(const void* prefix, int64_t tokens) const {
    const auto* cu = static_cast<const int32_t*>(prefix);
    return a_.segments > 0 ? std::pair<int64_t, int64_t>{cu[0], cu[a_.segments]}
                           : std::pair<int64_t, int64_t>{tokens, tokens};
  }

  void sumShared() const {
    const auto [first, last] = covered(a_.cuK, a_.tokensK);
    parallelFor(last - first, a_.kvHeads * a_.sharedDim, [&, first = first](int64_t begin, int64_t end) {
      for (int64_t row = first + begin; row < first + end; ++row) {
        T* to = static_cast<T*>(a_.dkShared) + row * a_.kSharedRow;
        for (int64_t c = 0; c < a_.sharedDim; ++c) {
          float sum = 0;
          for (int64_t g = 0; g < a_.kvHeads; ++g)
            sum += sharedSums_[(g * a_.tokensK + row) * a_.sharedDim + c];
          to[c] = fromFloat<T>(sum);
        }
      }
    });
  }

  void clearOutside() const {
    const auto clear = [](void* base, int64_t from, int64_t to, int64_t row, int64_t heads, int64_t head,
                          int64_t width) {
      for (int64_t r = from; r < to; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          T* at = static_cast<T*>(base) + r * row + h * head;
          std::fill(at, at + width, T{});
        }
      }
    };
    const auto [firstQ, lastQ] = covered(a_.cuQ, a_.tokensQ);
    const auto [firstK, lastK] = covered(a_.cuK, a_.tokensK);
    clear(a_.dq, 0, firstQ, a_.qRow, a_.heads, a_.qHead, a_.qkDim);
    clear(a_.dq, lastQ, a_.tokensQ, a_.qRow, a_.heads, a_.qHead, a_.qkDim);
    for (const auto& [from, to] : {std::pair{int64_t{0}, firstK}, std::pair{lastK, a_.tokensK}}) {
      clear(a_.dk, from, to, a_.kRow, a_.kvHeads, a_.kHead, ownDim_);
      clear(a_.dv, from, to, a_.vRow, a_.kvHeads, a_.vHead, a_.vDim);
      clear(a_.dkShared, from, to, a_.kSharedRow, a_.sharedDim > 0 ? 1 : 0, 0, a_.sharedDim);
    }
  }

  const AttentionBackwardArgs& a_;
  const Mask mask_;
  const float cap_, scale_;
  const int64_t ownDim_;
  float* sharedSums_ = nullptr;
};

int attentionBackward(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const AttentionBackwardArgs*>(args);
  if (a.heads == 0) return 0;
  if (a.kvHeads < 1 || a.kvHeads > a.heads) {
    return fail(context, "attentionBackward: kvHeads must lie in 1..heads = %lld, got %lld",
                static_cast<long long>(a.heads), static_cast<long long>(a.kvHeads));
  }
  switch (a.dtype) {
    case kF32:
      return Backward<float>(a).run();
    case kBF16:
      return Backward<bf16>(a).run();
    default:
      return fail(context, "attentionBackward takes f32 or bf16, got %s", dtypeName(a.dtype));
  }
}

}  // namespace

void registerAttentionBackward(Backend& table) {
  table.kernels[kKernel_attentionBackward] = attentionBackward;
}

ANNEAL_CPU_NAMESPACE_END
