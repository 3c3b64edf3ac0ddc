/** Key/value cache of generation: per layer, rows of fixed room per sequence; lengths are known on the host. */

import { ShapeError } from "../errors.js";
import { DTYPE_CODE } from "../native/dtype.js";
import type { ComputeDtype } from "../nn/module.js";
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

/** Room for `sequences` × `maxLength` tokens in every layer. */
export class KvCache {
  readonly sequences: number;
  readonly maxLength: number;
  /** Tokens held by each sequence, host side. */
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

  /** Copies `counts[s]` new rows per sequence behind those already there; x [Σ counts, width] lies sequence after sequence, rows `row` elements apart. */
  append(
    store: Tensor,
    x: Tensor,
    counts: readonly number[],
    row = x.size /
      Math.max(
        1,
        counts.reduce((a, b) => a + b, 0),
      ),
    offset = 0,
  ): void {
    const width = store.shape[1];
    let at = 0;
    counts.forEach((count, sequence) => {
      const position = this.lengths[sequence];
      if (position + count > this.maxLength) {
        throw new ShapeError(
          `The cache has room for ${this.maxLength} tokens per sequence; ${position + count} were needed.`,
          {
            maxLength: this.maxLength,
            needed: position + count,
          },
        );
      }
      if (count > 0) {
        run(
          store,
          "copyStrided",
          x.use(),
          store.use(),
          DTYPE_CODE[store.dtype],
          2,
          at * row + offset,
          (sequence * this.maxLength + position) * width,
          0,
          count,
          width,
          1,
          1,
          1,
          1,
          row,
          1,
          0,
          0,
          0,
          0,
          width,
          1,
          0,
          0,
          0,
          0,
        );
      }
      at += count;
    });
  }

  /** Counts the appended tokens, once every layer has appended them. */
  advance(counts: readonly number[]): void {
    counts.forEach((count, sequence) => {
      this.lengths[sequence] += count;
    });
  }

  /** Forgets tokens behind `length` of one sequence (rejected drafts, a new prompt with a common start). */
  truncate(sequence: number, length: number): void {
    this.lengths[sequence] = Math.min(this.lengths[sequence], length);
  }

  /** Where each sequence's keys start and how many there are once `counts` more are appended: the key segments of attention. */
  keySegments(counts: readonly number[]): { cu: Tensor; lengths: Tensor } {
    return {
      cu: tensor(Int32Array.from({ length: this.sequences }, (_, s) => s * this.maxLength)),
      lengths: tensor(Int32Array.from(counts, (count, s) => this.lengths[s] + count)),
    };
  }

  /** Bytes of all stores. */
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
