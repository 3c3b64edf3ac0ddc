/** Counts of characters, lines and words of many texts, natively. */
import { addon } from "../addon.js";
import type { TextBatch } from "./batch.js";
import { type JobOptions, type JobWords, jobThreads, runJob } from "./job.js";

declare module "../addon.js" {
  interface Addon {
    countTexts(
      bytes: Uint8Array,
      ends: Uint32Array,
      threads: number,
      out: Float64Array,
      words: JobWords,
    ): Promise<void>;
  }
}

/** The counts of a text, in the order of the native struct. */
export const TEXT_COUNTS = [
  /** Code points. */
  "characters",
  /** Line ends, and a last line without one. */
  "lines",
  /** Stretches without ASCII white space. */
  "words",
  /** Bytes below 128. */
  "ascii",
  /** ASCII letters and all characters beyond ASCII. */
  "letters",
  /** ASCII digits. */
  "digits",
  /** Bytes of the longest line. */
  "longestLine",
] as const;

/** Counts of each text: [texts, TEXT_COUNTS.length], row-major. */
export async function countTexts(batch: TextBatch, options: JobOptions = {}): Promise<Float64Array> {
  const out = new Float64Array(batch.length * TEXT_COUNTS.length);
  await runJob(options, (words) =>
    addon().countTexts(batch.bytes, batch.ends, jobThreads(options), out, words),
  );
  return out;
}
