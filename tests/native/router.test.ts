/** Routers of DeepSeek-V2 and V3 and the balance loss, forward and backward; the choice exactly, ties included. */
import { describe, expect, it } from "vitest";
import { rng, type Values } from "../reference/array.js";
import { balanceLoss } from "../reference/balance.js";
import {
  type RouterOptions,
  route,
  routeBackward,
  routerScores,
  routerV2,
  routerV3,
} from "../reference/moe.js";
import { call, download, expectClose, poisoned, repeatable, upload } from "./harness.js";

const SCORING = { sigmoid: 0, softmax: 1 } as const;
const GROUP_SCORE = { max: 0, top2: 1 } as const;

/** Runs routerForward; returns [scores, ids, weights]. */
function forward(logits: Values, options: RouterOptions): Float64Array[] {
  const { experts, chosen, scoring, bias, groups = 1, groupsKept = groups, groupScore = "max" } = options;
  const tokens = logits.length / experts;
  const input = upload(logits);
  const offsets = bias ? upload(bias) : null;
  return repeatable(() => {
    const scores = poisoned(tokens * experts);
    const ids = poisoned(tokens * chosen, "i32");
    const weights = poisoned(tokens * chosen);
    const words = [tokens, experts, chosen, groups, groupsKept, SCORING[scoring], GROUP_SCORE[groupScore]];
    call(
      "routerForward",
      input,
      offsets,
      scores,
      ids,
      weights,
      ...words,
      options.normalise ?? false,
      options.scaling ?? 1,
    );
    return [scores, ids, weights];
  });
}

/** Logits that f32 holds exactly. */
const logitsOf = (count: number, seed: number): Float64Array =>
  Float64Array.from(rng(seed).normals(count), Math.fround);

const bias = (experts: number): Float64Array => Float64Array.from(rng(77).normals(experts, 0.2), Math.fround);

/** [name, tokens, options] */
const CASES: [string, number, RouterOptions][] = [
  ["no token", 0, routerV3({ experts: 8, chosen: 2 })],
  ["one of one", 3, routerV3({ experts: 1, chosen: 1 })],
  ["all of five", 4, routerV2("greedy", { experts: 5, chosen: 5 })],
  ["V2 greedy", 33, routerV2("greedy", { experts: 64, chosen: 6 })],
  [
    "V2 grouped",
    33,
    routerV2("group_limited_greedy", { experts: 160, chosen: 6, groups: 8, groupsKept: 3, scaling: 16 }),
  ],
  ["softmax, normalised", 17, routerV2("greedy", { experts: 11, chosen: 4, normalise: true })],
  [
    "V3 mini",
    300,
    routerV3({ experts: 16, chosen: 4, bias: bias(16), groups: 4, groupsKept: 2, scaling: 2.5 }),
  ],
  [
    "V3 full",
    40,
    routerV3({ experts: 256, chosen: 8, bias: bias(256), groups: 8, groupsKept: 4, scaling: 2.5 }),
  ],
  ["V3, not normalised", 9, routerV3({ experts: 13, chosen: 3, bias: bias(13), normalise: false })],
  ["300 experts, as many chosen as 40", 7, routerV2("greedy", { experts: 300, chosen: 40 })],
  [
    "1000 experts in 50 groups",
    5,
    routerV3({ experts: 1000, chosen: 37, bias: bias(1000), groups: 50, groupsKept: 9 }),
  ],
  ["groups of one", 9, routerV3({ experts: 8, chosen: 3, groups: 8, groupsKept: 5 })],
];

