import { describe, expect, it } from "vitest";
import { KernelError, ShapeError } from "../../lib/errors.js";
import * as anneal from "../../lib/tensor/index.js";
import { backward, scope, type Tensor } from "../../lib/tensor/index.js";
import { download, expectClose, FLOATS, rounded, TOLERANCE, upload } from "../native/harness.js";
import { rng, sizeOf } from "../reference/array.js";
import { embedding, embeddingBackward } from "../reference/embedding.js";
import * as reference from "../reference/reduce.js";

// Shape of x, axis, length of the index along it.
const CASES: [number[], number, number][] = [
  [[5], 0, 3],
  [[1], 0, 4],
  [[4, 6], 1, 1],
  [[4, 6], 0, 9],
  [[2, 1, 3], 1, 5],
  [[2, 3, 7], -1, 2],
  [[2, 3, 7], 1, 0],
];

describe.each(FLOATS)("in %s", (dtype) => {
  it("gather picks along an axis and adds its gradient back", () => {
    for (const [shape, axis, picks] of CASES) {
      scope(() => {
        const at = axis < 0 ? axis + shape.length : axis;
        const values = rng(1).normals(sizeOf(shape));
        const indexShape = shape.map((n, d) => (d === at ? picks : n));
        const index = rng(2).integers(sizeOf(indexShape), shape[at]);
        const x = upload(values, dtype, shape);
        x.requiresGrad = true;
        const y = x.gather(axis, upload(index, "i32", indexShape));
        expect(y.shape).toEqual(indexShape);
        expect(download(y)).toEqual(reference.gather(rounded(values, dtype), shape, at, index, picks));
        const dy = rounded(rng(3).normals(y.size), dtype);
        backward(y, { gradients: [upload(dy, dtype, y.shape)] });
        const dx = reference.scatterAdd(new Float64Array(x.size), shape, at, index, dy, picks);
        expectClose(download(x.grad as Tensor), dx, 2 * TOLERANCE[dtype]);
      });
    }
  });

  it("scatterAdd adds to a copy", () => {
    for (const [shape, axis, picks] of CASES) {
      scope(() => {
        const at = axis < 0 ? axis + shape.length : axis;
        const indexShape = shape.map((n, d) => (d === at ? picks : n));
        const index = rng(2).integers(sizeOf(indexShape), shape[at]);
        const base = rng(4).normals(sizeOf(shape));
        const source = rng(5).normals(index.length);
        const x = upload(base, dtype, shape);
        const src = upload(source, dtype, indexShape);
        x.requiresGrad = true;
        src.requiresGrad = true;
        const y = x.scatterAdd(axis, upload(index, "i32", indexShape), src);
        const expected = reference.scatterAdd(
          rounded(base, dtype),
          shape,
          at,
          index,
          rounded(source, dtype),
          picks,
        );
        expectClose(download(y), expected, 2 * TOLERANCE[dtype]);
        expect(download(x)).toEqual(rounded(base, dtype));
        const dy = rounded(rng(6).normals(y.size), dtype);
        backward(y, { gradients: [upload(dy, dtype, shape)] });
        expect(download(x.grad as Tensor)).toEqual(dy);
        expect(download(src.grad as Tensor)).toEqual(reference.gather(dy, shape, at, index, picks));
      });
    }
  });

  it("indexSelect takes rows, and the same row twice", () => {
    scope(() => {
      const values = rng(1).normals(24);
      const index = Int32Array.of(3, 0, 3, 1, 3);
      const x = upload(values, dtype, [4, 2, 3]);
      x.requiresGrad = true;
      const y = x.indexSelect(upload(index, "i32"));
      expect(y.shape).toEqual([5, 2, 3]);
      expect(download(y)).toEqual(embedding(rounded(values, dtype), index, 6));
      const dy = rounded(rng(3).normals(30), dtype);
      backward(y, { gradients: [upload(dy, dtype, y.shape)] });
      expectClose(download(x.grad as Tensor), embeddingBackward(dy, index, 4, 6), 2e-6);
    });
  });
});

it("indexSelect and gather take integers and booleans too", () => {
  scope(() => {
    const x = anneal.arange(0, 6).reshape([3, 2]);
    const index = anneal.tensor(Int32Array.of(2, 0));
    expect([...x.indexSelect(index).dataSync()]).toEqual([4, 5, 0, 1]);
    expect([...x.gt(2).indexSelect(index).dataSync()]).toEqual([1, 1, 0, 0]);
    expect([...x.gather(1, anneal.tensor(Int32Array.of(1, 0, 1), { shape: [3, 1] })).dataSync()]).toEqual([
      1, 2, 5,
    ]);
    expect(x.indexSelect(anneal.tensor(new Int32Array(0))).shape).toEqual([0, 2]);
  });
});

it("oneHot", () => {
  scope(() => {
    const ids = anneal.tensor(Int32Array.of(2, 0), { shape: [1, 2] });
    for (const dtype of ["f32", "bf16", "i32", "u8"] as const) {
      const hot = anneal.oneHot(ids, 3, { dtype });
      expect(hot.shape).toEqual([1, 2, 3]);
      expect(hot.dtype).toBe(dtype);
      expect([...hot.dataSync()]).toEqual([0, 0, 1, 1, 0, 0]);
    }
    expect(() => anneal.oneHot(ids, 2).dataSync()).toThrow(KernelError);
  });
});

describe("errors", () => {
  it("name index, shape and axis", () => {
    scope(() => {
      const x = anneal.zeros([2, 3]);
      expect(() => x.gather(1, anneal.zeros([2, 1]))).toThrow("gather: index must be i32, got f32.");
      expect(() => x.gather(1, anneal.zeros([3, 1], { dtype: "i32" }))).toThrow(
        "gather: index must have shape [2, any], got [3, 1].",
      );
      expect(() => x.indexSelect(anneal.zeros([1, 1], { dtype: "i32" }))).toThrow(ShapeError);
    });
  });

  it("report an index outside at the next read, and work again afterwards", async () => {
    const x = anneal.zeros([2, 3]);
    const index = anneal.tensor(Int32Array.of(0, 3), { shape: [2, 1] });
    const y = x.gather(1, index);
    await expect(y.data()).rejects.toThrow(/kernel gather failed: .*3/);
    expect([...(await x.data())]).toEqual([0, 0, 0, 0, 0, 0]);
    for (const t of [x, index, y]) t.dispose();
  });
});
