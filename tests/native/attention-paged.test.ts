/**
 * Attention over keys in pages of a pool: the same bits as over the same keys in one piece, whatever the page size and wherever the pages lie. Rows of pages
 * that no segment uses, and those behind a segment's last key, hold NaN; unused entries of the page table hold a number that no pool has room for.
 */
import { describe, expect, it } from "vitest";
import { rng } from "../reference/array.js";
import { type AttentionInput, attention } from "../reference/attention.js";
import { call, download, errorOf, FLOATS, type Float, poisoned, quick, rounded, upload } from "./harness.js";

/** One batch; `shared`: the last channels of every key come from a second pool (MLA); `valuesInKeys`: values are the first channels of the keys. */
interface Case {
  queries: number[];
  keys: number[];
  heads: number;
  keyHeads: number;
  qkDim: number;
  vDim: number;
  shared?: number;
  valuesInKeys?: boolean;
  window?: number;
  softCap?: number;
  causal?: boolean;
}

const UNUSED = 2147480000;

const base: Case = { queries: [1, 1, 1], keys: [70, 1, 33], heads: 2, keyHeads: 2, qkDim: 16, vDim: 16 };
const latent = { keyHeads: 1, qkDim: 576, vDim: 512, shared: 64, valuesInKeys: true };

const CASES: [string, Case][] = [
  ["one query each", base],
  ["no key, no query, nothing", { ...base, queries: [1, 0, 0, 2], keys: [0, 40, 0, 65] }],
  ["several queries, some that see nothing", { ...base, queries: [3, 5, 2], keys: [70, 3, 130] }],
  ["grouped heads", { ...base, keys: [100, 16, 129], heads: 6, keyHeads: 2, qkDim: 40, vDim: 24 }],
  ["window", { ...base, queries: [1, 4, 1], keys: [200, 90, 15], window: 37 }],
  ["window without causality", { ...base, queries: [2, 1], keys: [130, 70], causal: false, window: 9 }],
  ["soft cap", { ...base, softCap: 1.5, qkDim: 24, vDim: 8 }],
  ["odd head sizes", { ...base, heads: 3, keyHeads: 1, qkDim: 33, vDim: 7, shared: 5 }],
  ["chunks of keys", { ...base, queries: [1, 2], keys: quick([1500, 780], [400, 200]), keyHeads: 1 }],
  ["a prompt: tiles of queries", { ...base, queries: [75, 3], keys: [75, 130], qkDim: 64, vDim: 64 }],
  ["a prompt, window", { ...base, queries: [90], keys: [140], qkDim: 128, vDim: 96, window: 50 }],
  ["a prompt, 192 and 128", { ...base, queries: [67], keys: [90], qkDim: 192, vDim: 128, shared: 64 }],
  ["a prompt, odd head sizes", { ...base, queries: [70], keys: [100], keyHeads: 1, qkDim: 21, vDim: 9 }],
  [
    "a prompt, large heads",
    { ...base, queries: [20], keys: [45], heads: 1, keyHeads: 1, qkDim: 600, vDim: 520 },
  ],
  [
    "latents of 576 and 512, one query",
    { ...latent, queries: [1, 1, 1], keys: [150, 0, 40], heads: quick(40, 20) },
  ],
  ["latents of 576 and 512, few heads", { ...latent, queries: [1, 2], keys: [90, 131], heads: 4 }],
  [
    "latents of 576 and 512, a prompt",
    { ...latent, queries: [quick(20, 9)], keys: [70], heads: quick(8, 4) },
  ],
];

/** Sums of lengths from 0. */
function prefix(lengths: number[]): number[] {
  const sums = [0];
  for (const length of lengths) sums.push(sums[sums.length - 1] + length);
  return sums;
}

/** Rows of a tensor [rows, width] as the dtype holds them, NaN where `source` gives −1. */
function gathered(values: Float64Array, width: number, source: number[]): Float64Array {
  const result = new Float64Array(source.length * width).fill(Number.NaN);
  source.forEach((from, to) => {
    if (from >= 0) result.set(values.subarray(from * width, (from + 1) * width), to * width);
  });
  return result;
}

