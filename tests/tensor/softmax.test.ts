import { describe, expect, it } from "vitest";
import * as anneal from "../../lib/tensor/index.js";
import { backward, crossEntropy, scope, type Tensor } from "../../lib/tensor/index.js";
import { download, expectClose, FLOATS, rounded, TOLERANCE, upload } from "../native/harness.js";
import { rng, sizeOf } from "../reference/array.js";
import * as reference from "../reference/reduce.js";
import { expectGradients } from "./gradients.js";

const CASES = {
  softmax: [reference.softmax, reference.softmaxBackward],
  logSoftmax: [reference.logSoftmax, reference.logSoftmaxBackward],
} as const;

describe.each(FLOATS)("in %s", (dtype) => {
  it.each(Object.keys(CASES) as (keyof typeof CASES)[])("%s along every axis follows the oracle", (name) => {
    const [forward, gradient] = CASES[name];
    for (const shape of [[1], [9], [3, 5], [2, 3, 33], [4, 1, 2, 3], [0, 3]]) {
      for (let axis = -1; axis < shape.length; axis++) {
        scope(() => {
          const at = axis < 0 ? axis + shape.length : axis;
          const values = rng(3).normals(sizeOf(shape), 3);
          const x = upload(values, dtype, shape);
          x.requiresGrad = true;
          const y = x[name](axis);
          const expected = forward(rounded(values, dtype), shape, at);
          expectClose(download(y), expected, TOLERANCE[dtype], `${name} ${shape} ${axis}`);
          const dy = rounded(rng(4).normals(y.size), dtype);
          backward(y, { gradients: [upload(dy, dtype, shape)] });
          expectClose(
            download(x.grad as Tensor),
            gradient(expected, dy, shape, at),
            3 * TOLERANCE[dtype],
            `d${name} ${shape} ${axis}`,
          );
        });
      }
    }
  });
});

it("masked entries get no probability and no gradient", () => {
  scope(() => {
    const x = anneal.tensor(
      [
        [0, -Infinity, 0],
        [1, 1, 1],
      ],
      { requiresGrad: true },
    );
    const y = x.softmax();
    expectClose(download(y), [0.5, 0, 0.5, 1 / 3, 1 / 3, 1 / 3], 1e-6);
    y.square().sum().backward();
    expect(Math.abs((x.grad as Tensor).dataSync()[1])).toBe(0);
  });
});

describe("crossEntropy", () => {
  const targets = Int32Array.of(1, 0, -100, 4, 2, -100);
  const expected = (logits: Float64Array): Float64Array => {
    const logProbs = reference.logSoftmax(logits, [6, 5], 1);
    return Float64Array.from(targets, (target, row) => (target < 0 ? 0 : -logProbs[row * 5 + target]));
  };

  it.each(FLOATS)("follows the oracle with every reduction (%s)", (dtype) => {
    scope(() => {
      const values = rng(1).normals(30, 2);
      const rows = expected(rounded(values, dtype));
      const total = rows.reduce((a, b) => a + b, 0);
      const logits = upload(values, dtype, [2, 3, 5]);
      const ids = upload(targets, "i32", [2, 3]);
      const none = crossEntropy(logits, ids, { reduction: "none" });
      expect(none.shape).toEqual([2, 3]);
      expect(none.dtype).toBe("f32");
      expectClose(download(none), rows, 1e-6);
      expectClose(download(crossEntropy(logits, ids, { reduction: "sum" })), [total], 1e-6);
      expectClose(download(crossEntropy(logits, ids)), [total / 4], 1e-6);
    });
  });

  it.each(["mean", "sum", "none"] as const)("has the right gradient (%s)", (reduction) => {
    expectGradients((x) => crossEntropy(x, upload(targets, "i32"), { reduction }), [{ shape: [6, 5] }]);
  });

  it("gives bf16 logits a gradient in their rounding", () => {
    scope(() => {
      const values = rng(2).normals(30);
      const gradientOf = (dtype: "f32" | "bf16"): Float64Array => {
        const x = upload(rounded(values, "bf16"), dtype, [6, 5]);
        x.requiresGrad = true;
        crossEntropy(x, upload(targets, "i32")).backward();
        return download(x.grad as Tensor);
      };
      expect(gradientOf("bf16")).toEqual(rounded(gradientOf("f32"), "bf16"));
    });
  });

  it("is 0 when no target counts, and takes another ignoreIndex", () => {
    scope(() => {
      const x = upload(rng(2).normals(10), "f32", [2, 5]);
      x.requiresGrad = true;
      const loss = crossEntropy(x, upload([-100, -100], "i32"));
      loss.backward();
      expect([...loss.dataSync()]).toEqual([0]);
      expect([...(x.grad as Tensor).dataSync()]).toEqual(new Array(10).fill(0));
      const one = crossEntropy(x, upload([3, 0], "i32"), { ignoreIndex: 0 });
      expectClose(download(one), [-download(x.logSoftmax())[3]], 1e-6);
    });
  });

  it("reports wrong targets and options", () => {
    scope(() => {
      const x = anneal.zeros([2, 5]);
      expect(() => crossEntropy(x, upload([1], "i32"))).toThrow(
        "crossEntropy: targets must have shape [2], got [1].",
      );
      expect(() => crossEntropy(x, upload([1, 1], "f32"))).toThrow(
        "crossEntropy: targets must be i32, got f32.",
      );
      expect(() => crossEntropy(x, upload([1, 1], "i32"), { reduction: "men" as "mean" })).toThrow(
        'Did you mean "mean"?',
      );
      expect(() => crossEntropy(x, upload([1, 7], "i32")).dataSync()).toThrow(/kernel gather failed/);
    });
  });
});
