/** Measures a model on validation windows: loss, perplexity, bits per byte. */

import { DataError } from "../errors.js";
import type { CausalLM } from "../models/causal-lm.js";
import { noGrad } from "../tensor/autograd.js";
import { scope } from "../tensor/scope.js";
import { inputFromBatch, type TokenRows } from "./batch-input.js";

/** One batch of validation windows, as `evaluationWindows` of data/ gives them. */
export interface EvaluationRows extends TokenRows {
  /** Targets that count. */
  targetCount: number;
  /** Bytes of text that these targets stand for. */
  bytes: number;
}

/** Options of `evaluate`. */
export interface EvaluateOptions {
  /** Tokens per row of the windows. */
  sequenceLength: number;
  /** Stop after this many batches. Default: all. */
  maxBatches?: number;
  /** Stops between two batches: the result is then null. */
  signal?: AbortSignal;
}

/** What a model reached. */
export interface Evaluation {
  /** Cross-entropy in nats per token. */
  loss: number;
  /** e^loss. */
  perplexity: number;
  /** loss · tokens / (ln 2 · bytes); NaN when no bytes are known. */
  bitsPerByte: number;
  tokens: number;
  bytes: number;
}

/**
 * Runs the model over windows without gradients and without dropout. The order of the windows decides the order of the sum, so equal models give equal results.
 * @throws DataError when there is not a single target
 */
export async function evaluate(
  model: CausalLM,
  windows: AsyncIterable<EvaluationRows>,
  options: EvaluateOptions,
): Promise<Evaluation | null> {
  const { sequenceLength, maxBatches = Number.POSITIVE_INFINITY, signal } = options;
  let nats = 0;
  let tokens = 0;
  let bytes = 0;
  let batches = 0;
  // One batch is read while the next one runs.
  let before: { loss: Promise<number>; count: number } | undefined;
  const collect = async (): Promise<void> => {
    if (before === undefined) return;
    const { loss, count } = before;
    before = undefined;
    nats += (await loss) * count;
  };
  const training = model.training;
  model.eval();
  try {
    for await (const window of windows) {
      if (signal?.aborted) return null;
      if (batches >= maxBatches) break;
      batches += 1;
      if (window.targetCount === 0) continue;
      const loss = scope(() =>
        noGrad(() => {
          const { input, targets, rows } = inputFromBatch(window, sequenceLength);
          return model.loss(input, targets, { rows }).crossEntropy.item();
        }),
      );
      loss.catch(() => undefined);
      await collect();
      before = { loss, count: window.targetCount };
      tokens += window.targetCount;
      bytes += window.bytes;
    }
    await collect();
  } finally {
    model.train(training);
  }
  if (tokens === 0) {
    throw new DataError("The validation windows hold no target. Use a longer validation text.", { batches });
  }
  const loss = nats / tokens;
  return {
    loss,
    perplexity: Math.exp(loss),
    bitsPerByte: bytes > 0 ? nats / (Math.LN2 * bytes) : Number.NaN,
    tokens,
    bytes,
  };
}
