/**
 * Times full training steps of a named configuration: forward, loss, backward, clipping to norm 1, AdamW. bench/peers/torch_step.py does the
 * same work in PyTorch.
 */
import { Stream, uniform } from "../data/index.js";
import { ConfigError } from "../errors.js";
import type { CausalLM, TokenInput } from "../models/causal-lm.js";
import type { Checkpointing } from "../models/checkpointing.js";
import { type Preset, preset } from "../models/presets.js";
import { createModel } from "../models/registry.js";
import { inCategory, type MemorySplit } from "../native/accounting.js";
import {
  type DeviceName,
  defaultDevice,
  memory,
  memoryByCategory,
  resetPeakMemory,
} from "../native/device.js";
import type { ComputeDtype } from "../nn/module.js";
import { AdamW, clipGradNorm, type Optimizer } from "../optim/index.js";
import { backward } from "../tensor/autograd.js";
import { capture, type Recording } from "../tensor/capture.js";
import { segmentsOf } from "../tensor/ops/attention.js";
import { manualSeed } from "../tensor/random.js";
import { keep, scope } from "../tensor/scope.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { measurePeakFlops } from "../train/peak.js";
import { machineFacts } from "./machine.js";
import { peakResidentBytes, resetPeakResident, residentBytes } from "./process-memory.js";
import { median } from "./timing.js";

/** Options of `benchStep`. */
export interface StepBenchOptions {
  /** Name of a preset, such as deepseek-mini or gpt2-124m. */
  workload: string;
  /** Rows of a batch; default: the preset's, on a GPU its `gpu` one. */
  batchSize?: number;
  /** Tokens of a row; default like `batchSize`. */
  sequenceLength?: number;
  /** What is computed again in the backward pass. Default: nothing. */
  checkpointing?: Checkpointing;
  /** Default f32. */
  dtype?: ComputeDtype;
  /** Timed steps. Default 10. */
  steps?: number;
  /** Untimed steps before them. Default 3. */
  warmup?: number;
  /** Decides weights and token ids. Default 1. */
  seed?: number;
  /** Record the step once, before the untimed steps, and replay it. Default false. */
  capture?: boolean;
  signal?: AbortSignal;
}

