import { describe, expect, it } from "vitest";
import { memory } from "../../lib/native/device.js";
import * as anneal from "../../lib/tensor/index.js";
import {
  backward,
  checkpoint,
  dropout,
  isRecomputing,
  linear,
  manualSeed,
  randomState,
  scope,
  type Tensor,
  updateRouterBias,
} from "../../lib/tensor/index.js";
import { upload } from "../native/harness.js";
import { rng } from "../reference/array.js";

/** Bytes of the results and of every gradient of one pass, with or without checkpointing. */
function pass(
  dtype: "f32" | "bf16",
  apply: (body: (x: Tensor) => Tensor, x: Tensor) => Tensor,
  inputNeedsGrad = true,
): string[] {
  manualSeed(17);
  return scope(() => {
    const weights = [1, 2, 3].map((seed) => {
      const w = upload(rng(seed).normals(64, 0.3), dtype, [8, 8]);
      w.requiresGrad = true;
      return w;
    });
    const gain = upload(rng(4).normals(8), dtype, [8]);
    gain.requiresGrad = true;
    const x = upload(rng(5).normals(48), dtype, [6, 8]);
    x.requiresGrad = inputNeedsGrad;
    const block = (w: Tensor) => (h: Tensor) => {
      const y = dropout(linear(anneal.rmsNorm(h, gain, 1e-5), w), 0.25);
      return dropout(y.gelu().add(h), 0.1);
    };
    let h = x;
    for (const w of weights) h = apply(block(w), h);
    const loss = h.square().mean();
    backward(loss);
    const after = anneal.uniform([2]);
    return [loss, x, gain, ...weights, after]
      .map((t) => t.grad ?? t)
      .map((t) => Buffer.from(t.dataSync().slice().buffer).toString("hex"));
  });
}

describe("checkpoint", () => {
  it.each(["f32", "bf16"] as const)("is bit-equal to the plain graph in %s, dropout included", (dtype) => {
    for (const inputNeedsGrad of [true, false]) {
      const plain = pass(dtype, (body, x) => body(x), inputNeedsGrad);
      const recomputed = pass(dtype, (body, x) => checkpoint(body, x), inputNeedsGrad);
      expect(recomputed).toEqual(plain);
    }
  });

  it("nests", () => {
    const plain = pass("f32", (body, x) => body(x));
    expect(pass("f32", (body, x) => checkpoint((h) => checkpoint(body, h), x))).toEqual(plain);
  });

  it("keeps inputs and outputs only", () => {
    scope(() => {
      const x = upload(rng(1).normals(1000));
      x.requiresGrad = true;
      const before = memory().live;
      const y = checkpoint((h) => h.exp().sin().tanh().square(), x);
      expect(memory().live - before).toBe(4000);
      y.sum().backward();
      expect(memory().peak).toBeGreaterThan(memory().live);
    });
  });

  it("takes several inputs and gives several outputs, some unused", () => {
    scope(() => {
      const gradients = [false, true].map((checkpointed) => {
        const [a, b] = [1, 2].map((seed) => {
          const t = upload(rng(seed).normals(6), "f32", [2, 3]);
          t.requiresGrad = true;
          return t;
        });
        const constant = upload(rng(3).normals(6), "f32", [2, 3]);
        const body = (u: Tensor, v: Tensor, c: Tensor): Tensor[] => [u.mul(v), u.add(c).exp(), v.sin()];
        const [product, , sine] = checkpointed ? checkpoint(body, a, b, constant) : body(a, b, constant);
        product.sum().add(sine.sum()).backward();
        expect(constant.grad).toBeNull();
        return [a, b].map((t) => [...(t.grad as Tensor).dataSync()]);
      });
      expect(gradients[1]).toEqual(gradients[0]);
    });
  });

  it("holds a fused loss whose only differentiable tensor is a parameter inside", () => {
    scope(() => {
      const gradients = [false, true].map((checkpointed) => {
        const weight = upload(rng(1).normals(20), "f32", [5, 4]);
        weight.requiresGrad = true;
        const hidden = upload(rng(2).normals(12), "f32", [3, 4]);
        const body = (h: Tensor): Tensor =>
          anneal.linearCrossEntropy(h, weight, upload([0, 3, 1], "i32")).loss;
        (checkpointed ? checkpoint(body, hidden) : body(hidden)).backward();
        return [...(weight.grad as Tensor).dataSync()];
      });
      expect(gradients[1]).toEqual(gradients[0]);
    });
  });

  it("records nothing where nothing requires a gradient", () => {
    scope(() => expect(checkpoint((h) => h.exp(), upload([1, 2])).requiresGrad).toBe(false));
  });

  it("walks twice when the graph is retained", () => {
    scope(() => {
      const x = upload([1, 2], "f32");
      x.requiresGrad = true;
      const loss = checkpoint((h) => h.square(), x).sum();
      loss.backward({ retainGraph: true });
      loss.backward();
      expect([...(x.grad as Tensor).dataSync()]).toEqual([4, 8]);
    });
  });

  it("leaves the random state where the plain graph leaves it, without gradients too", () => {
    scope(() => {
      manualSeed(1);
      const x = upload([1, 2], "f32");
      x.requiresGrad = true;
      anneal.noGrad(() => checkpoint((h) => dropout(h, 0.5), x));
      expect(randomState()).toEqual({ seed: 1, offset: 1 });
      const y = checkpoint((h) => dropout(h, 0.5), x);
      expect(randomState()).toEqual({ seed: 1, offset: 2 });
      y.sum().backward();
      expect(randomState()).toEqual({ seed: 1, offset: 2 });
    });
  });

  it("tells its body when it computes again, so that routing counts are taken once", () => {
    scope(() => {
      const seen: boolean[] = [];
      const totals = anneal.zeros([4], { dtype: "i32" });
      const x = upload(rng(2).normals(12), "f32", [3, 4]);
      x.requiresGrad = true;
      const y = checkpoint((logits) => {
        seen.push(isRecomputing());
        const { ids, weights } = anneal.route(logits, null, { chosen: 2, scoring: "sigmoid" });
        anneal.sortByExpert(ids, 4, totals);
        return weights;
      }, x);
      y.sum().backward();
      expect(seen).toEqual([false, true]);
      expect([...totals.dataSync()].reduce((a, b) => a + b, 0)).toBe(6);
      const bias = anneal.zeros([4]);
      updateRouterBias(bias, totals, 0.1);
      expect([...totals.dataSync()]).toEqual([0, 0, 0, 0]);
    });
  });
});
