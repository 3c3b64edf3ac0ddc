import { describe, expect, it } from "vitest";
import { ShapeError } from "../../lib/errors.js";
import * as anneal from "../../lib/tensor/index.js";
import { scope, type Tensor } from "../../lib/tensor/index.js";
import { upload } from "../native/harness.js";
import { sizeOf } from "../reference/array.js";
import { expectGradients } from "./gradients.js";

type Dtype = "f32" | "bf16" | "i32" | "u8";
const DTYPES: Dtype[] = ["f32", "bf16", "i32", "u8"];

/** 0, 1, 2, … (below 256, so that every dtype holds them) in a shape. */
function counting(shape: number[], dtype: Dtype = "f32"): Tensor {
  return upload(
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => i),
    dtype,
    shape,
  );
}

/** The element at an index of a counting tensor. */
function at(shape: readonly number[], index: readonly number[]): number {
  return index.reduce((flat, i, d) => flat * shape[d] + i, 0);
}

/** Every index of a shape in order. */
function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, n) => all.flatMap((i) => Array.from({ length: n }, (_, k) => [...i, k])),
    [[]],
  );
}

describe.each(DTYPES)("layout of %s", (dtype) => {
  it("permute and transpose move every element to its place", () => {
    for (const [shape, order] of [
      [
        [3, 4],
        [1, 0],
      ],
      [
        [2, 3, 4],
        [2, 0, 1],
      ],
      [
        [2, 3, 4],
        [0, 2, 1],
      ],
      [
        [2, 1, 3, 2, 2],
        [4, 2, 0, 1, 3],
      ],
      [
        [2, 2, 2, 2, 2, 2],
        [5, 4, 3, 2, 1, 0],
      ],
      [
        [2, 2, 2, 2, 2, 2, 2],
        [3, 4, 5, 6, 0, 1, 2],
      ],
      [
        [0, 3],
        [-1, 0],
      ],
    ]) {
      scope(() => {
        const axes = order.map((axis) => (axis < 0 ? axis + shape.length : axis));
        const y = counting(shape, dtype).permute(order);
        expect(y.shape).toEqual(axes.map((axis) => shape[axis]));
        const expected = indices(y.shape).map((index) => {
          const source = new Array<number>(shape.length);
          axes.forEach((axis, d) => {
            source[axis] = index[d];
          });
          return at(shape, source);
        });
        expect([...y.dataSync()]).toEqual(expected);
      });
    }
    scope(() => {
      expect([...counting([2, 3], dtype).transpose().dataSync()]).toEqual([0, 3, 1, 4, 2, 5]);
      expect(counting([2, 3, 4], dtype).transpose(0, 2).shape).toEqual([4, 3, 2]);
    });
  });

  it("slice and split cut, concat and stack join", () => {
    scope(() => {
      const x = counting([2, 5, 3], dtype);
      expect([...x.slice(1, 1, 3).dataSync()]).toEqual([3, 4, 5, 6, 7, 8, 18, 19, 20, 21, 22, 23]);
      expect([...x.slice(0, 1).dataSync()]).toEqual([...Array(15).keys()].map((i) => i + 15));
      expect([...x.slice(-1, -1).dataSync()]).toEqual([2, 5, 8, 11, 14, 17, 20, 23, 26, 29]);
      expect(x.slice(1, 4, 2).shape).toEqual([2, 0, 3]);
      expect(x.slice(1, 3, 99).shape).toEqual([2, 2, 3]);
      const parts = x.split([1, 0, 4], 1);
      expect(parts.map((part) => part.shape)).toEqual([
        [2, 1, 3],
        [2, 0, 3],
        [2, 4, 3],
      ]);
      expect([...anneal.concat(parts, 1).dataSync()]).toEqual([...x.dataSync()]);
      expect(x.split(2, 1).map((part) => part.shape[1])).toEqual([2, 2, 1]);
      expect([...anneal.concat(x.split(1)).dataSync()]).toEqual([...x.dataSync()]);
      const stacked = anneal.stack([counting([2, 2], dtype), counting([2, 2], dtype)], -1);
      expect(stacked.shape).toEqual([2, 2, 2]);
      expect([...stacked.dataSync()]).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    });
  });

  it("broadcastTo repeats, pad surrounds with zeros", () => {
    scope(() => {
      const x = counting([2, 1], dtype);
      expect([...x.broadcastTo([2, 2, 3]).dataSync()]).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]);
      expect(x.expand([3, -1, 2]).shape).toEqual([3, 2, 2]);
      expect([
        ...counting([1, 2], dtype)
          .pad([
            [1, 0],
            [0, 2],
          ])
          .dataSync(),
      ]).toEqual([0, 0, 0, 0, 0, 1, 0, 0]);
      expect(x.pad([[0, 3]]).shape).toEqual([2, 4]);
    });
  });
});

describe("shapes without copies", () => {
  it("reshape, flatten, squeeze, unsqueeze share the memory", () => {
    scope(() => {
      const x = counting([2, 1, 6]);
      expect(x.reshape([3, -1]).shape).toEqual([3, 4]);
      expect(x.flatten().shape).toEqual([12]);
      expect(x.flatten(1).shape).toEqual([2, 6]);
      expect(anneal.tensor(3).flatten().shape).toEqual([1]);
      expect(x.squeeze().shape).toEqual([2, 6]);
      expect(x.squeeze(1).shape).toEqual([2, 6]);
      expect(x.unsqueeze(0).shape).toEqual([1, 2, 1, 6]);
      expect(x.unsqueeze(-1).shape).toEqual([2, 1, 6, 1]);
      const view = x.reshape([12]);
      x.write(new Float32Array(12).fill(7));
      expect([...view.dataSync()]).toEqual(new Array(12).fill(7));
    });
  });

  it("outlive the tensor they came from", () => {
    const x = counting([4, 3]);
    const row = x.slice(0, 2, 3);
    x.dispose();
    expect([...row.dataSync()]).toEqual([6, 7, 8]);
    row.dispose();
  });
});

