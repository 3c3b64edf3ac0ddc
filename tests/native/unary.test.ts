/** Every unary function and its derivative against the oracle, with the values where formulas tend to break. */
import { describe, expect, it } from "vitest";
import { finiteDifference, rng } from "../reference/array.js";
import {
  affine,
  clamp,
  clampBackward,
  powScalar,
  powScalarBackward,
  type UnaryName,
  unaryBackward as unaryBackwardOracle,
  unary as unaryOracle,
} from "../reference/elementwise.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  type Float,
  poisoned,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

const SIZES = [0, 1, 15, 64, 513, 17_001];

/** Codes of the operations, in the order of UnaryOp. */
const OPS = [
  "neg",
  "exp",
  "log",
  "sqrt",
  "rsqrt",
  "tanh",
  "sigmoid",
  "relu",
  "silu",
  "gelu",
  "geluTanh",
  "abs",
  "square",
  "reciprocal",
  "sin",
  "cos",
  "softplus",
  "logSigmoid",
  "clamp",
  "affine",
  "powScalar",
  "erf",
] as const;
type Op = (typeof OPS)[number];
const PARAMETRIC: readonly Op[] = ["clamp", "affine", "powScalar"];
const PLAIN = OPS.filter((op) => !PARAMETRIC.includes(op)) as readonly (Op & UnaryName)[];
const POSITIVE: readonly Op[] = ["log", "sqrt", "rsqrt"];

function forward(op: Op, dtype: Float | "i32", xs: ArrayLike<number>, p0 = 0, p1 = 0): Float64Array {
  const x = upload(xs, dtype);
  const [out] = repeatable(() => {
    const y = poisoned(xs.length, dtype);
    call("unary", x, y, xs.length, OPS.indexOf(op), dtype, p0, p1);
    return [y];
  });
  x.dispose();
  return out;
}

function backward(
  op: Op,
  dtype: Float,
  xs: ArrayLike<number>,
  dys: ArrayLike<number>,
  p0 = 0,
  p1 = 0,
): Float64Array {
  const x = upload(xs, dtype);
  const dy = upload(dys, dtype);
  const [out] = repeatable(() => {
    const dx = poisoned(xs.length, dtype);
    call("unaryBackward", x, dy, dx, xs.length, OPS.indexOf(op), dtype, p0, p1);
    return [dx];
  });
  x.dispose();
  dy.dispose();
  return out;
}

function inputs(op: Op, n: number, dtype: Float): Float64Array {
  const random = rng(n + OPS.indexOf(op));
  return rounded(POSITIVE.includes(op) ? random.uniforms(n, 0.01, 20) : random.normals(n, 3), dtype);
}

