/** The paged cache: the bits of the contiguous one for every family; pages that sequences share, copy, give back and run out of; nothing left behind. */
import { afterEach, describe, expect, it } from "vitest";
import { CacheFullError, ConfigError, ShapeError } from "../../lib/errors.js";
import { generateBatch } from "../../lib/generate/index.js";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import type { RawConfig } from "../../lib/models/config.js";
import { copyRows, type TokenCache } from "../../lib/models/kv-cache.js";
import { PagedCache, pagedCacheBytes } from "../../lib/models/paged-cache.js";
import { createModel } from "../../lib/models/registry.js";
import { memory } from "../../lib/native/device.js";
import { noGrad } from "../../lib/tensor/autograd.js";
import { segmentsOf } from "../../lib/tensor/ops/attention.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { scope } from "../../lib/tensor/scope.js";
import { tensor } from "../../lib/tensor/tensor.js";
import { rng } from "../reference/array.js";
import { TINY } from "./tiny.js";

/** A model whose logits are O(1), so that greedy choices are not ties. */
function lively(config: RawConfig, dtype: "f32" | "bf16" = "f32"): CausalLM {
  manualSeed(11);
  return createModel({ ...config, initializer_range: 0.2 }, { dtype });
}

/** Feeds `parts[s]` to each cached sequence and returns the logits of all of them. */
function feed(model: CausalLM, cache: TokenCache, parts: number[][]): Float32Array {
  const counts = parts.map((part) => part.length);
  const starts = [...cache.lengths];
  const logits = noGrad(() =>
    scope(() =>
      model
        .logits({
          ids: tensor(Int32Array.from(parts.flat())),
          positions: tensor(Int32Array.from(parts.flatMap((part, s) => part.map((_, i) => starts[s] + i)))),
          length: Math.max(...parts.map((part, s) => starts[s] + part.length)),
          segments: segmentsOf(counts),
          cache: { store: cache, counts },
        })
        .dataSync(),
    ),
  ) as Float32Array;
  cache.advance(counts);
  return logits;
}

/** Fills the stores with NaN, as memory that nobody wrote may hold. */
function poison(cache: TokenCache, layers: number): void {
  for (let layer = 0; layer < layers; layer++) {
    for (const store of cache.layer(layer)) store.write(new Float32Array(store.size).fill(Number.NaN));
  }
}

const random = rng(5);
const ids = (count: number): number[] => Array.from(random.integers(count, 61));
const bytes = (x: Float32Array): Buffer => Buffer.from(x.buffer, x.byteOffset, x.byteLength);

const FAMILIES = Object.entries(TINY).flatMap(([name, config]) =>
  (["f32", "bf16"] as const).map((dtype) => [`${name} ${dtype}`, config, dtype] as const),
);

