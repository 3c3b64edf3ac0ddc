/** fill, cast, axpy, where and the broadcasting binary kernels against the oracle. */
import { describe, expect, it } from "vitest";
import { rng, sizeOf } from "../reference/array.js";
import { type BinaryName, binary as binaryOracle, where as whereOracle } from "../reference/elementwise.js";
import {
  call,
  download,
  errorOf,
  expectClose,
  FLOATS,
  poisoned,
  repeatable,
  rounded,
  six,
  TOLERANCE,
  upload,
} from "./harness.js";

const SIZES = [0, 1, 7, 16, 63, 64, 65, 1000, 70001];

/** Strides of a contiguous operand of `shape` that is broadcast to `out`; 0 where it is repeated. */
function broadcastStrides(shape: readonly number[], out: readonly number[]): number[] {
  const strides = new Array<number>(out.length).fill(0);
  let stride = 1;
  for (let back = 1; back <= shape.length; back++) {
    const size = shape[shape.length - back];
    if (size !== 1) strides[out.length - back] = stride;
    stride *= size;
  }
  return strides;
}

const BINARY: readonly BinaryName[] = [
  "add",
  "sub",
  "mul",
  "div",
  "pow",
  "min",
  "max",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "logicalAnd",
  "logicalOr",
];
const codeOf = (name: BinaryName): number => BINARY.indexOf(name);
const isComparison = (name: BinaryName): boolean => codeOf(name) >= codeOf("eq");

/** Pairs of operand shapes: equal, scalar, row, column, outer product, inner axes, empty; rows of whole and of broken vectors. */
const SHAPES: readonly [readonly number[], readonly number[]][] = [
  [[1], [1]],
  [[0], [1]],
  [
    [3, 0],
    [3, 1],
  ],
  [[17], [17]],
  [[4099], [1]],
  [[1], [513]],
  [[33, 65], [65]],
  [
    [33, 65],
    [33, 1],
  ],
  [
    [1, 65],
    [33, 1],
  ],
  [
    [5, 1, 7, 3],
    [2, 1, 3],
  ],
  [
    [2, 3, 4, 5, 2, 3],
    [4, 1, 2, 1],
  ],
  [
    [130, 130],
    [130, 130],
  ],
  [[6, 64], [64]],
  [
    [6, 64],
    [6, 1],
  ],
  [
    [3, 5, 32],
    [3, 1, 32],
  ],
];

function runBinary(
  name: BinaryName,
  dtype: "f32" | "bf16" | "i32" | "u8",
  a: ArrayLike<number>,
  aShape: readonly number[],
  b: ArrayLike<number>,
  bShape: readonly number[],
  shape: readonly number[],
): Float64Array {
  const outDtype = isComparison(name) ? "u8" : dtype;
  const x = upload(a, dtype);
  const y = upload(b, dtype);
  const [out] = repeatable(() => {
    const result = poisoned(sizeOf(shape), outDtype);
    call(
      "binary",
      x,
      y,
      result,
      codeOf(name),
      dtype,
      shape.length,
      ...six(shape),
      ...six(broadcastStrides(aShape, shape), 0),
      ...six(broadcastStrides(bShape, shape), 0),
    );
    return [result];
  });
  x.dispose();
  y.dispose();
  return out;
}

