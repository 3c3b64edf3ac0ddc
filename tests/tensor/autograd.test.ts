import { describe, expect, it } from "vitest";
import { DisposedError, ShapeError } from "../../lib/errors.js";
import { memory } from "../../lib/native/device.js";
import {
  add,
  backward,
  type GradientSink,
  isGradEnabled,
  keep,
  linear,
  linearCrossEntropy,
  noGrad,
  ones,
  record,
  scope,
  stack,
  type Tensor,
  tensor,
  zeros,
} from "../../lib/tensor/index.js";
import { download, expectClose, rounded, upload } from "../native/harness.js";
import { rng } from "../reference/array.js";
import { expectGradients } from "./gradients.js";

/** A leaf with gradient. */
function leaf(values: number[], dtype: "f32" | "bf16" = "f32"): Tensor {
  return tensor(Float32Array.from(values), { dtype, requiresGrad: true });
}

function gradientOf(t: Tensor): number[] {
  expect(t.grad, "gradient").not.toBeNull();
  return [...(t.grad as Tensor).dataSync()];
}

describe("the tape", () => {
  it("adds gradients of a tensor that is used several times", () => {
    scope(() => {
      const x = leaf([1, 2, 3]);
      x.mul(x).add(x).add(x).sum().backward();
      expect(gradientOf(x)).toEqual([4, 6, 8]);
      const y = leaf([4, 5]);
      y.sub(y).sum().backward();
      expect(gradientOf(y)).toEqual([0, 0]);
    });
  });

  it("adds gradients of intermediate tensors that are used several times", () => {
    expectGradients(
      (x) => {
        const h = x.tanh();
        const sum = h.add(h);
        return [sum.mul(h), h.reshape([6]), sum.sub(x), h.slice(0, 1)];
      },
      [{ shape: [2, 3] }],
    );
  });

  it("accumulates over calls until the gradient is taken away", () => {
    scope(() => {
      const x = leaf([2, 3]);
      x.square().sum().backward();
      x.square().sum().backward();
      expect(gradientOf(x)).toEqual([8, 12]);
      x.grad?.dispose();
      x.grad = null;
      x.mul(5).sum().backward();
      expect(gradientOf(x)).toEqual([5, 5]);
    });
  });

  it("never changes a gradient that was handed in, nor one that two tensors share", () => {
    scope(() => {
      const [a, b] = [leaf([1, 2]), leaf([3, 4])];
      const dy = tensor([10, 20]);
      const y = a.add(b);
      backward([y, y], { gradients: [dy, dy] });
      expect([...dy.dataSync()]).toEqual([10, 20]);
      expect(gradientOf(a)).toEqual([20, 40]);
      a.mul(2).sum().backward();
      expect(gradientOf(a)).toEqual([22, 42]);
      expect(gradientOf(b)).toEqual([20, 40]);
    });
  });

  it("takes several roots, one of which may depend on another", () => {
    scope(() => {
      const x = leaf([1, 2, 3]);
      const first = x.square().sum();
      const second = first.mul(3);
      backward([first, second]);
      expect(gradientOf(x)).toEqual([8, 16, 24]);
    });
  });

  it("scales the waiting gradients of a fused loss when its own gradient is not 1", () => {
    const hidden = rng(1).normals(12);
    const weight = rng(2).normals(20);
    const gradients = (finish: (loss: Tensor) => Tensor | Tensor[]): number[] =>
      scope(() => {
        const h = upload(hidden, "f32", [3, 4]);
        h.requiresGrad = true;
        const { loss } = linearCrossEntropy(h, upload(weight, "f32", [5, 4]), upload([0, 3, 1], "i32"));
        backward(finish(loss));
        return gradientOf(h);
      });
    const plain = gradients((loss) => loss);
    expectClose(
      gradients((loss) => loss.mul(-2)),
      plain.map((v) => -2 * v),
      1e-6,
    );
    expectClose(
      gradients((loss) => [loss, loss.mul(2)]),
      plain.map((v) => 3 * v),
      1e-6,
    );
    expectClose(
      gradients((loss) => [loss, loss]),
      plain.map((v) => 2 * v),
      1e-6,
    );
  });

  it("gives bf16 leaves gradients in f32 and rounds those of intermediate tensors", () => {
    scope(() => {
      const x = leaf([1.5, -2], "bf16");
      const y = x.mul(x);
      y.sum().backward();
      expect((x.grad as Tensor).dtype).toBe("f32");
      expect(gradientOf(x)).toEqual([3, -4]);
      const w = leaf([1, 2, 3, 4], "bf16");
      const rows = linear(upload([1, 2], "bf16", [1, 2]), w.mul(1.0078125).reshape([2, 2]));
      rows.sum().backward();
      expect(gradientOf(w)).toEqual([...rounded([1.0078125, 2.015625, 1.0078125, 2.015625], "bf16")]);
    });
  });

  it("stops at detach, at leaves without gradient and inside noGrad", () => {
    scope(() => {
      const x = leaf([1, 2]);
      const constant = tensor([3, 4]);
      const y = x.mul(constant).add(x.detach().exp());
      y.sum().backward();
      expect(gradientOf(x)).toEqual([3, 4]);
      expect(constant.grad).toBeNull();
      const quiet = noGrad(() => {
        expect(isGradEnabled()).toBe(false);
        return x.mul(2);
      });
      expect(isGradEnabled()).toBe(true);
      expect(quiet.requiresGrad).toBe(false);
      expect(() =>
        noGrad(() => {
          throw new Error("inside");
        }),
      ).toThrow("inside");
      expect(isGradEnabled()).toBe(true);
    });
  });

  it("says what a root needs", () => {
    scope(() => {
      const x = leaf([1, 2]);
      expect(() => x.mul(2).backward()).toThrow(
        "backward: a root of shape [2] needs its gradient; only scalars default to 1.",
      );
      expect(() => tensor(1).backward()).toThrow(ShapeError);
      expect(() => backward(x.mul(2), { gradients: [ones([3])] })).toThrow(
        "A gradient of shape [3] was given to a tensor of shape [2].",
      );
    });
  });
});

