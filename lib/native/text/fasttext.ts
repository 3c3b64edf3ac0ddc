/** Native fastText models: loading and predicting. The typed class over it is in lib/data/language. */
import { addon } from "../addon.js";
import type { TextBatch } from "./batch.js";
import { type JobOptions, type JobWords, jobThreads, runJob } from "./job.js";

/** A loaded model; its memory is given back when nothing refers to it. */
export type FastTextHandle = object & { readonly __fastText: unique symbol };

/** What a model file says about itself. */
export interface FastTextFacts {
  handle: FastTextHandle;
  /** Labels as they are in the file, usually with `__label__` in front. */
  labels: string[];
  words: number;
  dimensions: number;
  /** 1 hierarchical softmax, 2 negative sampling, 3 softmax, 4 one against all. */
  loss: number;
  wordNgrams: number;
  minCharacters: number;
  maxCharacters: number;
  quantised: boolean;
  /** Memory of the model in bytes. */
  bytes: number;
}

declare module "../addon.js" {
  interface Addon {
    loadFastText(path: string, words: JobWords): Promise<FastTextFacts>;
    predictFastText(
      handle: FastTextHandle,
      bytes: Uint8Array,
      ends: Uint32Array,
      k: number,
      threshold: number,
      threads: number,
      labels: Int32Array,
      scores: Float32Array,
      words: JobWords,
    ): Promise<void>;
  }
}

/** Reads a model file (.bin or .ftz). Throws DataError when it cannot be read, FormatError when it is not whole. */
export function loadFastText(path: string, options: JobOptions = {}): Promise<FastTextFacts> {
  return runJob(options, (words) => addon().loadFastText(path, words));
}

/**
 * The `k` best labels of each text with a score of at least `threshold`.
 * @returns labels[text][k] (indices; -1 where there are fewer) and scores[text][k]
 */
export async function predictFastText(
  handle: FastTextHandle,
  batch: TextBatch,
  k: number,
  threshold: number,
  options: JobOptions = {},
): Promise<{ labels: Int32Array; scores: Float32Array }> {
  const labels = new Int32Array(batch.length * k);
  const scores = new Float32Array(batch.length * k);
  const threads = jobThreads(options);
  await runJob(options, (words) =>
    addon().predictFastText(handle, batch.bytes, batch.ends, k, threshold, threads, labels, scores, words),
  );
  return { labels, scores };
}
