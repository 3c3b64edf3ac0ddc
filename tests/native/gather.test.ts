/** gather and scatterAdd against the oracle; both report the first index outside the axis. */
import { describe, expect, it } from "vitest";
import { rng } from "../reference/array.js";
import { gather, scatterAdd } from "../reference/reduce.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  poisoned,
  quick,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

/** [outer, n, m, inner]. */
const SHAPES: readonly [number, number, number, number][] = [
  [1, 1, 1, 1],
  [0, 3, 2, 1],
  [2, 5, 0, 3],
  [3, 0, 0, 2],
  [100, 1000, 1, 1],
  [7, 33, 9, 1],
  [2, 50, 200, 1],
  [3, 17, 40, 65],
  [1, 40, quick(3000, 100), 130],
];

describe.each(SHAPES)("[%i, %i → %i, %i]", (outer, n, m, inner) => {
  const random = rng(outer + n + m + inner);
  const index = random.integers(outer * m * inner, n);

  it("gathers every dtype", () => {
    const values = random.integers(outer * n * inner, 200);
    for (const dtype of ["f32", "bf16", "i32", "u8"] as const) {
      const x = upload(values, dtype);
      const at = upload(index, "i32");
      const [out] = repeatable(() => {
        const result = poisoned(outer * m * inner, dtype);
        call("gather", x, at, result, dtype, outer, n, m, inner);
        return [result];
      });
      expectClose(out, gather(values, [outer, n, inner], 1, index, m), 0);
    }
  });

  it.each(FLOATS)("scatters %s", (dtype) => {
    const source = rounded(random.normals(outer * m * inner), dtype);
    const base = rounded(random.normals(outer * n * inner), dtype);
    const src = upload(source, dtype);
    const at = upload(index, "i32");
    for (const accumulate of [false, true]) {
      const [out] = repeatable(() => {
        const result = accumulate ? upload(base, dtype) : poisoned(outer * n * inner, dtype);
        call("scatterAdd", src, at, result, dtype, outer, n, m, inner, accumulate);
        return [result];
      });
      const start = accumulate ? base : new Float64Array(base.length);
      // In bf16 every addition rounds, so that the error grows with the number of sources of a place.
      const perPlace = Math.max(1, m / Math.max(n, 1));
      expectClose(
        out,
        scatterAdd(start, [outer, n, inner], 1, index, source, m),
        TOLERANCE[dtype] * Math.sqrt(perPlace) * 2,
      );
    }
  });
});

describe("an index outside", () => {
  it.each([[-1], [3], [2 ** 31 - 1]])("is named: %i", (wrong) => {
    const x = upload([1, 2, 3, 4, 5, 6]);
    const at = upload([0, 2, wrong, 1, wrong], "i32");
    const out = poisoned(10);
    call("gather", x, at, out, "f32", 1, 3, 5, 1);
    expect(() => download(out)).toThrow(`index ${wrong} at position 2 is outside [0, 3)`);
    const sums = poisoned(3);
    call("scatterAdd", out, at, sums, "f32", 1, 3, 5, 1, false);
    expect(() => download(sums)).toThrow(`index ${wrong} at position 2 is outside [0, 3)`);
  });

  it("is named in a long line", () => {
    const index = new Float64Array(300).fill(1);
    index[200] = 4;
    index[250] = -2;
    const sums = poisoned(3);
    call("scatterAdd", upload(index), upload(index, "i32"), sums, "f32", 1, 3, 300, 1, false);
    expect(() => download(sums)).toThrow("scatterAdd: index 4 at position 200 is outside [0, 3)");
  });
});
