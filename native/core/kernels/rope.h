// rope.h — arguments of the rotary position embedding (Su et al., RoFormer). The inverse is the same kernel
// with inverse = 1.
#pragma once

#include <cstdint>

namespace anneal {

// Rotates `rotary` channels, starting at channel `offset`, of every head of x; other channels of the head are
// copied when y is not x. Pair j (0 <= j < rotary/2) turns by the angle whose cosine and sine stand at
// cos[positions[t], j], sin[positions[t], j] (f32 tables [maxPositions, rotary/2], scaling included): a' =
// a·c − b·s, b' = b·c + a·s; inverse = 1 negates s. Pairs are channels (2j, 2j+1) when interleaved, (j, j +
// rotary/2) otherwise; input and output layouts are chosen separately (DeepSeek-V3 reads interleaved and
// writes halves; its backward pass reads halves and writes interleaved). x: element (t, h, c) at t·xRow +
// h·xHead + c, y likewise; headSize channels a head. f32 or bf16. y may be x (with equal strides).
struct RopeArgs {
  const void* x;
  void* y;
  const void* positions;  // i32 [tokens]; a position outside the table is an error
  const void* cos;
  const void* sin;
  int64_t tokens, heads, headSize, rotary, offset, xRow, xHead, yRow, yHead, inputInterleaved,
      outputInterleaved, inverse, maxPositions, dtype;
};

}  // namespace anneal