describe("gradients", () => {
  it.each([
    ["permute", (x: Tensor) => x.permute([2, 0, 1])],
    ["transpose", (x: Tensor) => x.transpose(0, 1)],
    ["reshape", (x: Tensor) => x.reshape([4, 6])],
    ["flatten", (x: Tensor) => x.flatten(0, 1)],
    ["unsqueeze", (x: Tensor) => x.unsqueeze(1)],
    ["slice in the middle", (x: Tensor) => x.slice(1, 1, 2)],
    ["slice of the first axis", (x: Tensor) => x.slice(0, 1)],
    ["split", (x: Tensor) => x.split([1, 2], 1)],
    ["split, one part used", (x: Tensor) => x.split([1, 2], 1)[1].mul(2)],
    ["concat with itself", (x: Tensor) => anneal.concat([x, x, x.mul(2)], 1)],
    ["stack with itself", (x: Tensor) => anneal.stack([x, x], 2)],
    ["broadcastTo", (x: Tensor) => x.slice(1, 0, 1).broadcastTo([2, 2, 5, 4])],
    ["broadcastTo the same shape", (x: Tensor) => x.broadcastTo([1, 2, 3, 4])],
    [
      "pad",
      (x: Tensor) =>
        x.pad([
          [1, 2],
          [0, 0],
          [3, 0],
        ]),
    ],
  ])("of %s", (_name, operation) => {
    expectGradients(operation, [{ shape: [2, 3, 4] }]);
  });

  it("of concat reach every part", () => {
    expectGradients(
      (a, b, c) => anneal.concat([a, b, c], -1),
      [{ shape: [2, 1] }, { shape: [2, 3] }, { shape: [2, 0] }],
    );
    expectGradients((a, b) => anneal.concat([a, b], 0), [{ shape: [2, 2] }, { shape: [1, 2] }]);
  });
});

describe("creation", () => {
  it("fills, counts and makes identities in every dtype", () => {
    scope(() => {
      for (const dtype of DTYPES) {
        expect([...anneal.full([2], 3, { dtype }).dataSync()]).toEqual([3, 3]);
        expect([...anneal.zerosLike(counting([2, 2], dtype)).dataSync()]).toEqual([0, 0, 0, 0]);
        expect(anneal.onesLike(counting([2], dtype)).dtype).toBe(dtype);
        expect([...anneal.eye(2, 3, { dtype }).dataSync()]).toEqual([1, 0, 0, 0, 1, 0]);
        expect([...anneal.arange(0, 3, 1, { dtype }).dataSync()]).toEqual([0, 1, 2]);
      }
      expect([...anneal.eye(3).dataSync()]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
      expect(anneal.eye(0).shape).toEqual([0, 0]);
      expect([...anneal.arange(5, 0, -2).dataSync()]).toEqual([5, 3, 1]);
      expect(anneal.arange(0, 1, 0.25).dtype).toBe("f32");
      expect(anneal.arange(3, 0).shape).toEqual([0]);
      expect(() => anneal.arange(0, 1, 0)).toThrow("arange: no finite sequence");
    });
  });
});

describe("errors", () => {
  it("name operation, shapes and axis", () => {
    scope(() => {
      const x = counting([2, 3]);
      expect(() => x.reshape([4, 2])).toThrow("reshape: [2, 3] has 6 elements and cannot become [4, 2].");
      expect(() => x.reshape([-1, 4])).toThrow(ShapeError);
      expect(() => x.reshape([-1, -1])).toThrow(ShapeError);
      expect(() => x.squeeze(0)).toThrow("squeeze: axis 0 of [2, 3] has length 2, not 1.");
      expect(() => x.permute([0, 0])).toThrow("permute: [0, 0] does not name each of the 2 axes");
      expect(() => x.split([1, 1], 1)).toThrow("split: lengths [1, 1] must add up to 3");
      expect(() => anneal.concat([])).toThrow(ShapeError);
      expect(() => anneal.concat([x, counting([2, 2])])).toThrow(
        "concat: tensors[1] must have shape [any, 3], got [2, 2].",
      );
      expect(() => anneal.stack([x, counting([3, 2])])).toThrow(
        "stack: tensors[1] must have shape [2, 3], got [3, 2].",
      );
      expect(() => x.broadcastTo([2, 4])).toThrow(ShapeError);
      expect(() => x.broadcastTo([3])).toThrow(ShapeError);
      expect(() =>
        x.pad([
          [0, 0],
          [0, 0],
          [1, 1],
        ]),
      ).toThrow(ShapeError);
      expect(() => x.flatten(1, 0)).toThrow(ShapeError);
      const wide = counting([2, 2, 2, 2, 2, 2, 2]);
      expect(() => wide.permute([6, 5, 4, 3, 2, 1, 0])).toThrow(
        "needs 7 dimensions after joining neighbours; at most 6 are possible",
      );
    });
  });
});
