/** One computation in two forms gives one result: bit-equal where the order of sums allows, else within the rounding of f32 sums. */
import { describe, expect, it } from "vitest";
import type { CausalLM, TokenInput } from "../../lib/models/causal-lm.js";
import { createModel } from "../../lib/models/registry.js";
import { getThreads, setThreads } from "../../lib/native/device.js";
import { backward } from "../../lib/tensor/autograd.js";
import { segmentsOf } from "../../lib/tensor/ops/attention.js";
import { linearCrossEntropy } from "../../lib/tensor/ops/loss.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { dispose, scope } from "../../lib/tensor/scope.js";
import { tensor } from "../../lib/tensor/tensor.js";
import { rng } from "../reference/array.js";
import { rowsInput, targetsOf } from "./golden.js";
import { TINY } from "./tiny.js";

// Sums of up to a few hundred f32 terms in another order differ by about √n·2⁻²⁴ of their size.
const REORDERED = 2e-5;

interface Outcome {
  loss: number;
  gradients: Map<string, Float32Array>;
}

const random = rng(7);
const ROWS = Array.from({ length: 8 }, () => Array.from(random.integers(17, 61)));

function fresh(config: Record<string, unknown>, dtype: "f32" | "bf16" = "f32"): CausalLM {
  manualSeed(3);
  return createModel(config, { dtype });
}

function collect(model: CausalLM, run: () => number): Outcome {
  const loss = run();
  const gradients = new Map<string, Float32Array>();
  for (const [name, parameter] of model.namedParameters()) {
    if (parameter.grad === null) continue;
    gradients.set(name, parameter.grad.dataSync() as Float32Array);
  }
  for (const parameter of model.parameters()) {
    dispose(parameter.grad);
    parameter.grad = null;
  }
  return { loss, gradients };
}

function step(model: CausalLM, rows: number[][], factor = 1): number {
  return scope(() => {
    const { loss } = model.loss(rowsInput(rows), targetsOf(rows), { rows: rows.length, factor });
    backward(loss);
    return loss.dataSync()[0];
  });
}

function expectSame(a: Outcome, b: Outcome, tolerance: number): void {
  expect(Math.abs(a.loss - b.loss)).toBeLessThanOrEqual(tolerance * Math.abs(b.loss));
  expect([...a.gradients.keys()]).toEqual([...b.gradients.keys()]);
  for (const [name, gradient] of a.gradients) {
    const other = b.gradients.get(name) as Float32Array;
    let difference = 0;
    let size = 0;
    for (let i = 0; i < other.length; i++) {
      difference += (gradient[i] - other[i]) ** 2;
      size += other[i] ** 2;
    }
    expect(Math.sqrt(difference), name).toBeLessThanOrEqual(
      tolerance * Math.sqrt(size) + (tolerance === 0 ? 0 : 1e-8),
    );
  }
}

