// router.cu — expert routing of DeepSeek-V2 and V3 and its gradient: a warp a token, whose scores and choice
// keys stay in registers up to 512 experts. Choices compare exactly, with ties to the lowest index.
#include "cuda/device/choice.h"
#include "cuda/device_state.h"
#include "cuda/host/loops.h"
#include "cuda/host/moe_plan.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

struct Routing {
  int64_t tokens;
  int experts, steps;  // steps of 32 experts
  int chosen, groups, groupsKept, groupSize;
  int team;  // lanes that score one group
  bool softmax, pairs, normalise;
  bool limited;  // some groups are dropped
  float scaling;
  Divisor bySize;
  unsigned warpBytes;  // shared memory of a warp
};

// From logits to scores over the row of a warp.
template <int held>
ANNEAL_DEVICE void scoresOf(Lane<float, held>& scores, const float* logits, const Routing& r) {
  const int lane = static_cast<int>(laneId());
  scores.each([&](int i, float& s) {
    const int e = i * 32 + lane;
    s = e < r.experts ? logits[e] : -kInfinity;
  });
  if (!r.softmax) {
    scores.each([&](int, float& s) { s = 1.0f / (1.0f + expf(-s)); });
    return;
  }
  float top = -kInfinity, sum = 0.0f;
  scores.each([&](int, float& s) { top = maxNan(top, s); });
  top = warpReduce(top, Maximum{});
  scores.each([&](int i, float& s) {
    s = i * 32 + lane < r.experts ? expf(s - top) : 0.0f;
    sum += s;
  });
  const float scale = 1.0f / warpReduce(sum, Sum{});
  scores.each([&](int, float& s) { s *= scale; });
}

// The score of each group as a key: its largest choice score, or the sum of its two largest. row: keys by
// expert; groupKeys: in whole rows of a warp.
ANNEAL_DEVICE void scoreGroups(const uint32_t* row, uint32_t* groupKeys, const Routing& r) {
  const int team = r.team, part = static_cast<int>(laneId()) % team;
  const int steps = (r.groupSize + team - 1) / team, rows = (r.groups + 31) / 32 * 32;
  for (int g = r.groups + static_cast<int>(laneId()); g < rows; g += 32) groupKeys[g] = kExcluded;
  for (int first = 0; first < r.groups; first += 32 / team) {
    const int g = first + static_cast<int>(laneId()) / team;
    uint32_t largest = kTaken, second = kTaken;
    // Groups start at different steps, so that their reads meet different banks.
    for (int i = 0, step = g % steps; i < steps; ++i, step = step + 1 == steps ? 0 : step + 1) {
      const int member = step * team + part;
      if (g >= r.groups || member >= r.groupSize) continue;
      const uint32_t key = row[g * r.groupSize + member];
      if (key > largest) {
        second = largest;
        largest = key;
      } else if (key > second) {
        second = key;
      }
    }
    for (int distance = team / 2; distance > 0; distance /= 2) {
      const uint32_t otherLargest = shuffleXor(largest, static_cast<unsigned>(distance));
      const uint32_t otherSecond = shuffleXor(second, static_cast<unsigned>(distance));
      const uint32_t lower = largest < otherLargest ? largest : otherLargest;
      largest = largest > otherLargest ? largest : otherLargest;
      second = second > otherSecond ? second : otherSecond;
      second = second > lower ? second : lower;
    }
    if (part != 0 || g >= r.groups) continue;
    const bool pair = r.pairs && r.groupSize > 1;
    groupKeys[g] = orderOf(pair ? numberOf(largest) + numberOf(second) : numberOf(largest));
  }
}

// Excludes the experts of all groups but the best. shared: the warp's row of keys by expert (for held = 0
// that of `keys` itself), then its keys of groups.
template <int held>
ANNEAL_DEVICE void dropGroups(Lane<uint32_t, held>& keys, uint32_t* row, uint32_t* groupKeys,
                              const Routing& r) {
  const int lane = static_cast<int>(laneId());
  if constexpr (held > 0) {
    keys.each([&](int i, uint32_t& key) {
      if (i < r.steps) row[i * 32 + lane] = key;
    });
  }
  syncWarp();
  scoreGroups(row, groupKeys, r);
  syncWarp();
  Lane<uint32_t, 0> groups(groupKeys, (r.groups + 31) / 32);
  takeLargest(groups, r.groupsKept);
  syncWarp();
  keys.each([&](int i, uint32_t& key) {
    const int e = i * 32 + lane;
    if (e < r.experts && groupKeys[quotient(e, r.bySize)] != kTaken) key = kExcluded;
  });
}

