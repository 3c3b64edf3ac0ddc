/**
 * Key/value caches of generation: what all of them offer to models and decoders, and the one that gives every sequence rows of fixed room in each layer.
 * Lengths are known on the host.
 */

import { ShapeError } from "../errors.js";
import { DTYPE_CODE } from "../native/dtype.js";
import type { ComputeDtype } from "../nn/module.js";
import type { KeySegments } from "../tensor/ops/attention.js";
import { run } from "../tensor/ops/kernel.js";
import { keep } from "../tensor/scope.js";
import { empty, type Tensor, tensor } from "../tensor/tensor.js";

/** Widths of what one layer stores per token: keys and values, or (MLA) latent and shared rotary key. */
export interface CacheLayout {
  layers: number;
  /** Elements per token of the first and the second store. */
  widths: readonly [number, number];
  dtype: ComputeDtype;
}

/** A cache as models and decoders use it: each layer appends what is new of every sequence, then `advance` counts it once. */
export interface TokenCache {
  /** Sequences that the cache can hold at a time. */
  readonly sequences: number;
  /** Most tokens of one sequence. */
  readonly maxLength: number;
  /** Tokens held by each sequence, host side. */
  readonly lengths: Int32Array;
  /** Bytes of all stores. */
  readonly byteLength: number;
  /** The two stores of a layer: [rows, width] each. */
  layer(index: number): readonly [Tensor, Tensor];
  /**
   * Copies `counts[s]` new rows per sequence behind those already there; x [Σ counts, width] lies sequence after sequence, its rows `row` elements
   * apart (default: without gaps), the first at element `offset`.
   * @throws ShapeError when a sequence would get longer than `maxLength`
   */
  append(store: Tensor, x: Tensor, counts: readonly number[], row?: number, offset?: number): void;
  /** Counts the appended tokens, once every layer has appended them. */
  advance(counts: readonly number[]): void;
  /** Forgets tokens behind `length` of one sequence (rejected drafts, a new prompt with a common start). */
  truncate(sequence: number, length: number): void;
  /** Ends a sequence: it holds no tokens then, and another may take its place. */
  end(sequence: number): void;
  /** Where the keys of each sequence lie once `counts` more are appended: the key segments of attention. */
  keySegments(counts: readonly number[]): KeySegments;
  /** Frees the stores. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Elements from row to row of x [Σ counts, width] without gaps. */
export function denseRow(x: Tensor, counts: readonly number[]): number {
  return (
    x.size /
    Math.max(
      1,
      counts.reduce((a, b) => a + b, 0),
    )
  );
}

/** Copies `count` rows of `store`'s width: those of x from element `from` on, `row` elements apart, to the store's rows from `to` on. */
export function copyRows(
  store: Tensor,
  x: Tensor,
  from: number,
  row: number,
  to: number,
  count: number,
): void {
  const width = store.shape[1];
  run(
    store,
    "copyStrided",
    ...[x.use(), store.use(), DTYPE_CODE[store.dtype], 2],
    ...[from, to * width, 0],
    ...[count, width, 1, 1, 1, 1],
    ...[row, 1, 0, 0, 0, 0],
    ...[width, 1, 0, 0, 0, 0],
  );
}

/** @throws ShapeError unless `needed` tokens fit into a sequence of the cache */
export function requireRoom(needed: number, maxLength: number): void {
  if (needed <= maxLength) return;
  throw new ShapeError(`The cache has room for ${maxLength} tokens per sequence; ${needed} were needed.`, {
    maxLength,
    needed,
  });
}

/** Room for `sequences` × `maxLength` tokens in every layer. */
export class KvCache implements TokenCache {
  readonly sequences: number;
  readonly maxLength: number;
  readonly lengths: Int32Array;
  private readonly stores: [Tensor, Tensor][];

  constructor(layout: CacheLayout, sequences: number, maxLength: number) {
    this.sequences = sequences;
    this.maxLength = maxLength;
    this.lengths = new Int32Array(sequences);
    const store = (width: number): Tensor =>
      keep(empty([sequences * maxLength, width], { dtype: layout.dtype }));
    this.stores = Array.from({ length: layout.layers }, () => [
      store(layout.widths[0]),
      store(layout.widths[1]),
    ]);
  }

  /** The two stores of a layer: [sequences·maxLength, width] each. */
  layer(index: number): readonly [Tensor, Tensor] {
    return this.stores[index];
  }

  append(store: Tensor, x: Tensor, counts: readonly number[], row = denseRow(x, counts), offset = 0): void {
    let at = 0;
    counts.forEach((count, sequence) => {
      const position = this.lengths[sequence];
      requireRoom(position + count, this.maxLength);
      if (count > 0) {
        copyRows(store, x, at * row + offset, row, sequence * this.maxLength + position, count);
      }
      at += count;
    });
  }

  advance(counts: readonly number[]): void {
    counts.forEach((count, sequence) => {
      this.lengths[sequence] += count;
    });
  }

  truncate(sequence: number, length: number): void {
    this.lengths[sequence] = Math.min(this.lengths[sequence], length);
  }

  end(sequence: number): void {
    this.truncate(sequence, 0);
  }

  keySegments(counts: readonly number[]): KeySegments {
    return {
      cu: tensor(Int32Array.from({ length: this.sequences }, (_, s) => s * this.maxLength)),
      lengths: tensor(Int32Array.from(counts, (count, s) => this.lengths[s] + count)),
    };
  }

  get byteLength(): number {
    return this.stores.reduce((sum, [a, b]) => sum + a.byteLength + b.byteLength, 0);
  }

  dispose(): void {
    for (const pair of this.stores) for (const store of pair) store.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
