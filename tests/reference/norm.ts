/**
 * Oracle of RMSNorm and LayerNorm over the last axis, each with the residual addition fused in: the norm is taken
 * of sum = x + residual, and sum is returned too because the next residual starts from it.
 */
import type { Values } from "./array.js";

/** Inputs of a norm. x, residual: [rows, dim]; gain, bias: [dim]. */
export interface NormInput {
  x: Values;
  dim: number;
  /** Added under the root. */
  eps: number;
  /** Added to x before the norm; absent means none. */
  residual?: Values;
  /** Multiplies the normalised row; absent means ones. */
  gain?: Values;
  /** Added last, LayerNorm only; absent means zeros. */
  bias?: Values;
}

/** Outputs of a norm. y, sum: [rows, dim]; mean, rstd: [rows] (mean is all 0 for RMSNorm). */
export interface NormOutput {
  y: Float64Array;
  sum: Float64Array;
  mean: Float64Array;
  rstd: Float64Array;
}

/** Gradients of a norm. dx is the gradient of x and, equally, of the residual. */
export interface NormGradient {
  dx: Float64Array;
  dgain: Float64Array;
  dbias: Float64Array;
}

function forward({ x, dim, eps, residual, gain, bias }: NormInput, centred: boolean): NormOutput {
  const rows = x.length / dim;
  const sum = Float64Array.from(x, (value, i) => value + (residual ? residual[i] : 0));
  const y = new Float64Array(x.length);
  const mean = new Float64Array(rows);
  const rstd = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const values = sum.subarray(row * dim, (row + 1) * dim);
    if (centred) mean[row] = values.reduce((total, value) => total + value, 0) / dim;
    const variance = values.reduce((total, value) => total + (value - mean[row]) ** 2, 0) / dim;
    rstd[row] = 1 / Math.sqrt(variance + eps);
    for (let d = 0; d < dim; d++) {
      const normalised = (values[d] - mean[row]) * rstd[row];
      y[row * dim + d] = normalised * (gain ? gain[d] : 1) + (bias ? bias[d] : 0);
    }
  }
  return { y, sum, mean, rstd };
}

/** With u = dy·gain and x̂ the normalised row: dx = rstd·(u − [mean u] − x̂·mean(u·x̂)) + dsum. */
function backward(input: NormInput, dy: Values, dsum: Values | undefined, centred: boolean): NormGradient {
  const { dim, gain } = input;
  const { sum, mean, rstd } = forward(input, centred);
  const dx = new Float64Array(sum.length);
  const dgain = new Float64Array(dim);
  const dbias = new Float64Array(dim);
  for (let row = 0; row < rstd.length; row++) {
    const at = row * dim;
    let meanU = 0;
    let meanUX = 0;
    for (let d = 0; d < dim; d++) {
      const normalised = (sum[at + d] - mean[row]) * rstd[row];
      const u = dy[at + d] * (gain ? gain[d] : 1);
      if (centred) meanU += u / dim;
      meanUX += (u * normalised) / dim;
      dgain[d] += dy[at + d] * normalised;
      dbias[d] += dy[at + d];
    }
    for (let d = 0; d < dim; d++) {
      const normalised = (sum[at + d] - mean[row]) * rstd[row];
      const u = dy[at + d] * (gain ? gain[d] : 1);
      dx[at + d] = rstd[row] * (u - meanU - normalised * meanUX) + (dsum ? dsum[at + d] : 0);
    }
  }
  return { dx, dgain, dbias };
}

/** y = gain·s / √(mean s² + eps) with s = x + residual. */
export function rmsNorm(input: NormInput): NormOutput {
  return forward(input, false);
}

/** Gradients of `rmsNorm`; `dsum` is what reaches the returned sum from the residual path. */
export function rmsNormBackward(input: NormInput, dy: Values, dsum?: Values): NormGradient {
  return backward(input, dy, dsum, false);
}

/** y = gain·(s − mean s) / √(var s + eps) + bias with s = x + residual and the biased variance. */
export function layerNorm(input: NormInput): NormOutput {
  return forward(input, true);
}

/** Gradients of `layerNorm`; `dsum` is what reaches the returned sum from the residual path. */
export function layerNormBackward(input: NormInput, dy: Values, dsum?: Values): NormGradient {
  return backward(input, dy, dsum, true);
}
