/**
 * Fused attention against the oracle: masks, grouped heads, soft cap, unequal head sizes, packed segments (empty and of length one), caches, parts of fused
 * tensors. The bound is twice the error of the same mathematics done plainly in the low precision; unused cache rows hold NaN.
 */
import { describe, expect, it } from "vitest";
import { dot, finiteDifference, rng } from "../reference/array.js";
import { type AttentionInput, attention, attentionBackward } from "../reference/attention.js";
import {
  call,
  download,
  errorOf,
  FLOATS,
  type Float,
  poisoned,
  repeatable,
  rounded,
  upload,
} from "./harness.js";

/** One batch. Query and key lengths per segment; `shared`: the last channels of every key head come from one tensor (MLA). */
interface Case {
  queries: number[];
  keys: number[];
  heads: number;
  keyHeads: number;
  qkDim: number;
  vDim: number;
  shared?: number;
  causal?: boolean;
  window?: number;
  softCap?: number;
  /** Values are the first channels of the keys, as in a cache of latents (forward only). */
  valuesInKeys?: boolean;
  /** Keys lie in cache slots with unused rows behind them, lengths given apart (forward only). */
  cached?: boolean;
  /** Rows before the first and after the last segment. */
  outside?: number;
}

const base: Case = { queries: [37], keys: [37], heads: 2, keyHeads: 2, qkDim: 16, vDim: 16 };

/** A batch with segments of every awkward length. */
const packed = { queries: [0, 1, 65, 3, 0, 64], keys: [0, 1, 65, 3, 0, 64] };
const ragged = { queries: [5, 0, 17, 1, 70], keys: [9, 4, 2, 130, 70] };

const CASES: [string, Case][] = [
  ["causal", base],
  ["full", { ...base, causal: false }],
  ["one token", { ...base, queries: [1], keys: [1] }],
  ["no token", { ...base, queries: [0], keys: [0] }],
  ["packed", { ...base, ...packed, qkDim: 24, vDim: 8 }],
  ["packed, full, rows outside", { ...base, ...packed, causal: false, outside: 2 }],
  ["queries after a prefix, rows that see nothing", { ...base, ...ragged, outside: 1 }],
  ["window 1", { ...base, ...packed, window: 1 }],
  ["window 20", { ...base, ...packed, window: 20 }],
  ["window without causality", { ...base, ...ragged, causal: false, window: 7 }],
  ["long window", { ...base, queries: [200], keys: [200], window: 100 }],
  [
    "several tiles of queries and keys",
    { ...base, queries: [300], keys: [310], keyHeads: 1, qkDim: 32, vDim: 24 },
  ],
  ["soft cap", { ...base, ...packed, softCap: 1.5 }],
  ["soft cap, window", { ...base, ...ragged, softCap: 2, window: 9 }],
  ["grouped heads", { ...base, ...packed, heads: 6, keyHeads: 2 }],
  ["one key head", { ...base, ...ragged, heads: 5, keyHeads: 1, qkDim: 33, vDim: 7 }],
  ["head sizes 48 and 40", { ...base, queries: [130], keys: [130], qkDim: 48, vDim: 40 }],
  [
    "head size 64, whole tiles",
    { ...base, queries: [128], keys: [128], heads: 1, keyHeads: 1, qkDim: 64, vDim: 64 },
  ],
  ["head sizes 80 and 96", { ...base, queries: [50, 9], keys: [50, 9], qkDim: 80, vDim: 96 }],
  [
    "head size 128, grouped, window",
    { ...base, queries: [75], keys: [90], heads: 3, keyHeads: 1, qkDim: 128, vDim: 128, window: 50 },
  ],
  [
    "latent, head sizes 192 and 128",
    { ...base, queries: [67, 2], keys: [67, 2], qkDim: 192, vDim: 128, shared: 64 },
  ],
  ["head sizes 200 and 256", { ...base, queries: [40], keys: [40], keyHeads: 1, qkDim: 200, vDim: 256 }],
  [
    "head sizes 264 and 260, soft cap",
    { ...base, queries: [21], keys: [21], qkDim: 264, vDim: 260, softCap: 2 },
  ],
  ["head sizes 1 and 3", { ...base, qkDim: 1, vDim: 3 }],
  ["latent", { ...base, ...packed, heads: 4, keyHeads: 4, qkDim: 48, vDim: 32, shared: 16 }],
  [
    "latent, odd sizes",
    { ...base, ...ragged, heads: 3, keyHeads: 3, qkDim: 13, vDim: 9, shared: 5, outside: 3 },
  ],
  [
    "latent, grouped, soft cap",
    { ...base, ...ragged, heads: 4, keyHeads: 2, qkDim: 40, shared: 8, softCap: 3 },
  ],
];

