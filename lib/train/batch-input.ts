/** From token rows on the host to what a model takes: ids, positions and segments on the device. */

import { ShapeError } from "../errors.js";
import type { TokenInput } from "../models/causal-lm.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** Rows of tokens, all equally long, as `TokenBatches` and `evaluationWindows` give them. */
export interface TokenRows {
  /** [rows, length] row-major token ids. */
  inputs: Int32Array;
  /** [rows, length]: the token after each input; −100 where none is wanted. */
  targets: Int32Array;
  /** Starts of sequences in the flattened rows, from 0 to rows·length; every row's start is one. Default: each row is one sequence. */
  cuSeqlens?: Int32Array;
}

/** A part of a batch. */
export interface BatchRows {
  /** First row. Default 0. */
  first?: number;
  /** Rows from there on. Default: all. */
  rows?: number;
}

/** Starts of the sequences inside tokens `begin` to `end`, relative to `begin`, and `end − begin` at last. */
function boundaries(batch: TokenRows, begin: number, end: number, length: number): Int32Array {
  if (batch.cuSeqlens === undefined) {
    return Int32Array.from({ length: (end - begin) / length + 1 }, (_, row) => row * length);
  }
  return batch.cuSeqlens.filter((start) => start >= begin && start <= end).map((start) => start - begin);
}

/** What `inputFromBatch` uploads, still on the host. */
export interface HostInput {
  ids: Int32Array;
  positions: Int32Array;
  /** Starts of the sequences, and the number of tokens at last. */
  cu: Int32Array;
  targets: Int32Array;
  rows: number;
  /** Tokens of the longest sequence. */
  longest: number;
}

/**
 * Cuts rows out of a batch. Positions count from 0 in every sequence, and sequences do not attend to each other.
 * @param length tokens per row
 * @throws ShapeError when the rows are not of this length
 */
export function hostInput(batch: TokenRows, length: number, part: BatchRows = {}): HostInput {
  const all = batch.inputs.length / length;
  const { first = 0, rows = all - first } = part;
  if (!Number.isInteger(all) || batch.targets.length !== batch.inputs.length || first + rows > all) {
    throw new ShapeError(
      `A batch of ${batch.inputs.length} inputs and ${batch.targets.length} targets does not hold rows ${first} to ${first + rows} of ${length} tokens.`,
      { inputs: batch.inputs.length, targets: batch.targets.length, length, first, rows },
    );
  }
  const begin = first * length;
  const end = begin + rows * length;
  const cu = boundaries(batch, begin, end, length);
  const positions = new Int32Array(end - begin);
  let longest = 0;
  for (let s = 0; s + 1 < cu.length; s++) {
    longest = Math.max(longest, cu[s + 1] - cu[s]);
    for (let i = cu[s]; i < cu[s + 1]; i++) positions[i] = i - cu[s];
  }
  return {
    ids: batch.inputs.subarray(begin, end),
    positions,
    cu,
    targets: batch.targets.subarray(begin, end),
    rows,
    longest,
  };
}

/** Rows of a batch on the device. */
export interface DeviceInput {
  input: TokenInput;
  /** i32 [rows·length] */
  targets: Tensor;
  rows: number;
}

/** Uploads what `hostInput` gives; the tensors are to be made inside a scope or disposed. */
export function uploadInput({ ids, positions, cu, targets, rows, longest }: HostInput): DeviceInput {
  return {
    input: {
      ids: tensor(ids),
      positions: tensor(positions),
      length: longest,
      segments: { cu: tensor(cu), count: cu.length - 1 },
    },
    targets: tensor(targets),
    rows,
  };
}

/**
 * Uploads rows of a batch: `hostInput` and `uploadInput`.
 * @param length tokens per row
 * @returns the model's input and targets i32 [rows·length], to be made inside a scope or disposed
 * @throws ShapeError when the rows are not of this length
 */
export function inputFromBatch(batch: TokenRows, length: number, part: BatchRows = {}): DeviceInput {
  return uploadInput(hostInput(batch, length, part));
}
