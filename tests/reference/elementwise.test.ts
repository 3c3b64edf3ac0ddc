import { describe, expect, it } from "vitest";
import { finiteDifference, gradientError, relativeError, rng } from "./array.js";
import {
  affine,
  type BinaryName,
  binary,
  binaryBackward,
  binaryFunctions,
  broadcastShape,
  clamp,
  clampBackward,
  erf,
  erfc,
  powScalar,
  powScalarBackward,
  type UnaryName,
  unary,
  unaryBackward,
  unaryFunctions,
  where,
  whereBackward,
} from "./elementwise.js";

const positiveOnly = new Set<UnaryName>(["log", "log1p", "sqrt", "rsqrt"]);

describe("unary functions", () => {
  it.each(Object.keys(unaryFunctions) as UnaryName[])(
    "%s has the derivative of finite differences",
    (name) => {
      const x = rng(1)
        .uniforms(20, 0.2, 3)
        .map((value, i) => (positiveOnly.has(name) || i % 2 === 0 ? value : -value));
      const dy = rng(2).normals(20);
      expect(gradientError((v) => unary(name, v), x, dy, unaryBackward(name, x, dy))).toBeLessThan(1e-8);
    },
  );

  it("have no derivative at their kinks", () => {
    for (const name of ["abs", "relu", "sign"] as const) expect(unaryBackward(name, [0], [1])[0]).toBe(0);
  });

  it("erf is right to double precision", () => {
    // Abramowitz & Stegun, table 7.1, and erfc(5) from its asymptotic series.
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 15);
    expect(erf(1)).toBeCloseTo(0.8427007929497149, 15);
    expect(erf(-2)).toBeCloseTo(-0.9953222650189527, 15);
    expect(erf(0)).toBe(0);
    expect(Math.abs(erfc(5) / 1.5374597944280349e-12 - 1)).toBeLessThan(1e-13);
    expect(Math.abs(erfc(2.001) / (1 - erf(2.001)) - 1)).toBeLessThan(1e-13);
  });

  it("stay finite far out", () => {
    expect(Array.from(unary("logSigmoid", [-800, 800]))).toEqual([-800, 0]);
    expect(Array.from(unary("softplus", [-800, 800]))).toEqual([0, 800]);
    expect(Array.from(unary("silu", [-800, 800]))).toEqual([-0, 800]);
    expect(unary("gelu", [-10])[0]).toBeLessThan(0);
  });
});

describe("binary functions", () => {
  it.each(Object.keys(binaryFunctions) as BinaryName[])(
    "%s has the gradient of finite differences",
    (name) => {
      const aShape = [2, 1, 3];
      const bShape = [4, 3];
      const a = rng(3).uniforms(6, 0.5, 2);
      const b = rng(4).uniforms(12, 0.5, 2);
      const dy = rng(5).normals(24);
      const { da, db } = binaryBackward(name, a, aShape, b, bShape, dy);
      expect(gradientError((v) => binary(name, v, aShape, b, bShape).out, a, dy, da)).toBeLessThan(1e-8);
      expect(gradientError((v) => binary(name, a, aShape, v, bShape).out, b, dy, db)).toBeLessThan(1e-8);
    },
  );

  it("broadcast from the last axis", () => {
    expect(broadcastShape([2, 1, 3], [4, 3])).toEqual([2, 4, 3]);
    expect(broadcastShape([], [2])).toEqual([2]);
    expect(broadcastShape([0, 3], [1, 3])).toEqual([0, 3]);
    const { out, shape } = binary("sub", [1, 2], [2, 1], [10, 20, 30], [3]);
    expect(shape).toEqual([2, 3]);
    expect(Array.from(out)).toEqual([-9, -19, -29, -8, -18, -28]);
  });

  it("share a tie of max and min evenly and pass NaN on", () => {
    expect(binaryBackward("max", [1], [1], [1], [1], [3])).toEqual({
      da: Float64Array.of(1.5),
      db: Float64Array.of(1.5),
    });
    expect(binaryBackward("min", [1], [1], [2], [1], [3])).toEqual({
      da: Float64Array.of(3),
      db: Float64Array.of(0),
    });
    expect(binary("max", [Number.NaN], [1], [1], [1]).out[0]).toBeNaN();
  });

  it("give defined gradients of pow at zero", () => {
    const { da, db } = binaryBackward("pow", [0, 0, 2], [3], [2, 0, 0], [3], [1, 1, 1]);
    expect(Array.from(da)).toEqual([0, 0, 0]);
    expect(Array.from(db)).toEqual([0, 0, Math.log(2)]);
  });
});

describe("where, clamp, affine and powers", () => {
  it("choose and send gradients back to the side taken", () => {
    const condition = { values: [1, 0], shape: [2, 1] };
    const a = { values: [1, 2, 3], shape: [3] };
    const b = { values: [-1], shape: [1] };
    const { out, shape } = where(condition, a, b);
    expect(shape).toEqual([2, 3]);
    expect(Array.from(out)).toEqual([1, 2, 3, -1, -1, -1]);
    const { da, db } = whereBackward(condition, [3], [1], [1, 2, 3, 4, 5, 6]);
    expect(Array.from(da)).toEqual([1, 2, 3]);
    expect(Array.from(db)).toEqual([15]);
  });

  it("clamp keeps the gradient at and between its bounds", () => {
    expect(Array.from(clamp([-2, -1, 0, 1, 2], -1, 1))).toEqual([-1, -1, 0, 1, 1]);
    expect(Array.from(clampBackward([-2, -1, 0, 1, 2], [5, 5, 5, 5, 5], -1, 1))).toEqual([0, 5, 5, 5, 0]);
    expect(Array.from(clamp([-2, 2], 0))).toEqual([0, 2]);
  });

  it("affine and powScalar", () => {
    expect(Array.from(affine([1, -2], 3, 0.5))).toEqual([3.5, -5.5]);
    const x = rng(6).uniforms(5, 0.5, 2);
    for (const exponent of [-1.5, 0, 0.5, 3]) {
      const numeric = finiteDifference((v) => powScalar(v, exponent).reduce((sum, y) => sum + y, 0), x);
      expect(relativeError(powScalarBackward(x, [1, 1, 1, 1, 1], exponent), numeric)).toBeLessThan(1e-8);
    }
  });
});
