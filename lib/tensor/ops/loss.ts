/** Language-model losses fused with the output projection: logits [tokens, vocab] are never stored. */

import { isGradEnabled, needsGrad, record } from "../autograd.js";
import type { Tensor } from "../tensor.js";
import { zerosOf } from "./compute.js";
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

/** Options of `linearCrossEntropy`. */
export interface CrossEntropyOptions {
  /** Targets with this value do not count. Default −100. */
  ignoreIndex?: number;
  /** Share ε of the target spread over all classes. Default 0. */
  labelSmoothing?: number;
  /** Factor ζ of logsumexp². Default 0. */
  zLoss?: number;
  /** Logits become c·tanh(logits/c); 0 turns it off. Default 0. */
  softcap?: number;
  /** Factor of the loss and its gradients, for example a weight or 1/accumulation. Default 1. */
  factor?: number;
  /** Divisor of the summed loss. Default: the number of targets that count. */
  normaliser?: number;
  /** Rows per chunk; 0 lets the backend choose. Default 0. */
  chunkRows?: number;
}

/** What `linearCrossEntropy` returns. */
export interface CrossEntropyResult {
  /** The mean loss times `factor`, a scalar. */
  loss: Tensor;
  /** The loss of every row without factor, f32 [tokens]; 0 where ignored. */
  rowLoss: Tensor;
  /** The number of rows that count, f32 scalar. */
  count: Tensor;
}

/**
 * Cross-entropy of softmax(hidden·weightᵀ) against targets: hidden [tokens, width], weight [vocab, width] (f32 or bf16), targets i32 [tokens].
 * Logits, statistics and the weight's gradient are f32. The gradients are computed with the loss, chunk by chunk, while the logits exist.
 */
export function linearCrossEntropy(
  hidden: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: CrossEntropyOptions = {},
): CrossEntropyResult {
  const op = "linearCrossEntropy";
  const {
    ignoreIndex = -100,
    labelSmoothing = 0,
    zLoss = 0,
    softcap = 0,
    factor = 1,
    normaliser = 0,
    chunkRows = 0,
  } = options;
  requireDtype(op, "hidden", hidden, "f32", "bf16");
  requireDtype(op, "weight", weight, hidden.dtype);
  requireDtype(op, "targets", targets, "i32");
  requireSameDevice(op, hidden, weight, targets);
  const rows = rowsOf(hidden);
  const width = widthOf(hidden);
  if (weight.rank !== 2 || weight.shape[1] !== width)
    wrongShape(op, "weight", `[vocab, ${width}]`, weight.shape);
  if (targets.size !== rows) wrongShape(op, "targets", `[${rows}]`, targets.shape);
  const loss = emptyLike(hidden, [], "f32");
  const rowLoss = emptyLike(hidden, [rows], "f32");
  const count = emptyLike(hidden, [], "f32");
  const training = needsGrad(hidden, weight) && isGradEnabled();
  const dhidden = training ? emptyLike(hidden) : null;
  const dweight = training ? emptyLike(weight, weight.shape, "f32") : null;
  run(
    hidden,
    op,
    hidden.use(),
    weight.use(),
    targets.use(),
    loss.use(),
    rowLoss.use(),
    count.use(),
    optional(dhidden),
    optional(dweight),
    rows,
    width,
    weight.shape[0],
    ignoreIndex,
    labelSmoothing,
    zLoss,
    softcap,
    factor,
    0,
    normaliser,
    chunkRows,
    code(hidden),
  );
  if (dhidden === null || dweight === null) return { loss, rowLoss, count };
  record(
    op,
    [hidden, weight],
    [loss],
    ([dloss], sink) => {
      if (dloss === null) return;
      // The gradients wait as if the loss's own gradient were 1; only another value costs a multiplication.
      const take = (waiting: Tensor): Tensor => {
        const gradient = sink.retains ? emptyLike(waiting) : waiting.move(waiting.shape);
        const source = sink.retains ? waiting : gradient;
        if (sink.retains || !dloss.isOne) {
          run(
            source,
            "axpy",
            source.use(),
            dloss.use(),
            gradient.use(),
            source.size,
            code(source),
            code(source),
            1,
            0,
          );
        }
        return gradient;
      };
      if (sink.wants(hidden)) sink.give(hidden, take(dhidden));
      if (sink.wants(weight)) sink.give(weight, take(dweight));
    },
    [dhidden, dweight],
  );
  return { loss, rowLoss, count };
}

/** Options of `tokenLogProbs`. */
export interface TokenLogProbsOptions {
  /** Targets with this value give 0. Default −100. */
  ignoreIndex?: number;
  /** Logits are divided by it. Default 1. */
  temperature?: number;
  /** Rows per chunk; 0 lets the backend choose. Default 0. */
  chunkRows?: number;
}

/** Log-probability of every target and entropy of its distribution, f32 [tokens] each. */
export interface TokenLogProbs {
  logProbs: Tensor;
  entropy: Tensor;
}

/** ln softmax(hidden·weightᵀ/temperature)[target] and the entropy of that distribution, by the route of linearCrossEntropy; both are differentiable. */
export function tokenLogProbs(
  hidden: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: TokenLogProbsOptions = {},
): TokenLogProbs {
  const op = "tokenLogProbs";
  const { ignoreIndex = -100, temperature = 1, chunkRows = 0 } = options;
  requireDtype(op, "hidden", hidden, "f32", "bf16");
  requireDtype(op, "weight", weight, hidden.dtype);
  requireDtype(op, "targets", targets, "i32");
  const rows = rowsOf(hidden);
  const width = widthOf(hidden);
  if (weight.rank !== 2 || weight.shape[1] !== width)
    wrongShape(op, "weight", `[vocab, ${width}]`, weight.shape);
  if (targets.size !== rows) wrongShape(op, "targets", `[${rows}]`, targets.shape);
  const [vocab] = weight.shape;
  const weightShape = weight.shape;
  const logProbs = emptyLike(hidden, [rows], "f32");
  const entropy = emptyLike(hidden, [rows], "f32");
  const lse = emptyLike(hidden, [rows], "f32");
  const sizes = [rows, width, vocab, ignoreIndex, temperature];
  run(
    hidden,
    "tokenLogProbsForward",
    hidden.use(),
    weight.use(),
    targets.use(),
    logProbs.use(),
    entropy.use(),
    lse.use(),
    ...sizes,
    chunkRows,
    code(hidden),
  );
  record(
    op,
    [hidden, weight],
    [logProbs, entropy],
    ([dlogp, dentropy], sink) => {
      const dlogProbs = dlogp ?? zerosOf(logProbs);
      const dhidden = emptyLike(hidden);
      const write = (target: Tensor, accumulate: boolean): void =>
        run(
          hidden,
          "tokenLogProbsBackward",
          hidden.use(),
          weight.use(),
          targets.use(),
          lse.use(),
          entropy.use(),
          dlogProbs.use(),
          optional(dentropy),
          dhidden.use(),
          target.use(),
          ...sizes,
          flag(accumulate),
          chunkRows,
          code(hidden),
        );
      if (sink.wants(weight)) {
        sink.into(weight, write);
      } else {
        const unused = emptyLike(hidden, weightShape, "f32");
        write(unused, false);
        unused.dispose();
      }
      if (dlogp === null) dlogProbs.dispose();
      if (sink.wants(hidden)) sink.give(hidden, dhidden);
      else dhidden.dispose();
    },
    [lse],
  );
  return { logProbs, entropy };
}
