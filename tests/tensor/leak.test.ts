import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { memory, synchronize } from "../../lib/native/device.js";
import * as anneal from "../../lib/tensor/index.js";
import { backward, checkpoint, dispose, keep, scope, type Tensor } from "../../lib/tensor/index.js";
import { upload } from "../native/harness.js";
import { rng } from "../reference/array.js";

const STEPS = 50;
const TOKENS = 24;
const WIDTH = 16;
const VOCAB = 31;

/** A small transformer block with a mixture of experts, from embedding to loss: most operations of a training step. */
function model(dtype: "f32" | "bf16") {
  const parameter = (seed: number, ...shape: number[]): Tensor => {
    const t = upload(
      rng(seed).normals(
        shape.reduce((a, b) => a * b, 1),
        0.2,
      ),
      dtype,
      shape,
    );
    t.requiresGrad = true;
    return keep(t);
  };
  const parameters = {
    embedding: parameter(1, VOCAB, WIDTH),
    norm: parameter(2, WIDTH),
    norm2: parameter(3, WIDTH),
    qkv: parameter(4, 3 * WIDTH, WIDTH),
    bias: parameter(5, 3 * WIDTH),
    router: parameter(6, 4, WIDTH),
    up: parameter(7, 4, 2 * WIDTH, WIDTH),
    down: parameter(8, 4, WIDTH, WIDTH),
  };
  const totals = keep(anneal.zeros([4], { dtype: "i32" }));
  const experts = (x: Tensor): Tensor => {
    const routing = anneal.route(anneal.linearF32(x, parameters.router), null, {
      chosen: 2,
      scoring: "sigmoid",
      normalise: true,
    });
    const dispatch = anneal.sortByExpert(routing.ids, 4, totals);
    const rows = anneal.groupedLinear(anneal.permuteTokens(x, dispatch), parameters.up, dispatch.offsets);
    return anneal.combineTokens(
      anneal.groupedLinear(anneal.gatedPacked(rows), parameters.down, dispatch.offsets),
      routing.weights,
      dispatch,
      x,
    );
  };
  const step = (recompute: boolean): Tensor => {
    const ids = upload(rng(9).integers(TOKENS, VOCAB), "i32");
    const h = anneal.embedding(ids, parameters.embedding);
    const normed = anneal.rmsNorm(h, parameters.norm, 1e-5);
    const qkv = anneal.linear(normed, parameters.qkv, parameters.bias);
    const mixed = anneal
      .attentionPacked(qkv, 2, { segments: anneal.segmentsOf([10, 14]) })
      .reshape([TOKENS, WIDTH]);
    const { y, sum } = anneal.addRmsNorm(anneal.dropout(mixed, 0.1), h, parameters.norm2, 1e-5);
    const out = recompute ? checkpoint(experts, y) : experts(y);
    const { loss } = anneal.linearCrossEntropy(out.add(sum), parameters.embedding, ids);
    return loss;
  };
  return { parameters, totals, step };
}

function clearGradients(parameters: Record<string, Tensor>): void {
  for (const parameter of Object.values(parameters)) {
    parameter.grad?.dispose();
    parameter.grad = null;
  }
}

describe("training steps inside a scope", () => {
  it.each([
    ["f32", false],
    ["bf16", false],
    ["f32", true],
    ["bf16", true],
  ] as const)("leave no buffer behind (%s, recomputation %s)", async (dtype, recompute) => {
    const { parameters, totals, step } = model(dtype);
    const once = (): void => {
      scope(() => backward(step(recompute)));
      clearGradients(parameters);
    };
    // The first steps fill caches that stay: rows of ones for column sums, blocks for reuse.
    once();
    once();
    await synchronize();
    const before = memory();
    for (let i = 0; i < STEPS; i++) once();
    await synchronize();
    const after = memory();
    expect({ buffers: after.buffers, live: after.live }).toEqual({
      buffers: before.buffers,
      live: before.live,
    });
    expect(after.reserved, "no memory from the system after the first steps").toBe(before.reserved);
    dispose([parameters, totals]);
  });
});