const CACHED: [string, Case][] = [
  [
    "cache, one query each",
    { ...base, queries: [1, 1, 1], keys: [70, 1, 129], heads: 4, qkDim: 40, vDim: 24 },
  ],
  ["cache, grouped heads", { ...base, queries: [1, 1], keys: [100, 33], heads: 6, keyHeads: 2 }],
  ["cache, several queries", { ...base, queries: [3, 0, 5, 2], keys: [70, 8, 5, 0], heads: 4, keyHeads: 2 }],
  ["cache, long: chunks of keys", { ...base, queries: [1, 2], keys: [1500, 780], heads: 2, keyHeads: 1 }],
  ["cache, long, window", { ...base, queries: [1], keys: [1300], window: 200, softCap: 4 }],
  [
    "cache, absorbed latent",
    { ...base, queries: [1, 1], keys: [90, 800], heads: 20, keyHeads: 1, qkDim: 72, vDim: 64, shared: 8 },
  ],
  [
    "cache, absorbed latent, few heads",
    { ...base, queries: [1], keys: [90], heads: 4, keyHeads: 1, qkDim: 21, vDim: 18, shared: 3 },
  ],
  [
    "cache, latents of 512 and 64 channels",
    { ...base, queries: [1, 2], keys: [70, 131], heads: 16, keyHeads: 1, qkDim: 576, vDim: 512, shared: 64 },
  ],
  [
    "cache, latents that are the values too",
    {
      ...{ ...base, queries: [1, 1], keys: [150, 40], heads: 40, keyHeads: 1 },
      ...{ qkDim: 576, vDim: 512, shared: 64, valuesInKeys: true },
    },
  ],
  [
    "cache, many queries, large heads",
    { ...base, queries: [30], keys: [45], heads: 3, keyHeads: 1, qkDim: 320, vDim: 272, valuesInKeys: true },
  ],
].map(([name, item]) => [name as string, { ...(item as Case), cached: true }]);

/** Running sums of lengths, from `start`. */
function prefix(lengths: number[], start = 0): number[] {
  const sums = [start];
  for (const length of lengths) sums.push(sums[sums.length - 1] + length);
  return sums;
}

/** Host values of a case, as the oracle takes them and as the kernel does. */
function prepare(c: Case, dtype: Float) {
  const { heads, keyHeads, qkDim, vDim, shared = 0, outside = 0 } = c;
  const random = rng(qkDim + 7 * c.queries.length);
  const gap = c.cached ? 5 : 0;
  const cuQ = prefix(c.queries, outside);
  const starts = prefix(
    c.keys.map((length) => length + gap),
    outside,
  );
  const tokensQ = cuQ[cuQ.length - 1] + outside;
  const tokensK = starts[starts.length - 1] + outside;
  const own = qkDim - shared;
  const pair = c.valuesInKeys ? own : own + vDim;
  const values = (count: number): Float64Array => rounded(random.normals(count), dtype);
  const q = values(tokensQ * heads * qkDim);
  // Keys and values of a head side by side in one row, as MLA's projection gives them.
  const kv = values(tokensK * keyHeads * pair);
  const kShared = values(tokensK * shared);
  const dOut = values(tokensQ * heads * vDim);
  if (c.cached) {
    c.keys.forEach((length, s) => {
      const [from, to] = [starts[s] + length, starts[s + 1]];
      kv.fill(Number.NaN, from * keyHeads * pair, to * keyHeads * pair);
      kShared.fill(Number.NaN, from * shared, to * shared);
    });
  }
  const k = new Float64Array(tokensK * keyHeads * qkDim);
  const v = new Float64Array(tokensK * keyHeads * vDim);
  for (let row = 0; row < tokensK * keyHeads; row++) {
    const at = row * pair;
    k.set(kv.subarray(at, at + own), row * qkDim);
    const token = Math.floor(row / keyHeads);
    k.set(kShared.subarray(token * shared, (token + 1) * shared), row * qkDim + own);
    const first = c.valuesInKeys ? at : at + own;
    v.set(kv.subarray(first, first + vDim), row * vDim);
  }
  const oracle: AttentionInput = {
    q,
    k,
    v,
    heads,
    keyHeads,
    headDim: qkDim,
    valueDim: vDim,
    cuSeqlensQ: cuQ,
    cuSeqlensK: starts,
    keyLengths: c.cached ? c.keys : undefined,
    causal: c.causal ?? true,
    window: c.window ?? 0,
    softCap: c.softCap ?? 0,
  };
  return { oracle, kv, kShared, dOut, tokensQ, tokensK, own, pair, cuQ, starts };
}

