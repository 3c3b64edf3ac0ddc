import { describe, expect, it } from "vitest";
import { DtypeError, ShapeError } from "../../lib/errors.js";
import * as anneal from "../../lib/tensor/index.js";
import { backward, scope, type Tensor } from "../../lib/tensor/index.js";
import { download, expectClose, FLOATS, type Float, rounded, TOLERANCE, upload } from "../native/harness.js";
import { rng, sizeOf } from "../reference/array.js";
import * as reference from "../reference/elementwise.js";

const operations = { ...anneal };
const SHAPES = [[], [0], [1], [7], [3, 5], [2, 3, 17], [4, 0, 2]];

/** A leaf that holds values, and the values as its dtype rounds them. */
function leaf(
  values: ArrayLike<number>,
  dtype: Float,
  shape: readonly number[],
): { t: Tensor; values: Float64Array } {
  const t = upload(values, dtype, shape);
  t.requiresGrad = true;
  return { t, values: rounded(values, dtype) };
}

/** Sends dy back through y. */
function send(y: Tensor, dy: ArrayLike<number>): void {
  backward(y, { gradients: [upload(dy, y.dtype as Float, y.shape)] });
}

const UNARY = [
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
  "erf",
] as const;
const POSITIVE = ["log", "sqrt", "rsqrt", "reciprocal"];

describe.each(FLOATS)("functions of one %s tensor", (dtype) => {
  it.each(UNARY)("%s follows the oracle, forward and backward", (name) => {
    for (const shape of SHAPES) {
      scope(() => {
        const random = rng(sizeOf(shape) + 1);
        const size = sizeOf(shape);
        const values = POSITIVE.includes(name) ? random.uniforms(size, 0.2, 4) : random.uniforms(size, -4, 4);
        const x = leaf(values, dtype, shape);
        const dy = rounded(random.normals(size), dtype);
        const y = operations[name](x.t);
        expect(y.shape).toEqual(shape);
        expectClose(download(y), reference.unary(name, x.values), TOLERANCE[dtype], name);
        send(y, dy);
        expectClose(
          download(x.t.grad as Tensor),
          reference.unaryBackward(name, x.values, dy),
          2 * TOLERANCE[dtype],
          `d${name}`,
        );
      });
    }
  });

  it("clamp, pow, addScalar and mulScalar follow the oracle", () => {
    scope(() => {
      const random = rng(3);
      const values = random.uniforms(37, 0.1, 3);
      const dy = rounded(random.normals(37), dtype);
      const exact = rounded(values, dtype);
      const cases: [Tensor, Float64Array, Float64Array, Tensor][] = [];
      const add = (f: (x: Tensor) => Tensor, y: Float64Array, dx: Float64Array): void => {
        const x = leaf(values, dtype, [37]);
        cases.push([f(x.t), y, dx, x.t]);
      };
      add((x) => x.clamp(0.5, 2), reference.clamp(exact, 0.5, 2), reference.clampBackward(exact, dy, 0.5, 2));
      add((x) => x.clamp(1), reference.clamp(exact, 1), reference.clampBackward(exact, dy, 1));
      add((x) => x.pow(2.5), reference.powScalar(exact, 2.5), reference.powScalarBackward(exact, dy, 2.5));
      add((x) => x.pow(0), reference.powScalar(exact, 0), reference.powScalarBackward(exact, dy, 0));
      add((x) => x.addScalar(1.5), reference.affine(exact, 1, 1.5), dy);
      add(
        (x) => x.mulScalar(-3),
        reference.affine(exact, -3, 0),
        dy.map((v) => -3 * v),
      );
      for (const [y, expected, dx, x] of cases) {
        expectClose(download(y), expected, TOLERANCE[dtype]);
        send(y, dy);
        expectClose(download(x.grad as Tensor), dx, 2 * TOLERANCE[dtype]);
      }
    });
  });
});

const BINARY = {
  add: "add",
  sub: "sub",
  mul: "mul",
  div: "div",
  pow: "pow",
  minimum: "min",
  maximum: "max",
} as const;
const PAIRS: [number[], number[]][] = [
  [[], []],
  [[3], [3]],
  [[2, 3], [3]],
  [[3], [2, 3]],
  [
    [2, 1, 4],
    [3, 1],
  ],
  [[], [2, 2]],
  [[1], [0]],
  [
    [2, 0, 3],
    [1, 3],
  ],
  [
    [5, 1],
    [1, 4],
  ],
  [
    [2, 3, 4],
    [2, 1, 4],
  ],
  [
    [2, 1, 3, 1, 2, 1, 2],
    [2, 1, 3, 1, 2, 1, 2],
  ],
  [
    [2, 2, 2, 2, 2, 2, 2, 3],
    [2, 2, 2, 3],
  ],
];

/** Values and shape of the left operand, then of the right one. */
type Sides = [ArrayLike<number>, number[], ArrayLike<number>, number[]];

