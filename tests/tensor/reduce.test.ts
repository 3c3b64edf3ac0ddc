import { describe, expect, it } from "vitest";
import { ConfigError, DtypeError, ShapeError } from "../../lib/errors.js";
import * as anneal from "../../lib/tensor/index.js";
import { backward, scope, type Tensor } from "../../lib/tensor/index.js";
import { download, expectClose, FLOATS, rounded, TOLERANCE, upload } from "../native/harness.js";
import { rng, sizeOf } from "../reference/array.js";
import * as reference from "../reference/reduce.js";
import { expectGradients } from "./gradients.js";

const NAMES = {
  sum: "sum",
  mean: "mean",
  max: "max",
  min: "min",
  prod: "prod",
  logSumExp: "logsumexp",
} as const;
type Name = keyof typeof NAMES;
const SHAPES = [[5], [1], [3, 4], [2, 7, 3], [1, 65, 1], [2, 3, 2, 5]];

/** Distinct values near 1, so that products stay in range and extremes are unique in bf16 too. */
function distinct(size: number): Float64Array {
  const order = Array.from(rng(size).uniforms(size).keys());
  const random = rng(size + 1).uniforms(size);
  order.sort((a, b) => random[a] - random[b]);
  return Float64Array.from(order, (rank) => 0.75 + rank / 128);
}

describe.each(FLOATS)("reductions in %s", (dtype) => {
  it.each(Object.keys(NAMES) as Name[])(
    "%s over every axis follows the oracle, forward and backward",
    (name) => {
      for (const shape of SHAPES) {
        for (let axis = -shape.length; axis < shape.length; axis++) {
          scope(() => {
            const values = distinct(sizeOf(shape));
            const exact = rounded(values, dtype);
            const x = upload(values, dtype, shape);
            x.requiresGrad = true;
            const at = axis < 0 ? axis + shape.length : axis;
            const y = x[name](axis, { keepDims: axis % 2 === 0 });
            expect(y.shape).toEqual(
              axis % 2 === 0 ? shape.map((n, d) => (d === at ? 1 : n)) : shape.filter((_, d) => d !== at),
            );
            expectClose(
              download(y),
              reference.reduce(NAMES[name], exact, shape, axis),
              TOLERANCE[dtype],
              name,
            );
            const dy = rounded(rng(2).normals(y.size), dtype);
            backward(y, { gradients: [upload(dy, dtype, y.shape)] });
            const dx = reference.reduceBackward(NAMES[name], exact, shape, axis, dy);
            expectClose(download(x.grad as Tensor), dx, 3 * TOLERANCE[dtype], `d${name} ${shape} ${axis}`);
          });
        }
      }
    },
  );

  it("argmax and argmin name the first of equal elements", () => {
    scope(() => {
      const values = [3, 1, 3, 1, 5, 0, 0, 5];
      const x = upload(values, dtype, [2, 4]);
      expect([...x.argmax(1).dataSync()]).toEqual([0, 0]);
      expect([...x.argmin(1).dataSync()]).toEqual([1, 1]);
      expect([...x.argmax(0).dataSync()]).toEqual([1, 0, 0, 1]);
      expect(x.argmax(0, { keepDims: true }).shape).toEqual([1, 4]);
      expect([...x.argmax().dataSync()]).toEqual([4]);
      expect(x.argmin().dtype).toBe("i32");
    });
  });

  it("cumsum runs both ways, forward and backward", () => {
    for (const shape of SHAPES) {
      for (const reverse of [false, true]) {
        scope(() => {
          const values = rng(9).normals(sizeOf(shape));
          const x = upload(values, dtype, shape);
          x.requiresGrad = true;
          const axis = shape.length - 1;
          const y = x.cumsum(-1, { reverse });
          expectClose(
            download(y),
            reference.cumulativeSum(rounded(values, dtype), shape, axis, reverse),
            TOLERANCE[dtype],
          );
          const dy = rounded(rng(10).normals(y.size), dtype);
          backward(y, { gradients: [upload(dy, dtype, shape)] });
          expectClose(
            download(x.grad as Tensor),
            reference.cumulativeSumBackward(dy, shape, axis, reverse),
            TOLERANCE[dtype],
          );
        });
      }
    }
  });
});