describe.each(FLOATS)("unary %s", (dtype) => {
  it.each(PLAIN)("%s", (op) => {
    for (const n of SIZES) {
      const x = inputs(op, n, dtype);
      const dy = rounded(rng(n).normals(n), dtype);
      expectClose(forward(op, dtype, x), unaryOracle(op, x), TOLERANCE[dtype], `${op} of ${n}`);
      expectClose(
        backward(op, dtype, x, dy),
        unaryBackwardOracle(op, x, dy),
        TOLERANCE[dtype],
        `${op}′ of ${n}`,
      );
    }
  });

  it("clamp, affine and powers", () => {
    for (const n of SIZES) {
      const x = inputs("clamp", n, dtype);
      const positive = x.map((v) => Math.abs(v) + 0.125);
      const dy = rounded(rng(n).normals(n), dtype);
      expectClose(forward("clamp", dtype, x, -1, 2), clamp(x, -1, 2), 0);
      expectClose(backward("clamp", dtype, x, dy, -1, 2), clampBackward(x, dy, -1, 2), 0);
      expectClose(forward("affine", dtype, x, 1.5, -0.5), affine(x, 1.5, -0.5), TOLERANCE[dtype]);
      expectClose(
        backward("affine", dtype, x, dy, 1.5, -0.5),
        dy.map((v) => 1.5 * v),
        TOLERANCE[dtype],
      );
      for (const exponent of [2, 3, -1, 0, 1, 0.5, -0.5, 1.7]) {
        const base = rounded(positive, dtype);
        expectClose(
          forward("powScalar", dtype, base, exponent),
          powScalar(base, exponent),
          TOLERANCE[dtype],
          `x^${exponent}`,
        );
        expectClose(
          backward("powScalar", dtype, base, dy, exponent),
          powScalarBackward(base, dy, exponent),
          TOLERANCE[dtype],
          `(x^${exponent})′`,
        );
      }
    }
  });

  it("works in place", () => {
    const x = inputs("silu", 3001, dtype);
    const dy = rounded(rng(2).normals(3001), dtype);
    const t = upload(x, dtype);
    call("unary", t, t, 3001, OPS.indexOf("silu"), dtype, 0, 0);
    expectClose(download(t), unaryOracle("silu", x), TOLERANCE[dtype]);
    const input = upload(x, dtype);
    const gradient = upload(dy, dtype);
    call("unaryBackward", input, gradient, gradient, 3001, OPS.indexOf("silu"), dtype, 0, 0);
    expectClose(download(gradient), unaryBackwardOracle("silu", x, dy), TOLERANCE[dtype]);
  });

  it("stays finite far out", () => {
    const far = [-1e30, -200, -90, 90, 200, 1e30];
    for (const op of [
      "sigmoid",
      "tanh",
      "softplus",
      "logSigmoid",
      "gelu",
      "geluTanh",
      "silu",
      "erf",
    ] as const) {
      const x = rounded(far, dtype);
      const ones = new Float64Array(x.length).fill(1);
      expectClose(forward(op, dtype, x), unaryOracle(op, x), TOLERANCE[dtype], op);
      expect(backward(op, dtype, x, ones).every(Number.isFinite), `${op}′`).toBe(true);
    }
  });

  it("keeps NaN", () => {
    for (const op of OPS) {
      if (op === "affine" || op === "powScalar") continue;
      expect(forward(op, dtype, [Number.NaN, 1], -1, 1)[0], op).toBeNaN();
    }
  });
});

describe("unary limits", () => {
  it("has the values at zero and infinity that IEEE gives", () => {
    const x = [0, -0, Infinity, -Infinity];
    expect(Array.from(forward("exp", "f32", x))).toEqual([1, 1, Infinity, 0]);
    expect(Array.from(forward("log", "f32", x))).toEqual([-Infinity, -Infinity, Infinity, Number.NaN]);
    expect(Array.from(forward("reciprocal", "f32", [2, Infinity, 0]))).toEqual([0.5, 0, Infinity]);
    expect(Array.from(forward("relu", "f32", x)).map(Math.abs)).toEqual([0, 0, Infinity, 0]);
  });

  it("does not let a blocked gradient through, even an infinite one", () => {
    expect(backward("relu", "f32", [-1, 0, 1], [Infinity, Number.NaN, 2])).toEqual(
      Float64Array.from([0, 0, 2]),
    );
    expect(backward("clamp", "f32", [-1, 1, 3], [Infinity, 5, Number.NaN], 0, 2)).toEqual(
      Float64Array.from([0, 5, 0]),
    );
    expect(backward("abs", "f32", [-2, 0, 2], [3, 3, 3])).toEqual(Float64Array.from([-3, 0, 3]));
  });

  it("follows finite differences", () => {
    const x = [0.3, 1.2, 2.5];
    for (const op of PLAIN) {
      const slope = finiteDifference((v) => unaryOracle(op, v).reduce((a, b) => a + b, 0), x);
      expectClose(backward(op, "f32", x, [1, 1, 1]), slope, 1e-5, op);
    }
  });

  it("takes i32 where that makes sense", () => {
    const x = [-5, 0, 7, 2147483647, -2147483648];
    expect(Array.from(forward("neg", "i32", x))).toEqual([5, 0, -7, -2147483647, -2147483648]);
    expect(Array.from(forward("abs", "i32", x))).toEqual([5, 0, 7, 2147483647, -2147483648]);
    expect(Array.from(forward("clamp", "i32", x, -3, 100))).toEqual([-3, 0, 7, 100, -3]);
    expect(Array.from(forward("affine", "i32", x, 3, -1))).toEqual(x.map((v) => (Math.imul(v, 3) - 1) | 0));
    expect(() => forward("exp", "i32", x)).toThrow(/i32/);
  });

  it("names an operation it does not know", () => {
    const x = upload([1]);
    call("unary", x, x, 1, 99, "f32", 0, 0);
    expect(() => download(x)).toThrow(/unknown operation 99/);
  });
});
