// attention.cu — attentionForward and attentionBackward: checks, and the choice among the family's kernels.
#include <algorithm>

#include "cuda/kernels/attention.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

int64_t attentionBlocks(KernelContext* context, AttentionWork& work, bool ofKeys, int rows,
                        int64_t bytesPerToken) {
  const int64_t tokens = ofKeys ? work.tokensK : work.tokensQ;
  const int64_t slots = attentionSlots(tokens, work.segments, work.rowsPerToken, rows);
  const int64_t group = ofKeys || work.rowsPerToken > 1 ? 1 : (work.heads + work.kvHeads - 1) / work.kvHeads;
  const DeviceFacts& facts = stateOf(context).facts;
  const int64_t tilesPerHead = (tokens * work.rowsPerToken + rows - 1) / rows;
  work.band = static_cast<int>(attentionBand(work.units, group, tokens, work.segments, bytesPerToken,
                                             facts.l2Bytes, tilesPerHead, facts.processors));
  work.slots = static_cast<unsigned>(slots);
  if (slots * work.units <= INT32_MAX) return slots * work.units;
  fail(context, "attention: %lld blocks for %lld tokens and %d heads are too many",
       static_cast<long long>(slots * work.units), static_cast<long long>(tokens), work.heads);
  return 0;
}