describe("router", () => {
  it.each(CASES)("%s", (_name, tokens, options) => {
    const { experts, chosen, scoring } = options;
    const logits = logitsOf(tokens * experts, tokens + experts);
    const reference = route(logits, options);
    const [scores, ids, weights] = forward(logits, options);
    expectClose(scores, reference.scores, 1e-6, "scores");
    expect(Array.from(ids)).toEqual(Array.from(reference.ids));
    expectClose(weights, reference.weights, 1e-6, "weights");

    const dweights = logitsOf(tokens * chosen, 5);
    const [s, i, d] = [upload(reference.scores), upload(reference.ids, "i32"), upload(dweights)];
    const [dlogits] = repeatable(() => {
      const out = poisoned(logits.length);
      const words = [tokens, experts, chosen, SCORING[scoring]];
      call("routerBackward", s, i, d, out, ...words, options.normalise ?? false, options.scaling ?? 1);
      return [out];
    });
    // Normalised weights of all experts together have gradients that cancel, hence the looser bound.
    expectClose(dlogits, routeBackward(reference, dweights, options), 1e-5, "dlogits");
  });

  it("takes the lowest index on ties, of groups and of experts", () => {
    const flat = new Float64Array(2 * 16);
    const [, ids] = forward(flat, routerV3({ experts: 16, chosen: 4, groups: 4, groupsKept: 2 }));
    expect(Array.from(ids)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
    const steps = Float64Array.of(0, 1, 1, 0, 1, 1, 0, 0);
    expect(Array.from(forward(steps, routerV2("greedy", { experts: 8, chosen: 3 }))[1])).toEqual([1, 2, 4]);
  });

  it("breaks the ties of coarse logits as the oracle does", () => {
    for (const [experts, groups] of [
      [24, 3],
      [160, 8],
      [256, 8],
      [640, 40],
    ]) {
      const logits = Float64Array.from(rng(experts).integers(9 * experts, 4));
      const options = routerV3({ experts, chosen: 7, groups, groupsKept: 3 });
      expect(Array.from(forward(logits, options)[1])).toEqual(Array.from(route(logits, options).ids));
    }
  });

  it("never takes an expert of a dropped group, even where kept choice scores are negative", () => {
    const low = new Float64Array(8).fill(-2);
    const logits = Float64Array.of(4, 3, -5, -5, 2, 1, -5, -5);
    const [, ids] = forward(logits, routerV3({ experts: 8, chosen: 4, bias: low, groups: 4, groupsKept: 2 }));
    expect(Array.from(ids)).toEqual([0, 1, 4, 5]);
  });

  it("gives valid, distinct experts for NaN logits, and NaN weights", () => {
    const [, ids, weights] = forward(
      new Float64Array(8).fill(Number.NaN),
      routerV3({ experts: 8, chosen: 3 }),
    );
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id >= 0 && id < 8).toBe(true);
    expect(weights.every(Number.isNaN)).toBe(true);
  });

  it("names sizes that do not fit together", () => {
    const x = upload(new Float32Array(8));
    const ids = poisoned(8, "i32");
    call("routerForward", x, null, x, ids, x, 1, 8, 5, 4, 2, 0, 1, true, 1);
    expect(() => download(x)).toThrow(/chosen must lie in 1..4/);
    call("routerForward", x, null, x, ids, x, 1, 8, 2, 3, 2, 0, 1, true, 1);
    expect(() => download(x)).toThrow(/8 experts cannot be divided into 3 groups/);
  });
});

/** [experts, chosen, sequences, tokens of each] */
const BALANCE = [
  [1, 1, 1, 1],
  [8, 2, 3, 5],
  [13, 4, 2, 130],
  [64, 6, 1, 300],
  [256, 8, 4, 3],
  [300, 40, 1, 70],
  [600, 5, 2, 9],
  [8, 2, 2, 0],
] as const;

describe.each(["sigmoid", "softmax"] as const)("balance loss, %s", (scoring) => {
  it.each(BALANCE)("%i experts, %i chosen, %i sequences of %i", (experts, chosen, sequences, length) => {
    const tokens = sequences * length;
    const logits = logitsOf(tokens * experts, experts + length);
    const alpha = 0.5;
    const cuSeqlens = Array.from({ length: sequences + 1 }, (_, s) => s * length);
    const picks = route(logits, { experts, chosen, scoring, bias: bias(experts) }).ids;
    const scores = upload(routerScores(logits, experts, scoring));
    const ids = upload(picks, "i32");
    for (const [counting, chosenIds] of [picks, undefined].entries()) {
      const reference = balanceLoss(logits, { experts, chosen, scoring, alpha, cuSeqlens, ids: chosenIds });
      const [fractions, loss] = repeatable(() => {
        const [f, l, workspace] = [poisoned(sequences * experts), poisoned(1), poisoned(sequences * experts)];
        call(
          "balanceLossForward",
          scores,
          ids,
          f,
          l,
          workspace,
          tokens,
          experts,
          chosen,
          sequences,
          SCORING[scoring],
          counting,
          alpha,
        );
        return [f, l];
      });
      expectClose(fractions, reference.fractions, 1e-6, "fractions");
      expectClose(loss, [reference.loss], 1e-6, "loss");

      const before = logitsOf(logits.length, 3);
      const [f, dloss] = [upload(fractions), upload([1.5])];
      const [dlogits] = repeatable(() => {
        const out = upload(before);
        call(
          "balanceLossBackward",
          scores,
          f,
          dloss,
          out,
          tokens,
          experts,
          chosen,
          sequences,
          SCORING[scoring],
          alpha,
        );
        return [out];
      });
      const expected = before.map((x, i) => x + 1.5 * reference.dlogits[i]);
      expectClose(dlogits, expected, 1e-6, "dlogits");
    }
  });

  it("names sequences of unequal length", () => {
    const x = upload(new Float32Array(24));
    const ids = upload(new Int32Array(6), "i32");
    call("balanceLossForward", x, ids, x, x, x, 3, 8, 2, 2, SCORING[scoring], 0, 1);
    expect(() => download(x)).toThrow(/3 tokens cannot be divided into 2 sequences/);
  });
});
