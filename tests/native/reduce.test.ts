/** Reductions, cumulative sums and softmax along an axis against the oracle. */
import { describe, expect, it } from "vitest";
import { finiteDifference, rng, toF32 } from "../reference/array.js";
import {
  cumulativeSum,
  logSoftmax,
  logSoftmaxBackward,
  type ReduceName,
  reduce as reduceOracle,
  softmax,
  softmaxBackward,
} from "../reference/reduce.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  type Float,
  poisoned,
  quick,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

const OPS: readonly ReduceName[] = ["sum", "mean", "max", "min", "prod", "argmax", "argmin", "logsumexp"];
const isIndex = (op: ReduceName): boolean => op === "argmax" || op === "argmin";

/** [outer, n, inner]: rows, columns, blocks of both that are and are not whole, single elements, empties. */
const SHAPES: readonly [number, number, number][] = [
  [1, 1, 1],
  [0, 5, 1],
  [3, 0, 2],
  [3, 1, 1],
  [1, 15, 1],
  [5, 64, 1],
  [7, 65, 1],
  [3, 4096, 1],
  [2, 4097, 1],
  [1, 20_003, 1],
  [1, 3, 5],
  [4, 33, 17],
  [1, 700, 131],
  [2, 300, 129],
  [6, 2, 1],
  [3, 5000, 2],
  [1, 900, 64],
];

function run(
  op: ReduceName,
  dtype: Float | "i32",
  values: ArrayLike<number>,
  [outer, n, inner]: readonly [number, number, number],
): Float64Array {
  const x = upload(values, dtype);
  const [out] = repeatable(() => {
    const y = poisoned(outer * inner, isIndex(op) ? "i32" : dtype);
    call("reduce", x, y, OPS.indexOf(op), dtype, outer, n, inner);
    return [y];
  });
  x.dispose();
  return out;
}

describe.each(FLOATS)("reduce %s", (dtype) => {
  it.each(SHAPES)("[%i, %i, %i]", (...shape) => {
    const [outer, n, inner] = shape;
    for (const op of OPS) {
      if (n === 0 && isIndex(op)) continue;
      const random = rng(outer + n * inner);
      const count = outer * n * inner;
      // Products of many numbers need factors near one; the others have ties.
      const x = rounded(
        op === "prod"
          ? random.uniforms(count, 0.99, 1.01)
          : Float64Array.from(random.normals(count), (v) => Math.round(v * 16) / 16),
        dtype,
      );
      const reference = reduceOracle(op, x, shape, 1);
      const out = run(op, dtype, x, shape);
      if (isIndex(op)) expect(Array.from(out), op).toEqual(Array.from(reference));
      else if (n === 0) expect(Array.from(out), op).toEqual(Array.from(reference));
      else if (op === "prod" && dtype === "f32")
        expectClose(out, reference, 2e-4 * Math.sqrt(n / 20_003) + 2e-6, op);
      else expectClose(out, reference, TOLERANCE[dtype], op);
    }
  });

  it("lets NaN and infinities through", () => {
    const line = [1, Number.NaN, 3, Infinity];
    expect(run("max", dtype, line, [1, 4, 1])[0]).toBeNaN();
    expect(run("min", dtype, line, [2, 2, 1])[0]).toBeNaN();
    expect(run("max", dtype, line, [2, 2, 1])[1]).toBe(Infinity);
    expect(run("argmax", dtype, line, [1, 4, 1])[0]).toBe(1);
    expect(run("argmin", dtype, line, [1, 4, 1])[0]).toBe(1);
    expect(
      Array.from(run("argmax", dtype, [1, Number.NaN, 3, 2, Number.NaN, Number.NaN], [1, 3, 2])),
    ).toEqual([2, 0]);
    expect(run("logsumexp", dtype, [-Infinity, -Infinity], [1, 2, 1])[0]).toBe(-Infinity);
    expect(run("logsumexp", dtype, [1, Infinity], [1, 2, 1])[0]).toBe(Infinity);
    expect(run("logsumexp", dtype, [1, -Infinity, 2, -Infinity], [1, 2, 2])[1]).toBe(-Infinity);
  });

  it("sums a long line far better than one by one", () => {
    const x = new Float64Array(quick(1_000_000, 150_000)).fill(rounded([0.1], dtype)[0]);
    expectClose(run("mean", dtype, x, [1, x.length, 1]), [x[0]], TOLERANCE[dtype]);
  });
});

