/** Random numbers and dropout: the same words as the oracle's Philox, any element drawn alone, and sound statistics. */
import { describe, expect, it } from "vitest";
import { rng } from "../reference/array.js";
import {
  dropout,
  randomBernoulli,
  randomNormal,
  randomTruncatedNormal,
  randomUniform,
} from "../reference/random.js";
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

const SIZES = [0, 1, 2, 3, 5, 63, 64, 65, 4099];
const [UNIFORM, NORMAL, BERNOULLI, TRUNCATED] = [0, 1, 2, 3];

function draw(
  kind: number,
  n: number,
  seed: number,
  offset: number,
  p0: number,
  p1: number,
  dtype: Float | "i32" | "u8" = "f32",
): Float64Array {
  return repeatable(() => {
    const out = poisoned(n, dtype);
    call("random", out, n, dtype, kind, seed, offset, p0, p1);
    return [out];
  })[0];
}

describe.each(SIZES)("%i random numbers", (n) => {
  it.each([
    [0, 0],
    [42, 7],
    [2 ** 40 + 3, 2 ** 35 + 1],
    [-5, 1],
  ])("of seed %i, offset %i", (seed, offset) => {
    expectClose(draw(UNIFORM, n, seed, offset, 0, 1), randomUniform(n, seed, offset), 0);
    expectClose(
      draw(UNIFORM, n, seed, offset, -2, 3),
      randomUniform(n, seed, offset).map((u) => -2 + 5 * u),
      1e-7,
    );
    // Box–Muller is computed in double: f32 results are the nearest ones but for rare ties.
    expectClose(draw(NORMAL, n, seed, offset, 0, 1), randomNormal(n, seed, offset), 1e-7);
    expectClose(
      draw(TRUNCATED, n, seed, offset, 1, 0.02),
      randomTruncatedNormal(n, seed, offset).map((z) => 1 + 0.02 * z),
      1e-7,
    );
    expectClose(draw(NORMAL, n, seed, offset, 0, 1, "bf16"), randomNormal(n, seed, offset), TOLERANCE.bf16);
    for (const dtype of ["f32", "bf16", "i32", "u8"] as const) {
      expectClose(draw(BERNOULLI, n, seed, offset, 0.3, 0, dtype), randomBernoulli(n, 0.3, seed, offset), 0);
    }
  });

  it.each(FLOATS)("drop %s elements", (dtype) => {
    const values = rounded(rng(n).normals(n), dtype);
    const x = upload(values, dtype);
    for (const p of [0, 0.1, 0.5, 1]) {
      const [y] = repeatable(() => {
        const out = poisoned(n, dtype);
        call("dropout", x, out, null, n, dtype, p, 11, 13);
        return [out];
      });
      expectClose(y, dropout(values, p, 11, 13), TOLERANCE[dtype], `p = ${p}`);
    }
    call("dropout", x, x, null, n, dtype, 0.25, 1, 2);
    expectClose(download(x), dropout(values, 0.25, 1, 2), TOLERANCE[dtype], "in place");
  });
});

describe("distributions", () => {
  const n = 200_000;
  const moments = (x: Float64Array): [mean: number, deviation: number] => {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    return [mean, Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length)];
  };

  it("have their mean and deviation", () => {
    const [uniformMean, uniformDeviation] = moments(draw(UNIFORM, n, 1, 1, 0, 1));
    expect(uniformMean).toBeCloseTo(0.5, 2);
    expect(uniformDeviation).toBeCloseTo(Math.sqrt(1 / 12), 2);
    const [normalMean, normalDeviation] = moments(draw(NORMAL, n, 1, 2, 0, 1));
    expect(normalMean).toBeCloseTo(0, 2);
    expect(normalDeviation).toBeCloseTo(1, 2);
    const truncated = draw(TRUNCATED, n, 1, 2, 0, 1);
    expect(Math.max(...truncated.subarray(0, 100_000))).toBe(3);
    expect(moments(draw(BERNOULLI, n, 1, 3, 0.2, 0))[0]).toBeCloseTo(0.2, 2);
  });

  it("differ by seed and by offset", () => {
    const first = draw(UNIFORM, 64, 1, 1, 0, 1);
    expect(draw(UNIFORM, 64, 2, 1, 0, 1)).not.toEqual(first);
    expect(draw(UNIFORM, 64, 1, 2, 0, 1)).not.toEqual(first);
  });

  it("refuse a probability outside [0, 1]", () => {
    const x = upload([1]);
    call("dropout", x, x, null, 1, "f32", 1.5, 0, 0);
    expect(() => download(x)).toThrow(/\[0, 1\]/);
    call("random", x, 1, "f32", 9, 0, 0, 0, 1);
    expect(() => download(x)).toThrow(/distribution 9/);
  });
});
