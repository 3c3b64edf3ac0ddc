/** Passages that occurred before, natively: anchors of documents, and the search for equal windows around them. */
import { addon } from "../addon.js";
import type { TextBatch } from "./batch.js";
import type { RecordFile, RecordTable } from "./dedup.js";
import { type JobOptions, type JobWords, jobThreads, runJob } from "./job.js";

/** A stretch of the corpus: a text in memory, or the first `length` bytes of a file. */
export type CorpusPiece = { bytes: Uint8Array } | { path: string; length: number };

export interface RepeatSettings {
  /** Bytes of a passage. */
  length: number;
  /** Bytes of memory for texts and suffix arrays. */
  memory: number;
  /** Bytes of memory for all read buffers together; at least 4 KiB a run are taken. */
  bufferBytes: number;
  threads: number;
}

/** Passages of the corpus that occurred before. */
export interface FoundRepeats {
  /** Begin and end of each, in bytes of the corpus, in order; none crosses the end of a document. */
  spans: Float64Array;
  /** Anchors that share a hash with others. */
  hotAnchors: number;
  /** Bytes of text that went into suffix arrays. */
  sortedBytes: number;
  /** Hashes with more anchors in different surroundings than memory holds: copies of passages around these may stay. */
  incomplete: number;
}

declare module "../addon.js" {
  interface Addon {
    winnowTexts(
      bytes: Uint8Array,
      ends: Uint32Array,
      length: number,
      start: number,
      threads: number,
      control: JobWords,
    ): Promise<Uint8Array>;
    findRepeats(
      runs: readonly (RecordFile | RecordTable)[],
      corpus: readonly CorpusPiece[],
      documentEnds: Float64Array,
      settings: RepeatSettings,
      control: JobWords,
    ): Promise<FoundRepeats>;
  }
}

/**
 * The anchors of texts as records of 16 bytes.
 * @param length bytes of a passage
 * @param start the first text's place in the corpus
 */
export function winnowTexts(
  texts: TextBatch,
  length: number,
  start: number,
  options: JobOptions = {},
): Promise<Uint8Array> {
  return runJob(options, (control) =>
    addon().winnowTexts(texts.bytes, texts.ends, length, start, jobThreads(options), control),
  );
}

/**
 * Finds all passages that equal an earlier one which ends before they begin.
 * @param runs sorted anchors
 * @param corpus the documents' bytes, one after the other
 * @param documentEnds byte of the corpus after each document
 */
export function findRepeats(
  runs: readonly (RecordFile | RecordTable)[],
  corpus: readonly CorpusPiece[],
  documentEnds: Float64Array,
  settings: RepeatSettings,
  options: JobOptions = {},
): Promise<FoundRepeats> {
  return runJob(options, (control) => addon().findRepeats(runs, corpus, documentEnds, settings, control));
}