describe("training steps outside every scope", () => {
  it("leave only what the caller made and may dispose", () => {
    const { parameters, totals } = model("f32");
    const before = memory();
    for (let i = 0; i < STEPS; i++) {
      const ids = upload(rng(9).integers(TOKENS, VOCAB), "i32");
      const h = anneal.embedding(ids, parameters.embedding);
      const normed = anneal.rmsNorm(h, parameters.norm, 1e-5);
      const { loss, rowLoss, count } = anneal.linearCrossEntropy(normed, parameters.embedding, ids);
      backward(loss);
      dispose([ids, h, normed, loss, rowLoss, count]);
      clearGradients(parameters);
    }
    const after = memory();
    expect({ buffers: after.buffers, live: after.live }).toEqual({
      buffers: before.buffers,
      live: before.live,
    });
    dispose([parameters, totals]);
  });
});

describe("one operation outside every scope", () => {
  const square = (): Tensor => upload(rng(1).uniforms(12, 0.5, 2), "f32", [3, 4]);
  const OPERATIONS: Record<string, (x: Tensor) => Tensor | Tensor[]> = {
    exp: (x) => x.exp(),
    clamp: (x) => x.clamp(0, 1),
    "add a number": (x) => x.add(2),
    "divide by a number": (x) => x.div(3),
    "number to a power": (x) => anneal.pow(2, x),
    "power of itself": (x) => x.pow(x),
    "maximum with a number": (x) => x.maximum(1),
    "minimum with itself": (x) => x.minimum(x),
    where: (x) => anneal.where(MASK as Tensor, x, 0),
    cast: (x) => x.to("bf16"),
    "sum of one axis": (x) => x.sum(0),
    mean: (x) => x.mean(),
    max: (x) => x.max(1),
    prod: (x) => x.prod(1),
    logSumExp: (x) => x.logSumExp(0),
    variance: (x) => x.variance(1),
    cumsum: (x) => x.cumsum(1),
    softmax: (x) => x.softmax(),
    "softmax of the first axis": (x) => x.softmax(0),
    gather: (x) => x.gather(0, INDEX as Tensor),
    permute: (x) => x.permute([1, 0]),
    slice: (x) => x.slice(1, 1, 3),
    split: (x) => x.split([1, 3], 1),
    concat: (x) => anneal.concat([x, x]),
    pad: (x) => x.pad([[1, 1]]),
    broadcastTo: (x) => x.broadcastTo([2, 3, 4]),
    crossEntropy: (x) => anneal.crossEntropy(x, TARGETS as Tensor),
    dropout: (x) => anneal.dropout(x, 0.5),
    matmul: (x) => x.matmul(x, { transB: true }),
    layerNorm: (x) => anneal.layerNorm(x, GAIN as Tensor, null, 1e-5),
    gated: (x) => anneal.gated(x, x),
    tokenLogProbs: (x) => Object.values(anneal.tokenLogProbs(x, x, TARGETS as Tensor)),
    checkpoint: (x) => checkpoint((h) => h.exp().sin(), x),
    "checkpoint of parameters only": (x) => checkpoint(() => x.exp().sin()),
  };
  let MASK: Tensor | undefined;
  let INDEX: Tensor | undefined;
  let TARGETS: Tensor | undefined;
  let GAIN: Tensor | undefined;

  it.each(Object.keys(OPERATIONS))("%s leaves nothing but its result", (name) => {
    MASK ??= upload(rng(2).integers(12, 2), "u8", [3, 4]);
    INDEX ??= upload(rng(3).integers(12, 3), "i32", [3, 4]);
    TARGETS ??= upload([0, 2, 1], "i32");
    GAIN ??= upload([1, 2, 3, 4]);
    const operation = OPERATIONS[name];
    for (const train of [true, false]) {
      const x = square();
      x.requiresGrad = train;
      const before = memory();
      const result = operation(x);
      const outputs = (Array.isArray(result) ? result : [result]).filter(
        (output) => output.requiresGrad === train,
      );
      if (train) {
        const gradients = outputs.map((output) => output.to(output.dtype).detach());
        backward(outputs, { gradients });
        dispose(gradients);
        expect(x.grad?.shape).toEqual([3, 4]);
        x.grad?.dispose();
        x.grad = null;
      }
      dispose(result);
      const after = memory();
      expect({ buffers: after.buffers, live: after.live }, train ? "with gradients" : "without").toEqual({
        buffers: before.buffers,
        live: before.live,
      });
      x.dispose();
    }
  });
});

it("tensors that were forgotten are freed once they are collected", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const before = memory().buffers;
  (() => {
    for (let i = 0; i < 10; i++) anneal.zeros([100]);
  })();
  expect(memory().buffers).toBe(before + 10);
  for (let round = 0; round < 50 && memory().buffers > before; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(memory().buffers).toBeLessThanOrEqual(before);
});
