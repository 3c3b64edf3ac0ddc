// norm.h — arguments of RMSNorm and LayerNorm with a fused residual addition. Statistics in f32.
// Weight gradients are f32 and summed over fixed blocks of rows, so they do not depend on the number of
// threads.
#pragma once

#include <cstdint>

namespace anneal {

// s = x + residual (or x), r = 1/√(mean s² + eps), y = weight ⊙ (s·r). s is rounded to dtype before it is
// normalised. x, residual, sum, y: [rows, width] of dtype; weight [width] of dtype; rstd f32 [rows]. x rows
// are xStride elements apart (>= width; with residual: width), all else contiguous. In bf16, s·r is rounded
// to bf16 before the multiplication by weight, as transformers does.
struct RmsNormForwardArgs {
  const void* x;
  const void* residual;  // or null
  const void* weight;
  void* y;
  void* sum;   // or null when residual is null
  void* rstd;  // f32 [rows]
  int64_t rows, width, xStride, dtype;
  double eps;
};

// u = dy ⊙ weight, x̂ = x·r: dx = r·(u − x̂·mean(u ⊙ x̂)) + dsum; dweight += Σ_rows dy ⊙ x̂ (f32; = when
// accumulate is 0; null: skipped). x is the normalised input (the sum, where a residual was added), rows
// xStride apart; dx rows are dxStride apart. dsum (or null) is the gradient that arrives at the sum from
// elsewhere; dx may be dsum.
struct RmsNormBackwardArgs {
  const void* dy;
  const void* dsum;  // or null
  const void* x;
  const void* weight;
  const void* rstd;
  void* dx;
  void* dweight;  // f32 [width] or null
  int64_t rows, width, xStride, dxStride, dtype, accumulate;
};

// s = x + residual (or x), μ = mean s, r = 1/√(mean (s − μ)² + eps), y = weight ⊙ (s − μ)·r + bias; weight
// and bias [width] of dtype.
struct LayerNormForwardArgs {
  const void* x;
  const void* residual;  // or null
  const void* weight;
  const void* bias;  // or null
  void* y;
  void* sum;   // or null when residual is null
  void* mean;  // f32 [rows]
  void* rstd;  // f32 [rows]
  int64_t rows, width, dtype;
  double eps;
};

// dx = r·(u − mean(u) − x̂·mean(u ⊙ x̂)) + dsum; dweight += Σ dy ⊙ x̂; dbias += Σ dy (f32; = when accumulate is
// 0; null: skipped).
struct LayerNormBackwardArgs {
  const void* dy;
  const void* dsum;  // or null
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* dx;
  void* dweight;  // f32 [width] or null
  void* dbias;    // f32 [width] or null
  int64_t rows, width, dtype, accumulate;
};

}  // namespace anneal