describe.each(FAMILIES)("%s", (_, config, dtype) => {
  it.each([1, 4, 16])("pages of %i tokens give the bits of the contiguous cache", (pageSize) => {
    using model = lively(config, dtype);
    using whole = model.newCache(3, 24);
    using paged = model.newPagedCache({ sequences: 3, maxLength: 24, pageSize });
    poison(paged, model.cacheLayout().layers);
    const both = (parts: number[][]): void => {
      const want = feed(model, whole, parts);
      expect(want.every(Number.isFinite)).toBe(true);
      expect(bytes(feed(model, paged, parts)).equals(bytes(want))).toBe(true);
    };
    both([ids(7), ids(3), []]);
    both([ids(1), ids(1), ids(9)]);
    both([[], ids(1), ids(1)]);
    both([ids(5), [], ids(2)]);
    for (const cache of [whole, paged]) {
      cache.truncate(0, 6);
      cache.end(1);
    }
    both([ids(2), ids(11), ids(1)]);
    both([ids(1), ids(1), ids(1)]);
  });

  it("a fork goes on as a sequence of its own, and so does what it came from", () => {
    using model = lively(config, dtype);
    const [start, left, right] = [ids(10), ids(9), ids(9)];
    using paged = model.newPagedCache({ sequences: 3, maxLength: 24, pageSize: 4 });
    using whole = model.newCache(3, 24);
    poison(paged, model.cacheLayout().layers);
    feed(model, paged, [start, [], []]);
    feed(model, whole, [start, [], []]);
    // The contiguous cache cannot fork: its rows are copied.
    const { layers } = model.cacheLayout();
    for (const store of Array.from({ length: layers }, (_, i) => whole.layer(i)).flat()) {
      for (const s of [1, 2]) copyRows(store, store, 0, store.shape[1], s * 24, start.length);
    }
    whole.advance([0, start.length, start.length]);
    paged.fork(0, 1);
    paged.fork(1, 2);
    expect([...paged.lengths]).toEqual([10, 10, 10]);
    expect(paged.pageCount - paged.freePages).toBe(3);
    for (let i = 0; i < 9; i++) {
      const parts = [[left[i]], [right[i]], [start[i]]];
      expect(bytes(feed(model, paged, parts)).equals(bytes(feed(model, whole, parts)))).toBe(true);
    }
    // Two full pages in common, three of its own each.
    expect(paged.pageCount - paged.freePages).toBe(2 + 3 * 3);
    expect(paged.pages(0).slice(0, 2)).toEqual(paged.pages(2).slice(0, 2));
  });
});

describe("pages", () => {
  const layout = { layers: 2, widths: [3, 5], dtype: "f32" } as const;
  const row = (count: number) =>
    tensor(new Float32Array(Math.max(1, count) * 3), { shape: [Math.max(1, count), 3] });
  const grow = (cache: PagedCache, ...counts: number[]): void =>
    scope(() => {
      cache.append(cache.layer(0)[0], row(counts.reduce((a, b) => a + b, 0)), counts);
      cache.advance(counts);
    });
  const make = (pages: number, sequences = 3): PagedCache =>
    new PagedCache(layout, { sequences, maxLength: 40, pageSize: 4, pages });
  let cache: PagedCache | undefined;
  afterEach(() => cache?.dispose());

  it("are counted: taken as sequences grow, shared by forks, given back at the end", () => {
    cache = make(8);
    grow(cache, 4, 1, 0);
    expect(cache.freePages).toBe(6);
    grow(cache, 1, 3, 0);
    expect(cache.freePages).toBe(5);
    cache.fork(0, 2);
    expect(cache.freePages).toBe(5);
    cache.truncate(0, 3);
    expect(cache.freePages).toBe(5); // the fork holds the second page
    grow(cache, 1, 0, 0); // writes in the first page, which the fork holds too
    expect(cache.freePages).toBe(4);
    expect(cache.pages(0)[0]).not.toBe(cache.pages(2)[0]);
    cache.end(2);
    expect(cache.freePages).toBe(6);
    cache.end(0);
    cache.end(1);
    expect(cache.freePages).toBe(8);
    expect([...cache.lengths]).toEqual([0, 0, 0]);
  });

  it("survive a long mixture of growing, forking, truncating and ending without a leak", () => {
    cache = make(24, 5);
    const draws = rng(9).integers(600 * 3, 1000);
    for (let i = 0; i < 600; i++) {
      const [what, a, b] = [draws[3 * i] % 5, draws[3 * i + 1] % 5, draws[3 * i + 2]];
      const counts = [0, 0, 0, 0, 0];
      counts[a] = b % 6;
      try {
        if (what < 2) grow(cache, ...counts);
        else if (what === 2) cache.fork(a, b % 5);
        else if (what === 3) cache.truncate(a, b % 20);
        else cache.end(a);
      } catch (error) {
        if (!(error instanceof CacheFullError || error instanceof ShapeError)) throw error;
      }
      const held = new Set([0, 1, 2, 3, 4].flatMap((s) => [...(cache as PagedCache).pages(s)]));
      expect(cache.freePages + held.size).toBe(24);
      for (let s = 0; s < 5; s++) expect(cache.pages(s).length).toBe(Math.ceil(cache.lengths[s] / 4));
    }
    for (let s = 0; s < 5; s++) cache.end(s);
    expect(cache.freePages).toBe(24);
  });

  it("that run out are an error that changes nothing", () => {
    cache = make(4);
    grow(cache, 9, 2, 0);
    expect(() => grow(cache as PagedCache, 1, 3, 1)).toThrow(CacheFullError);
    expect(() => grow(cache as PagedCache, 1, 3, 1)).toThrow(
      "needs 2 more pages of 4 tokens, but 0 of 4 are free",
    );
    expect([...cache.lengths]).toEqual([9, 2, 0]);
    grow(cache, 1, 2, 0);
    cache.end(1);
    grow(cache, 0, 0, 4);
    expect(cache.freePages).toBe(0);
    // The last page of a fork must be copied, for which there is none; the last holder needs no copy.
    cache.end(2);
    cache.fork(0, 2);
    grow(cache, 1, 0, 1);
    expect(cache.freePages).toBe(0);
  });

  it("take the bytes that were announced, and none are left behind", () => {
    const before = memory().buffers;
    cache = make(7);
    expect(cache.byteLength).toBe(pagedCacheBytes(layout, 7, 4));
    expect(cache.byteLength).toBe(2 * (3 + 5) * 7 * 4 * 4);
    grow(cache, 6, 5, 0);
    cache.fork(0, 2);
    grow(cache, 1, 1, 1);
    cache.dispose();
    expect(memory().buffers).toBe(before);
  });

  it("name options and sequences that they cannot serve", () => {
    const wrong = (options: object) => () =>
      new PagedCache(layout, { sequences: 1, maxLength: 8, ...options });
    expect(wrong({ pageSize: 12 })).toThrow(/power of two, such as 16 or 64; got 12/);
    expect(wrong({ pages: 0 })).toThrow(ConfigError);
    expect(wrong({ sequences: -1 })).toThrow(/sequences must be an integer from 0, got -1/);
    cache = make(4);
    expect(() => (cache as PagedCache).fork(0, 3)).toThrow(/to is 3, but the sequences are 0 to 2/);
    expect(() => grow(cache as PagedCache, 41, 0, 0)).toThrow(
      /room for 40 tokens per sequence; 41 were needed/,
    );
  });
});

