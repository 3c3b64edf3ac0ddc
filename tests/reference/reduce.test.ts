import { describe, expect, it } from "vitest";
import { gradientError, relativeError, rng } from "./array.js";
import {
  cumulativeSum,
  cumulativeSumBackward,
  gather,
  logSoftmax,
  logSoftmaxBackward,
  type ReduceName,
  reduce,
  reduceBackward,
  scatterAdd,
  softmax,
  softmaxBackward,
} from "./reduce.js";

const shape = [2, 4, 3];
const x = rng(1).normals(24);

describe("reductions", () => {
  it("reduce a known tensor over each axis", () => {
    const values = [1, 5, 3, 4, 2, 6];
    expect(Array.from(reduce("sum", values, [2, 3], 0))).toEqual([5, 7, 9]);
    expect(Array.from(reduce("sum", values, [2, 3], -1))).toEqual([9, 12]);
    expect(Array.from(reduce("mean", values, [2, 3], 1))).toEqual([3, 4]);
    expect(Array.from(reduce("max", values, [2, 3], 1))).toEqual([5, 6]);
    expect(Array.from(reduce("argmax", values, [2, 3], 1))).toEqual([1, 2]);
    expect(Array.from(reduce("argmin", values, [2, 3], 0))).toEqual([0, 1, 0]);
    expect(Array.from(reduce("prod", values, [2, 3], 1))).toEqual([15, 48]);
  });

  it("take the lowest index on ties, the first NaN, and define empty lines", () => {
    expect(reduce("argmax", [2, 7, 7], [3], 0)[0]).toBe(1);
    expect(reduce("argmin", [2, 2, 7], [3], 0)[0]).toBe(0);
    expect(reduce("argmax", [2, Number.NaN, 7, Number.NaN], [4], 0)[0]).toBe(1);
    const empty = (["sum", "max", "min", "prod", "logsumexp"] as const).map(
      (name) => reduce(name, [], [1, 0], 1)[0],
    );
    expect(empty).toEqual([0, -Infinity, Infinity, 1, -Infinity]);
    expect(reduce("mean", [], [1, 0], 1)[0]).toBeNaN();
  });

  const names: ReduceName[] = ["sum", "mean", "max", "min", "argmax", "prod", "logsumexp"];
  it.each(names)("%s has the gradient of finite differences over every axis", (name) => {
    for (const axis of [0, 1, 2]) {
      const dy = rng(2).normals(24 / shape[axis]);
      const dx = reduceBackward(name, x, shape, axis, dy);
      expect(gradientError((v) => reduce(name, v, shape, axis), x, dy, dx)).toBeLessThan(1e-8);
    }
  });

  it("give a tied maximum's gradient to the first, and a product's past zeros", () => {
    expect(Array.from(reduceBackward("max", [3, 3, 1], [3], 0, [2]))).toEqual([2, 0, 0]);
    expect(Array.from(reduceBackward("prod", [0, 2, 3], [3], 0, [1]))).toEqual([6, 0, 0]);
  });
});

describe("along an axis", () => {
  const dy = rng(3).normals(24);

  it("cumulative sums run both ways", () => {
    expect(Array.from(cumulativeSum([1, 2, 3], [3], 0))).toEqual([1, 3, 6]);
    expect(Array.from(cumulativeSum([1, 2, 3], [3], 0, true))).toEqual([6, 5, 3]);
    for (const reverse of [false, true]) {
      const dx = cumulativeSumBackward(dy, shape, 1, reverse);
      expect(gradientError((v) => cumulativeSum(v, shape, 1, reverse), x, dy, dx)).toBeLessThan(1e-8);
    }
  });

  it("softmax and log softmax have the gradients of finite differences", () => {
    for (const axis of [0, 1, 2]) {
      const p = softmax(x, shape, axis);
      const logP = logSoftmax(x, shape, axis);
      expect(relativeError(logP.map(Math.exp), p)).toBeLessThan(1e-15);
      expect(
        relativeError(reduce("sum", p, shape, axis), new Float64Array(24 / shape[axis]).fill(1)),
      ).toBeLessThan(1e-15);
      const dx = softmaxBackward(p, dy, shape, axis);
      const dlog = logSoftmaxBackward(logP, dy, shape, axis);
      expect(gradientError((v) => softmax(v, shape, axis), x, dy, dx)).toBeLessThan(1e-8);
      expect(gradientError((v) => logSoftmax(v, shape, axis), x, dy, dlog)).toBeLessThan(1e-8);
    }
    expect(Array.from(softmax([-Infinity, -Infinity], [2], 0))).toEqual([0, 0]);
    expect(Array.from(softmax([1000, 1000], [2], 0))).toEqual([0.5, 0.5]);
  });

  it("gather and scatterAdd are each other's backward", () => {
    const index = rng(4).integers(2 * 5 * 3, 4);
    const upstream = rng(5).normals(30);
    expect(Array.from(gather([10, 20, 30, 40], [2, 2], 1, [1, 1, 0, 1, 0, 0], 3))).toEqual([
      20, 20, 10, 40, 30, 30,
    ]);
    const zeros = new Float64Array(24);
    const dx = scatterAdd(zeros, shape, 1, index, upstream, 5);
    expect(gradientError((v) => gather(v, shape, 1, index, 5), x, upstream, dx)).toBeLessThan(1e-8);
    const source = rng(6).normals(30);
    const dsource = gather(dy, shape, 1, index, 5);
    expect(gradientError((v) => scatterAdd(x, shape, 1, index, v, 5), source, dy, dsource)).toBeLessThan(
      1e-8,
    );
    expect(gradientError((v) => scatterAdd(v, shape, 1, index, source, 5), x, dy, dy)).toBeLessThan(1e-8);
  });
});
