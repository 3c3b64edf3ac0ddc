import { describe, expect, it } from "vitest";
import { gradientError, logSumExp, maxAbs, relativeError, rng } from "./array.js";
import { type AttentionInput, attention, attentionBackward } from "./attention.js";

type Options = Partial<Omit<AttentionInput, "q" | "k" | "v">> & Pick<AttentionInput, "cuSeqlensQ">;

/** Random inputs; heads 4, key heads 2, widths 3 and 2 unless said otherwise. */
function inputs(options: Options): AttentionInput & Record<"q" | "k" | "v", Float64Array> {
  const random = rng(1);
  const { heads = 4, keyHeads = 2, headDim = 3, valueDim = 2, cuSeqlensQ, cuSeqlensK = cuSeqlensQ } = options;
  const queries = cuSeqlensQ[cuSeqlensQ.length - 1];
  const keys = cuSeqlensK[cuSeqlensK.length - 1];
  return {
    heads,
    keyHeads,
    headDim,
    valueDim,
    q: random.normals(queries * heads * headDim),
    k: random.normals(keys * keyHeads * headDim),
    v: random.normals(keys * keyHeads * valueDim),
    ...options,
  };
}

describe("attention", () => {
  it.each<[string, Options]>([
    ["causal", { cuSeqlensQ: [0, 4] }],
    ["full", { cuSeqlensQ: [0, 3], cuSeqlensK: [0, 5], causal: false }],
    ["packed with an empty segment", { cuSeqlensQ: [0, 2, 2, 5] }],
    ["longer keys", { cuSeqlensQ: [0, 2, 3], cuSeqlensK: [0, 4, 6] }],
    ["masked rows", { cuSeqlensQ: [0, 4], cuSeqlensK: [0, 2] }],
    ["a window", { cuSeqlensQ: [0, 6], window: 2 }],
    ["a window without causality", { cuSeqlensQ: [0, 4], window: 2, causal: false }],
    ["a soft cap", { cuSeqlensQ: [0, 4], softCap: 1.5, scale: 0.9 }],
    ["one key head", { cuSeqlensQ: [0, 3], heads: 3, keyHeads: 1 }],
    ["keys of a cache", { cuSeqlensQ: [0, 1, 2], cuSeqlensK: [0, 3, 6], keyLengths: [2, 3] }],
  ])("has the gradient of finite differences: %s", (_name, options) => {
    const input = inputs(options);
    const { o } = attention(input);
    const dOut = rng(2).normals(o.length);
    const { dq, dk, dv } = attentionBackward(input, dOut);
    expect(gradientError((v) => attention({ ...input, q: v }).o, input.q, dOut, dq)).toBeLessThan(1e-7);
    expect(gradientError((v) => attention({ ...input, k: v }).o, input.k, dOut, dk)).toBeLessThan(1e-7);
    expect(gradientError((v) => attention({ ...input, v }).o, input.v, dOut, dv)).toBeLessThan(1e-7);
  });

  it("gives zero and +∞ to rows that see nothing", () => {
    const input = inputs({ cuSeqlensQ: [0, 3], cuSeqlensK: [0, 1] });
    const { o, lse } = attention(input);
    expect(maxAbs(o.slice(0, 2 * 4 * 2))).toBe(0);
    expect(Array.from(lse, (value) => value === Infinity)).toEqual(
      Array.from({ length: 12 }, (_, i) => i % 3 < 2),
    );
    const { dq } = attentionBackward(input, new Float64Array(o.length).fill(1));
    expect(maxAbs(dq.slice(0, 2 * 4 * 3))).toBe(0);
  });

  it("returns the log-sum-exp of scores as [heads, queries]", () => {
    const input = inputs({ cuSeqlensQ: [0, 2], heads: 2, keyHeads: 2, headDim: 1 });
    const { q, k } = input;
    const { lse } = attention(input);
    expect(lse[0]).toBeCloseTo(q[0] * k[0], 14);
    expect(lse[1]).toBeCloseTo(logSumExp([q[2] * k[0], q[2] * k[2]]), 14);
    expect(lse[2]).toBeCloseTo(q[1] * k[1], 14);
  });

  it("treats packed segments as separate runs, and a decode step as the last row of a full run", () => {
    const packed = inputs({ cuSeqlensQ: [0, 2, 5] });
    const alone = attention({
      ...packed,
      q: packed.q.slice(2 * 12),
      k: packed.k.slice(2 * 6),
      v: packed.v.slice(2 * 4),
      cuSeqlensQ: [0, 3],
    });
    expect(attention(packed).o.slice(2 * 8)).toEqual(alone.o);
    const full = inputs({ cuSeqlensQ: [0, 5] });
    const step = attention({ ...full, q: full.q.slice(4 * 12), cuSeqlensQ: [0, 1], cuSeqlensK: [0, 5] });
    expect(step.o).toEqual(attention(full).o.slice(4 * 8));
  });

  it("with a window of one returns the value itself", () => {
    const input = inputs({ cuSeqlensQ: [0, 4], heads: 2, window: 1 });
    expect(relativeError(attention(input).o, input.v)).toBe(0);
  });

  it("maps query heads to key heads in blocks", () => {
    const input = inputs({ cuSeqlensQ: [0, 1] });
    const [a, b] = [input.v.slice(0, 2), input.v.slice(2, 4)];
    expect(Array.from(attention(input).o)).toEqual([...a, ...a, ...b, ...b]);
  });
});
