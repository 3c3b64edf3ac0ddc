// moe.h — arguments of mixture-of-experts routing, balancing and dispatch (DeepSeekMoE; DeepSeek-V2 and V3
// reports). T tokens, E experts, K chosen. Router arithmetic is f32 throughout. Counts and offsets stay on
// the device.
#pragma once

#include <cstdint>

namespace anneal {

enum RouterScoring : int64_t { kScoreSigmoid = 0, kScoreSoftmax = 1 };
enum GroupScore : int64_t { kGroupMax = 0, kGroupTop2Sum = 1 };

// scores s = sigmoid(logits) or softmax(logits) over E. Choice c = s + bias (bias null: c = s). When
// groupsKept < groups: groups are E/groups consecutive experts, scored by max c or by the sum of the two
// largest c; the groupsKept best stay. ids = the K largest c among the experts that stay, ties to the lowest
// index (groups too), stored ascending by expert id; weights = s[ids] (without bias), divided by (Σ + 1e-20)
// when normalise = 1, times scaling.
struct RouterForwardArgs {
  const void* logits;  // f32 [T, E]
  const void* bias;    // f32 [E] or null
  void* scores;        // f32 [T, E]
  void* ids;           // i32 [T, K]
  void* weights;       // f32 [T, K]
  int64_t tokens, experts, chosen, groups, groupsKept, scoring, groupScore, normalise;
  double scaling;
};

// dlogits = gradient of weights with respect to logits, written for all E. normalise: ds_k = scaling·(dw_k −
// Σ dw·s/Z)/Z with Z = Σ s + 1e-20; else scaling·dw. sigmoid: dl = s(1−s)·ds; softmax: dl = s ⊙ (ds − Σ
// s·ds).
struct RouterBackwardArgs {
  const void* scores;
  const void* ids;
  const void* dweights;  // f32 [T, K]
  void* dlogits;         // f32 [T, E]
  int64_t tokens, experts, chosen, scoring, normalise;
  double scaling;
};

enum BalanceCounting : int64_t {
  kCountChosen = 0,    // f counts the experts in ids
  kCountTopScores = 1  // f counts the K largest plain scores (DeepSeek-V3's formula: no bias, no groups)
};

// Balance loss over sequences of tokens/sequences tokens each: f_e = E/(K·T_s)·#{t : e chosen}, P_e = mean_t
// p_te with p = s/Σs (sigmoid) or s (softmax); loss[0] = alpha·mean over sequences of Σ_e f_e·P_e. fractions
// receives f for the backward pass.
struct BalanceLossForwardArgs {
  const void* scores;  // f32 [T, E]
  const void* ids;     // i32 [T, K]
  void* fractions;     // f32 [sequences, E]
  void* loss;          // f32 [1]
  void* workspace;     // f32 [sequences, E]
  int64_t tokens, experts, chosen, sequences, scoring, counting;
  double alpha;
};

// dlogits += dloss·∂loss/∂logits for all experts, f held constant.
struct BalanceLossBackwardArgs {
  const void* scores;
  const void* fractions;
  const void* dloss;  // f32 [1]
  void* dlogits;      // f32 [T, E], added to
  int64_t tokens, experts, chosen, sequences, scoring;
  double alpha;
};

// Stable counting sort of the T·K flat choices r = t·K + k by expert: counts[e], exclusive prefix sums
// offsets[0..E], order[j] = r of sorted row j, inverse[r] = j. totals (i32 [E] or null) has counts added to
// it: the load since it was last cleared; tokens with counted[t] < 0 (counted or null: none) are left out of
// totals. An id outside [0, E) is an error.
struct MoeSortArgs {
  const void* ids;      // i32 [T, K]
  void* counts;         // i32 [E]
  void* offsets;        // i32 [E + 1]
  void* order;          // i32 [T·K]
  void* inverse;        // i32 [T·K]
  void* totals;         // i32 [E] or null
  const void* counted;  // i32 [T] or null
  int64_t tokens, experts, chosen;
};

// y[j, :] = x[order[j] / K, :] for the T·K sorted rows.
struct MoePermuteArgs {
  const void* x;
  const void* order;
  void* y;
  int64_t rows, chosen, width, dtype;
};

// y[t, :] = addend[t, :] + Σ_k w[t, k]·x[inverse[t·K + k], :], in f32 in order of k, rounded once. weights
// null: all 1 (the gradient of moePermute); addend null: 0.
struct MoeCombineForwardArgs {
  const void* x;        // [T·K, width]
  const void* weights;  // f32 [T, K] or null
  const void* inverse;  // i32 [T·K]
  const void* addend;   // [T, width] or null
  void* y;              // [T, width]
  int64_t tokens, chosen, width, dtype;
};

// dx[inverse[t·K + k], :] = w[t, k]·dy[t, :]; dweights[t, k] = Σ_c dy[t, c]·x[inverse[t·K + k], c].
struct MoeCombineBackwardArgs {
  const void* dy;
  const void* x;
  const void* weights;
  const void* inverse;
  void* dx;
  void* dweights;  // f32 [T, K]
  int64_t tokens, chosen, width, dtype;
};

// bias[e] += rate·sign(mean(totals) − totals[e]), sign(0) = 0; totals (i32) are cleared afterwards.
struct MoeBiasUpdateArgs {
  void* bias;
  void* totals;
  int64_t experts;
  double rate;
};

}  // namespace anneal
