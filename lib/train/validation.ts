/** The validation text as windows for evaluation: all of it, or a fixed choice spread over it where that would take too long. */
import {
  type EvaluationBatch,
  evaluationWindowCount,
  evaluationWindows,
  IGNORE_INDEX,
  TokenBatches,
  type TokenShard,
} from "../data/index.js";

/** How validation windows are made. */
export interface ValidationOptions {
  /** T: tokens per row. */
  sequenceLength: number;
  /** B: rows per batch. */
  batchSize: number;
  /** Batches at most. */
  maxBatches: number;
  /** Bytes of text per token id. */
  tokenBytes: ArrayLike<number>;
  /** Keep documents apart. Default false. */
  documentMask?: boolean;
}

/**
 * Windows of a split, the same ones at every call. Where there are more than `maxBatches` batches, windows are chosen without repetition from
 * everywhere in the split: its beginning alone may be one document that is unlike the rest.
 */
export async function* validationWindows(
  shards: readonly TokenShard[],
  options: ValidationOptions,
): AsyncGenerator<EvaluationBatch, void, void> {
  const { sequenceLength, batchSize, maxBatches, tokenBytes, documentMask } = options;
  if (evaluationWindowCount(shards, sequenceLength) <= maxBatches * batchSize) {
    yield* evaluationWindows(shards, { sequenceLength, batchSize, tokenBytes, documentMask });
    return;
  }
  const batches = new TokenBatches({ shards, sequenceLength, batchSize, seed: 0, documentMask });
  for (let index = 0; index < maxBatches; index++) {
    const { step: _, epoch: __, ...rows } = await batches.batchAt(index);
    let targetCount = 0;
    let bytes = 0;
    for (const target of rows.targets) {
      if (target === IGNORE_INDEX) continue;
      targetCount += 1;
      bytes += tokenBytes[target] ?? 0;
    }
    yield { ...rows, targetCount, bytes };
  }
}
