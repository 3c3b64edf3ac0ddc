// attention.h — arguments of fused attention over packed sequences, forward and backward (Dao et al.,
// FlashAttention: online softmax, T×T never stored).
#pragma once

#include <cstdint>

namespace anneal {

// For segment s, query rows cuQ[s]..cuQ[s+1] attend to key rows cuK[s]..cuK[s]+n where n = kLengths[s] or,
// when that is null, cuK[s+1] − cuK[s]. Query row t of a segment with Tq queries and Tk keys stands at key
// position p = t + Tk − Tq. causal: keys j <= p; window > 0: keys j > p − window. score = scale·(q·k)
// (softcap > 0: c·tanh(score/c)); P = softmax in f32; o = P·v; lse = logsumexp of the scores that are not
// masked. A row with no key gives o = 0 and lse = +inf. Query head h reads key head h·kvHeads/heads (integer
// division). Element (t, h, c) of q lies at t·qRow + h·qHead + c; k, v, o likewise. When kShared is given
// (MLA), the last sharedDim channels of every head's key come from kShared [row·kSharedRow + c], common to
// all heads, and k holds only the first qkDim − sharedDim channels. f32 or bf16; scores, softmax and
// accumulation in f32. lse: f32 [heads, tokensQ].
//
// With pages, key row j of segment s is row pages[s, j / pageSize]·pageSize + j mod pageSize of k, v and
// kShared, which are pools of pageCount pages; cuK is ignored and may be null. pageSize is a power of two,
// pageColumns·pageSize at least every length. Table entries behind a segment's last key are not read. A page
// id outside [0, pageCount) that a segment with queries has keys in is an error, which names the entry's
// position in the table.
struct AttentionForwardArgs {
  const void* q;
  const void* k;
  const void* v;
  const void* kShared;   // or null
  const void* cuQ;       // i32 [segments + 1], non-decreasing
  const void* cuK;       // i32 [segments + 1], or [segments] starts when kLengths is given
  const void* kLengths;  // i32 [segments] or null
  const void* pages;     // i32 [segments, pageColumns] or null; needs kLengths
  void* o;
  void* lse;  // or null
  int64_t segments, tokensQ, heads, kvHeads, qkDim, vDim, sharedDim;
  int64_t qRow, qHead, kRow, kHead, vRow, vHead, oRow, oHead, kSharedRow;
  int64_t pageSize, pageColumns, pageCount;  // without pages not read
  double scale, softcap;
  int64_t causal, window, dtype;
};

// Recomputes P from lse: D = Σ do·o, dS = P ⊙ (do·vᵀ − D) (⊙ (1 − (score/c)²) under soft cap), dq =
// scale·dS·k, dk = scale·dSᵀ·q, dv = Pᵀ·do; dk and dv are summed over the query heads that share a key head,
// dkShared over all heads. Every gradient is written, not added (rows outside every segment are set to 0),
// with the strides of its tensor; do has o's strides. Deterministic.
struct AttentionBackwardArgs {
  const void* q;
  const void* k;
  const void* v;
  const void* kShared;  // or null
  const void* cuQ;
  const void* cuK;
  const void* o;
  const void* lse;
  const void* dout;
  void* dq;
  void* dk;
  void* dv;
  void* dkShared;  // or null with kShared
  int64_t segments, tokensQ, tokensK, heads, kvHeads, qkDim, vDim, sharedDim;
  int64_t qRow, qHead, kRow, kHead, vRow, vHead, oRow, oHead, kSharedRow;
  double scale, softcap;
  int64_t causal, window, dtype;
};

}  // namespace anneal
