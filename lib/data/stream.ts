/** Several shards seen as one long stream of tokens. */
import { DataError } from "../errors.js";
import type { TokenShard } from "./shard.js";

export class TokenStream {
  /** Tokens in all shards. */
  readonly length: number;
  /** Index of the first token of each shard, and the length at the end. */
  private readonly starts: number[];

  /** @throws DataError when there is no shard, or shards come from different tokenizers. */
  constructor(readonly shards: readonly TokenShard[]) {
    if (shards.length === 0) throw new DataError("No token shards: prepare the data first.");
    const { tokenizerFingerprint } = shards[0].header;
    this.starts = [0];
    for (const shard of shards) {
      if (shard.header.tokenizerFingerprint !== tokenizerFingerprint) {
        throw new DataError(
          `${shard.path} and ${shards[0].path} were made with different tokenizers. Prepare both with the same one.`,
          { paths: [shard.path, shards[0].path] },
        );
      }
      this.starts.push((this.starts.at(-1) as number) + shard.length);
    }
    this.length = this.starts.at(-1) as number;
  }

  /** The last shard that begins at or before a token. */
  private shardAt(position: number): number {
    let low = 0;
    let high = this.shards.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Copies `length` tokens from `start` on to `out` at `offset`, across shards. */
  async read(start: number, length: number, out: Int32Array, offset = 0): Promise<void> {
    for (let done = 0; done < length; ) {
      const index = this.shardAt(start + done);
      const inside = start + done - this.starts[index];
      const count = Math.min(length - done, this.shards[index].length - inside);
      await this.shards[index].read(inside, count, out, offset + done);
      done += count;
    }
  }

  /** Positions of documents' first tokens within (start, start + length), relative to `start`. */
  documentStarts(start: number, length: number): number[] {
    const found: number[] = [];
    for (let index = this.shardAt(start); index < this.shards.length; index++) {
      const base = this.starts[index];
      if (base >= start + length) break;
      const { documentStarts } = this.shards[index];
      let at = lowerBound(documentStarts, start - base + 1);
      for (; at < documentStarts.length && documentStarts[at] + base < start + length; at++) {
        found.push(documentStarts[at] + base - start);
      }
    }
    return found;
  }
}

/** Index of the first element that is at least `value`. */
function lowerBound(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
