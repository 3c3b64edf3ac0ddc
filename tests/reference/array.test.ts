import { describe, expect, it } from "vitest";
import {
  cosineDifference,
  finiteDifference,
  logistic,
  logSumExp,
  maxAbs,
  relativeError,
  rng,
  toBf16,
  toF32,
} from "./array.js";

describe("seeded numbers", () => {
  it("repeat for a seed and differ between seeds", () => {
    expect(rng(7).uniforms(5)).toEqual(rng(7).uniforms(5));
    expect(rng(7).uniforms(5)).not.toEqual(rng(8).uniforms(5));
  });

  it("have the moments of their distributions", () => {
    const draws = 20000;
    const uniforms = rng(1).uniforms(draws);
    const normals = rng(2).normals(draws, 2);
    const mean = (x: Float64Array): number => x.reduce((sum, value) => sum + value, 0) / x.length;
    expect(Math.abs(mean(uniforms) - 0.5)).toBeLessThan(0.01);
    expect(Math.abs(mean(uniforms.map((u) => u * u)) - 1 / 3)).toBeLessThan(0.01);
    expect(Math.abs(mean(normals))).toBeLessThan(0.06);
    expect(Math.abs(mean(normals.map((z) => z * z)) - 4)).toBeLessThan(0.2);
    expect(new Set(rng(3).integers(200, 5))).toEqual(new Set([0, 1, 2, 3, 4]));
  });
});

describe("error measures", () => {
  it("compare by norm", () => {
    expect(relativeError([3, 4.5], [3, 4])).toBeCloseTo(0.1, 12);
    expect(relativeError([0.5], [0])).toBe(0.5);
    expect(relativeError([], [])).toBe(0);
    expect(cosineDifference([1, 2], [1, 2])).toBe(0);
    expect(cosineDifference([1, 0], [0, 1])).toBe(1);
    expect(cosineDifference([0], [0])).toBe(0);
    expect(maxAbs([1, -3, 2])).toBe(3);
  });

  it("take equal infinities as equal and let nothing else through", () => {
    expect(relativeError([Infinity, 1], [Infinity, 1])).toBe(0);
    expect(relativeError([Infinity, 1], [-Infinity, 1])).not.toBeLessThan(1);
    expect(relativeError([Number.NaN], [1])).toBeNaN();
    expect(relativeError([1], [1, 2])).toBeNaN();
    expect(maxAbs([1, Number.NaN])).toBeNaN();
  });
});

describe("rounding", () => {
  it("to bf16 goes to the nearest, ties to even", () => {
    const step = 2 ** -7;
    const cases = [
      1,
      1 + step / 2,
      1 + (3 * step) / 2,
      1 + step * 0.51,
      -1 - step * 0.51,
      3e38,
      3.4e38,
      -0,
      1e-45,
    ];
    const rounded = [1, 1, 1 + 2 * step, 1 + step, -1 - step, 3.0043e38, Infinity, -0, 0];
    toBf16(cases).forEach((value, i) => {
      if (Number.isFinite(rounded[i]) && rounded[i] > 1e30)
        expect(Math.abs(value / rounded[i] - 1)).toBeLessThan(1e-4);
      else expect(Object.is(value, rounded[i])).toBe(true);
    });
    expect(toBf16([Number.NaN])[0]).toBeNaN();
  });

  it("to f32 and bf16 stays within half a unit of the last place", () => {
    const x = rng(4).normals(2000);
    toF32(x).forEach((value, i) => {
      expect(Math.abs(value - x[i])).toBeLessThanOrEqual(Math.abs(x[i]) * 2 ** -24);
    });
    toBf16(x).forEach((value, i) => {
      expect(Math.abs(value - x[i])).toBeLessThanOrEqual(Math.abs(x[i]) * 2 ** -8);
    });
  });
});

describe("small functions", () => {
  it("do not overflow", () => {
    expect(logSumExp([1000, 1000])).toBeCloseTo(1000 + Math.LN2, 10);
    expect(logSumExp([])).toBe(-Infinity);
    expect(logSumExp([-Infinity, -Infinity])).toBe(-Infinity);
    expect(logistic(-1000)).toBe(0);
    expect(logistic(1000)).toBe(1);
    expect(logistic(0.3) + logistic(-0.3)).toBeCloseTo(1, 15);
  });

  it("difference central quotients", () => {
    const slope = finiteDifference((x) => x[0] ** 3 + 2 * x[1], [2, 5], 1e-5, [1, 0]);
    expect(relativeError(slope, [2, 12])).toBeLessThan(1e-9);
  });
});
