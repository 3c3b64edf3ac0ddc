// activation.h — arguments of gated activations: SwiGLU and GeGLU (Shazeer, "GLU variants improve
// Transformer").
#pragma once

#include <cstdint>

namespace anneal {

// y = act(gate) ⊙ up with act one of UnaryOp's kSilu, kGelu, kGeluTanh; gate and up rows are inStride
// elements apart (so both halves of one [rows, 2·width] product can be passed), y is contiguous [rows,
// width]. f32 or bf16, computed in f32.
struct GatedForwardArgs {
  const void* gate;
  const void* up;
  void* y;
  int64_t rows, width, inStride, act, dtype;
};

// dgate = dy ⊙ up ⊙ act'(gate), dup = dy ⊙ act(gate); dgate and dup rows are inStride apart, like gate and
// up.
struct GatedBackwardArgs {
  const void* dy;
  const void* gate;
  const void* up;
  void* dgate;
  void* dup;
  int64_t rows, width, inStride, act, dtype;
};

}  // namespace anneal
