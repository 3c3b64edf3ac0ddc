/** Folding of text, MinHash signatures, and sorted runs of document keys, natively. */
import { addon } from "../addon.js";
import { TextBatch } from "./batch.js";
import { type JobOptions, type JobWords, jobThreads, runJob, runNow } from "./job.js";

/** What is a word: what stands between spaces, or that and every character of scripts written without spaces. */
export type WordKind = "spaced" | "scripts";

/** What of a text decides whether two are equal: every byte, NFC with single spaces, or the folded words. */
export type Sameness = "bytes" | "canonical" | "folded";

/** Shape and functions of MinHash signatures. */
export interface SignatureSettings {
  /** Words of a shingle. */
  shingle: number;
  buckets: number;
  /** Hash functions of a bucket. */
  rows: number;
  /** Seed of the hash functions. */
  seed: number;
  words: WordKind;
  /** Instruction set, for tests: `portable`, `avx2`, `avx512`. Default: the best that this processor has. */
  kernel?: string;
}

/** Values of all hash functions for a batch of texts. */
export interface Signatures {
  /** [texts, buckets · rows], row-major; zeros for a text with fewer words than a shingle. */
  values: BigUint64Array;
  /** Shingles of each text, repeated ones counted again. */
  shingles: Uint32Array;
}

/** Lanes of equally many records: lane i begins at byte i · stride and has `used` of them. */
export interface RecordTable {
  bytes: Uint8Array;
  stride: number;
  used: number;
}

/** Sorted records in a file, lane after lane without gaps. */
export interface RecordFile {
  path: string;
  /** Records of each lane. */
  count: number;
  /** Of each lane. */
  checksums: BigUint64Array;
}

/** Signatures of documents `first` to `first + count`: the low 32 bits of all values, in a file or in memory. */
export type StoredSignatures = { first: number; count: number } & (
  | { path: string }
  | { values: Uint32Array }
);

export interface MergeSettings {
  /** 32-bit words of a key: 3 or 4. */
  words: number;
  lanes: number;
  /** Memory for all read buffers together; at least 4 KiB for each run and thread are taken. */
  bufferBytes: number;
  threads: number;
  /** Share of equal signature values from which two documents of a bucket are joined; 0: all of them are. */
  verify: number;
  /** Values of a signature. */
  functions: number;
  signatures: readonly StoredSignatures[];
}

/** Clusters that a merge found. */
export interface MergedClusters {
  /** Documents with the key of an earlier one, counted in every bucket. */
  pairs: number;
  /** Those of them that their signatures did not confirm. */
  rejected: number;
  /** Documents of all clusters of two or more: cluster after cluster, each in order. */
  members: Uint32Array;
  /** Place in `members` after each cluster. */
  ends: Uint32Array;
}

declare module "../addon.js" {
  interface Addon {
    foldTexts(
      bytes: Uint8Array,
      ends: Uint32Array,
      words: WordKind,
    ): { bytes: Uint8Array; ends: Uint32Array };
    minHashSignatures(
      bytes: Uint8Array,
      ends: Uint32Array,
      settings: SignatureSettings,
      threads: number,
      control: JobWords,
    ): Promise<Signatures>;
    addMinHashKeys(
      bytes: Uint8Array,
      ends: Uint32Array,
      settings: SignatureSettings,
      first: number,
      table: RecordTable,
      signatures: Uint32Array | undefined,
      threads: number,
      control: JobWords,
    ): Promise<number>;
    addExactKeys(
      bytes: Uint8Array,
      ends: Uint32Array,
      sameness: Sameness,
      first: number,
      table: RecordTable,
      threads: number,
      control: JobWords,
    ): Promise<void>;
    sortLanes(
      table: RecordTable,
      words: number,
      lanes: number,
      threads: number,
      control: JobWords,
    ): Promise<BigUint64Array>;
    mergeRuns(
      runs: readonly (RecordFile | RecordTable)[],
      settings: MergeSettings,
      parents: Uint32Array,
      control: JobWords,
    ): Promise<MergedClusters>;
  }
}

/** Bytes of a record: its key and a document's number. */
export const recordBytes = (words: number): number => 4 * (words + 1);

/**
 * The words of each text as near-duplicate search sees them, a space between two: lower case, numbers as "0", no
 * punctuation, no accents.
 */
export function foldTexts(texts: TextBatch, words: WordKind = "scripts"): TextBatch {
  const { bytes, ends } = runNow(() => addon().foldTexts(texts.bytes, texts.ends, words));
  return new TextBatch(bytes, ends);
}

/** MinHash signatures of texts. */
export function minHashSignatures(
  texts: TextBatch,
  settings: SignatureSettings,
  options: JobOptions = {},
): Promise<Signatures> {
  return runJob(options, (control) =>
    addon().minHashSignatures(texts.bytes, texts.ends, settings, jobThreads(options), control),
  );
}

/**
 * Writes a record for each bucket and each text that has a shingle; the texts are numbered from `first` on.
 * @param signatures takes the low halves of all values of each text; undefined: they are not kept
 * @returns the number of records that each lane received
 */
export function addMinHashKeys(
  texts: TextBatch,
  settings: SignatureSettings,
  first: number,
  table: RecordTable,
  signatures: Uint32Array | undefined,
  options: JobOptions = {},
): Promise<number> {
  const threads = jobThreads(options);
  return runJob(options, (control) =>
    addon().addMinHashKeys(texts.bytes, texts.ends, settings, first, table, signatures, threads, control),
  );
}

/** Writes a record with a 128-bit key of each text. */
export function addExactKeys(
  texts: TextBatch,
  sameness: Sameness,
  first: number,
  table: RecordTable,
  options: JobOptions = {},
): Promise<void> {
  const threads = jobThreads(options);
  return runJob(options, (control) =>
    addon().addExactKeys(texts.bytes, texts.ends, sameness, first, table, threads, control),
  );
}

/** Sorts each lane in place and gives its checksum. */
export function sortLanes(
  table: RecordTable,
  words: number,
  lanes: number,
  options: JobOptions = {},
): Promise<BigUint64Array> {
  return runJob(options, (control) => addon().sortLanes(table, words, lanes, jobThreads(options), control));
}

/**
 * Merges sorted runs and joins documents that share a key of the same lane.
 * @param parents one word per document; receives the first document of each one's cluster
 */
export function mergeRuns(
  runs: readonly (RecordFile | RecordTable)[],
  settings: MergeSettings,
  parents: Uint32Array,
  options: JobOptions = {},
): Promise<MergedClusters> {
  return runJob(options, (control) => addon().mergeRuns(runs, settings, parents, control));
}