namespace {

template <typename T, typename Args>
AttentionTensors<T> tensorsOf(const Args& a) {
  AttentionTensors<T> t{};
  t.q = static_cast<const T*>(a.q);
  t.k = static_cast<const T*>(a.k);
  t.v = static_cast<const T*>(a.v);
  t.kShared = static_cast<const T*>(a.kShared);
  t.qRow = a.qRow;
  t.qHead = a.qHead;
  t.kRow = a.kRow;
  t.kHead = a.kHead;
  t.vRow = a.vRow;
  t.vHead = a.vHead;
  t.oRow = a.oRow;
  t.oHead = a.oHead;
  t.sharedRow = a.kSharedRow;
  t.qkDim = static_cast<int>(a.qkDim);
  t.vDim = static_cast<int>(a.vDim);
  t.sharedDim = static_cast<int>(a.sharedDim);
  return t;
}

// Whether rows of all heads of these tensors, which have the same strides, begin at multiples of 16 bytes.
template <typename T, typename... P>
bool wholeVectors(int64_t row, int64_t head, const P*... pointers) {
  const bool aligned = ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
  return aligned && row % kLanes16<T> == 0 && head % kLanes16<T> == 0;
}

template <typename T, typename Args>
bool sharedVectors(const Args& a) {
  return a.sharedDim == 0 ||
         ((a.qkDim - a.sharedDim) % kLanes16<T> == 0 && wholeVectors<T>(a.kSharedRow, 0, a.kShared));
}

template <typename Args>
AttentionWork workOf(const Args& a) {
  AttentionWork work{};
  work.cuQ = static_cast<const int32_t*>(a.cuQ);
  work.cuK = static_cast<const int32_t*>(a.cuK);
  work.tokensQ = a.tokensQ;
  work.segments = static_cast<int>(a.segments);
  work.heads = static_cast<int>(a.heads);
  work.kvHeads = static_cast<int>(a.kvHeads);
  work.units = work.heads;
  work.rowsPerToken = 1;
  work.causal = a.causal != 0;
  work.window = static_cast<int>(std::clamp<int64_t>(a.window, 0, int64_t{1} << 30));
  work.rule = scoreRule(a.scale, a.softcap);
  return work;
}

template <typename T>
int forward(KernelContext* context, const AttentionForwardArgs& a) {
  constexpr bool kBf16 = sizeof(T) == 2;
  ForwardParams<T> p{};
  p.tensors = tensorsOf<T>(a);
  p.tensors.qVectors = wholeVectors<T>(a.qRow, a.qHead, a.q);
  p.tensors.kVectors = wholeVectors<T>(a.kRow, a.kHead, a.k) && sharedVectors<T>(a);
  p.tensors.vVectors = wholeVectors<T>(a.vRow, a.vHead, a.v);
  p.tensors.oVectors = wholeVectors<T>(a.oRow, a.oHead, a.o);
  p.work = workOf(a);
  p.work.kLengths = static_cast<const int32_t*>(a.kLengths);
  if (a.pages != nullptr) {
    p.work.pages = static_cast<const int32_t*>(a.pages);
    p.work.pageColumns = static_cast<int>(a.pageColumns);
    p.work.pageCount = static_cast<int>(std::min<int64_t>(a.pageCount, INT32_MAX));
    while (int64_t{1} << p.work.pageShift < a.pageSize) ++p.work.pageShift;
    p.faults = faultReporter(context);
  }
  p.o = static_cast<T*>(a.o);
  p.lse = static_cast<float*>(a.lse);
  p.splits = 1;

  const int64_t group = (a.heads + a.kvHeads - 1) / a.kvHeads;
  const HeadTile tile = headTile(a.qkDim, a.vDim);
  const bool decode = isDecode(a.tokensQ, a.segments);
  const bool sharesValues =
      a.v == a.k && a.vRow == a.kRow && a.vHead == a.kHead && a.vDim <= a.qkDim - a.sharedDim;
  DecodePlan plan{};
  if (kBf16 && (decode || tile == HeadTile::kGeneral)) {
    const int64_t perSegment =
        (a.tokensQ + std::max<int64_t>(a.segments, 1) - 1) / std::max<int64_t>(a.segments, 1);
    plan = planDecode(a.qkDim, a.vDim, sharesValues, perSegment * group, stateOf(context).facts.sharedBytes);
  }
  if (!decode && plan.rows == 0) {
    if constexpr (kBf16) {
      if (tile != HeadTile::kGeneral) return launchAttentionForward(context, p, tile);
    }
    return launchAttentionForwardPlain(context, p, false);
  }

  p.work.units = p.work.kvHeads;
  p.work.rowsPerToken = static_cast<int>(group);
  const int64_t rows = a.tokensQ * a.heads;
  if (decode) {
    const int64_t tileRows = plan.rows > 0 ? plan.rows : 16;
    const int64_t blocks = a.kvHeads * std::max(a.segments, (a.tokensQ * group + tileRows - 1) / tileRows);
    p.splits = static_cast<int>(keySplits(blocks, processors(context), rows * (a.vDim + 1) * 4));
  }
  if (p.splits > 1) {
    p.partial = static_cast<float*>(workspace(
        context, static_cast<size_t>(p.splits) * static_cast<size_t>(rows * (a.vDim + 1)) * sizeof(float)));
    if (p.partial == nullptr) return 1;
    p.partialLog = p.partial + p.splits * rows * a.vDim;
  }
  int status = 0;
  if constexpr (kBf16) {
    status = plan.rows > 0 ? launchAttentionDecode(context, p, plan, sharesValues)
                           : launchAttentionForwardPlain(context, p, true);
  } else {
    status = launchAttentionForwardPlain(context, p, true);
  }
  return status != 0 || p.splits == 1 ? status : launchAttentionCombine(context, p);
}

int attentionForward(KernelContext* context, const void* raw) {
  const auto& a = *static_cast<const AttentionForwardArgs*>(raw);
  if (a.tokensQ == 0 || a.heads == 0) return 0;
  if (a.kvHeads < 1 || a.kvHeads > a.heads) {
    return fail(context, "attentionForward: kvHeads must lie in 1..heads = %lld, got %lld",
                static_cast<long long>(a.heads), static_cast<long long>(a.kvHeads));
  }
  if (a.pages != nullptr &&
      (a.kLengths == nullptr || a.pageSize < 1 || (a.pageSize & (a.pageSize - 1)) != 0 || a.pageCount < 1)) {
    return fail(context,
                "attentionForward: pages need kLengths, a page size that is a power of two and at least one "
                "page; got %s lengths, %lld rows a page and %lld pages",
                a.kLengths == nullptr ? "no" : "the", static_cast<long long>(a.pageSize),
                static_cast<long long>(a.pageCount));
  }
  if (a.dtype == kF32) return forward<float>(context, a);
  if (a.dtype == kBF16) return forward<bf16>(context, a);
  return fail(context, "attentionForward takes f32 or bf16, got %s", dtypeName(a.dtype));
}

template <typename T>
int keyGradient(KernelContext* context, const BackwardParams<T>& p, HeadTile tile) {
  if constexpr (sizeof(T) == 2) {
    if (tile != HeadTile::kGeneral) return launchAttentionKeyGradient(context, p, tile);
  }
  return launchAttentionKeyGradientPlain(context, p);
}

template <typename T>
int queryGradient(KernelContext* context, const BackwardParams<T>& p, HeadTile tile) {
  if constexpr (sizeof(T) == 2) {
    if (tile != HeadTile::kGeneral) return launchAttentionQueryGradient(context, p, tile);
  }
  return launchAttentionQueryGradientPlain(context, p);
}

template <typename T>
int backward(KernelContext* context, const AttentionBackwardArgs& a) {
  BackwardParams<T> p{};
  p.tensors = tensorsOf<T>(a);
  p.tensors.qVectors = wholeVectors<T>(a.qRow, a.qHead, a.q, a.dq);
  p.tensors.kVectors = wholeVectors<T>(a.kRow, a.kHead, a.k, a.dk) && sharedVectors<T>(a);
  p.tensors.vVectors = wholeVectors<T>(a.vRow, a.vHead, a.v, a.dv);
  p.tensors.oVectors = wholeVectors<T>(a.oRow, a.oHead, a.o, a.dout);
  p.work = workOf(a);
  p.work.tokensK = a.tokensK;
  p.dout = static_cast<const T*>(a.dout);
  p.lse = static_cast<const float*>(a.lse);
  p.dq = static_cast<T*>(a.dq);
  p.dk = static_cast<T*>(a.dk);
  p.dv = static_cast<T*>(a.dv);
  p.scale = static_cast<float>(a.scale);
  const HeadTile tile = headTile(a.qkDim, a.vDim);

  // Workspace: D [heads, tokensQ]; for shared channels the sums [tokensK, sharedDim] and each head's of one
  // pass.
  const int64_t passHeads = sharedPassHeads(a.kvHeads, a.tokensK, a.sharedDim);
  const int64_t deltas = a.heads * a.tokensQ, sums = a.tokensK * a.sharedDim;
  auto* delta = static_cast<float*>(
      workspace(context, static_cast<size_t>(deltas + (1 + passHeads) * sums) * sizeof(float)));
  if (delta == nullptr) return 1;
  p.delta = delta;
  int status = 0;
  if (a.tokensQ > 0) {
    status = launchAttentionDelta(context, p, static_cast<const T*>(a.o), delta);
    if (status == 0) status = queryGradient(context, p, tile);
  }
  if (a.tokensK == 0) return status;
  for (int64_t first = 0; first < a.kvHeads && status == 0; first += passHeads) {
    p.work.firstUnit = static_cast<int>(first);
    p.work.units = static_cast<int>(std::min(passHeads, a.kvHeads - first));
    p.shared = a.sharedDim > 0 ? delta + deltas + sums : nullptr;
    status = keyGradient(context, p, tile);
    if (status != 0 || a.sharedDim == 0) continue;
    status = launchAttentionSharedSum(context, p, delta + deltas, static_cast<T*>(a.dkShared), first == 0,
                                      first + passHeads >= a.kvHeads);
  }
  return status;
}

int attentionBackward(KernelContext* context, const void* raw) {
  const auto& a = *static_cast<const AttentionBackwardArgs*>(raw);
  if (a.heads == 0) return 0;
  if (a.kvHeads < 1 || a.kvHeads > a.heads) {
    return fail(context, "attentionBackward: kvHeads must lie in 1..heads = %lld, got %lld",
                static_cast<long long>(a.heads), static_cast<long long>(a.kvHeads));
  }
  if (a.dtype == kF32) return backward<float>(context, a);
  if (a.dtype == kBF16) return backward<bf16>(context, a);
  return fail(context, "attentionBackward takes f32 or bf16, got %s", dtypeName(a.dtype));
}

}  // namespace

void registerAttention(Backend& table) {
  table.kernels[kKernel_attentionForward] = attentionForward;
  table.kernels[kKernel_attentionBackward] = attentionBackward;
}

}  // namespace anneal::cuda