describe("reductions over several axes", () => {
  const shape = [2, 3, 4, 5];
  const AXES = [[0, 1], [1, 2], [2, 3], [0, 2], [1, 3], [0, 3], [0, 1, 3], [3, 1], [0, 1, 2, 3], []];

  // The same sum in the order of the oracle: axes from the last to the first, one at a time.
  const stepwise = (
    name: "sum" | "max" | "logsumexp",
    values: Float64Array,
    axes: number[],
  ): Float64Array => {
    let result = values;
    const left = [...shape];
    for (const axis of [...axes].sort((a, b) => b - a)) {
      result = reference.reduce(name, result, left, axis);
      left.splice(axis, 1);
    }
    return result;
  };

  it("take any subset, neighbours or not", () => {
    for (const axes of AXES) {
      scope(() => {
        const values = rounded(distinct(120), "f32");
        const x = upload(values, "f32", shape);
        expectClose(download(x.sum(axes)), stepwise("sum", values, axes), 2e-6, `sum ${axes}`);
        expectClose(download(x.max(axes)), stepwise("max", values, axes), 0, `max ${axes}`);
        if (axes.length > 0)
          expectClose(download(x.logSumExp(axes)), stepwise("logsumexp", values, axes), 2e-6);
        const count = axes.reduce((product, axis) => product * shape[axis], 1);
        expectClose(
          download(x.mean(axes)),
          stepwise("sum", values, axes).map((v) => v / count),
          2e-6,
          `mean ${axes}`,
        );
        expect(x.sum(axes, { keepDims: true }).shape).toEqual(
          shape.map((n, d) => (axes.includes(d) ? 1 : n)),
        );
      });
    }
  });

  it.each([...(Object.keys(NAMES) as Name[]), "variance" as const])(
    "%s has the right gradient for them",
    (name) => {
      const values = distinct(24);
      for (const axes of [undefined, 1, [0, 2], [0, 1], [1, 2]]) {
        for (const keepDims of [false, true]) {
          expectGradients((x) => x[name](axes, { keepDims }), [{ shape: [2, 3, 4], values }], {
            step: 1e-3,
            tolerance: 5e-3,
          });
        }
      }
    },
  );
});

describe("edges of reductions", () => {
  it("reduce nothing to the neutral element", () => {
    scope(() => {
      const x = anneal.zeros([3, 0]);
      expect([...x.sum(1).dataSync()]).toEqual([0, 0, 0]);
      expect([...x.prod(1).dataSync()]).toEqual([1, 1, 1]);
      expect([...x.max(1).dataSync()]).toEqual([-Infinity, -Infinity, -Infinity]);
      expect([...x.min(1).dataSync()]).toEqual([Infinity, Infinity, Infinity]);
      expect([...x.logSumExp(1).dataSync()]).toEqual([-Infinity, -Infinity, -Infinity]);
      expect([...x.mean(1).dataSync()]).toEqual([NaN, NaN, NaN]);
      expect(x.sum(0).shape).toEqual([0]);
      expect([...anneal.tensor(4).sum().dataSync()]).toEqual([4]);
    });
  });

  it("give products with zeros their gradients", () => {
    scope(() => {
      const x = anneal.tensor(
        [
          [2, 3, 4],
          [2, 0, 4],
          [0, 0, 4],
        ],
        { requiresGrad: true },
      );
      x.prod(1).sum().backward();
      expect([...(x.grad as Tensor).dataSync()]).toEqual([12, 8, 6, 0, 8, 0, 0, 0, 0]);
    });
  });

  it("give masked lines of logSumExp no gradient", () => {
    scope(() => {
      const x = anneal.tensor(
        [
          [-Infinity, -Infinity],
          [0, -Infinity],
        ],
        { requiresGrad: true },
      );
      x.logSumExp(1).backward({ gradients: [anneal.ones([2])] });
      expect([...(x.grad as Tensor).dataSync()]).toEqual([0, 0, 1, 0]);
    });
  });

  it("count booleans and sum integers", () => {
    scope(() => {
      const x = anneal.arange(0, 6).reshape([2, 3]);
      expect([...x.sum(0).dataSync()]).toEqual([3, 5, 7]);
      expect([...x.max(1).dataSync()]).toEqual([2, 5]);
      const count = x.gt(2).sum();
      expect(count.dtype).toBe("i32");
      expect([...count.dataSync()]).toEqual([3]);
      expect(() => x.mean()).toThrow(DtypeError);
    });
  });

  it("estimate variances as PyTorch does", () => {
    scope(() => {
      const x = anneal.tensor([
        [1, 2, 4],
        [1001, 1002, 1004],
      ]);
      expectClose(download(x.variance(1)), [7 / 3, 7 / 3], 1e-6);
      expectClose(download(x.variance(1, { correction: 0 })), [14 / 9, 14 / 9], 1e-6);
      expect(x.variance(1, { keepDims: true }).shape).toEqual([2, 1]);
      expect(() => x.variance(1, { correction: -1 })).toThrow(ConfigError);
    });
  });

  it("name a wrong axis", () => {
    scope(() => {
      const x = anneal.zeros([2, 3]);
      expect(() => x.sum(2)).toThrow("sum: axis 2 lies outside -2 to 1 for a tensor with 2 dimensions.");
      expect(() => x.sum([0, -2])).toThrow(ShapeError);
      expect(() => anneal.tensor(1).sum(0)).toThrow("sum: axis 0 was given for a scalar, which has none.");
    });
  });
});
