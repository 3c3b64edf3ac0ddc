/** Runs of words that documents share with evaluation texts, natively. */
import { addon } from "../addon.js";
import type { TextBatch } from "./batch.js";
import type { WordKind } from "./dedup.js";
import { type JobOptions, type JobWords, jobThreads, runJob, runNow } from "./job.js";

/** The runs of words of evaluation items; lives in native memory until it is collected. */
export type RunIndex = object;

/** A stretch of a document that consists of runs of evaluation items. */
export interface Overlap {
  /** Number of the document in its batch. */
  document: number;
  /** Bytes of the document. */
  begin: number;
  end: number;
  /** Number of the item that has the first run. */
  item: number;
  /** How many runs there are. */
  runs: number;
}

declare module "../addon.js" {
  interface Addon {
    makeRunIndex(length: number, shortest: number, words: WordKind): RunIndex;
    addToRunIndex(
      index: RunIndex,
      bytes: Uint8Array,
      ends: Uint32Array,
      control: JobWords,
    ): Promise<{ runs: number; tooShort: number }>;
    findOverlaps(
      index: RunIndex,
      bytes: Uint8Array,
      ends: Uint32Array,
      threads: number,
      control: JobWords,
    ): Promise<Uint32Array>;
  }
}

/**
 * An index without items.
 * @param length words of a run
 * @param shortest an item with fewer words than `length` is one run if it has at least this many
 */
export function makeRunIndex(length: number, shortest: number, words: WordKind): RunIndex {
  return runNow(() => addon().makeRunIndex(length, shortest, words));
}

/**
 * Adds evaluation items, which get the next numbers. Nothing else may use the index meanwhile.
 * @returns runs in the index, and how many of these items are too short
 */
export function addToRunIndex(
  index: RunIndex,
  items: TextBatch,
  options: JobOptions = {},
): Promise<{ runs: number; tooShort: number }> {
  return runJob(options, (control) => addon().addToRunIndex(index, items.bytes, items.ends, control));
}

/** All overlaps of a batch of documents, in order. */
export async function findOverlaps(
  index: RunIndex,
  documents: TextBatch,
  options: JobOptions = {},
): Promise<Overlap[]> {
  const threads = jobThreads(options);
  const found = await runJob(options, (control) =>
    addon().findOverlaps(index, documents.bytes, documents.ends, threads, control),
  );
  return Array.from({ length: found.length / 5 }, (_, i) => {
    const [document, begin, end, item, runs] = found.subarray(5 * i, 5 * i + 5);
    return { document, begin, end, item, runs };
  });
}