/** Attention and its gradients with every step rounded: f32 sums throughout; in bf16 also every score, probability and result. */
function inLowPrecision(input: AttentionInput, dOut: Float64Array, dtype: Float) {
  const {
    q,
    k,
    v,
    heads,
    keyHeads,
    headDim,
    valueDim = headDim,
    cuSeqlensQ,
    cuSeqlensK = cuSeqlensQ,
  } = input;
  const { causal = true, window = 0, softCap = 0 } = input;
  const scale = 1 / Math.sqrt(headDim);
  const round = (x: number): number => rounded([x], dtype)[0];
  const add = (sum: number, a: number, b: number): number => Math.fround(sum + a * b);
  const o = new Float64Array((q.length / headDim) * valueDim);
  const [dq, dk, dv] = [q, k, v].map((x) => new Float64Array(x.length));
  for (let s = 0; s + 1 < cuSeqlensQ.length; s++) {
    const queries = cuSeqlensQ[s + 1] - cuSeqlensQ[s];
    const keys = input.keyLengths ? input.keyLengths[s] : cuSeqlensK[s + 1] - cuSeqlensK[s];
    for (let t = 0; t < queries; t++) {
      for (let h = 0; h < heads; h++) {
        const at = (cuSeqlensQ[s] + t) * heads + h;
        const position = t + keys - queries;
        const seen: number[] = [];
        for (let j = 0; j < keys; j++) {
          if ((!causal || j <= position) && (window === 0 || j > position - window)) {
            seen.push((cuSeqlensK[s] + j) * keyHeads + Math.floor((h * keyHeads) / heads));
          }
        }
        const scores = seen.map((key) => {
          let sum = 0;
          for (let d = 0; d < headDim; d++) sum = add(sum, q[at * headDim + d], k[key * headDim + d]);
          const score = round(Math.fround(sum * scale));
          return softCap > 0 ? round(softCap * Math.tanh(score / softCap)) : score;
        });
        const most = Math.max(...scores);
        const powers = scores.map((x) => Math.fround(Math.exp(x - most)));
        const total = powers.reduce((sum, x) => Math.fround(sum + x), 0);
        const p = powers.map((x) => round(x / total));
        let delta = 0;
        for (let d = 0; d < valueDim; d++) {
          let sum = 0;
          seen.forEach((key, j) => {
            sum = add(sum, p[j], v[key * valueDim + d]);
          });
          o[at * valueDim + d] = round(sum);
          delta = add(delta, o[at * valueDim + d], dOut[at * valueDim + d]);
        }
        seen.forEach((key, j) => {
          let dp = 0;
          for (let d = 0; d < valueDim; d++) {
            dp = add(dp, dOut[at * valueDim + d], v[key * valueDim + d]);
            dv[key * valueDim + d] = add(dv[key * valueDim + d], p[j], dOut[at * valueDim + d]);
          }
          let ds = Math.fround(p[j] * Math.fround(round(dp) - delta));
          if (softCap > 0) ds *= Math.fround(1 - Math.fround(scores[j] / softCap) ** 2);
          ds = round(ds * scale);
          for (let d = 0; d < headDim; d++) {
            dq[at * headDim + d] = add(dq[at * headDim + d], ds, k[key * headDim + d]);
            dk[key * headDim + d] = add(dk[key * headDim + d], ds, q[at * headDim + d]);
          }
        });
      }
    }
  }
  return { o, dq: rounded(dq, dtype), dk: rounded(dk, dtype), dv: rounded(dv, dtype) };
}

/** Fails unless `out` errs at most twice as much as the plain low-precision result, with room for a few roundings of an exact one. */
function expectWithin(
  out: ArrayLike<number>,
  ref: Float64Array,
  plain: ArrayLike<number>,
  dtype: Float,
  what: string,
): void {
  const rounding = errorOf(rounded(ref, dtype), ref);
  const size = Math.sqrt(dot(ref, ref));
  // Gradients that cancel to nothing (a softmax over one key) leave only rounding noise of the terms, of order 1 each.
  const noise = (dtype === "f32" ? 1e-6 : 1e-2) * Math.sqrt(ref.length);
  const scale = size === 0 ? 1 : size;
  // 2.5e-7: a few roundings in f32 of P, which the backward pass computes again from lse and the plain way has at hand.
  const limit = 2 * Math.max(errorOf(plain, ref), rounding, 2.5e-7) * scale;
  expect(errorOf(out, ref) * scale, what).toBeLessThanOrEqual(size < noise ? Math.max(limit, noise) : limit);
}

