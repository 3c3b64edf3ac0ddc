// embedding.h — arguments of table look-up and its gradient.
#pragma once

#include <cstdint>

namespace anneal {

// out[t, :] = weight[ids[t], :]; ids i32 in [0, vocab), weight [vocab, width] f32 or bf16. An id outside is
// an error.
struct EmbeddingForwardArgs {
  const void* ids;
  const void* weight;
  void* out;
  int64_t tokens, width, vocab, dtype;
};

// dweight[ids[t], :] += dy[t, :], t ascending within an id (deterministic); dweight f32 [vocab, width],
// zeroed first unless accumulate = 1. dy f32 or bf16 (dtype).
struct EmbeddingBackwardArgs {
  const void* ids;
  const void* dy;
  void* dweight;
  int64_t tokens, width, vocab, dtype, accumulate;
};

}  // namespace anneal
