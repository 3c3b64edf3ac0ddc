// optimizer.h — arguments of multi-tensor optimizer steps. All parameters are updated by one call that reads
// a table of pointers.
#pragma once

#include <cstdint>

namespace anneal {

// One row of the table (device memory, written by the addon from tensor handles).
struct ParameterEntry {
  void* parameter;       // f32 or bf16: what the model computes with
  const void* gradient;  // f32
  void* firstMoment;     // f32 or bf16; null for plain SGD
  void* secondMoment;    // like firstMoment; null for SGD
  void* master;          // f32 copy of a bf16 parameter; null when the parameter is f32
  int64_t count;         // elements
  int64_t parameterDtype;
  int64_t momentDtype;
  int64_t decays;  // 1: weight decay applies
};

// norm[0] = √Σ g² over all gradients; clip[0] = min(1, maxNorm/(norm + 1e-6)), 1 when maxNorm <= 0, and −1
// when norm is not finite, which makes the optimizer kernels leave everything as it is. Summed over fixed
// blocks: independent of the number of threads.
struct GradNormArgs {
  const void* table;  // ParameterEntry [entries]
  void* norm;         // f32 [1]
  void* clip;         // f32 [1]
  int64_t entries;
  double maxNorm;
};

// g ← clip[0]·g; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; θ ← θ(1 − lr·λ) − lr·(m/(1−β₁ᵗ))/(√(v/(1−β₂ᵗ)) + eps)
// with t = step (from 1), in f32 on the master copy; the bf16 parameter is its rounding. l2 = 1: Adam, where
// g ← g + λθ instead of decoupled decay. Rows with decays = 0 use λ = 0. stochasticRounding = 1 rounds bf16
// moments by Philox(seed, step, element). bf16 parameters round to nearest.
struct AdamWArgs {
  const void* table;
  const void* clip;      // f32 [1] or null
  const void* schedule;  // f64 [2]: lr and step, which are then read when the kernel runs; or null
  int64_t entries;
  double lr, beta1, beta2, eps, weightDecay;
  int64_t step, l2, stochasticSeed;  // stochasticSeed 0: round to nearest
};

// g ← clip[0]·g + λθ; buffer = g at the first step, else μ·buffer + (1 − dampening)·g; θ −= lr·buffer, or
// lr·(g + μ·buffer) with nesterov. The buffer is firstMoment; momentum 0 needs none.
struct SgdArgs {
  const void* table;
  const void* clip;      // f32 [1] or null
  const void* schedule;  // f64 [2]: lr and step, as in AdamWArgs; or null
  int64_t entries;
  double lr, momentum, dampening, weightDecay;
  int64_t nesterov, step;
};

}  // namespace anneal
