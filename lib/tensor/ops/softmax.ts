/** Softmax and its logarithm along an axis; statistics in f32. */

import { record } from "../autograd.js";
import type { Tensor } from "../tensor.js";
import { gatherLines, type Lines, linesOf, normaliseAxis, restoreLines } from "./axes.js";
import { code, emptyLike, flag, requireDtype, run } from "./kernel.js";

// The kernels take rows; another axis than the last is brought to the end and back.
function rowsAlong(x: Tensor, axis: number): Lines {
  const lines = linesOf(x.shape, [axis]);
  if (lines.inner === 1) return lines;
  const order = [...x.shape.keys()].filter((d) => d !== axis).concat(axis);
  return { ...lines, outer: lines.outer * lines.inner, inner: 1, order };
}

function normalised(name: string, x: Tensor, axis: number, log: boolean): Tensor {
  requireDtype(name, "x", x, "f32", "bf16");
  const lines = rowsAlong(x, normaliseAxis(name, axis, x.rank));
  const source = gatherLines(name, x, lines);
  const rows = source === x ? emptyLike(x) : source;
  run(x, "softmax", source.use(), rows.use(), lines.outer, lines.n, flag(log), code(x));
  const y = source === x ? rows : restoreLines(name, rows.alias(), lines, x.shape);
  record(
    name,
    [x],
    [y],
    ([dy], sink) => {
      if (dy === null || !sink.wants(x)) return;
      const upstream = gatherLines(name, dy, lines);
      const dx = upstream === dy ? emptyLike(x) : upstream;
      run(
        x,
        "softmaxBackward",
        rows.use(),
        upstream.use(),
        dx.use(),
        lines.outer,
        lines.n,
        flag(log),
        code(x),
      );
      sink.give(x, restoreLines(name, dx, lines, x.shape));
    },
    rows === y ? [] : [rows],
  );
  return y;
}

/** exp(x − max)/Σ exp(x − max) along an axis (default the last); f32 or bf16. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return normalised("softmax", x, axis, false);
}

/** x − logSumExp(x) along an axis (default the last); f32 or bf16. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return normalised("logSoftmax", x, axis, true);
}
