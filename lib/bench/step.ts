/**
 * Times full training steps of a named configuration: forward, loss, backward, clipping to norm 1, AdamW. bench/peers/torch_step.py does the
 * same work in PyTorch.
 */
import { Stream, uniform } from "../data/index.js";
import { ConfigError } from "../errors.js";
import type { CausalLM, TokenInput } from "../models/causal-lm.js";
import { preset } from "../models/presets.js";
import { createModel } from "../models/registry.js";
import { memory, resetPeakMemory } from "../native/device.js";
import type { ComputeDtype } from "../nn/module.js";
import { AdamW, clipGradNorm, type Optimizer } from "../optim/index.js";
import { backward } from "../tensor/autograd.js";
import { segmentsOf } from "../tensor/ops/attention.js";
import { manualSeed } from "../tensor/random.js";
import { keep, scope } from "../tensor/scope.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { measurePeakFlops } from "../train/peak.js";
import { peakResidentBytes, resetPeakResident, residentBytes } from "./process-memory.js";
import { median } from "./timing.js";

/** Options of `benchStep`. */
export interface StepBenchOptions {
  /** Name of a preset: char-gpt, llama-15m, deepseek-mini or gpt2-124m. */
  workload: string;
  /** Default f32. */
  dtype?: ComputeDtype;
  /** Timed steps. Default 10. */
  steps?: number;
  /** Untimed steps before them. Default 3. */
  warmup?: number;
  /** Decides weights and token ids. Default 1. */
  seed?: number;
  signal?: AbortSignal;
}

/** The result of `benchStep`. */
export interface StepMeasurement {
  workload: string;
  dtype: ComputeDtype;
  /** Tokens of a batch divided by `secondsPerStep`. */
  tokensPerSecond: number;
  /** Median. */
  secondsPerStep: number;
  fastestStep: number;
  /** Most bytes of tensors alive during the timed steps: weights, optimizer, gradients, activations. */
  peakBytes: number;
  /** Most memory of the process during the timed steps beyond what it had before the model was made, in bytes. */
  peakRss: number;
  /** Cross-entropy of the last step, in nats per token. */
  loss: number;
  /** Operations of the model per second, in GFLOP/s, by the model's own count. */
  gflops: number;
  /** `gflops` divided by the rate of a large matrix product of the same dtype on this machine, measured in the same process. */
  mfu: number;
  parameters: number;
  steps: number;
}

/** A batch that lives until it is disposed. */
interface FixedBatch {
  input: TokenInput;
  targets: Tensor;
  rows: number;
}

/** Random tokens [rows, length] and the tokens after them. */
function randomBatch(rows: number, length: number, vocabulary: number, seed: number): FixedBatch {
  const ids = new Int32Array(rows * length);
  const targets = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    for (let t = 0; t <= length; t++) {
      const id = Math.floor(uniform(seed, Stream.Offset, row, t) * vocabulary);
      if (t < length) ids[row * length + t] = id;
      if (t > 0) targets[row * length + t - 1] = id;
    }
  }
  const input: TokenInput = {
    ids: tensor(ids),
    positions: tensor(Int32Array.from(ids, (_, i) => i % length)),
    length,
    segments: segmentsOf(new Array<number>(rows).fill(length)),
  };
  return { input, targets: tensor(targets), rows };
}

/** One training step; resolves to its cross-entropy when everything has run. */
async function trainStep(model: CausalLM, optimizer: Optimizer, batch: FixedBatch): Promise<number> {
  const loss = scope(() => {
    const { loss: total, crossEntropy } = model.loss(batch.input, batch.targets, { rows: batch.rows });
    // Kept, because backward frees intermediate results, and for some models this is one.
    keep(crossEntropy);
    backward(total);
    const { clip } = clipGradNorm(optimizer.parameters(), 1);
    optimizer.step({ clip });
    optimizer.zeroGrad();
    model.afterStep();
    return crossEntropy;
  });
  try {
    return await loss.item();
  } finally {
    loss.dispose();
  }
}

function checkCount(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new ConfigError(`${name} must be an integer from ${least}, got ${value}.`, { [name]: value });
  }
}

/**
 * Measures training steps of a workload on the default device.
 * @throws ConfigError for an unknown workload, with a suggestion
 */
export async function benchStep(options: StepBenchOptions): Promise<StepMeasurement> {
  const { workload, dtype = "f32", steps = 10, warmup = 3, seed = 1, signal } = options;
  checkCount("steps", steps, 1);
  checkCount("warmup", warmup, 0);
  const { config, batchSize, sequenceLength } = preset(workload);
  const peakRate = await measurePeakFlops(dtype);
  const before = residentBytes();
  manualSeed(seed);
  const model = createModel(config, { dtype });
  const optimizer = new AdamW({ params: model.namedParameters() }) as unknown as Optimizer;
  const batch = scope(() => keep(randomBatch(batchSize, sequenceLength, model.vocabSize, seed)));
  try {
    let loss = Number.NaN;
    for (let i = 0; i < warmup; i++) await trainStep(model, optimizer, batch);
    resetPeakResident();
    resetPeakMemory();
    const seconds: number[] = [];
    for (let i = 0; i < steps; i++) {
      signal?.throwIfAborted();
      const start = performance.now();
      loss = await trainStep(model, optimizer, batch);
      seconds.push((performance.now() - start) / 1000);
    }
    const secondsPerStep = median(seconds);
    const tokensPerSecond = (batchSize * sequenceLength) / secondsPerStep;
    const { parameters, trainingFlopsPerToken } = model.facts();
    const flops = tokensPerSecond * trainingFlopsPerToken(sequenceLength);
    return {
      workload,
      dtype,
      tokensPerSecond,
      secondsPerStep,
      fastestStep: Math.min(...seconds),
      peakBytes: memory().peak,
      peakRss: peakResidentBytes() - before,
      loss,
      gflops: flops / 1e9,
      mfu: flops / peakRate,
      parameters,
      steps,
    };
  } finally {
    const { input, targets } = batch;
    for (const made of [input.ids, input.positions, input.segments.cu, targets]) made.dispose();
    optimizer.dispose();
    model.dispose();
  }
}
