/** Cross-entropy on logits that exist; training uses linearCrossEntropy in loss.ts, which never stores them. */

import { ConfigError, didYouMean } from "../../errors.js";
import { record } from "../autograd.js";
import { scope } from "../scope.js";
import type { Tensor } from "../tensor.js";
import { linesOf, reduceLines } from "./axes.js";
import { computeBinary, computeCast, computeUnary, computeWhere, constant } from "./compute.js";
import {
  code,
  emptyLike,
  requireDtype,
  requireSameDevice,
  rowsOf,
  run,
  widthOf,
  wrongShape,
} from "./kernel.js";

/** Options of `crossEntropy`. */
export interface LogitsCrossEntropyOptions {
  /** Targets with this value do not count. Default −100. */
  ignoreIndex?: number;
  /** `mean` over the targets that count, `sum`, or `none` for one value a row. Default mean. */
  reduction?: "mean" | "sum" | "none";
}

const REDUCTIONS = ["mean", "sum", "none"];

/**
 * −ln softmax(logits)[target]: logits [..., classes] f32 or bf16, targets i32 [...]. Computed in f32; returns an f32 scalar, or [...] without reduction.
 * A mean over no target is 0. A target outside [0, classes) other than ignoreIndex is a KernelError at the next read.
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
  options: LogitsCrossEntropyOptions = {},
): Tensor {
  const op = "crossEntropy";
  const { ignoreIndex = -100, reduction = "mean" } = options;
  requireDtype(op, "logits", logits, "f32", "bf16");
  requireDtype(op, "targets", targets, "i32");
  requireSameDevice(op, logits, targets);
  if (logits.rank === 0) wrongShape(op, "logits", "[..., classes]", logits.shape);
  const rows = rowsOf(logits);
  const classes = widthOf(logits);
  if (targets.size !== rows)
    wrongShape(op, "targets", `[${logits.shape.slice(0, -1).join(", ")}]`, targets.shape);
  if (!REDUCTIONS.includes(reduction)) {
    throw new ConfigError(
      `crossEntropy: reduction must be one of ${REDUCTIONS.join(", ")}, got "${reduction}".${didYouMean(reduction, REDUCTIONS)}`,
      { reduction },
    );
  }
  const { y, ...saved } = scope(() => {
    const logProbs = computeCast(logits, "f32");
    run(logits, "softmax", logProbs.use(), logProbs.use(), rows, classes, 1, code(logProbs));
    const counts = computeBinary("notEqual", targets, constant(op, targets, ignoreIndex));
    const index = computeWhere(counts, targets, constant(op, targets, 0));
    const chosen = emptyLike(logProbs, targets.shape);
    run(logits, "gather", logProbs.use(), index.use(), chosen.use(), code(chosen), rows, classes, 1, 1);
    const rowLoss = computeWhere(counts, computeUnary("neg", chosen), constant(op, chosen, 0));
    const all = linesOf(targets.shape, [...targets.shape.keys()]);
    const count = computeUnary(
      "clamp",
      reduceLines("sum", computeCast(counts, "f32"), all),
      1,
      Number.POSITIVE_INFINITY,
    );
    const total = reduction === "none" ? rowLoss : reduceLines("sum", rowLoss, all);
    return {
      y: reduction === "mean" ? computeBinary("div", total, count) : total,
      logProbs,
      counts,
      index,
      count,
    };
  });
  const { logProbs, counts, index, count } = saved;
  record(
    op,
    [logits],
    [y],
    ([dy], sink) => {
      if (dy === null || !sink.wants(logits)) return;
      const dlogits = scope(() => {
        const upstream = computeUnary("neg", reduction === "mean" ? computeBinary("div", dy, count) : dy);
        // The gradient of the chosen log-probabilities, scattered to their places and sent back through the log-softmax.
        const dchosen = computeWhere(counts, upstream, constant(op, upstream, 0));
        const dlogProbs = emptyLike(logProbs);
        run(
          logits,
          "scatterAdd",
          dchosen.use(),
          index.use(),
          dlogProbs.use(),
          code(dchosen),
          rows,
          classes,
          1,
          1,
          0,
        );
        run(
          logits,
          "softmaxBackward",
          logProbs.use(),
          dlogProbs.use(),
          dlogProbs.use(),
          rows,
          classes,
          1,
          code(dlogProbs),
        );
        return logits.dtype === "f32" ? dlogProbs : computeCast(dlogProbs, logits.dtype);
      });
      sink.give(logits, dlogits);
    },
    [logProbs, counts, index, count],
  );
  return y;
}
