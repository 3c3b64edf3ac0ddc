/** Loss, perplexity and bits per byte of a model on texts, straight from files: every token but a text's first is a target once. */

import { checkInteger, checkOptions } from "../data/options.js";
import { DataError } from "../errors.js";
import { requireFittingTokenizer } from "../generate/load.js";
import { EvaluationMode } from "../generate/mode.js";
import type { CausalLM } from "../models/causal-lm.js";
import { linearCrossEntropy } from "../tensor/ops/loss.js";
import { scope } from "../tensor/scope.js";
import type { Tokenizer } from "../tokenizer/index.js";
import { inputFromBatch } from "./batch-input.js";
import type { Evaluation } from "./evaluate.js";

/** Options of `evaluateText`. */
export interface EvaluateTextOptions {
  /** T: tokens that the model sees at a time, at most. Default: the model's positions, at most 1024. */
  sequenceLength?: number;
  /** Windows of T tokens per forward pass. Default: as many as make 2048 tokens. */
  batchSize?: number;
  /** Called after every forward pass: tokens predicted so far, and their mean loss. */
  onProgress?: (state: { tokens: number; loss: number }) => void;
  signal?: AbortSignal;
}

/** Input tokens and the token after each. */
interface Window {
  inputs: Int32Array;
  targets: Int32Array;
}

/** Windows of at most T targets over each text, overlapping by one token; texts are kept apart. */
async function* windows(
  texts: AsyncIterable<string> | Iterable<string>,
  tokenizer: Tokenizer,
  length: number,
): AsyncGenerator<Window> {
  for await (const text of texts) {
    const ids = tokenizer.encode(text, { addSpecialTokens: true });
    for (let start = 0; start + 1 < ids.length; start += length) {
      const end = Math.min(start + length, ids.length - 1);
      yield { inputs: ids.slice(start, end), targets: ids.slice(start + 1, end + 1) };
    }
  }
}

/** Cross-entropy of every target of some windows in one pass, summed in double precision. */
async function lossOf(model: CausalLM, mode: EvaluationMode, batch: readonly Window[]): Promise<number> {
  const total = batch.reduce((sum, { inputs }) => sum + inputs.length, 0);
  const rows = {
    inputs: new Int32Array(total),
    targets: new Int32Array(total),
    cuSeqlens: new Int32Array(batch.length + 1),
  };
  batch.forEach(({ inputs, targets }, index) => {
    const at = rows.cuSeqlens[index];
    rows.inputs.set(inputs, at);
    rows.targets.set(targets, at);
    rows.cuSeqlens[index + 1] = at + inputs.length;
  });
  const rowLoss = mode.run(() =>
    scope(() => {
      const { input, targets } = inputFromBatch(rows, total);
      return linearCrossEntropy(model.hidden(input), model.outputWeight(), targets).rowLoss;
    }),
  );
  try {
    let sum = 0;
    for (const loss of await rowLoss.data()) sum += loss;
    return sum;
  } finally {
    rowLoss.dispose();
  }
}

/**
 * Measures a model on texts. Each text is cut into windows of T tokens, each seen without the ones before it; the last may be
 * shorter. Special tokens that the tokenizer adds by itself (a begin token) are added and count no bytes.
 * @throws DataError when there is nothing to predict, TokenizerError when the tokenizer has more tokens than the model
 */
export async function evaluateText(
  model: CausalLM,
  tokenizer: Tokenizer,
  texts: AsyncIterable<string> | Iterable<string>,
  options: EvaluateTextOptions = {},
): Promise<Evaluation> {
  checkOptions("evaluateText", options, ["sequenceLength", "batchSize", "onProgress", "signal"]);
  requireFittingTokenizer(tokenizer, model);
  const { maxPositions } = model;
  const length = checkInteger(
    "sequenceLength",
    options.sequenceLength ?? Math.min(1024, maxPositions),
    1,
    maxPositions,
  );
  const rows = checkInteger("batchSize", options.batchSize ?? Math.max(1, Math.floor(2048 / length)), 1);
  const mode = new EvaluationMode(model);
  let nats = 0;
  let tokens = 0;
  let bytes = 0;
  const measure = async (batch: readonly Window[]): Promise<void> => {
    options.signal?.throwIfAborted();
    nats += await lossOf(model, mode, batch);
    for (const { targets } of batch) {
      tokens += targets.length;
      for (const id of targets) bytes += tokenizer.tokenBytes(id);
    }
    options.onProgress?.({ tokens, loss: nats / tokens });
  };
  let batch: Window[] = [];
  for await (const window of windows(texts, tokenizer, length)) {
    batch.push(window);
    if (batch.length < rows) continue;
    await measure(batch);
    batch = [];
  }
  if (batch.length > 0) await measure(batch);
  if (tokens === 0) {
    throw new DataError("There is nothing to predict: the text must have at least two tokens.", {});
  }
  const loss = nats / tokens;
  return { loss, perplexity: Math.exp(loss), bitsPerByte: nats / Math.LN2 / bytes, tokens, bytes };
}
