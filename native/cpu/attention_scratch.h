// attention_scratch.h — the working memory of one attention block, carved from the calling thread's arena;
// the same for every length of sequence.
#pragma once

#include "core/kernels/attention.h"
#include "cpu/attention_plan.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

constexpr int kAttentionBlockSlot = 4;

// Forward pass, a block of queries against a block of keys. q, o: [channel][query]; scores: [key][query];
// keys, values: [key][channel].
struct BlockScratch {
  float *q, *o, *scores, *keys, *values, *maxima, *sums, *factors;
  int64_t keyRow, valueRow;

  explicit BlockScratch(const AttentionForwardArgs& a)
      : keyRow(padded(a.qkDim - a.sharedDim) + padded(a.sharedDim)), valueRow(padded(a.vDim)) {
    const int64_t numbers =
        (keyRow + valueRow) * (kQueryBlock + kKeyBlock) + kKeyBlock * kQueryBlock + 3 * kQueryBlock;
    float* next =
        static_cast<float*>(threadScratch(kAttentionBlockSlot, static_cast<size_t>(numbers) * sizeof(float)));
    const auto take = [&next](int64_t count) {
      float* taken = next;
      next += count;
      return taken;
    };
    q = take(keyRow * kQueryBlock);
    o = take(valueRow * kQueryBlock);
    scores = take(kKeyBlock * kQueryBlock);
    maxima = take(kQueryBlock);
    sums = take(kQueryBlock);
    factors = take(kQueryBlock);
    keys = take(keyRow * kKeyBlock);
    values = take(valueRow * kKeyBlock);
  }
};

// Backward pass. q, dout, dq: [channel][query]; qRows, doutRows: [query][channel]; p, ds: [key][query].
struct PairScratch {
  float *q, *dout, *qRows, *doutRows, *dq, *p, *ds, *keys, *values, *lse, *delta, *factors;
  int64_t qkRow, vRow;

  explicit PairScratch(const AttentionBackwardArgs& a) : qkRow(padded(a.qkDim)), vRow(padded(a.vDim)) {
    const int64_t numbers =
        kQueryBlock * (3 * qkRow + 2 * vRow + 3 + 2 * kKeyBlock) + kKeyBlock * (qkRow + vRow);
    float* next =
        static_cast<float*>(threadScratch(kAttentionBlockSlot, static_cast<size_t>(numbers) * sizeof(float)));
    const auto take = [&next](int64_t count) {
      float* taken = next;
      next += count;
      return taken;
    };
    q = take(qkRow * kQueryBlock);
    dout = take(vRow * kQueryBlock);
    qRows = take(qkRow * kQueryBlock);
    doutRows = take(vRow * kQueryBlock);
    dq = take(qkRow * kQueryBlock);
    p = take(kKeyBlock * kQueryBlock);
    ds = take(kKeyBlock * kQueryBlock);
    keys = take(qkRow * kKeyBlock);
    values = take(vRow * kKeyBlock);
    lse = take(kQueryBlock);
    delta = take(kQueryBlock);
    factors = take(kQueryBlock);
  }
};

ANNEAL_CPU_NAMESPACE_END
