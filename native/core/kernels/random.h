// random.h — arguments of kernels that draw random numbers. All use Philox (core/philox.h) with key = seed
// and counter = (element / 4, offset), element i taking word i mod 4: any element can be drawn again alone.
#pragma once

#include <cstdint>

namespace anneal {

enum RandomKind : int64_t {
  kRandomUniform = 0,  // p0 + (p1 − p0)·u, u in [0, 1)
  kRandomNormal,  // p0 + p1·z, z by Box–Muller: words (0, 1) give elements 0 and 1, words (2, 3) give 2 and 3
                  // of a block
  kRandomBernoulli,       // 1 with probability p0, else 0
  kRandomTruncatedNormal  // p0 + p1·z with z clipped to [−3, 3]
};

// Box–Muller: u1 = 1 − uniform(w0) in (0, 1], u2 = uniform(w1); r = √(−2 ln u1); z0 = r·cos(2πu2), z1 =
// r·sin(2πu2), in double, rounded to f32 once.
struct RandomArgs {
  void* out;
  int64_t n, dtype, kind, seed, offset;
  double p0, p1;
};

// y[i] = uniform(i) >= p ? x[i] / (1 − p) : 0; f32 or bf16. The backward pass is the same kernel on dy with
// the same seed and offset. p = 1 gives zeros. x may be y.
struct DropoutArgs {
  const void* x;
  void* y;
  const void* counter;  // i64 [1], added to offset when the kernel runs; or null
  int64_t n, dtype;
  double p;
  int64_t seed, offset;
};

// Draws one id per row of logits [rows, vocab] (f32 or bf16). temperature = 0: argmax, lowest id on ties.
// Otherwise logits are divided by temperature, then kept: top-k (z >= the k-th largest; 0 is off), top-p
// (descending by (z, lowest id first), a token goes when the probability before it is
// >= topP; 1 is off), min-p (probability >= minP·max; 0 is off). One uniform u per row, word 0 of
// Philox(counter = (row, offset)); the id is the first in ascending id order whose cumulative kept
// probability (double) exceeds u·total. logp (or null) receives ln softmax(logits/temperature) of the id over
// the whole vocabulary (temperature 0: of the raw logits).
struct SampleArgs {
  const void* logits;
  void* ids;   // i32 [rows]
  void* logp;  // f32 [rows] or null
  int64_t rows, vocab, dtype;
  double temperature;
  int64_t topK;
  double topP, minP;
  int64_t seed, offset;
};

}  // namespace anneal