describe.each(Object.keys(TINY))("%s", (family) => {
  const config = TINY[family];

  it("starts at a loss of ln V", () => {
    const model = fresh({ ...config, mtp_loss_weight: 0, aux_loss_alpha: 0 });
    const loss = collect(model, () => step(model, ROWS)).loss;
    expect(Math.abs(loss - Math.log(61)) / Math.log(61)).toBeLessThan(0.02);
    model.dispose();
  });

  it("batch 8×1 ≡ accumulation 1×8", () => {
    const model = fresh({ ...config, aux_loss_alpha: 0 });
    const together = collect(model, () => step(model, ROWS));
    const apart = collect(model, () =>
      ROWS.map((row) => step(model, [row], 1 / 8)).reduce((a, b) => a + b, 0),
    );
    expectSame(apart, together, REORDERED);
    model.dispose();
  });

  it("packed ≡ separate sequences", () => {
    const model = fresh({ ...config, aux_loss_alpha: 0 });
    const lengths = [5, 17, 1, 9];
    const sequences = lengths.map((length, i) => ROWS[i].slice(0, length));
    const counted = lengths.reduce((sum, length) => sum + length - 1, 0);
    const deep = Math.max(
      1,
      lengths.reduce((sum, length) => sum + Math.max(0, length - 2), 0),
    );
    const packed = collect(model, () =>
      scope(() => {
        const input: TokenInput = {
          ids: tensor(Int32Array.from(sequences.flat())),
          positions: tensor(Int32Array.from(sequences.flatMap((s) => s.map((_, i) => i)))),
          length: 17,
          segments: segmentsOf(lengths),
        };
        const parts = model.loss(input, targetsOf(sequences), { rows: 1 });
        backward(parts.loss);
        return parts.crossEntropy.dataSync()[0];
      }),
    );
    // Each sequence alone: the main loss by its share of the targets. MTP's share differs, so its weight is 0 on both sides when there is one.
    expect(deep).toBeGreaterThan(0);
    const plain = fresh({ ...config, aux_loss_alpha: 0, mtp_loss_weight: 0 });
    const packedPlain = collect(plain, () =>
      scope(() => {
        const input: TokenInput = {
          ids: tensor(Int32Array.from(sequences.flat())),
          positions: tensor(Int32Array.from(sequences.flatMap((s) => s.map((_, i) => i)))),
          length: 17,
          segments: segmentsOf(lengths),
        };
        const { loss } = plain.loss(input, targetsOf(sequences));
        backward(loss);
        return loss.dataSync()[0];
      }),
    );
    const separate = collect(plain, () =>
      sequences.map((s) => step(plain, [s], (s.length - 1) / counted)).reduce((a, b) => a + b, 0),
    );
    expectSame(packedPlain, separate, REORDERED);
    expect(packed.loss).toBe(packedPlain.loss);
    model.dispose();
    plain.dispose();
  });

  it.each(["f32", "bf16"] as const)("checkpointed ≡ plain, bit for bit, in %s", (dtype) => {
    const model = fresh(config, dtype);
    const plain = collect(model, () => step(model, ROWS));
    model.checkpointing = true;
    const again = collect(model, () => step(model, ROWS));
    expectSame(again, plain, 0);
    model.dispose();
  });

  it.each(["f32", "bf16"] as const)("1 thread ≡ 2 threads ≡ again, bit for bit, in %s", (dtype) => {
    const model = fresh(config, dtype);
    const threads = getThreads();
    setThreads(2);
    const two = collect(model, () => step(model, ROWS));
    const again = collect(model, () => step(model, ROWS));
    setThreads(1);
    const one = collect(model, () => step(model, ROWS));
    setThreads(threads);
    expectSame(again, two, 0);
    expectSame(one, two, 0);
    model.dispose();
  });
});

describe("linearCrossEntropy", () => {
  it("in chunks ≡ whole", () => {
    const hidden = Float32Array.from(random.normals(37 * 20));
    const weight = Float32Array.from(random.normals(50 * 20));
    const targets = Int32Array.from(random.integers(37, 50));
    targets[3] = -100;
    const run = (chunkRows: number): number[][] =>
      scope(() => {
        const h = tensor(hidden, { shape: [37, 20], requiresGrad: true });
        const w = tensor(weight, { shape: [50, 20], requiresGrad: true });
        const { loss } = linearCrossEntropy(h, w, tensor(targets), {
          chunkRows,
          labelSmoothing: 0.1,
          zLoss: 1e-3,
        });
        backward(loss);
        return [loss, h.grad, w.grad].map((t) => [...(t?.dataSync() ?? [])]);
      });
    const whole = run(64);
    for (const rows of [1, 5, 16, 36]) {
      const chunked = run(rows);
      whole.forEach((values, i) => {
        const size = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
        const difference = Math.sqrt(values.reduce((sum, v, j) => sum + (v - chunked[i][j]) ** 2, 0));
        expect(difference).toBeLessThan(REORDERED * size);
      });
    }
  });
});
