/**
 * Paged key/value cache (Kwon et al. 2023, PagedAttention): every layer holds one pool of pages, each with room for a few tokens; sequences take pages as
 * they grow, share those of a common beginning, and give them back when they end. A page is copied when a sequence is to write in it that shares it.
 */

import { CacheFullError, ConfigError, ShapeError } from "../errors.js";
import type { KeySegments } from "../tensor/ops/attention.js";
import { keep } from "../tensor/scope.js";
import { empty, type Tensor, tensor } from "../tensor/tensor.js";
import { type CacheLayout, copyRows, denseRow, requireRoom, type TokenCache } from "./kv-cache.js";

/** Options of a paged cache. */
export interface PagedCacheOptions {
  /** Sequences that it can hold at a time. */
  sequences: number;
  /** Most tokens of one sequence. */
  maxLength: number;
  /** Tokens of a page: a power of two. Default 16. */
  pageSize?: number;
  /** Pages of the pool. Default: enough for all sequences at their longest. */
  pages?: number;
}

const BYTES = { f32: 4, bf16: 2 } as const;

/** Bytes of the stores of a paged cache: all that it ever takes on the device, but for the page tables of a step. */
export function pagedCacheBytes(layout: CacheLayout, pages: number, pageSize: number): number {
  return layout.layers * (layout.widths[0] + layout.widths[1]) * pages * pageSize * BYTES[layout.dtype];
}

function checkCount(name: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw new ConfigError(`A paged cache's ${name} must be an integer from ${least}, got ${String(value)}.`, {
    [name]: value,
  });
}

/** Sequences in pages of one pool. The page table serves all layers: page p is rows p·pageSize.. of each store. */
export class PagedCache implements TokenCache {
  readonly sequences: number;
  readonly maxLength: number;
  readonly pageSize: number;
  /** Pages of the pool. */
  readonly pageCount: number;
  readonly lengths: Int32Array;
  readonly byteLength: number;
  private readonly stores: [Tensor, Tensor][];
  /** Pages of each sequence, in order. */
  private readonly owned: number[][];
  /** How many sequences hold each page. */
  private readonly users: Int32Array;
  /** Pages that nobody holds; the last is taken next. */
  private readonly free: number[];

  /** @throws ConfigError for counts that are not integers, or a page size that is not a power of two */
  constructor(layout: CacheLayout, options: PagedCacheOptions) {
    this.sequences = checkCount("sequences", options.sequences, 0);
    this.maxLength = checkCount("maxLength", options.maxLength, 0);
    this.pageSize = checkCount("pageSize", options.pageSize ?? 16, 1);
    if (!Number.isInteger(Math.log2(this.pageSize))) {
      throw new ConfigError(
        `A paged cache's pageSize must be a power of two, such as 16 or 64; got ${this.pageSize}.`,
        { pageSize: this.pageSize },
      );
    }
    // An empty pool keeps one page, so that its stores have an address.
    const enough = Math.max(1, this.sequences * this.pagesOf(this.maxLength));
    this.pageCount = checkCount("pages", options.pages ?? enough, 1);
    this.lengths = new Int32Array(this.sequences);
    this.owned = Array.from({ length: this.sequences }, () => []);
    this.users = new Int32Array(this.pageCount);
    this.free = Array.from({ length: this.pageCount }, (_, i) => this.pageCount - 1 - i);
    this.byteLength = pagedCacheBytes(layout, this.pageCount, this.pageSize);
    const store = (width: number): Tensor =>
      keep(empty([this.pageCount * this.pageSize, width], { dtype: layout.dtype }));
    this.stores = Array.from({ length: layout.layers }, () => [
      store(layout.widths[0]),
      store(layout.widths[1]),
    ]);
  }

  /** Pages that no sequence holds. */
  get freePages(): number {
    return this.free.length;
  }

  layer(index: number): readonly [Tensor, Tensor] {
    return this.stores[index];
  }

  /** Pages of a sequence, in order of its tokens. */
  pages(sequence: number): readonly number[] {
    return this.owned[sequence];
  }

  /** @throws CacheFullError when the pool has no page left; nothing is appended then */
  append(store: Tensor, x: Tensor, counts: readonly number[], row = denseRow(x, counts), offset = 0): void {
    this.reserve(counts);
    let from = offset;
    counts.forEach((count, sequence) => {
      for (let done = 0; done < count; ) {
        const { at, rows } = this.run(sequence, this.lengths[sequence] + done, count - done);
        copyRows(store, x, from, row, at, rows);
        from += rows * row;
        done += rows;
      }
    });
  }

  advance(counts: readonly number[]): void {
    this.reserve(counts);
    counts.forEach((count, sequence) => {
      this.lengths[sequence] += count;
    });
  }

  truncate(sequence: number, length: number): void {
    this.lengths[sequence] = Math.min(this.lengths[sequence], length);
    this.release(sequence, this.pagesOf(this.lengths[sequence]));
  }

