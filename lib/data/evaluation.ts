/** Batches for measuring a model on a whole split: every token but the first is a target exactly once. */
import { ConfigError } from "../errors.js";
import { checkInteger, checkOptions } from "./options.js";
import { windowAt } from "./packing/row-source.js";
import { type FilledRows, fillRows, IGNORE_INDEX, type RowContent } from "./rows.js";
import type { TokenShard } from "./shard.js";
import { TokenStream } from "./stream.js";

export interface EvaluationOptions {
  /** T: input tokens per row. */
  sequenceLength: number;
  /** B: rows per batch. Default 1. */
  batchSize?: number;
  /** Stop after this many windows. Default: the whole split. */
  maxWindows?: number;
  /**
   * Bytes of text per token id, to count the bytes that each batch covers. Without it a batch gets the average share of the split's
   * bytes; over a whole split both add up to the bytes of all targets.
   */
  tokenBytes?: ArrayLike<number>;
  /** Keep documents apart, as in `TokenBatches`; needs `tokenBytes`. Default false. */
  documentMask?: boolean;
}

/** One batch of consecutive windows. Shapes are always full: the end is padded with input 0 and target −100. */
export interface EvaluationBatch extends FilledRows {
  /** Targets that are not −100. */
  targetCount: number;
  /** Bytes of UTF-8 text that these targets stand for, for bits per byte. */
  bytes: number;
}

const OPTIONS = ["sequenceLength", "batchSize", "maxWindows", "tokenBytes", "documentMask"] as const;

/** Windows that a split has, the last one possibly shorter. */
export function evaluationWindowCount(shards: readonly TokenShard[], sequenceLength: number): number {
  return Math.ceil(Math.max(0, new TokenStream(shards).length - 1) / sequenceLength);
}

/**
 * Consecutive windows of T targets over the shards, in order. Windows overlap by one token, so that no target is lost at a seam.
 * Bits per byte of a model = Σ loss · targetCount / (ln 2 · Σ bytes), with each batch's mean loss in nats.
 */
export async function* evaluationWindows(
  shards: TokenShard | readonly TokenShard[],
  options: EvaluationOptions,
): AsyncGenerator<EvaluationBatch, void, void> {
  checkOptions("evaluationWindows", options, OPTIONS);
  const { documentMask = false, tokenBytes } = options;
  if (documentMask && tokenBytes === undefined) {
    throw new ConfigError(
      "evaluationWindows with documentMask leaves out targets, so it needs tokenBytes to count the bytes of the rest: " +
        "pass tokenByteTable(tokenizer).",
    );
  }
  const T = checkInteger("sequenceLength", options.sequenceLength, 1);
  const B = checkInteger("batchSize", options.batchSize ?? 1, 1);
  const list = "path" in shards ? [shards] : shards;
  const stream = new TokenStream(list);
  const total = Math.max(0, stream.length - 1);
  const windows = Math.min(
    Math.ceil(total / T),
    checkInteger("maxWindows", options.maxWindows ?? 2 ** 40, 1),
  );
  const average = total === 0 ? 0 : targetBytes(list) / total;
  for (let first = 0; first < windows; first += B) {
    const rows: (RowContent | undefined)[] = [];
    let covered = 0;
    for (let row = 0; row < B; row++) {
      const start = (first + row) * T;
      const count = first + row < windows ? Math.min(T, total - start) : 0;
      covered += count;
      rows.push(count === 0 ? undefined : windowAt(stream, start, count + 1, documentMask));
    }
    const filled = await fillRows(rows, T, documentMask);
    let targetCount = 0;
    let bytes = 0;
    for (const target of filled.targets) {
      if (target === IGNORE_INDEX) continue;
      targetCount++;
      if (tokenBytes !== undefined) bytes += tokenBytes[target] ?? 0;
    }
    if (tokenBytes === undefined) bytes = average * covered;
    yield { ...filled, targetCount, bytes };
  }
}

/** Bytes of text that all targets of a split stand for: those of the text without its first token. */
export function targetBytes(shards: readonly TokenShard[]): number {
  let bytes = 0;
  for (const shard of shards) bytes += shard.header.textBytes;
  const first = shards.find((shard) => shard.length > 0);
  return bytes - (first?.header.firstTokenBytes ?? 0);
}

/** Bytes of text per token id of a tokenizer, as `evaluationWindows` takes them. */
export function tokenByteTable(tokenizer: {
  vocabSize: number;
  tokenBytes(id: number): number;
}): Uint16Array {
  return Uint16Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.tokenBytes(id));
}
