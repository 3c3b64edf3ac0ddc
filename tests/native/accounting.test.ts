/** Memory by category: every byte has one name, and the names are right. */
import { describe, expect, it } from "vitest";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { createModel } from "../../lib/models/registry.js";
import { inCategory, MEMORY_CATEGORIES, type MemorySplit } from "../../lib/native/accounting.js";
import { memory, memoryByCategory, resetPeakMemory } from "../../lib/native/device.js";
import { AdamW, type Optimizer } from "../../lib/optim/index.js";
import { backward, noGrad } from "../../lib/tensor/autograd.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { scope } from "../../lib/tensor/scope.js";
import { empty, tensor } from "../../lib/tensor/tensor.js";
import { rowsInput, targetsOf } from "../models/golden.js";
import { TINY } from "../models/tiny.js";
import { rng } from "../reference/array.js";

const ROWS = Array.from({ length: 32 }, () => Array.from(rng(7).integers(17, 61)));

function expectSums(split: MemorySplit, tensors: number): void {
  const sum = MEMORY_CATEGORIES.reduce((bytes, name) => bytes + split[name], 0);
  expect(split.total).toBe(sum);
  expect(split.total - split.workspace).toBe(tensors);
}

/** One training step; gradients stay. */
function gradients(model: CausalLM): void {
  scope(() => backward(model.loss(rowsInput(ROWS), targetsOf(ROWS), { rows: ROWS.length }).loss));
}

describe("memoryByCategory", () => {
  it.each([
    ["gpt2", "f32", 8],
    ["llama", "bf16", 12],
    ["deepseek", "f32", 8],
  ] as const)("splits the memory of %s in %s", (family, dtype, momentBytes) => {
    const start = memoryByCategory().live;
    manualSeed(1);
    const model = createModel(TINY[family], { dtype });
    const count = model.parameterCount();
    const bytes = dtype === "bf16" ? 2 : 4;
    expect(memoryByCategory().live.weights - start.weights).toBe(count * bytes);
    resetPeakMemory();
    gradients(model);
    const optimizer = new AdamW({ params: model.namedParameters() }) as unknown as Optimizer;
    const trained = model.parameters().reduce((n, p) => n + (p.grad === null ? 0 : p.size), 0);
    expect(memoryByCategory().live.gradients - start.gradients).toBe(4 * trained);
    scope(() => optimizer.step());
    const { live, peak } = memoryByCategory();
    expectSums(live, memory().live);
    expectSums(peak, memory().peak);
    expect(live.moments - start.moments).toBe(momentBytes * trained);
    expect(live.activations).toBe(start.activations);
    expect(peak.activations).toBeGreaterThan(0);
    expect(peak.weights).toBe(live.weights);
    optimizer.zeroGrad();
    optimizer.dispose();
    model.dispose();
    const end = memoryByCategory().live;
    for (const name of ["weights", "gradients", "moments", "activations"] as const) {
      expect(end[name], name).toBe(start[name]);
    }
  });

  it("counts a buffer once, until its last view is gone", () => {
    const before = memoryByCategory().live.activations;
    const first = empty([256]);
    const view = first.alias([64], 128);
    first.dispose();
    expect(memoryByCategory().live.activations).toBe(before + 1024);
    const moved = view.move([8, 8]);
    expect(memoryByCategory().live.activations).toBe(before + 1024);
    moved.dispose();
    expect(memoryByCategory().live.activations).toBe(before);
  });

  it("takes the split at the moment of the highest total", () => {
    const base = memoryByCategory().live.total;
    const weights = inCategory("weights", () => empty([1000]));
    resetPeakMemory();
    scope(() => void empty([5000]));
    scope(() => void noGrad(() => empty([3000])));
    const { peak, live } = memoryByCategory();
    expect(peak.total - base).toBe(24000);
    expect(peak.activations - live.activations).toBe(20000);
    expect(peak.other).toBe(live.other);
    weights.dispose();
  });

  it("knows weights by requiresGrad and evaluation's tensors as other", () => {
    const before = memoryByCategory().live;
    const leaf = tensor([1, 2, 3, 4], { requiresGrad: true });
    const result = noGrad(() => empty([10]));
    const after = memoryByCategory().live;
    expect(after.weights - before.weights).toBe(16);
    expect(after.other - before.other).toBe(40);
    leaf.dispose();
    result.dispose();
  });
});
