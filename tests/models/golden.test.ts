/** Every golden model: logits, loss and gradients as transformers computes them, from folders that it saved. */
import { describe, expect, it } from "vitest";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import type { Deepseek } from "../../lib/models/deepseek/model.js";
import { fromPretrained } from "../../lib/models/pretrained.js";
import { memory } from "../../lib/native/device.js";
import { backward, noGrad } from "../../lib/tensor/autograd.js";
import { linear } from "../../lib/tensor/ops/linear.js";
import { dispose, scope } from "../../lib/tensor/scope.js";
import { type Tensor, tensor } from "../../lib/tensor/tensor.js";
import {
  type GoldenModel,
  goldenDir,
  goldenNames,
  norm,
  readGolden,
  rowsInput,
  targetsOf,
  unpack,
} from "./golden.js";

const LOGITS_TOLERANCE = 1e-4;

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < b.length; i++)
    largest = Math.max(largest, Math.abs(a[i] - b[i]) || (Number.isNaN(a[i]) ? Number.POSITIVE_INFINITY : 0));
  return a.length === b.length ? largest : Number.POSITIVE_INFINITY;
}

/** Gradients under checkpoint names: views of stacked parameters take the same view of the gradient. */
function gradientsByName(model: CausalLM): Map<string, Float32Array> {
  const gradients = new Map<string, Float32Array>();
  const restore: [Tensor, Float32Array][] = [];
  for (const parameter of model.parameters()) {
    if (parameter.grad === null) continue;
    restore.push([parameter, parameter.dataSync() as Float32Array]);
    parameter.write(parameter.grad.dataSync());
  }
  scope(() => {
    for (const { name, tensor: view } of model.state()) gradients.set(name, view.dataSync() as Float32Array);
  });
  for (const [parameter, values] of restore) parameter.write(values);
  return gradients;
}

describe.each(goldenNames("models"))("%s", (name) => {
  const golden = readGolden<GoldenModel>("models", name);

  it("has transformers' logits, loss and gradients", async () => {
    const before = memory();
    // transformers has no balance loss; the other terms of training are wanted.
    const overrides = golden.modelType.startsWith("deepseek") ? { aux_loss_alpha: 0 } : {};
    const model = await fromPretrained(goldenDir("models", name), { dtype: "f32", overrides });
    await scope(async () => {
      const logits = scope(() => noGrad(() => model.logits(rowsInput(golden.inputIds))));
      expect(largestDifference(await logits.data(), unpack(golden.logits))).toBeLessThan(LOGITS_TOLERANCE);
    });
    await scope(async () => {
      const parts = model.loss(rowsInput(golden.inputIds), targetsOf(golden.labels), { rows: 2 });
      expect(await parts.crossEntropy.item()).toBeCloseTo(golden.loss, 4);
      const share = (golden.mtp?.weight ?? 0) / (golden.mtp?.losses.length ?? 1);
      for (const [k, expected] of (golden.mtp?.losses ?? []).entries()) {
        expect((await parts.terms[`mtp${k + 1}`].item()) / share).toBeCloseTo(expected, 3);
      }
      expect(await parts.loss.item()).toBeCloseTo(golden.mtp?.totalLoss ?? golden.loss, 3);
      backward(parts.loss);
    });
    const gradients = gradientsByName(model);
    for (const [parameter, expected] of Object.entries(golden.gradients)) {
      const gradient = gradients.get(parameter);
      expect(gradient, parameter).toBeDefined();
      const scale = expected.norm / Math.sqrt((gradient as Float32Array).length);
      expect(Math.abs(norm(gradient as Float32Array) - expected.norm), `${parameter}: norm`).toBeLessThan(
        2e-4 * expected.norm + 1e-6,
      );
      expect(
        largestDifference((gradient as Float32Array).slice(0, expected.first.length), expected.first),
        `${parameter}: first values`,
      ).toBeLessThan(2e-3 * scale + 2e-6 + 1e-4 * Math.max(...expected.first.map(Math.abs)));
    }
    dispose(model.parameters().map((p) => p.grad));
    model.dispose();
    // One row of ones per dtype stays for bias gradients.
    expect(memory().buffers - before.buffers).toBeLessThanOrEqual(1);
  });
});

const WITH_MTP = goldenNames("models").filter(
  (name) => readGolden<GoldenModel>("models", name).mtp !== undefined,
);

describe.each(WITH_MTP)("%s", (name) => {
  const golden = readGolden<GoldenModel>("models", name);

  it("has the logits of every prediction depth", async () => {
    const model = (await fromPretrained(goldenDir("models", name), { dtype: "f32" })).eval() as Deepseek;
    const [first] = golden.inputIds;
    const length = first.length;
    const depths = await scope(async () => {
      const outputs = noGrad(() => {
        const input = rowsInput(golden.inputIds);
        const next = golden.mtp?.logits.map((_, k) =>
          tensor(Int32Array.from(golden.inputIds.flatMap((row) => row.map((_, i) => row[i + k + 1] ?? 0)))),
        );
        return model
          .mtpHidden(input, model.hidden(input), next ?? [], 2)
          .map((hidden) => linear(hidden, model.outputWeight()));
      });
      return Promise.all(outputs.map((output) => output.data()));
    });
    for (const [k, expected] of (golden.mtp?.logits ?? []).entries()) {
      const [, kept, vocab] = expected.shape;
      const ours = [0, 1].flatMap((row) => [
        ...depths[k].slice(row * length * vocab, (row * length + kept) * vocab),
      ]);
      expect(largestDifference(ours, unpack(expected))).toBeLessThan(LOGITS_TOLERANCE);
    }
    model.dispose();
  });
});
