/** Filling rows of a batch from the token stream, and the sequence boundaries of a batch. */
import type { TokenStream } from "./stream.js";

/** Target that no loss is taken for. */
export const IGNORE_INDEX = -100;

/**
 * Fills one row with tokens `start` … `start + T` of the stream.
 * @param count inputs that have a target, at most T; the rest of the row is padded (input 0, target −100)
 * @returns with `documentMask`, positions in the row where documents begin (without 0), else nothing
 */
export async function fillRow(
  stream: TokenStream,
  start: number,
  T: number,
  inputs: Int32Array,
  targets: Int32Array,
  offset: number,
  documentMask: boolean,
  count = T,
): Promise<number[]> {
  const window = new Int32Array(count + 1);
  await stream.read(start, count + 1, window);
  inputs.set(window.subarray(0, count), offset);
  targets.set(window.subarray(1), offset);
  inputs.fill(0, offset + count, offset + T);
  targets.fill(IGNORE_INDEX, offset + count, offset + T);
  if (!documentMask) return [];
  const starts = stream.documentStarts(start, count + 1);
  // The input before a document's first token would have to guess another document.
  for (const position of starts) targets[offset + position - 1] = IGNORE_INDEX;
  const inside = starts.filter((position) => position < count);
  if (count < T) inside.push(count);
  return inside;
}

/** Boundaries of all rows' sequences in the flattened batch. */
export function cuSeqlensOf(
  rows: readonly number[][],
  T: number,
): { cuSeqlens: Int32Array; maxSeqlen: number } {
  const boundaries: number[] = [];
  rows.forEach((starts, row) => {
    boundaries.push(row * T);
    for (const start of starts) if (start > 0) boundaries.push(row * T + start);
  });
  boundaries.push(rows.length * T);
  let maxSeqlen = 0;
  for (let i = 1; i < boundaries.length; i++)
    maxSeqlen = Math.max(maxSeqlen, boundaries[i] - boundaries[i - 1]);
  return { cuSeqlens: Int32Array.from(boundaries), maxSeqlen };
}
