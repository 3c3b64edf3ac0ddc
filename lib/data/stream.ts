/** Several shards seen as one long stream of tokens. */
import { DataError } from "../errors.js";
import { TokenCopies } from "../native/text/shards.js";
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

  /** Notes that `length` tokens from `start` on are to be copied to index `place` of the target, across shards. */
  copy(copies: TokenCopies, start: number, length: number, place: number): void {
    for (let done = 0; done < length; ) {
      const index = this.shardAt(start + done);
      const inside = start + done - this.starts[index];
      const count = Math.min(length - done, this.shards[index].length - inside);
      // Behind the end: the shard says so.
      this.shards[index].copy(copies, inside, count > 0 ? count : length - done, place + done);
      done += count;
    }
  }

  /** Copies `length` tokens from `start` on to `out` at `offset`. */
  async read(start: number, length: number, out: Int32Array, offset = 0): Promise<void> {
    const copies = new TokenCopies();
    this.copy(copies, start, length, offset);
    await copies.run(out);
  }

  /** Positions of documents' first tokens within (start, start + length), relative to `start`. */
  documentStarts(start: number, length: number): number[] {
    const found: number[] = [];
    const low = start + 1;
    for (let index = this.shardAt(low); index < this.shards.length; index++) {
      const base = this.starts[index];
      if (base >= start + length) break;
      const from = Math.max(0, low - base);
      for (const at of this.shards[index].startsBetween(from, start + length - base)) {
        found.push(at + from + base - start);
      }
    }
    return found;
  }

  /**
   * Bounds of documents, a stretch of up to `count` documents at a time: document i of a stretch has the tokens from
   * `bounds[i]` to `bounds[i + 1]`. Tokens before the first beginning count as a document.
   */
  *documentBounds(count: number): Generator<Float64Array> {
    let bounds = new Float64Array(count + 1);
    let filled = 1;
    for (const [index, shard] of this.shards.entries()) {
      const base = this.starts[index];
      for (let first = 0; first < shard.documents; ) {
        const starts = shard.startsOf(first, Math.min(count + 1 - filled, shard.documents - first));
        for (const start of starts) {
          if (start + base > 0) bounds[filled++] = start + base;
        }
        first += starts.length;
        if (filled > count) {
          yield bounds;
          const last = bounds[count];
          bounds = new Float64Array(count + 1);
          bounds[0] = last;
          filled = 1;
        }
      }
    }
    if (bounds[filled - 1] < this.length) {
      bounds[filled++] = this.length;
      yield bounds.subarray(0, filled);
    }
  }
}