/** Where each key goes: a random permutation of more pages than are used; source[row of the pool] is the row in one piece, −1 for none. */
function placed(c: Case, pageSize: number, seed: number) {
  const starts = prefix(c.keys);
  const used = c.keys.map((length) => Math.ceil(length / pageSize));
  const count = prefix(used)[used.length] + 3;
  const order = Array.from({ length: count }, (_, i) => i);
  const random = rng(seed);
  for (let i = count - 1; i > 0; i--) {
    const j = random.integers(1, i + 1)[0];
    [order[i], order[j]] = [order[j], order[i]];
  }
  const columns = Math.max(1, ...used) + 1;
  const table = new Array<number>(c.keys.length * columns).fill(UNUSED);
  const source = new Array<number>(count * pageSize).fill(-1);
  c.keys.forEach((length, s) => {
    for (let j = 0; j < length; j++) {
      const entry = s * columns + Math.floor(j / pageSize);
      if (j % pageSize === 0) table[entry] = order.pop() as number;
      source[table[entry] * pageSize + (j % pageSize)] = starts[s] + j;
    }
  });
  return { table, columns, count, source };
}

/** Host values of a case, keys in one piece. */
function prepare(c: Case, dtype: Float) {
  const { heads, keyHeads, qkDim, vDim, shared = 0 } = c;
  const random = rng(qkDim + c.keys[0]);
  const own = qkDim - shared;
  const pair = c.valuesInKeys ? own : own + vDim;
  const cuQ = prefix(c.queries);
  const starts = prefix(c.keys);
  const [tokensQ, tokensK] = [cuQ[cuQ.length - 1], starts[starts.length - 1]];
  const values = (count: number): Float64Array => rounded(random.normals(count), dtype);
  const q = values(tokensQ * heads * qkDim);
  const kv = values(tokensK * keyHeads * pair);
  const kShared = values(tokensK * shared);
  return { q, kv, kShared, own, pair, cuQ, starts, tokensQ };
}

type Prepared = ReturnType<typeof prepare>;

/** Output and log-sum-exp over the keys as they lie in one piece, or in the pages given. */
function run(c: Case, dtype: Float, data: Prepared, pageSize = 0, pages?: ReturnType<typeof placed>) {
  const { heads, keyHeads, qkDim, vDim, shared = 0 } = c;
  const { own, pair, tokensQ } = data;
  const width = keyHeads * pair;
  const place = (x: Float64Array, columns: number): Float64Array =>
    pages === undefined ? x : gathered(x, columns, pages.source);
  const q = upload(data.q, dtype);
  const kv = upload(place(data.kv, width), dtype);
  const kShared = upload(place(data.kShared, shared), dtype);
  const before = c.valuesInKeys ? 0 : own;
  const v = kv.alias([Math.max(0, kv.size - before)], kv.size === 0 ? 0 : before * (dtype === "f32" ? 4 : 2));
  const cuQ = upload(data.cuQ, "i32");
  const starts = upload(data.starts, "i32");
  const lengths = upload(c.keys, "i32");
  const table = pages && upload(pages.table, "i32");
  const o = poisoned(tokensQ * heads * vDim, dtype);
  const lse = poisoned(heads * tokensQ);
  call(
    "attentionForward",
    ...[q, kv, v, shared > 0 ? kShared : null, cuQ],
    ...(table ? [null, lengths, table] : [starts, lengths, null]),
    ...[o, lse, c.queries.length, tokensQ, heads, keyHeads, qkDim, vDim, shared],
    ...[heads * qkDim, qkDim, width, pair, width, pair, heads * vDim, vDim, shared],
    ...(pages ? [pageSize, pages.columns, pages.count] : [0, 0, 0]),
    ...[1 / Math.sqrt(qkDim), c.softCap ?? 0, c.causal ?? true, c.window ?? 0, dtype],
  );
  const result = { o: download(o), lse: download(lse) };
  for (const t of [q, v, kv, kShared, cuQ, starts, lengths, o, lse, ...(table ? [table] : [])]) t.dispose();
  return result;
}