describe.each(FLOATS)("arithmetic of two %s tensors", (dtype) => {
  it.each(Object.keys(BINARY) as (keyof typeof BINARY)[])(
    "%s broadcasts and sums its gradients back",
    (name) => {
      for (const [aShape, bShape] of PAIRS) {
        scope(() => {
          const random = rng(7);
          const a = leaf(random.uniforms(sizeOf(aShape), 0.4, 2), dtype, aShape);
          const b = leaf(random.uniforms(sizeOf(bShape), 0.4, 2), dtype, bShape);
          const y = operations[name](a.t, b.t);
          const expected = reference.binary(BINARY[name], a.values, aShape, b.values, bShape);
          expect(y.shape).toEqual(expected.shape);
          expectClose(download(y), expected.out, TOLERANCE[dtype], name);
          const dy = rounded(random.uniforms(y.size, 0.5, 1), dtype);
          send(y, dy);
          const gradients = reference.binaryBackward(BINARY[name], a.values, aShape, b.values, bShape, dy);
          expectClose(
            download(a.t.grad as Tensor),
            gradients.da,
            3 * TOLERANCE[dtype],
            `d${name}/da ${aShape} ${bShape}`,
          );
          expectClose(
            download(b.t.grad as Tensor),
            gradients.db,
            3 * TOLERANCE[dtype],
            `d${name}/db ${aShape} ${bShape}`,
          );
        });
      }
    },
  );

  it("takes a number on either side", () => {
    scope(() => {
      const values = rng(5).uniforms(11, 0.5, 2);
      for (const name of Object.keys(BINARY) as (keyof typeof BINARY)[]) {
        for (const numberFirst of [false, true]) {
          const x = leaf(values, dtype, [11]);
          const y = numberFirst ? operations[name](1.25, x.t) : operations[name](x.t, 1.25);
          const sides: Sides = numberFirst ? [[1.25], [], x.values, [11]] : [x.values, [11], [1.25], []];
          expectClose(download(y), reference.binary(BINARY[name], ...sides).out, TOLERANCE[dtype], name);
          send(y, new Float64Array(11).fill(1));
          const { da, db } = reference.binaryBackward(BINARY[name], ...sides, new Float64Array(11).fill(1));
          expectClose(download(x.t.grad as Tensor), numberFirst ? db : da, 3 * TOLERANCE[dtype], `d${name}`);
        }
      }
    });
  });
});

describe("arithmetic", () => {
  it("works on integers without gradients", () => {
    scope(() => {
      const a = anneal.tensor([7, -8, 9], { dtype: "i32" });
      const b = anneal.tensor([2, 3, -4], { dtype: "i32" });
      expect([...a.add(b).dataSync()]).toEqual([9, -5, 5]);
      expect([...a.sub(1).dataSync()]).toEqual([6, -9, 8]);
      expect([...a.mul(b).dataSync()]).toEqual([14, -24, -36]);
      expect([...a.div(b).dataSync()]).toEqual([3, -2, -2]);
      expect([...a.maximum(0).dataSync()]).toEqual([7, 0, 9]);
      expect([...a.clamp(-2).dataSync()]).toEqual([7, -2, 9]);
      expect([...a.neg().dataSync()]).toEqual([-7, 8, -9]);
      expect(() => a.add(0.5)).toThrow(/no 32-bit integer.*to\("f32"\)/);
    });
  });

  it("gives pow its gradients at 0 as PyTorch does", () => {
    scope(() => {
      const base = leaf([0, 0, 2, 0], "f32", [4]).t;
      const exponent = leaf([0, 2, 0, 1], "f32", [4]).t;
      base.pow(exponent).sum().backward();
      expect([...(base.grad as Tensor).dataSync()]).toEqual([0, 0, 0, 1]);
      expect((exponent.grad as Tensor).dataSync()[2]).toBeCloseTo(Math.LN2, 6);
      expect([...(exponent.grad as Tensor).dataSync()].filter((_, i) => i !== 2)).toEqual([0, 0, 0]);
    });
  });

  it("splits the gradient of equal sides", () => {
    scope(() => {
      const a = leaf([1, 5, 2], "f32", [3]).t;
      const b = leaf([1, 4, 3], "f32", [3]).t;
      a.maximum(b).sum().backward();
      expect([...(a.grad as Tensor).dataSync()]).toEqual([0.5, 1, 0]);
      expect([...(b.grad as Tensor).dataSync()]).toEqual([0.5, 0, 1]);
    });
  });

  it("names what does not fit", () => {
    scope(() => {
      const a = anneal.zeros([2, 3]);
      expect(() => a.add(anneal.zeros([2]))).toThrow(ShapeError);
      expect(() => a.add(anneal.zeros([2]))).toThrow("add: shapes [2, 3] and [2] do not broadcast");
      expect(() => a.mul(anneal.zeros([3], { dtype: "bf16" }))).toThrow(DtypeError);
      expect(() => a.mul(anneal.zeros([3], { dtype: "bf16" }))).toThrow(
        "mul: operands have dtypes f32 and bf16; cast one of them with to().",
      );
      expect(() => anneal.add(1, 2)).toThrow(DtypeError);
      expect(() => anneal.exp(anneal.arange(0, 3))).toThrow("exp: x must be f32 or bf16, got i32.");
      const alternating = [2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2];
      expect(() => anneal.zeros(alternating).add(anneal.zeros(alternating.map((n) => 3 - n)))).toThrow(
        /at most 6/,
      );
    });
  });
});