describe("fill and cast", () => {
  it.each(SIZES)("fills %i elements of every dtype", (n) => {
    for (const dtype of ["f32", "bf16", "i32", "u8"] as const) {
      const [out] = repeatable(() => {
        const y = poisoned(n, dtype);
        call("fill", y, n, dtype, 3);
        return [y];
      });
      expectClose(out, new Array(n).fill(3), 0);
    }
  });

  const values = [0, -0, 1, -1, 0.5, 2.9, -2.9, 255, 1.00390625, 1.01171875, 65536.5, -1e6, 3e38, 1e-40];

  it("converts between all dtypes", () => {
    const convert: Record<string, (x: number) => number> = {
      f32: (x) => Math.fround(x),
      bf16: (x) => rounded([x], "bf16")[0],
      i32: (x) => Math.trunc(x) + 0, // + 0 makes −0 into 0
      u8: (x) => Number(x !== 0),
    };
    for (const from of ["f32", "bf16", "i32", "u8"] as const) {
      for (const to of ["f32", "bf16", "i32", "u8"] as const) {
        const inRange = values.filter(
          (x) => Math.abs(x) < 2 ** 31 && (from !== "u8" || (x >= 0 && x <= 255)),
        );
        const source = Float64Array.from({ length: 700 }, (_, i) => inRange[i % inRange.length]);
        const x = upload(from === "i32" || from === "u8" ? source.map(Math.trunc) : source, from);
        const [out] = repeatable(() => {
          const y = poisoned(source.length, to);
          call("cast", x, y, source.length, from, to);
          return [y];
        });
        expect(Array.from(out), `${from} to ${to}`).toEqual(Array.from(download(x), convert[to]));
        x.dispose();
      }
    }
  });

  it("rounds to bf16 to nearest even and keeps NaN and infinities", () => {
    const random = rng(1);
    const source = Float32Array.from(
      { length: 5000 },
      () => random.normal() * 10 ** (random.uniform() * 60 - 30),
    );
    source.set([Number.NaN, Infinity, -Infinity, 3.4e38, 1.00390625, 1.01171875]);
    const x = upload(source);
    const y = poisoned(source.length, "bf16");
    call("cast", x, y, source.length, "f32", "bf16");
    expect(Array.from(download(y).subarray(0, 6))).toEqual(
      Array.from(rounded(source.subarray(0, 6), "bf16")),
    );
    expectClose(download(y).subarray(1), rounded(source, "bf16").subarray(1), 0);
  });

  it("names a dtype it cannot convert", () => {
    const x = upload([1]);
    call("cast", x, x, 1, "f32", 9);
    expect(() => download(x)).toThrow(/cast/);
  });
});

describe("axpy", () => {
  it.each(SIZES)("y = βy + αsx for %i elements", (n) => {
    const random = rng(n + 1);
    for (const xDtype of FLOATS) {
      for (const yDtype of FLOATS) {
        const xs = rounded(random.normals(n), xDtype);
        const ys = rounded(random.normals(n), yDtype);
        const x = upload(xs, xDtype);
        const scale = upload([0.25]);
        for (const [alpha, beta, scaled] of [
          [1, 1, false],
          [-2, 0.5, true],
          [3, 0, false],
        ] as const) {
          const [out] = repeatable(() => {
            const y = beta === 0 ? poisoned(n, yDtype) : upload(ys, yDtype);
            call("axpy", x, scaled ? scale : null, y, n, xDtype, yDtype, alpha, beta);
            return [y];
          });
          const reference = ys.map(
            (v, i) => (beta === 0 ? 0 : beta * v) + alpha * (scaled ? 0.25 : 1) * xs[i],
          );
          expectClose(out, reference, TOLERANCE[yDtype]);
        }
      }
    }
  });
});