// Floor: bytes of logits and scores ÷ bandwidth; for 256 experts about as long for the rounds of the choice.
template <int held>
__global__ void __launch_bounds__(kMoeThreads)
    routerKernel(const float* logits, const float* bias, float* scoresOut, int32_t* ids, float* weights,
                 Routing r) {
  const int64_t token = int64_t{blockIdx.x} * (blockDim.x / kWarpSize) + warpId();
  if (token >= r.tokens) return;
  const int lane = static_cast<int>(laneId());
  uint32_t* shared = sharedArena<uint32_t>() + warpId() * (r.warpBytes / 4);
  const int padded = r.steps * 32;
  // Wide rows: keys, scores, keys of groups; else, with groups, keys and keys of groups.
  Lane<uint32_t, held> keys(shared, r.steps);
  Lane<float, held> scores(reinterpret_cast<float*>(shared + padded), r.steps);
  scoresOf(scores, logits + token * r.experts, r);
  float* row = scoresOut + token * r.experts;
  eachOf(keys, scores, [&](int i, uint32_t& key, float& s) {
    const int e = i * 32 + lane;
    key = kExcluded;
    if (e >= r.experts) return;
    row[e] = s;
    key = orderOf(bias == nullptr ? s : s + bias[e]);
  });
  if (r.limited) dropGroups(keys, shared, shared + (held > 0 ? padded : 2 * padded), r);
  takeLargest(keys, r.chosen);
  float total = 0.0f;
  eachOf(keys, scores, [&](int, uint32_t& key, float& s) { total += key == kTaken ? s : 0.0f; });
  total = warpReduce(total, Sum{});
  const float divisor = r.normalise ? total + 1e-20f : 1.0f;
  int64_t place = token * r.chosen;
  eachOf(keys, scores, [&](int i, uint32_t& key, float& s) {
    const uint32_t taken = ballot(key == kTaken);
    if (key == kTaken) {
      const int64_t at = place + countBits(taken & ((1u << lane) - 1u));
      ids[at] = i * 32 + lane;
      weights[at] = s / divisor * r.scaling;
    }
    place += countBits(taken);
  });
}

// Floor: bytes of dlogits (softmax: and of scores) ÷ bandwidth.
__global__ void __launch_bounds__(kMoeThreads)
    routerBackwardKernel(const float* scores, const int32_t* ids, const float* dweights, float* dlogits,
                         int64_t tokens, int64_t experts, int64_t chosen, bool softmax, bool normalise,
                         float scaling) {
  const int64_t token = int64_t{blockIdx.x} * kMoeWarps + warpId();
  if (token >= tokens) return;
  const int64_t lane = laneId();
  const float* score = scores + token * experts;
  float* gradient = dlogits + token * experts;
  ids += token * chosen;
  dweights += token * chosen;
  float total = 1.0f, mean = 0.0f;
  if (normalise) {
    total = 0.0f;
    for (int64_t k = lane; k < chosen; k += kWarpSize) total += score[ids[k]];
    total = warpReduce(total, Sum{}) + 1e-20f;
    for (int64_t k = lane; k < chosen; k += kWarpSize) mean += dweights[k] * (score[ids[k]] / total);
    mean = warpReduce(mean, Sum{});
  }
  const auto gradientOf = [&](int64_t k) { return scaling * (dweights[k] - mean) / total; };
  float inner = 0.0f;
  if (softmax) {
    for (int64_t k = lane; k < chosen; k += kWarpSize) inner += score[ids[k]] * gradientOf(k);
    inner = warpReduce(inner, Sum{});
#pragma unroll 4
    for (int64_t e = lane; e < experts; e += kWarpSize) gradient[e] = -score[e] * inner;
  } else {
#pragma unroll 4
    for (int64_t e = lane; e < experts; e += kWarpSize) gradient[e] = 0.0f;
  }
  // The chosen ones once more, in the same lines.
  syncWarp();
  for (int64_t k = lane; k < chosen; k += kWarpSize) {
    const float s = score[ids[k]];
    gradient[ids[k]] = softmax ? s * (gradientOf(k) - inner) : s * (1.0f - s) * gradientOf(k);
  }
}

