// loss.h — arguments of language-model losses fused with the output projection, in chunks of rows, so that
// logits [tokens, vocab] are never stored.
#pragma once

#include <cstdint>

namespace anneal {

// Per row with target y (not ignoreIndex): z = h·weightᵀ, softcap c > 0: z ← c·tanh(z/c), lse = logsumexp z,
// l = lse − (1−ε)·z_y − ε·mean(z) + ζ·lse². loss[0] = factor·Σ l / N with N = normaliser when > 0, else the
// number of rows that count (at least 1). dz = factor/N·(softmax(z)·(1 + 2ζ·lse) − (1−ε)·onehot(y) − ε/V)·(1
// − (z/c)²); dh = dz·weight, dweight = beta·dweight + dzᵀ·h. h [rows, width], weight [vocab, width], dh like
// h: dtype f32 or bf16; dweight f32. dh and dweight are both given or both null (loss alone). Logits are f32
// from the accumulator. rowLoss (or null) receives l per row, 0 where ignored. count (or null) receives the
// number of rows that count. A device may round dz to dtype before the products that follow. A target outside
// [0, vocab) other than ignoreIndex is an error. Rows are taken chunkRows at a time (0: the backend chooses).
struct LinearCrossEntropyArgs {
  const void* h;
  const void* weight;
  const void* targets;  // i32 [rows]
  void* loss;           // f32 [1]
  void* rowLoss;        // f32 [rows] or null
  void* count;          // f32 [1] or null
  void* dh;             // or null
  void* dweight;        // or null
  int64_t rows, width, vocab, ignoreIndex;
  double labelSmoothing, zLoss, softcap, factor, beta;
  double normaliser;
  int64_t chunkRows, dtype;
};

// logp[t] = (z/temperature)_y − lse(z/temperature), entropy[t] = −Σ p ln p of the same distribution; ignored
// rows give 0.
struct TokenLogProbsForwardArgs {
  const void* h;
  const void* weight;
  const void* targets;  // i32 [rows]
  void* logp;           // f32 [rows]
  void* entropy;        // f32 [rows] or null
  void* lse;            // f32 [rows]
  int64_t rows, width, vocab, ignoreIndex;
  double temperature;
  int64_t chunkRows, dtype;
};

// With upstream dlogp and dentropy (f32 [rows], dentropy or null): dz = (dlogp·(onehot − p) − dentropy·p·(ln
// p + entropy))/temperature. dh (dtype) is written; dweight (f32) = beta·dweight + dzᵀ·h.
struct TokenLogProbsBackwardArgs {
  const void* h;
  const void* weight;
  const void* targets;
  const void* lse;
  const void* entropy;  // f32 [rows] or null with dentropy
  const void* dlogp;
  const void* dentropy;  // or null
  void* dh;
  void* dweight;
  int64_t rows, width, vocab, ignoreIndex;
  double temperature, beta;
  int64_t chunkRows, dtype;
};

}  // namespace anneal