describe("memory of the graph", () => {
  it("is freed by backward, except roots, kept tensors and leaves", () => {
    scope(() => {
      const x = leaf([1, 2]);
      const before = memory().buffers;
      const hidden = x.exp();
      const kept = keep(hidden.mul(2));
      const loss = kept.square().sum();
      loss.backward();
      expect(hidden.isDisposed).toBe(true);
      expect(kept.isDisposed).toBe(false);
      expect(loss.isDisposed).toBe(false);
      // The kept tensor, the root and the gradient of x.
      expect(memory().buffers).toBe(before + 3);
      kept.dispose();
    });
  });

  it("is held by retainGraph, so that a second pass gives the same again", () => {
    scope(() => {
      const x = upload(rng(3).normals(12), "f32", [3, 4]);
      x.requiresGrad = true;
      const weight = upload(rng(4).normals(20), "f32", [5, 4]);
      weight.requiresGrad = true;
      const { loss } = linearCrossEntropy(x.tanh(), weight, upload([0, 3, 1], "i32"));
      const total = loss.mul(0.5);
      total.backward({ retainGraph: true });
      const once = [download(x.grad as Tensor), download(weight.grad as Tensor)];
      total.backward();
      expect(download(x.grad as Tensor)).toEqual(once[0].map((v) => 2 * v));
      expect(download(weight.grad as Tensor)).toEqual(once[1].map((v) => 2 * v));
    });
  });

  it("fails with the fix when a freed graph is walked again", () => {
    scope(() => {
      const x = leaf([1, 2]);
      const loss = x.exp().sum();
      loss.backward();
      expect(() => loss.backward()).toThrow(DisposedError);
      expect(() => loss.backward()).toThrow("Pass retainGraph: true there");
      const shared = keep(leaf([3]).exp());
      shared.mul(2).sum().backward();
      expect(() => shared.mul(3).sum().backward()).toThrow(DisposedError);
      shared.dispose();
    });
  });

  it("keeps gradients of leaves beyond the scope of the step", () => {
    const x = leaf([1, 2]);
    scope(() => x.square().sum().backward());
    expect(gradientOf(x)).toEqual([2, 4]);
    x.dispose();
  });
});

describe("an operation of one's own", () => {
  // Straight-through rounding: forward rounds, backward passes the gradient on.
  function roundThrough(x: Tensor): Tensor {
    const y = noGrad(() => x.add(0.5).to("i32").to("f32"));
    record("roundThrough", [x], [y], ([dy], sink: GradientSink) => {
      if (dy !== null && sink.wants(x)) sink.give(x, dy.mul(1));
    });
    return y;
  }

  it("is recorded like the library's", () => {
    scope(() => {
      const x = leaf([0.4, 1.6, 2.2]);
      const y = roundThrough(x.mul(2));
      expect([...y.dataSync()]).toEqual([1, 3, 4]);
      y.square().sum().backward();
      expect(gradientOf(x)).toEqual([4, 12, 16]);
    });
  });

  it("may have several outputs, some of them unused", () => {
    scope(() => {
      const x = leaf([1, 2]);
      const outputs = noGrad(() => [x.mul(2), x.mul(3)]);
      record("both", [x], outputs, ([da, db], sink) => {
        expect(da).toBeNull();
        if (db !== null && sink.wants(x)) sink.give(x, db.mul(3));
      });
      outputs[1].sum().backward();
      expect(gradientOf(x)).toEqual([3, 3]);
    });
  });

  it("may write a gradient in place of the library with into", () => {
    scope(() => {
      const w = leaf([1, 2, 3]);
      const fill = (value: number): Tensor => {
        const y = noGrad(() => w.sum());
        record("fill", [w], [y], (_, sink) =>
          sink.into(w, (target, accumulate) => {
            const values = Float32Array.from(
              target.shape[0] === 3 && accumulate ? target.dataSync() : [0, 0, 0],
              (v) => v + value,
            );
            target.write(values);
          }),
        );
        return y;
      };
      add(fill(1), fill(10)).backward();
      expect(gradientOf(w)).toEqual([11, 11, 11]);
    });
  });

  it("learns: a loss written from public operations goes down", () => {
    scope(() => {
      const inputs = upload(rng(5).normals(40), "f32", [20, 2]);
      const wanted = scope(() => inputs.matmul(tensor([[1.5], [-0.5]])).add(0.25));
      const weight = zeros([2, 1], { requiresGrad: true });
      const bias = zeros([1], { requiresGrad: true });
      let last = Number.POSITIVE_INFINITY;
      for (let step = 0; step < 60; step++) {
        last = scope(() => {
          const loss = inputs.matmul(weight).add(bias).sub(wanted).square().mean();
          loss.backward();
          for (const parameter of [weight, bias]) {
            const next = noGrad(() => parameter.sub((parameter.grad as Tensor).mul(0.3)));
            parameter.write(next.dataSync());
            parameter.grad?.dispose();
            parameter.grad = null;
          }
          return loss.dataSync()[0];
        });
      }
      expect(last).toBeLessThan(1e-6);
      expectClose(
        download(stack([weight.reshape([2]).slice(0, 0, 1), weight.reshape([2]).slice(0, 1), bias])),
        [1.5, -0.5, 0.25],
        1e-3,
      );
    });
  });
});