/** What one call of attentionForward takes: the strides of a case's tensors and its numbers behind them. */
function callNumbers(c: Case, pair: number, dtype: Float) {
  const { heads, keyHeads, qkDim, vDim, shared = 0 } = c;
  return {
    sizes: [heads, keyHeads, qkDim, vDim, shared],
    strides: [
      ...[heads * qkDim, qkDim, keyHeads * pair, pair],
      ...[keyHeads * pair, pair, heads * vDim, vDim, shared],
    ],
    tail: [1 / Math.sqrt(qkDim), c.softCap ?? 0, c.causal ?? true, c.window ?? 0, dtype] as const,
  };
}

/** Runs both kernels over a case; the gradients are null for caches. */
function run(c: Case, dtype: Float) {
  const { oracle, kv, kShared, dOut, tokensQ, tokensK, own, pair, cuQ, starts } = prepare(c, dtype);
  const { heads, vDim, shared = 0 } = c;
  const bytes = dtype === "f32" ? 4 : 2;
  const tensors = [oracle.q, kv, kShared, dOut].map((x) => upload(x, dtype));
  const [q, k, sharedKeys, dout] = tensors;
  const before = c.valuesInKeys ? 0 : own;
  const v = k.alias([Math.max(0, k.size - before)], k.size === 0 ? 0 : before * bytes);
  const cu = [cuQ, starts, c.keys].map((x) => upload(x, "i32"));
  const { sizes, strides, tail } = callNumbers(c, pair, dtype);
  const withShared = shared > 0 ? sharedKeys : null;
  const forward = () => {
    const o = poisoned(tokensQ * heads * vDim, dtype);
    const lse = poisoned(heads * tokensQ);
    const lengths = c.cached ? cu[2] : null;
    call(
      "attentionForward",
      q,
      k,
      v,
      withShared,
      cu[0],
      cu[1],
      lengths,
      null,
      o,
      lse,
      c.queries.length,
      tokensQ,
      ...sizes,
      ...strides,
      ...[0, 0, 0],
      ...tail,
    );
    return [o, lse];
  };
  const [o, lse] = repeatable(forward);
  let gradients: Float64Array[] | null = null;
  if (!c.cached) {
    const [oTensor, lseTensor] = forward();
    gradients = repeatable(() => {
      const dq = poisoned(q.size, dtype);
      const dkv = poisoned(k.size, dtype);
      const dv = dkv.alias([Math.max(0, k.size - own)], k.size === 0 ? 0 : own * bytes);
      const dShared = poisoned(kShared.length, dtype);
      call(
        "attentionBackward",
        ...[
          q,
          k,
          v,
          withShared,
          cu[0],
          cu[1],
          oTensor,
          lseTensor,
          dout,
          dq,
          dkv,
          dv,
          shared > 0 ? dShared : null,
        ],
        ...[c.queries.length, tokensQ, tokensK, ...sizes, ...strides],
        ...tail,
      );
      dv.dispose();
      return [dq, dkv, dShared];
    });
    oTensor.dispose();
    lseTensor.dispose();
  }
  for (const t of [...tensors, v, ...cu]) t.dispose();
  return { oracle, dOut, o, lse, gradients, own };
}

/** Columns [from, to) of rows of `width` numbers. */
function columns(x: ArrayLike<number>, width: number, from: number, to: number): Float64Array {
  const rows = x.length / width;
  return Float64Array.from({ length: rows * (to - from) }, (_, i) => {
    const row = Math.floor(i / (to - from));
    return x[row * width + from + (i % (to - from))];
  });
}

/** Sum over heads: [rows, heads, width] to [rows, width]. */
function overHeads(x: ArrayLike<number>, heads: number, width: number): Float64Array {
  const sum = new Float64Array(x.length / heads);
  for (let i = 0; i < x.length; i++) sum[Math.floor(i / (heads * width)) * width + (i % width)] += x[i];
  return sum;
}

