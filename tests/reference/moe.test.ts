import { describe, expect, it } from "vitest";
import { gradientError, relativeError, rng } from "./array.js";
import {
  combineRows,
  combineRowsBackward,
  permutation,
  permuteRows,
  permuteRowsBackward,
  type RouterOptions,
  route,
  routeBackward,
  routerV2,
  routerV3,
  topIndices,
  updateRouterBias,
} from "./moe.js";

const experts = 8;
const chosen = 3;

describe("routers", () => {
  const bias = rng(9).normals(experts, 0.3);
  it.each<[string, RouterOptions]>([
    ["V2 greedy", routerV2("greedy", { experts, chosen, scaling: 2 })],
    [
      "V2 group-limited",
      routerV2("group_limited_greedy", { experts, chosen, groups: 4, groupsKept: 2, scaling: 16 }),
    ],
    ["softmax, normalised", routerV2("greedy", { experts, chosen, normalise: true })],
    ["V3", routerV3({ experts, chosen, bias, groups: 4, groupsKept: 2, scaling: 2.5 })],
    ["V3, not normalised", routerV3({ experts, chosen, bias, normalise: false, scaling: 2.5 })],
  ])("%s has the gradient of finite differences", (_name, options) => {
    const logits = rng(1).normals(5 * experts);
    const routing = route(logits, options);
    const dweights = rng(2).normals(5 * chosen);
    const dlogits = routeBackward(routing, dweights, options);
    expect(gradientError((v) => route(v, options).weights, logits, dweights, dlogits)).toBeLessThan(1e-8);
  });

  it("take the lowest index on ties, experts and groups alike, ascending", () => {
    expect(topIndices([1, 3, 3, 2, 3], 2)).toEqual([1, 2]);
    expect(topIndices([0, 5, 1, 9], 2)).toEqual([1, 3]);
    const flat = route(new Float64Array(8), routerV3({ experts, chosen, groups: 4, groupsKept: 2 }));
    expect(Array.from(flat.ids)).toEqual([0, 1, 2]);
    expect(relativeError(flat.weights, [1 / 3, 1 / 3, 1 / 3])).toBeLessThan(1e-15);
  });

  it("V3 chooses with the bias and weighs without it", () => {
    const pushed = Float64Array.from({ length: experts }, (_, e) => (e === 7 ? 10 : 0));
    const logits = Float64Array.from({ length: experts }, (_, e) => -e);
    const { ids, weights, scores } = route(
      logits,
      routerV3({ experts, chosen: 2, bias: pushed, normalise: false }),
    );
    expect(Array.from(ids)).toEqual([0, 7]);
    expect(weights[1]).toBe(scores[7]);
  });

  it("V3 never takes an expert of a dropped group, even where kept choice scores are negative", () => {
    const low = new Float64Array(experts).fill(-2);
    const logits = Float64Array.of(4, 3, -5, -5, 2, 1, -5, -5);
    const options = routerV3({ experts, chosen: 4, bias: low, groups: 4, groupsKept: 2 });
    expect(Array.from(route(logits, options).ids)).toEqual([0, 1, 4, 5]);
  });

  it("scores groups by their maximum in V2 and their two largest in V3", () => {
    const logits = Float64Array.of(3, -9, 2, 2, -9, -9, -9, -9);
    const one = { experts, chosen: 2, groups: 4, groupsKept: 1 };
    expect(Array.from(route(logits, routerV2("group_limited_greedy", one)).ids)).toEqual([0, 1]);
    expect(Array.from(route(logits, routerV3(one)).ids)).toEqual([2, 3]);
  });
});

describe("dispatch", () => {
  const ids = [0, 2, 2, 3, 0, 3];
  const sorted = permutation(ids, 5);

  it("sorts rows by expert and keeps their order", () => {
    expect(Array.from(sorted.counts)).toEqual([2, 0, 2, 2, 0]);
    expect(Array.from(sorted.offsets)).toEqual([0, 2, 2, 4, 6, 6]);
    expect(Array.from(sorted.order)).toEqual([0, 4, 1, 2, 3, 5]);
    sorted.order.forEach((row, place) => {
      expect(sorted.inverse[row]).toBe(place);
    });
    expect(permutation([], 2)).toMatchObject({ counts: new Int32Array(2), offsets: new Int32Array(3) });
  });

  it("permutes rows, with the gradient of finite differences", () => {
    const x = rng(3).normals(3 * 2);
    const dy = rng(4).normals(6 * 2);
    expect(permuteRows(x, sorted.order, 2, 2).slice(0, 4)).toEqual(Float64Array.of(x[0], x[1], x[4], x[5]));
    const dx = permuteRowsBackward(dy, sorted.inverse, 2, 2);
    expect(gradientError((v) => permuteRows(v, sorted.order, 2, 2), x, dy, dx)).toBeLessThan(1e-8);
  });

  it("combines rows with weights, with the gradient of finite differences", () => {
    const random = rng(5);
    const x = random.normals(6 * 2);
    const weights = random.uniforms(6);
    const addend = random.normals(3 * 2);
    const dy = random.normals(3 * 2);
    const combine = (rows: ArrayLike<number>, w: ArrayLike<number>, extra: ArrayLike<number>): Float64Array =>
      combineRows(rows, w, sorted.inverse, 2, 2, extra);
    const { dx, dweights } = combineRowsBackward(x, weights, sorted.inverse, dy, 2, 2);
    expect(gradientError((v) => combine(v, weights, addend), x, dy, dx)).toBeLessThan(1e-8);
    expect(gradientError((v) => combine(x, v, addend), weights, dy, dweights)).toBeLessThan(1e-8);
    expect(gradientError((v) => combine(x, weights, v), addend, dy, dy)).toBeLessThan(1e-8);
  });

  it("undoes a permutation whose weights sum to one", () => {
    const x = rng(6).normals(3 * 4);
    const rows = permuteRows(x, sorted.order, 2, 4);
    expect(relativeError(combineRows(rows, new Float64Array(6).fill(0.5), sorted.inverse, 2, 4), x)).toBe(0);
  });
});

describe("bias update", () => {
  it("raises the idle, lowers the busy and leaves the average alone", () => {
    expect(Array.from(updateRouterBias([0, 0, 1], [4, 0, 2], 0.5))).toEqual([-0.5, 0.5, 1]);
  });
});