describe("reduce exactly", () => {
  it.each(SHAPES)("i32 [%i, %i, %i]", (...shape) => {
    const x = rng(5)
      .integers(shape[0] * shape[1] * shape[2], 2000)
      .map((v) => v - 1000);
    expect(Array.from(run("sum", "i32", x, shape))).toEqual(Array.from(reduceOracle("sum", x, shape, 1)));
    if (shape[1] === 0) return;
    expect(Array.from(run("max", "i32", x, shape))).toEqual(Array.from(reduceOracle("max", x, shape, 1)));
    expect(Array.from(run("min", "i32", x, shape))).toEqual(Array.from(reduceOracle("min", x, shape, 1)));
  });

  it("refuses argmax of nothing and operations that i32 does not have", () => {
    expect(() => run("argmax", "f32", [], [2, 0, 1])).toThrow(/at least one element/);
    expect(() => run("mean", "i32", [1], [1, 1, 1])).toThrow(/i32/);
  });
});

describe("cumsum", () => {
  it.each(SHAPES)("[%i, %i, %i]", (...shape) => {
    const [outer, n, inner] = shape;
    for (const dtype of ["f32", "bf16", "i32"] as const) {
      const count = outer * n * inner;
      const values =
        dtype === "i32"
          ? Float64Array.from(rng(3).integers(count, 50))
          : rounded(rng(3).uniforms(count), dtype);
      const x = upload(values, dtype);
      for (const reverse of [false, true]) {
        const [out] = repeatable(() => {
          const y = poisoned(count, dtype);
          call("cumsum", x, y, dtype, outer, n, inner, reverse);
          return [y];
        });
        const reference = cumulativeSum(values, shape, 1, reverse);
        // A running f32 sum of n numbers of one sign is off by at most n roundings; in practice by √n.
        expectClose(
          out,
          reference,
          dtype === "i32" ? 0 : dtype === "f32" ? 1e-6 + 1e-7 * Math.sqrt(n) : TOLERANCE.bf16,
        );
      }
      x.dispose();
    }
  });
});

describe.each(FLOATS)("softmax %s", (dtype) => {
  it.each([
    [1, 1],
    [0, 4],
    [3, 0],
    [5, 2],
    [7, 63],
    [4, 64],
    [9, 513],
    [2, 20000],
    [1, 40_001],
    [1, 70_008],
  ])("[%i, %i]", (rows, n) => {
    const random = rng(rows + n);
    const values = rounded(random.normals(rows * n, 4), dtype);
    const dys = rounded(random.normals(rows * n), dtype);
    const x = upload(values, dtype);
    const dy = upload(dys, dtype);
    for (const log of [false, true]) {
      const [y] = repeatable(() => {
        const result = poisoned(rows * n, dtype);
        call("softmax", x, result, rows, n, log, dtype);
        return [result];
      });
      expectClose(
        y,
        (log ? logSoftmax : softmax)(values, [rows, n], 1),
        TOLERANCE[dtype],
        log ? "log" : "plain",
      );
      const output = upload(y, dtype);
      const [dx] = repeatable(() => {
        const result = poisoned(rows * n, dtype);
        call("softmaxBackward", output, dy, result, rows, n, log, dtype);
        return [result];
      });
      expectClose(
        dx,
        (log ? logSoftmaxBackward : softmaxBackward)(y, dys, [rows, n], 1),
        TOLERANCE[dtype],
        "gradient",
      );
      call("softmaxBackward", output, dy, output, rows, n, log, dtype);
      expectClose(download(output), dx, 0, "in place");
      const inPlace = upload(values, dtype);
      call("softmax", inPlace, inPlace, rows, n, log, dtype);
      expectClose(download(inPlace), y, 0, "in place");
    }
  });

  it("masks with −∞, and gives zeros to a row that is all masked", () => {
    const x = upload([0, -Infinity, 0, -Infinity, -Infinity, -Infinity, 1000, 0, -1000], dtype);
    const y = poisoned(9, dtype);
    call("softmax", x, y, 3, 3, false, dtype);
    expect(Array.from(download(y))).toEqual([0.5, 0, 0.5, 0, 0, 0, 1, 0, 0]);
  });
});

describe("softmax gradients", () => {
  it("follow finite differences", () => {
    const x = toF32([0.3, -1, 2, 0.7]);
    const dy = toF32([1, -2, 0.5, 3]);
    for (const log of [false, true]) {
      const f = (v: Float64Array): number =>
        (log ? logSoftmax : softmax)(v, [1, 4], 1).reduce((sum, y, i) => sum + y * dy[i], 0);
      const [y, d, dx] = [upload(x), upload(dy), poisoned(4)];
      call("softmax", y, y, 1, 4, log, "f32");
      call("softmaxBackward", y, d, dx, 1, 4, log, "f32");
      expectClose(download(dx), finiteDifference(f, x), 1e-5);
    }
  });
});
