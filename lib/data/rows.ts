/** Filling the rows of a batch from token streams, and the sequence boundaries of a batch. */
import { TokenCopies } from "../native/text/shards.js";
import type { TokenStream } from "./stream.js";

/** Target that no loss is taken for. */
export const IGNORE_INDEX = -100;

/** What one row holds: n tokens, of which all but the last are inputs and all but the first are targets. */
export interface RowContent {
  stream: TokenStream;
  /** Stretches of the stream one after the other: start, length, start, length, … */
  pieces: readonly number[];
  /** Positions in the row, from 1 to n − 1, where a document or a piece of one begins. Needed with `documentMask` only. */
  starts: readonly number[];
}

/** Rows of a batch. */
export interface FilledRows {
  /** [rows, T] row-major token ids. */
  inputs: Int32Array;
  /** [rows, T] row-major: the token after each input; −100 where none is wanted. */
  targets: Int32Array;
  /** With `documentMask`: boundaries of sequences in the flattened rows, from 0 to rows · T. Every row's start is one. */
  cuSeqlens?: Int32Array;
  /** With `documentMask`: length of the longest sequence. */
  maxSeqlen?: number;
}

/**
 * Fills rows of T inputs from T + 1 tokens each. A row with fewer tokens (or undefined, with none) is padded with input 0
 * and target −100; with `documentMask` the padding is a sequence of its own, and targets that belong to another document
 * than their input are −100.
 */
export async function fillRows(
  rows: readonly (RowContent | undefined)[],
  T: number,
  documentMask: boolean,
): Promise<FilledRows> {
  const size = rows.length * T;
  const inputs = new Int32Array(size);
  const targets = new Int32Array(size);
  // Each row's tokens once; they are its inputs, and one further on its targets.
  const tokens = takeScratch(rows.length * (T + 1));
  const counts = await copyRows(rows, T, tokens);
  const boundaries: number[][] = [];
  rows.forEach((row, r) => {
    const offset = r * T;
    const first = r * (T + 1);
    const count = Math.max(0, counts[r] - 1);
    inputs.set(tokens.subarray(first, first + count), offset);
    targets.set(tokens.subarray(first + 1, first + 1 + count), offset);
    if (count < T) targets.fill(IGNORE_INDEX, offset + count, offset + T);
    if (!documentMask) return;
    const inside: number[] = [];
    for (const start of row?.starts ?? []) {
      // The input before a document's first token would have to guess another document.
      if (start >= 1 && start <= count) targets[offset + start - 1] = IGNORE_INDEX;
      if (start >= 1 && start < count) inside.push(start);
    }
    if (count > 0 && count < T) inside.push(count);
    boundaries.push(inside);
  });
  scratch.push(tokens);
  return { inputs, targets, ...(documentMask && cuSeqlensOf(boundaries, T)) };
}

/** Memory of earlier batches, as many as were loaded at a time. */
const scratch: Int32Array[] = [];

function takeScratch(length: number): Int32Array {
  const kept = scratch.pop();
  return kept !== undefined && kept.length === length ? kept : new Int32Array(length);
}

/** Copies the tokens of all rows, T + 1 places apart; returns how many each has. */
async function copyRows(
  rows: readonly (RowContent | undefined)[],
  T: number,
  tokens: Int32Array,
): Promise<number[]> {
  const copies = new TokenCopies();
  const counts = rows.map((row, r) => {
    if (row === undefined) return 0;
    const { stream, pieces } = row;
    let count = 0;
    for (let i = 0; i < pieces.length; i += 2) {
      stream.copy(copies, pieces[i], pieces[i + 1], r * (T + 1) + count);
      count += pieces[i + 1];
    }
    return count;
  });
  await copies.run(tokens);
  return counts;
}

/** Boundaries of all rows' sequences in the flattened batch. */
export function cuSeqlensOf(
  rows: readonly number[][],
  T: number,
): { cuSeqlens: Int32Array; maxSeqlen: number } {
  const boundaries: number[] = [];
  rows.forEach((starts, row) => {
    boundaries.push(row * T);
    for (const start of starts) boundaries.push(row * T + start);
  });
  boundaries.push(rows.length * T);
  let maxSeqlen = 0;
  for (let i = 1; i < boundaries.length; i++)
    maxSeqlen = Math.max(maxSeqlen, boundaries[i] - boundaries[i - 1]);
  return { cuSeqlens: Int32Array.from(boundaries), maxSeqlen };
}

/**
 * Position of every token in its sequence, from 0: what rotary and learnt positions take.
 * @param cuSeqlens boundaries of sequences, from 0 to the number of tokens
 */
export function positionIds(cuSeqlens: Int32Array): Int32Array {
  const positions = new Int32Array(cuSeqlens.at(-1) ?? 0);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let i = cuSeqlens[s]; i < cuSeqlens[s + 1]; i++) positions[i] = i - cuSeqlens[s];
  }
  return positions;
}
