/** RMSNorm and LayerNorm, each with an optional residual that is added first. */

import { type GradientSink, record } from "../autograd.js";
import type { Tensor } from "../tensor.js";
import {
  code,
  emptyLike,
  flag,
  optional,
  requireDtype,
  requireSameDevice,
  rowsOf,
  run,
  widthOf,
  wrongShape,
} from "./kernel.js";

/** A normalised tensor, and the sum of input and residual that was normalised. */
export interface NormWithResidual {
  /** The normalised sum. */
  y: Tensor;
  /** x + residual: the residual stream. */
  sum: Tensor;
}

function check(op: string, x: Tensor, weight: Tensor, bias: Tensor | null, residual: Tensor | null): void {
  const width = widthOf(x);
  requireDtype(op, "x", x, "f32", "bf16");
  requireDtype(op, "weight", weight, x.dtype);
  requireSameDevice(op, x, weight, bias, residual);
  if (weight.rank !== 1 || weight.shape[0] !== width) wrongShape(op, "weight", `[${width}]`, weight.shape);
  if (bias !== null && bias.size !== width) wrongShape(op, "bias", `[${width}]`, bias.shape);
  if (residual !== null && residual.size !== x.size)
    wrongShape(op, "residual", `of x, [${x.shape.join(", ")}]`, residual.shape);
}

/** Gives the gradient of a sum to both of its terms. */
function giveToBoth(sink: GradientSink, x: Tensor, residual: Tensor | null, dx: Tensor): void {
  if (sink.wants(residual)) sink.give(residual, dx.alias());
  if (sink.wants(x)) sink.give(x, dx);
  else dx.dispose();
}

// dweight and dbias are written by the same kernel, which adds to both or to neither.
function weightTargets(
  sink: GradientSink,
  parameters: (Tensor | null)[],
  write: (targets: (Tensor | null)[], accumulate: boolean) => void,
): void {
  const [weight, bias = null] = parameters;
  if (!sink.wants(weight)) {
    if (!sink.wants(bias)) write([null, null], false);
    else sink.into(bias, (target, accumulate) => write([null, target], accumulate));
    return;
  }
  sink.into(weight, (weightTarget, accumulateWeight) => {
    if (!sink.wants(bias)) return write([weightTarget, null], accumulateWeight);
    sink.into(bias, (biasTarget, accumulateBias) => {
      if (accumulateBias !== accumulateWeight) clear(accumulateWeight ? biasTarget : weightTarget);
      write([weightTarget, biasTarget], accumulateWeight || accumulateBias);
    });
  });
}

function clear(target: Tensor): void {
  run(target, "fill", target.use(), target.size, code(target), 0);
}

function rms(x: Tensor, residual: Tensor | null, weight: Tensor, eps: number): NormWithResidual {
  check("rmsNorm", x, weight, null, residual);
  const rows = rowsOf(x);
  const width = widthOf(x);
  const y = emptyLike(x);
  const sum = residual === null ? x : emptyLike(x);
  const rstd = emptyLike(x, [rows], "f32");
  run(
    x,
    "rmsNormForward",
    x.use(),
    optional(residual),
    weight.use(),
    y.use(),
    residual === null ? 0 : sum.use(),
    rstd.use(),
    rows,
    width,
    width,
    code(x),
    eps,
  );
  const outputs = residual === null ? [y] : [y, sum];
  record(
    "rmsNorm",
    [x, residual, weight],
    outputs,
    ([dy, dsum = null], sink) => {
      if (dy === null) {
        if (dsum !== null) giveToBoth(sink, x, residual, dsum.alias());
        return;
      }
      const dx = emptyLike(x);
      weightTargets(sink, [weight], ([dweight], accumulate) =>
        run(
          x,
          "rmsNormBackward",
          dy.use(),
          optional(dsum),
          sum.use(),
          weight.use(),
          rstd.use(),
          dx.use(),
          optional(dweight),
          rows,
          width,
          width,
          width,
          code(x),
          flag(accumulate),
        ),
      );
      giveToBoth(sink, x, residual, dx);
    },
    [rstd],
  );
  return { y, sum };
}

/** y = weight ⊙ x / √(mean x² + eps) over the last dimension (Zhang & Sennrich 2019). x [..., width] f32 or bf16, weight [width]; statistics in f32. */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  return rms(x, null, weight, eps).y;
}

/** rmsNorm(x + residual), returning the sum as well: the residual stream of a pre-norm block. */
export function addRmsNorm(x: Tensor, residual: Tensor, weight: Tensor, eps: number): NormWithResidual {
  return rms(x, residual, weight, eps);
}

function layer(
  x: Tensor,
  residual: Tensor | null,
  weight: Tensor,
  bias: Tensor | null,
  eps: number,
): NormWithResidual {
  check("layerNorm", x, weight, bias, residual);
  const rows = rowsOf(x);
  const width = widthOf(x);
  const y = emptyLike(x);
  const sum = residual === null ? x : emptyLike(x);
  const mean = emptyLike(x, [rows], "f32");
  const rstd = emptyLike(x, [rows], "f32");
  run(
    x,
    "layerNormForward",
    x.use(),
    optional(residual),
    weight.use(),
    optional(bias),
    y.use(),
    residual === null ? 0 : sum.use(),
    mean.use(),
    rstd.use(),
    rows,
    width,
    code(x),
    eps,
  );
  const outputs = residual === null ? [y] : [y, sum];
  record(
    "layerNorm",
    [x, residual, weight, bias],
    outputs,
    ([dy, dsum = null], sink) => {
      if (dy === null) {
        if (dsum !== null) giveToBoth(sink, x, residual, dsum.alias());
        return;
      }
      const dx = emptyLike(x);
      weightTargets(sink, [weight, bias], ([dweight, dbias], accumulate) =>
        run(
          x,
          "layerNormBackward",
          dy.use(),
          optional(dsum),
          sum.use(),
          weight.use(),
          mean.use(),
          rstd.use(),
          dx.use(),
          optional(dweight),
          optional(dbias),
          rows,
          width,
          code(x),
          flag(accumulate),
        ),
      );
      giveToBoth(sink, x, residual, dx);
    },
    [mean, rstd],
  );
  return { y, sum };
}

/** y = weight ⊙ (x − mean)/√(var + eps) + bias over the last dimension (Ba et al. 2016). x [..., width] f32 or bf16; statistics in f32. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor | null, eps: number): Tensor {
  return layer(x, null, weight, bias, eps).y;
}

/** layerNorm(x + residual), returning the sum as well. */
export function addLayerNorm(
  x: Tensor,
  residual: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  eps: number,
): NormWithResidual {
  return layer(x, residual, weight, bias, eps);
}