describe("comparisons and logic", () => {
  const names = { eq: "eq", ne: "ne", lt: "lt", le: "le", gt: "gt", ge: "ge" } as const;

  it.each(Object.keys(names) as (keyof typeof names)[])("%s gives u8", (name) => {
    for (const dtype of ["f32", "bf16", "i32"] as const) {
      scope(() => {
        const a = rng(1).integers(24, 3);
        const b = rng(2).integers(4, 3);
        const y = operations[name](upload(a, dtype, [2, 3, 4]), upload(b, dtype, [4]));
        expect(y.dtype).toBe("u8");
        expect(download(y)).toEqual(reference.binary(name, a, [2, 3, 4], b, [4]).out);
        expect(download(operations[name](upload(a, dtype, [24]), 1))).toEqual(
          reference.binary(name, a, [24], [1], []).out,
        );
      });
    }
  });

  it("and, or, not", () => {
    scope(() => {
      const a = anneal.tensor(Uint8Array.of(0, 0, 1, 1));
      const b = anneal.tensor(Uint8Array.of(0, 1, 0, 1));
      expect([...a.logicalAnd(b).dataSync()]).toEqual([0, 0, 0, 1]);
      expect([...a.logicalOr(b).dataSync()]).toEqual([0, 1, 1, 1]);
      expect([...a.logicalNot().dataSync()]).toEqual([1, 1, 0, 0]);
      expect(() => anneal.zeros([2]).logicalNot()).toThrow(DtypeError);
    });
  });
});

describe("where", () => {
  it.each(FLOATS)("chooses with broadcasting on three sides (%s)", (dtype) => {
    scope(() => {
      const random = rng(4);
      const condition = { values: random.integers(3, 2), shape: [3, 1] };
      const a = leaf(random.normals(8), dtype, [2, 1, 4]);
      const b = leaf(random.normals(4), dtype, [4]);
      const y = anneal.where(upload(condition.values, "u8", [3, 1]), a.t, b.t);
      const expected = reference.where(
        condition,
        { values: a.values, shape: [2, 1, 4] },
        { values: b.values, shape: [4] },
      );
      expect(y.shape).toEqual(expected.shape);
      expect(download(y)).toEqual(expected.out);
      const dy = rounded(random.normals(24), dtype);
      send(y, dy);
      const { da, db } = reference.whereBackward(condition, [2, 1, 4], [4], dy);
      expectClose(download(a.t.grad as Tensor), da, TOLERANCE[dtype]);
      expectClose(download(b.t.grad as Tensor), db, TOLERANCE[dtype]);
    });
  });

  it("takes numbers and wants a u8 condition", () => {
    scope(() => {
      const x = leaf([1, -2, 3], "f32", [3]).t;
      const y = anneal.where(x.gt(0), x, 0);
      expect([...y.dataSync()]).toEqual([1, 0, 3]);
      y.sum().backward();
      expect([...(x.grad as Tensor).dataSync()]).toEqual([1, 0, 1]);
      expect([...anneal.where(x.gt(0), 1, -1).dataSync()]).toEqual([1, -1, 1]);
      expect(() => anneal.where(x, x, x)).toThrow("where: condition must be u8, got f32.");
    });
  });
});

describe("cast", () => {
  it("rounds to bf16 and sends gradients back in the dtype of the input", () => {
    scope(() => {
      const values = rng(6).normals(33);
      const x = leaf(values, "f32", [33]).t;
      const y = x.to("bf16");
      expect(download(y)).toEqual(rounded(values, "bf16"));
      const dy = rounded(rng(8).normals(33), "bf16");
      send(y, dy);
      expect(download(x.grad as Tensor)).toEqual(dy);
    });
  });

  it("converts between all dtypes and returns x itself where nothing changes", () => {
    scope(() => {
      const x = anneal.tensor([1.7, -1.7, 0, 300]);
      expect(x.to("f32")).toBe(x);
      expect([...x.to("i32").dataSync()]).toEqual([1, -1, 0, 300]);
      expect([...x.to("u8").dataSync()]).toEqual([1, 1, 0, 1]);
      expect([...x.to("u8").to("f32").dataSync()]).toEqual([1, 1, 0, 1]);
      expect(() => x.to("i64")).toThrow(DtypeError);
    });
  });
});