describe.each(FLOATS)("attention %s", (dtype) => {
  it.each([...CASES, ...CACHED])("%s", (_name, c) => {
    const { oracle, dOut, o, lse, gradients, own } = run(c, dtype);
    const reference = attention(oracle);
    const plain = inLowPrecision(oracle, dOut, dtype);
    expectWithin(o, reference.o, plain.o, dtype, "o");
    // Rows outside of every segment count as rows that see nothing.
    const tokens = lse.length / c.heads;
    const first = c.outside ?? 0;
    const expected = reference.lse.map((x, i) =>
      i % tokens < first || i % tokens >= tokens - first ? Number.POSITIVE_INFINITY : x,
    );
    expect(errorOf(lse, expected), "lse").toBeLessThan(2e-6);
    if (gradients === null) return;
    const exact = attentionBackward(oracle, dOut);
    const pair = own + c.vDim;
    expectWithin(gradients[0], exact.dq, plain.dq, dtype, "dq");
    const ownPart = (dk: Float64Array): Float64Array => columns(dk, c.qkDim, 0, own);
    expectWithin(columns(gradients[1], pair, 0, own), ownPart(exact.dk), ownPart(plain.dk), dtype, "dk");
    expectWithin(columns(gradients[1], pair, own, pair), exact.dv, plain.dv, dtype, "dv");
    const shared = (dk: Float64Array): Float64Array =>
      overHeads(columns(dk, c.qkDim, own, c.qkDim), c.keyHeads, c.shared ?? 0);
    expectWithin(gradients[2], shared(exact.dk), shared(plain.dk), dtype, "dkShared");
  });
});

describe("attention gradients", () => {
  it.each<[string, Case]>([
    ["grouped, causal", { ...base, queries: [7], keys: [9], heads: 4, keyHeads: 2, qkDim: 6, vDim: 5 }],
    [
      "soft cap, window",
      { ...base, queries: [9, 2], keys: [9, 2], qkDim: 5, vDim: 4, softCap: 1, window: 3 },
    ],
  ])("follow finite differences: %s", (_name, c) => {
    const { oracle, dOut, gradients, own } = run(c, "f32");
    const [dq, dkv] = gradients as Float64Array[];
    const value = (changed: Partial<AttentionInput>): number =>
      dot(attention({ ...oracle, ...changed }).o, dOut);
    const picks = (count: number): number[] => [0, 1, Math.floor(count / 2), count - 1];
    const numeric = {
      q: finiteDifference((q) => value({ q }), oracle.q, 1e-5, picks(oracle.q.length)),
      k: finiteDifference((k) => value({ k }), oracle.k, 1e-5, picks(oracle.k.length)),
      v: finiteDifference((v) => value({ v }), oracle.v, 1e-5, picks(oracle.v.length)),
    };
    const keyAt = (i: number): number => Math.floor(i / c.qkDim) * (own + c.vDim) + (i % c.qkDim);
    const valueAt = (i: number): number => Math.floor(i / c.vDim) * (own + c.vDim) + own + (i % c.vDim);
    expect(
      errorOf(
        picks(oracle.q.length).map((i) => dq[i]),
        numeric.q,
      ),
    ).toBeLessThan(1e-5);
    expect(
      errorOf(
        picks(oracle.k.length).map((i) => dkv[keyAt(i)]),
        numeric.k,
      ),
    ).toBeLessThan(1e-5);
    expect(
      errorOf(
        picks(oracle.v.length).map((i) => dkv[valueAt(i)]),
        numeric.v,
      ),
    ).toBeLessThan(1e-5);
  });

  it("come out the same when one long segment is cut between more threads", () => {
    // Long enough for the backward pass to change its way of sharing out the work, which must not change a bit: `repeatable` checks.
    const c = { ...base, queries: [300], keys: [300], heads: 1, keyHeads: 1 };
    const { gradients } = run(c, "f32");
    expect(gradients?.every((g) => g.every(Number.isFinite))).toBe(true);
  });
});

describe("attention errors", () => {
  it("names a number of key heads that it cannot serve", () => {
    const q = upload(new Float32Array(8));
    const cu = upload([0, 1], "i32");
    const o = poisoned(8);
    call(
      "attentionForward",
      q,
      q,
      q,
      null,
      cu,
      cu,
      null,
      null,
      o,
      null,
      1,
      1,
      1,
      2,
      8,
      8,
      0,
      ...[8, 8, 8, 8, 8, 8, 8, 8, 0],
      ...[0, 0, 0],
      1,
      0,
      true,
      0,
      "f32",
    );
    expect(() => download(o)).toThrow(/kvHeads must lie in 1..heads = 1, got 2/);
  });
});