  /** As TokenCache says; its pages are free for others, but for those that it shares. */
  end(sequence: number): void {
    this.truncate(sequence, 0);
  }

  /** Makes sequence `to` begin as `from` stands, without copying: they share pages until one of them writes. What `to` held is forgotten. */
  fork(from: number, to: number): void {
    for (const [name, sequence] of [
      ["from", from],
      ["to", to],
    ] as const) {
      if (this.owned[sequence] === undefined) {
        throw new ShapeError(
          `PagedCache.fork: ${name} is ${sequence}, but the sequences are 0 to ${this.sequences - 1}.`,
          { [name]: sequence, sequences: this.sequences },
        );
      }
    }
    if (from === to) return;
    this.end(to);
    const shared = this.owned[from].slice(0, this.pagesOf(this.lengths[from]));
    for (const page of shared) this.users[page] += 1;
    this.owned[to] = shared;
    this.lengths[to] = this.lengths[from];
  }

  keySegments(counts: readonly number[]): KeySegments {
    this.reserve(counts);
    const lengths = Int32Array.from(counts, (count, s) => this.lengths[s] + count);
    const columns = lengths.reduce((most, length) => Math.max(most, this.pagesOf(length)), 1);
    const table = new Int32Array(this.sequences * columns).fill(-1);
    this.owned.forEach((pages, s) => {
      table.set(pages.slice(0, this.pagesOf(lengths[s])), s * columns);
    });
    return {
      pages: {
        table: tensor(table, { shape: [this.sequences, columns] }),
        size: this.pageSize,
        count: this.pageCount,
      },
      lengths: tensor(lengths),
    };
  }

  dispose(): void {
    for (const pair of this.stores) for (const store of pair) store.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private pagesOf(tokens: number): number {
    return Math.ceil(tokens / this.pageSize);
  }

  /** The store's row of a token, and how many of the `count` tokens from there on lie behind each other. */
  private run(sequence: number, position: number, count: number): { at: number; rows: number } {
    const pages = this.owned[sequence];
    const first = Math.floor(position / this.pageSize);
    const within = position % this.pageSize;
    let rows = this.pageSize - within;
    for (let i = first; rows < count && pages[i + 1] === pages[i] + 1; i++) rows += this.pageSize;
    return { at: pages[first] * this.pageSize + within, rows: Math.min(rows, count) };
  }

  /** Sees that the next `counts` tokens have pages of their own; a second call for the same tokens finds all done. All or nothing. */
  private reserve(counts: readonly number[]): void {
    // Sequences whose next token comes into a page that others hold too. The last of its holders need not copy it.
    const copies: number[] = [];
    const left = new Map<number, number>();
    let needed = 0;
    counts.forEach((count, sequence) => {
      if (count === 0) return;
      const length = this.lengths[sequence];
      requireRoom(length + count, this.maxLength);
      needed += Math.max(0, this.pagesOf(length + count) - this.owned[sequence].length);
      const page = this.owned[sequence][Math.floor(length / this.pageSize)];
      if (page === undefined) return;
      const users = left.get(page) ?? this.users[page];
      if (users > 1) {
        left.set(page, users - 1);
        copies.push(sequence);
      }
    });
    needed += copies.length;
    if (needed > this.free.length) {
      throw new CacheFullError(
        `The paged cache needs ${needed} more pages of ${this.pageSize} tokens, but ${this.free.length} of ${this.pageCount} are free. End sequences, or make the cache with more pages.`,
        { needed, free: this.free.length, pages: this.pageCount, pageSize: this.pageSize },
      );
    }
    for (const sequence of copies) this.makeOwn(sequence);
    counts.forEach((count, sequence) => {
      const pages = this.owned[sequence];
      while (count > 0 && pages.length < this.pagesOf(this.lengths[sequence] + count))
        pages.push(this.take());
    });
  }

  /** Copies the page that the sequence's next token comes into, in every layer. */
  private makeOwn(sequence: number): void {
    const length = this.lengths[sequence];
    const index = Math.floor(length / this.pageSize);
    const shared = this.owned[sequence][index];
    const page = this.take();
    for (const pair of this.stores) {
      for (const store of pair) {
        const width = store.shape[1];
        copyRows(
          store,
          store,
          shared * this.pageSize * width,
          width,
          page * this.pageSize,
          length % this.pageSize,
        );
      }
    }
    this.users[shared] -= 1;
    this.owned[sequence][index] = page;
  }

  private take(): number {
    const page = this.free.pop() as number;
    this.users[page] = 1;
    return page;
  }

  /** Gives back the pages of a sequence behind its first `keepPages`, the last one first. */
  private release(sequence: number, keepPages: number): void {
    const pages = this.owned[sequence];
    while (pages.length > keepPages) {
      const page = pages.pop() as number;
      this.users[page] -= 1;
      if (this.users[page] === 0) this.free.push(page);
    }
  }
}