/** The oracle's keys and values over a pool. */
function oracle(c: Case, data: Prepared, pageSize: number, pages: ReturnType<typeof placed>): AttentionInput {
  const { keyHeads, qkDim, vDim, shared = 0 } = c;
  const { own, pair } = data;
  const kv = gathered(data.kv, keyHeads * pair, pages.source);
  const kShared = gathered(data.kShared, shared, pages.source);
  const rows = pages.source.length * keyHeads;
  const k = new Float64Array(rows * qkDim);
  const v = new Float64Array(rows * vDim);
  const before = c.valuesInKeys ? 0 : own;
  for (let row = 0; row < rows; row++) {
    const token = Math.floor(row / keyHeads);
    k.set(kv.subarray(row * pair, row * pair + own), row * qkDim);
    k.set(kShared.subarray(token * shared, (token + 1) * shared), row * qkDim + own);
    v.set(kv.subarray(row * pair + before, row * pair + before + vDim), row * vDim);
  }
  return {
    ...{ q: data.q, k, v, heads: c.heads, keyHeads, headDim: qkDim, valueDim: vDim },
    ...{ cuSeqlensQ: data.cuQ, keyLengths: c.keys },
    ...{ causal: c.causal, window: c.window, softCap: c.softCap },
    pages: { table: pages.table, columns: pages.columns, size: pageSize },
  };
}

describe.each(FLOATS)("attention over pages, %s", (dtype) => {
  it.each(CASES)("%s", (_name, c) => {
    const data = prepare(c, dtype);
    const whole = run(c, dtype, data);
    for (const pageSize of quick([1, 4, 16, 64, 256], [4, 16, 64])) {
      const pages = placed(c, pageSize, pageSize + 1);
      const paged = run(c, dtype, data, pageSize, pages);
      expect(Buffer.from(paged.o.buffer).equals(Buffer.from(whole.o.buffer)), `o, ${pageSize}`).toBe(true);
      expect(Buffer.from(paged.lse.buffer).equals(Buffer.from(whole.lse.buffer)), `lse, ${pageSize}`).toBe(
        true,
      );
      if (pageSize !== 16) continue;
      const reference = attention(oracle(c, data, pageSize, pages));
      expect(errorOf(paged.o, reference.o)).toBeLessThan(dtype === "f32" ? 2e-6 : 1e-2);
      expect(errorOf(paged.lse, reference.lse)).toBeLessThan(2e-6);
    }
  });
});

describe("page tables that are wrong", () => {
  const c: Case = { ...base, queries: [1, 0, 2], keys: [40, 20, 33] };
  const data = prepare(c, "f32");

  it.each([-1, 11, UNUSED])("name the entry of a page outside the pool: %i", (id) => {
    const pages = placed(c, 16, 3);
    pages.table[2 * pages.columns + 1] = id;
    pages.table[2 * pages.columns + 2] = id;
    const entry = 2 * pages.columns + 1;
    expect(() => run(c, "f32", data, 16, pages)).toThrow(
      `page ${id} at entry ${entry} of the table is outside the pool of 11 pages`,
    );
    expect(() => run(c, "bf16", data, 16, pages)).toThrow(`at entry ${entry} of the table`);
  });

  it("may hold anything for segments without queries", () => {
    const pages = placed(c, 16, 3);
    pages.table.fill(UNUSED, pages.columns, 2 * pages.columns);
    expect(run(c, "f32", data, 16, pages).o.every(Number.isFinite)).toBe(true);
  });

  it("refuse a page size that is no power of two", () => {
    const pages = placed(c, 16, 3);
    expect(() => run(c, "f32", data, 12, pages)).toThrow(/power of two.*12 rows a page/);
  });
});