describe("generation in pages", () => {
  const prompts = [ids(9), ids(1), ids(4)];

  it.each(Object.entries(TINY))("%s draws what it draws without", async (_, config) => {
    using model = lively(config);
    const options = { temperature: 0.9, seed: 3, maxTokens: 14, stopIds: [7, 8, 9, 10, 11, 12, 13, 14] };
    const want = await generateBatch(model, prompts, options);
    expect(await generateBatch(model, prompts, { ...options, pageSize: 4 })).toEqual(want);
  });

  it("gives back the pages of sequences that have ended, and says when there are too few", async () => {
    using model = lively(TINY.llama);
    const options = { temperature: 0, maxTokens: 14, pageSize: 4 };
    await expect(generateBatch(model, prompts, { ...options, pages: 14 })).rejects.toThrow(CacheFullError);
    await expect(generateBatch(model, prompts, { ...options, pages: 15 })).resolves.toHaveLength(3);
    await expect(generateBatch(model, prompts, { maxTokens: 1, pageSize: 3 })).rejects.toThrow(
      /power of two/,
    );
    await expect(generateBatch(model, prompts, { maxTokens: 1, pages: 3 })).rejects.toThrow(/pageSize/);
  });

  it("slides when the positions run out", async () => {
    using model = lively({ ...TINY.gpt2, n_positions: 16 });
    const options = { temperature: 0, maxTokens: 40, onContextLimit: "slide" } as const;
    const want = await generateBatch(model, prompts, options);
    expect(await generateBatch(model, prompts, { ...options, pageSize: 4 })).toEqual(want);
  });
});