describe("binary", () => {
  it.each(BINARY.filter((name) => !name.startsWith("logical")))("%s broadcasts", (name) => {
    const random = rng(codeOf(name) + 5);
    for (const dtype of FLOATS) {
      for (const [first, second] of SHAPES) {
        for (const [aShape, bShape] of [
          [first, second],
          [second, first],
        ]) {
          const draw = (count: number): Float64Array =>
            rounded(
              name === "pow"
                ? random.uniforms(count, 0.1, 3)
                : isComparison(name)
                  ? random.integers(count, 3)
                  : random.normals(count),
              dtype,
            );
          const a = draw(sizeOf(aShape));
          const b = draw(sizeOf(bShape));
          const { out: reference, shape } = binaryOracle(name, a, aShape, b, bShape);
          const out = runBinary(name, dtype, a, aShape, b, bShape, shape);
          expectClose(
            out,
            reference,
            isComparison(name) ? 0 : TOLERANCE[dtype],
            `${name} ${dtype} [${aShape}] [${bShape}]`,
          );
        }
      }
    }
  });

  it("is exact with i32, and wraps", () => {
    const random = rng(3);
    const a = Int32Array.from({ length: 257 }, () => random.integer(2 ** 32) - 2 ** 31);
    const b = Int32Array.from({ length: 257 }, () => random.integer(41) - 20 || 7);
    const whole: Partial<Record<BinaryName, (x: number, y: number) => number>> = {
      add: (x, y) => (x + y) | 0,
      sub: (x, y) => (x - y) | 0,
      mul: (x, y) => Math.imul(x, y),
      div: (x, y) => Math.trunc(x / y) | 0,
      min: Math.min,
      max: Math.max,
      lt: (x, y) => Number(x < y),
      eq: (x, y) => Number(x === y),
    };
    a[0] = -(2 ** 31);
    b[0] = -1;
    for (const [name, f] of Object.entries(whole)) {
      const out = runBinary(name as BinaryName, "i32", a, [257], b, [257], [257]);
      expect(Array.from(out), name).toEqual(Array.from(a, (x, i) => f(x, b[i])));
    }
    expect(Array.from(runBinary("pow", "i32", [2, -3, 5, 2, -1], [5], [10, 3, 0, -1, -3], [5], [5]))).toEqual(
      [1024, -27, 1, 0, -1],
    );
  });

  it("refuses to divide i32 by zero, and operations a dtype does not have", () => {
    expect(() => runBinary("div", "i32", [1, 2], [2], [1, 0], [2], [2])).toThrow(/zero/);
    expect(() => runBinary("logicalAnd", "f32", [1], [1], [1], [1], [1])).toThrow(/binary/);
  });

  it("combines u8 by logic", () => {
    const a = [0, 0, 1, 1, 200];
    const b = [0, 3, 0, 1, 7];
    expect(Array.from(runBinary("logicalAnd", "u8", a, [5], b, [5], [5]))).toEqual([0, 0, 0, 1, 1]);
    expect(Array.from(runBinary("logicalOr", "u8", a, [5], b, [5], [5]))).toEqual([0, 1, 1, 1, 1]);
    expect(Array.from(runBinary("ne", "u8", a, [5], b, [5], [5]))).toEqual([0, 1, 1, 0, 1]);
  });

  it("keeps NaN in min and max", () => {
    const a = [Number.NaN, 1, 2];
    const b = [1, Number.NaN, 1];
    expect(Array.from(runBinary("max", "f32", a, [3], b, [3], [3]))).toEqual([Number.NaN, Number.NaN, 2]);
    expect(Array.from(runBinary("min", "f32", a, [3], b, [3], [3]))).toEqual([Number.NaN, Number.NaN, 1]);
  });

  it("writes in place", () => {
    const n = 5000;
    const values = rng(4).normals(n);
    for (const dtype of FLOATS) {
      const a = upload(values, dtype);
      const before = download(a);
      call("binary", a, a, a, codeOf("add"), dtype, 1, ...six([n]), ...six([1], 0), ...six([1], 0));
      expect(
        errorOf(
          download(a),
          before.map((v) => 2 * v),
        ),
      ).toBe(0);
      a.dispose();
    }
  });

  it("refuses more than six dimensions", () => {
    const a = upload([1]);
    call("binary", a, a, a, 0, "f32", 7, ...six([1]), ...six([1]), ...six([1]));
    expect(() => download(a)).toThrow(/dimensions/);
  });
});

describe("where", () => {
  it.each([...SHAPES.map((pair) => [pair])])("chooses %j", ([first, second]) => {
    const random = rng(9);
    for (const dtype of ["f32", "bf16", "i32", "u8"] as const) {
      for (const [conditionShape, aShape, bShape] of [
        [first, second, first],
        [first, first, [1]],
        [first, [1], first],
        [second, first, second],
        [first, first, first],
      ] as const) {
        const condition = { values: random.integers(sizeOf(conditionShape), 2), shape: conditionShape };
        const a = { values: random.integers(sizeOf(aShape), 100), shape: aShape };
        const b = { values: random.integers(sizeOf(bShape), 100), shape: bShape };
        const { out: reference, shape } = whereOracle(condition, a, b);
        const tensors = [upload(condition.values, "u8"), upload(a.values, dtype), upload(b.values, dtype)];
        const [out] = repeatable(() => {
          const result = poisoned(sizeOf(shape), dtype);
          call(
            "where",
            ...tensors,
            result,
            dtype,
            shape.length,
            ...six(shape),
            ...six(broadcastStrides(conditionShape, shape), 0),
            ...six(broadcastStrides(aShape, shape), 0),
            ...six(broadcastStrides(bShape, shape), 0),
          );
          return [result];
        });
        expectClose(out, reference, 0);
        for (const t of tensors) t.dispose();
      }
    }
  });
});
