/** Documents into rows of equal length by best fit, natively. */
import { addon } from "../addon.js";
import { type JobOptions, runJob } from "./job.js";

export interface PackedDocuments {
  /** start · 2^24 + length of each stretch of tokens, row after row. */
  pieces: BigUint64Array;
  /** Index of the piece after each row. */
  ends: Uint32Array;
  /** Places of rows without a token. */
  padding: number;
  /** Tokens in no row. */
  dropped: number;
  /** Documents that are not whole in one row. */
  cut: number;
}

export interface PackDocumentsOptions extends Pick<JobOptions, "signal"> {
  /** Tokens of a row, below 2^24. */
  capacity: number;
  /** Keep only the first row of a document longer than a row, so that every row begins with a document. */
  aligned: boolean;
  /** Fill what is left of a row with the beginning of the shortest document at hand; its rest is dropped. */
  crop: boolean;
  /** With `crop`: documents at hand at a time. */
  buffer: number;
}

declare module "../addon.js" {
  interface Addon {
    packDocuments(
      words: Float64Array,
      bounds: Float64Array,
      capacity: number,
      aligned: boolean,
      crop: boolean,
      buffer: number,
    ): Promise<PackedDocuments>;
  }
}

/**
 * Packs documents; document i has the tokens from `bounds[i]` to `bounds[i + 1]`, which lie below 2^40.
 * @throws the signal's reason when it is aborted
 */
export function packDocuments(bounds: Float64Array, options: PackDocumentsOptions): Promise<PackedDocuments> {
  const { capacity, aligned, crop, buffer, signal } = options;
  return runJob({ signal }, (words) => addon().packDocuments(words, bounds, capacity, aligned, crop, buffer));
}