/** The result of `benchStep`. */
export interface StepMeasurement {
  workload: string;
  dtype: ComputeDtype;
  device: DeviceName;
  batchSize: number;
  sequenceLength: number;
  checkpointing: Checkpointing;
  /** Tokens of a batch divided by `secondsPerStep`. */
  tokensPerSecond: number;
  /** Median. */
  secondsPerStep: number;
  fastestStep: number;
  /** Most bytes of tensors alive during the timed steps: weights, optimizer, gradients, activations; with a recording, what it holds for them. */
  peakBytes: number;
  /** The device's memory by category when it was highest during the timed steps; `total` includes the kernels' workspace. */
  memory: MemorySplit;
  /** Most memory of the process during the timed steps beyond what it had before the model was made, in bytes. */
  peakRss: number;
  /** Cross-entropy of the last step, in nats per token. */
  loss: number;
  /** Operations of the model per second, in GFLOP/s, by the model's own count. */
  gflops: number;
  /** `gflops` divided by the rate of a large matrix product of the same dtype on this machine, measured in the same process. */
  mfu: number;
  /** FLOP/s of that matrix product. */
  peakFlops: number;
  /** FLOPs per token as PaLM counts them: 6 per multiplied weight and 12·layers·width·length for attention, causal or not. */
  palmFlopsPerToken: number;
  /** Model FLOPs utilisation by that count, of the measured rate. */
  palmMfu: number;
  /** FLOP/s of the datasheet, dense, for this dtype; null where the device is not an H100 or H200. */
  datasheetFlops: number | null;
  /** Model FLOPs utilisation by PaLM's count, of the datasheet's rate. */
  datasheetMfu: number | null;
  parameters: number;
  steps: number;
  /** Whether the steps were replays of one recording. */
  captured: boolean;
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

/** Queues one training step; returns its cross-entropy. */
function queueStep(model: CausalLM, optimizer: Optimizer, batch: FixedBatch): Tensor {
  return scope(() => {
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
}

/** One training step; resolves to its cross-entropy when everything has run. */
async function trainStep(model: CausalLM, optimizer: Optimizer, batch: FixedBatch): Promise<number> {
  const loss = queueStep(model, optimizer, batch);
  try {
    return await loss.item();
  } finally {
    loss.dispose();
  }
}

/** The same as a replay. */
function replayStep(recording: Recording<Tensor>): Promise<number> {
  recording.replay();
  return recording.result.item();
}

/** The split of a recorded step, and as `other` what the recording holds beyond that step's own peak. */
function withHeld(split: MemorySplit, held: number): MemorySplit {
  const more = Math.max(0, held - (split.total - split.workspace));
  return { ...split, other: split.other + more, total: split.total + more };
}

/** Rows and length of a workload's batch on a device. */
export function batchOf(
  { batchSize, sequenceLength, gpu }: Preset,
  device: DeviceName,
  asked: { batchSize?: number; sequenceLength?: number } = {},
): { batchSize: number; sequenceLength: number } {
  const usual = device === "cuda" && gpu !== undefined ? gpu : { batchSize, sequenceLength };
  const batch = {
    batchSize: asked.batchSize ?? usual.batchSize,
    sequenceLength: asked.sequenceLength ?? usual.sequenceLength,
  };
  checkCount("batchSize", batch.batchSize, 1);
  checkCount("sequenceLength", batch.sequenceLength, 1);
  return batch;
}

/** Dense FLOP/s of matrix products by the datasheet of H100 SXM and H200 (NVIDIA, 2024): bf16 989.5 TFLOP/s; f32 has no tensor cores. */
export function datasheetFlops(name: string, dtype: ComputeDtype): number | null {
  return dtype === "bf16" && /\bH[12]00\b/.test(name) && !/PCIe|NVL/.test(name) ? 989.5e12 : null;
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
  const {
    workload,
    dtype = "f32",
    steps = 10,
    warmup = 3,
    seed = 1,
    capture: captured = false,
    signal,
  } = options;
  checkCount("steps", steps, 1);
  checkCount("warmup", warmup, 0);
  const { checkpointing = false } = options;
  const device = defaultDevice();
  const chosen = preset(workload);
  const { batchSize, sequenceLength } = batchOf(chosen, device, options);
  const peakRate = await measurePeakFlops(dtype);
  const before = residentBytes();
  manualSeed(seed);
  const model = createModel(chosen.config, { dtype });
  if (sequenceLength > model.maxPositions) {
    const { maxPositions } = model;
    model.dispose();
    throw new ConfigError(
      `sequenceLength ${sequenceLength} exceeds the ${maxPositions} positions of ${workload}.`,
      {
        sequenceLength,
        maxPositions,
      },
    );
  }
  model.checkpointing = checkpointing;
  const optimizer = new AdamW({ params: model.namedParameters() }) as unknown as Optimizer;
  const batch = inCategory("other", () =>
    scope(() => keep(randomBatch(batchSize, sequenceLength, model.vocabSize, seed))),
  );
  let recording: Recording<Tensor> | null = null;
  let recordedSplit: MemorySplit | null = null;
  const step = () => (recording === null ? trainStep(model, optimizer, batch) : replayStep(recording));
  try {
    let loss = Number.NaN;
    if (captured) {
      // Makes the optimizer's state and the tables that the model keeps.
      await step();
      // Replays make no tensors: the recorded step itself shows what they are for.
      resetPeakMemory();
      recording = capture(() => queueStep(model, optimizer, batch));
      recordedSplit = memoryByCategory().peak;
    }
    for (let i = 0; i < warmup; i++) await step();
    resetPeakResident();
    resetPeakMemory();
    const seconds: number[] = [];
    for (let i = 0; i < steps; i++) {
      signal?.throwIfAborted();
      const start = performance.now();
      loss = await step();
      seconds.push((performance.now() - start) / 1000);
    }
    const secondsPerStep = median(seconds);
    const tokensPerSecond = (batchSize * sequenceLength) / secondsPerStep;
    const { parameters, trainingFlopsPerToken } = model.facts();
    const flops = tokensPerSecond * trainingFlopsPerToken(sequenceLength);
    const peakBytes = memory().peak + memory().recorded;
    const palmFlopsPerToken = 2 * trainingFlopsPerToken(sequenceLength) - trainingFlopsPerToken(0);
    const palmRate = tokensPerSecond * palmFlopsPerToken;
    const datasheet = device === "cuda" ? datasheetFlops(machineFacts(device).name, dtype) : null;
    return {
      workload,
      dtype,
      device,
      batchSize,
      sequenceLength,
      checkpointing,
      tokensPerSecond,
      secondsPerStep,
      fastestStep: Math.min(...seconds),
      peakBytes,
      memory: recordedSplit === null ? memoryByCategory().peak : withHeld(recordedSplit, peakBytes),
      peakRss: peakResidentBytes() - before,
      loss,
      gflops: flops / 1e9,
      mfu: flops / peakRate,
      peakFlops: peakRate,
      palmFlopsPerToken,
      palmMfu: palmRate / peakRate,
      datasheetFlops: datasheet,
      datasheetMfu: datasheet === null ? null : palmRate / datasheet,
      parameters,
      steps,
      captured,
    };
  } finally {
    recording?.dispose();
    const { input, targets } = batch;
    for (const made of [input.ids, input.positions, input.segments.cu, targets]) made.dispose();
    optimizer.dispose();
    model.dispose();
  }
}
