/** The approximations of native/cpu/vec_math.h over the whole range of f32, in units in the last place against double precision. */
import { describe, expect, it } from "vitest";
import { type UnaryName, unary as unaryOracle } from "../reference/elementwise.js";
import { call, download, poisoned, upload } from "./harness.js";

/** Every 65,521st bit pattern of f32 that lies in [low, high]. */
function range(low: number, high: number): Float32Array {
  const every = new Uint32Array(Math.ceil(2 ** 32 / 65521)).map((_, i) => i * 65521);
  return new Float32Array(every.buffer).filter((x) => x >= low && x <= high);
}

/** Distance of y from r in units in the last place of r as f32 (subnormals have those of the smallest normal). */
function ulps(y: number, r: number): number {
  if (y === Math.fround(r)) return 0;
  const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(r))), -126) - 23);
  return Math.abs(y - r) / unit;
}

function run(op: number, x: Float32Array): Float64Array {
  const y = poisoned(x.length);
  call("unary", upload(x), y, x.length, op, "f32", 0, 0);
  return download(y);
}

/** [name, code of UnaryOp, low, high, limit in ulp]. */
const FUNCTIONS: readonly [UnaryName, number, number, number, number][] = [
  ["exp", 1, -86.9, 88.72, 2],
  ["log", 2, 1.2e-38, Infinity, 2],
  ["tanh", 5, -Infinity, Infinity, 2],
  ["sigmoid", 6, -86, Infinity, 3],
  ["softplus", 16, -86, Infinity, 4],
  ["erf", 21, -Infinity, Infinity, 2],
  ["gelu", 9, -1, Infinity, 4],
  ["silu", 8, -80, Infinity, 4],
];

describe("vec_math", () => {
  it.each(FUNCTIONS)("%s", (name, op, low, high, limit) => {
    const x = range(low, high);
    expect(x.length).toBeGreaterThan(10_000);
    const y = run(op, x);
    const reference = unaryOracle(name, x);
    let worst = 0;
    let at = 0;
    for (let i = 0; i < x.length; i++) {
      const error = ulps(y[i], reference[i]);
      if (!(error <= worst)) [worst, at] = [error, x[i]];
    }
    expect(worst, `at ${at}`).toBeLessThanOrEqual(limit);
  });

  it("gelu's tail keeps six digits", () => {
    const x = range(-6, -1);
    const y = run(9, x);
    unaryOracle("gelu", x).forEach((r, i) => {
      expect(Math.abs(y[i] / r - 1), `at ${x[i]}`).toBeLessThan(2e-6);
    });
  });

  it("exp ends in 0 and infinity", () => {
    expect(Array.from(run(1, Float32Array.from([-87, -1000, 88.73, 1000])))).toEqual([
      0,
      0,
      Infinity,
      Infinity,
    ]);
  });
});