template <int held>
int route(KernelContext* context, const RouterForwardArgs& args, const Routing& routing, unsigned warps) {
  const unsigned blocks = static_cast<unsigned>(divideUp(args.tokens, warps));
  return launch(context, routerKernel<held>, {blocks, warps * kWarpSize, size_t{warps} * routing.warpBytes},
                static_cast<const float*>(args.logits), static_cast<const float*>(args.bias),
                static_cast<float*>(args.scores), static_cast<int32_t*>(args.ids),
                static_cast<float*>(args.weights), routing);
}

int routerForward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const RouterForwardArgs*>(raw);
  if (args.tokens == 0) return 0;
  if (args.groups < 1 || args.experts % args.groups != 0 || args.groupsKept < 1) {
    return fail(context, "routerForward: %lld experts cannot be divided into %lld groups of which %lld stay",
                static_cast<long long>(args.experts), static_cast<long long>(args.groups),
                static_cast<long long>(args.groupsKept));
  }
  const int64_t size = args.experts / args.groups, eligible = std::min(args.groupsKept, args.groups) * size;
  if (args.chosen < 1 || args.chosen > eligible) {
    return fail(context,
                "routerForward: chosen must lie in 1..%lld (experts of the groups that stay), got %lld",
                static_cast<long long>(eligible), static_cast<long long>(args.chosen));
  }
  const bool limited = args.groupsKept < args.groups;
  const int64_t room = stateOf(context).facts.sharedBytes;
  const size_t warpBytes = routerBytes(args.experts, args.groups, limited);
  const unsigned warps = warpsOf(warpBytes, room);
  if (warps == 0) {
    return fail(context, "routerForward: %lld experts need %lld bytes of shared memory, a block has %lld",
                static_cast<long long>(args.experts), static_cast<long long>(warpBytes),
                static_cast<long long>(room));
  }
  const Routing routing{args.tokens,
                        static_cast<int>(args.experts),
                        static_cast<int>(divideUp(args.experts, 32)),
                        static_cast<int>(args.chosen),
                        static_cast<int>(args.groups),
                        static_cast<int>(args.groupsKept),
                        static_cast<int>(size),
                        static_cast<int>(32 / powerOfTwo(args.groups, 32)),
                        args.scoring == kScoreSoftmax,
                        args.groupScore == kGroupTop2Sum,
                        args.normalise != 0,
                        limited,
                        static_cast<float>(args.scaling),
                        divisorOf(size),
                        static_cast<unsigned>(warpBytes)};
  switch (heldExperts(args.experts)) {
    case 2:
      return route<2>(context, args, routing, warps);
    case 8:
      return route<8>(context, args, routing, warps);
    case 16:
      return route<16>(context, args, routing, warps);
    default:
      return route<0>(context, args, routing, warps);
  }
}

int routerBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const RouterBackwardArgs*>(raw);
  const unsigned blocks = static_cast<unsigned>(divideUp(args.tokens, kMoeWarps));
  return launch(context, routerBackwardKernel, {blocks, kMoeThreads}, static_cast<const float*>(args.scores),
                static_cast<const int32_t*>(args.ids), static_cast<const float*>(args.dweights),
                static_cast<float*>(args.dlogits), args.tokens, args.experts, args.chosen,
                args.scoring == kScoreSoftmax, args.normalise != 0, static_cast<float>(args.scaling));
}

}  // namespace

void registerRouter(Backend& table) {
  table.kernels[kKernel_routerForward] = routerForward;
  table.kernels[kKernel_routerBackward] = routerBackward;
}

}  // namespace anneal::cuda
