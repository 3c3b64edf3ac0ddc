/** copyStrided: permutations, slices, concatenation, expansion, padding and accumulation against plain index arithmetic. */
import { describe, expect, it } from "vitest";
import { rng, sizeOf } from "../reference/array.js";
import { call, download, poisoned, repeatable, rounded, six, upload } from "./harness.js";

/** Bit-equal, the NaN that poisons unwritten places included. */
function expectSame(out: Float64Array, expected: Float64Array): void {
  expect(Buffer.compare(Buffer.from(out.buffer), Buffer.from(expected.buffer)), "bits differ").toBe(0);
}

interface Copy {
  shape: number[];
  srcStride: number[];
  dstStride: number[];
  srcOffset?: number;
  dstOffset?: number;
  srcSize: number;
  dstSize: number;
}

/** What copyStrided does, one element at a time. */
function reference(copy: Copy, src: ArrayLike<number>, dst: Float64Array, add: boolean): Float64Array {
  const out = dst.slice();
  const { shape, srcOffset = 0, dstOffset = 0 } = copy;
  for (let flat = 0; flat < sizeOf(shape); flat++) {
    let rest = flat;
    let from = srcOffset;
    let to = dstOffset;
    for (let d = shape.length - 1; d >= 0; d--) {
      const index = rest % shape[d];
      rest = Math.floor(rest / shape[d]);
      from += index * copy.srcStride[d];
      to += index * copy.dstStride[d];
    }
    out[to] = add ? out[to] + src[from] : src[from];
  }
  return out;
}

const transpose = (rows: number, columns: number): Copy => ({
  shape: [columns, rows],
  srcStride: [1, columns],
  dstStride: [rows, 1],
  srcSize: rows * columns,
  dstSize: rows * columns,
});

const COPIES: Record<string, Copy> = {
  scalar: { shape: [], srcStride: [], dstStride: [], srcSize: 1, dstSize: 1 },
  empty: { shape: [3, 0], srcStride: [4, 1], dstStride: [4, 1], srcSize: 12, dstSize: 12 },
  "contiguous of 20000": { shape: [20000], srcStride: [1], dstStride: [1], srcSize: 20000, dstSize: 20000 },
  "contiguous of 1003": { shape: [1003], srcStride: [1], dstStride: [1], srcSize: 1003, dstSize: 1003 },
  "transpose 1×9": transpose(1, 9),
  "transpose 31×33": transpose(31, 33),
  "transpose 64×96": transpose(64, 96),
  "transpose 130×257": transpose(130, 257),
  "heads [2, 5, 3, 8] → [2, 3, 5, 8]": {
    shape: [2, 3, 5, 8],
    srcStride: [120, 8, 24, 1],
    dstStride: [120, 40, 8, 1],
    srcSize: 240,
    dstSize: 240,
  },
  "batched transpose [6, 40, 70] → [6, 70, 40]": {
    shape: [6, 70, 40],
    srcStride: [2800, 1, 70],
    dstStride: [2800, 40, 1],
    srcSize: 16800,
    dstSize: 16800,
  },
  "reversed axes of [3, 4, 5, 6]": {
    shape: [6, 5, 4, 3],
    srcStride: [1, 6, 30, 120],
    dstStride: [60, 12, 3, 1],
    srcSize: 360,
    dstSize: 360,
  },
  "slice of columns": {
    shape: [50, 7],
    srcStride: [20, 1],
    dstStride: [7, 1],
    srcOffset: 5,
    srcSize: 1000,
    dstSize: 350,
  },
  "every second column": {
    shape: [50, 7],
    srcStride: [20, 2],
    dstStride: [7, 1],
    srcSize: 1000,
    dstSize: 350,
  },
  "into the right half": {
    shape: [50, 7],
    srcStride: [7, 1],
    dstStride: [14, 1],
    dstOffset: 7,
    srcSize: 350,
    dstSize: 700,
  },
  "expanded row": { shape: [40, 33], srcStride: [0, 1], dstStride: [33, 1], srcSize: 33, dstSize: 1320 },
  "expanded column": { shape: [40, 33], srcStride: [1, 0], dstStride: [33, 1], srcSize: 40, dstSize: 1320 },
  "expanded row of whole vectors": {
    shape: [40, 64],
    srcStride: [0, 1],
    dstStride: [64, 1],
    srcSize: 64,
    dstSize: 2560,
  },
  "expanded column of whole vectors": {
    shape: [40, 64],
    srcStride: [1, 0],
    dstStride: [64, 1],
    srcSize: 40,
    dstSize: 2560,
  },
  "whole vectors from odd places": {
    shape: [20, 48],
    srcStride: [51, 1],
    dstStride: [64, 1],
    srcOffset: 3,
    srcSize: 1020,
    dstSize: 1280,
  },
  "whole vectors to odd places": {
    shape: [20, 48],
    srcStride: [64, 1],
    dstStride: [51, 1],
    dstOffset: 3,
    srcSize: 1280,
    dstSize: 1020,
  },
  padded: { shape: [4, 5], srcStride: [5, 1], dstStride: [9, 1], dstOffset: 11, srcSize: 20, dstSize: 54 },
  "six dimensions": {
    shape: [2, 3, 2, 3, 2, 2],
    srcStride: [1, 2, 6, 12, 36, 72],
    dstStride: [72, 24, 12, 4, 2, 1],
    srcSize: 144,
    dstSize: 144,
  },
};

describe.each(Object.keys(COPIES))("copyStrided %s", (name) => {
  const copy = COPIES[name];
  const { shape, srcStride, dstStride, srcOffset = 0, dstOffset = 0 } = copy;
  const words = (accumulate: boolean): number[] => [
    shape.length,
    srcOffset,
    dstOffset,
    Number(accumulate),
    ...six(shape),
    ...six(srcStride, 0),
    ...six(dstStride, 0),
  ];

  it.each(["f32", "bf16", "i32", "u8"] as const)("%s", (dtype) => {
    const values = rng(7).integers(copy.srcSize, 200);
    const src = upload(values, dtype);
    const initial = download(poisoned(copy.dstSize, dtype));
    const [out] = repeatable(() => {
      const dst = poisoned(copy.dstSize, dtype);
      call("copyStrided", src, dst, dtype, ...words(false));
      return [dst];
    });
    expectSame(out, reference(copy, values, initial, false));
    src.dispose();
  });

  it.each(["f32", "bf16", "i32"] as const)("%s, accumulated", (dtype) => {
    const random = rng(8);
    const values = random.integers(copy.srcSize, 100);
    const start = random.integers(copy.dstSize, 100);
    const src = upload(values, dtype);
    const [out] = repeatable(() => {
      const dst = upload(start, dtype);
      call("copyStrided", src, dst, dtype, ...words(true));
      return [dst];
    });
    expectSame(out, rounded(reference(copy, values, Float64Array.from(start), true), dtype));
    src.dispose();
  });
});

describe("copyStrided errors", () => {
  it("refuses a destination where elements would fall on one place", () => {
    const x = upload([1, 2, 3]);
    call("copyStrided", x, x, "f32", 1, 0, 0, 0, ...six([3]), ...six([1], 0), ...six([0], 0));
    expect(() => download(x)).toThrow(/destination stride 0/);
  });

  it("refuses to accumulate u8", () => {
    const x = upload([1, 2, 3], "u8");
    call("copyStrided", x, x, "u8", 1, 0, 0, 1, ...six([3]), ...six([1], 0), ...six([1], 0));
    expect(() => download(x)).toThrow(/accumulate/);
  });
});
