/** One optimizer step: forward and backward of every micro-batch, clipping, the update. All of it is queued; its numbers arrive as a promise. */

import { CaptureError } from "../errors.js";
import type { CausalLM } from "../models/causal-lm.js";
import { clipGradNorm, type Optimizer } from "../optim/index.js";
import { backward, noGrad } from "../tensor/autograd.js";
import { lt } from "../tensor/ops/compare.js";
import { computeBinary } from "../tensor/ops/compute.js";
import { onesLike } from "../tensor/ops/create.js";
import { where } from "../tensor/ops/elementwise.js";
import { type RandomState, randomState, setRandomState } from "../tensor/random.js";
import { keep, scope } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { type DeviceInput, hostInput, type TokenRows, uploadInput } from "./batch-input.js";
import {
  CapturedStep,
  type PartLosses,
  type StepPart,
  type StepTensors,
  shapeOfParts,
} from "./captured-step.js";

/** Numbers of one step, read from the device. */
export interface StepNumbers {
  /** Nats per token over the whole batch. */
  loss: number;
  gradNorm: number;
  terms: Record<string, number>;
}

/** A step that is queued. */
export interface QueuedStep {
  /** From 1. */
  step: number;
  lr: number;
  batch: TokenRows;
  /** Random state before the step. */
  random: RandomState;
  /** When it was queued, in milliseconds of `performance.now()`. */
  queuedAt: number;
  numbers: Promise<StepNumbers>;
}

const IGNORE = -100;

function countTargets(targets: Int32Array): number {
  let count = 0;
  for (const target of targets) if (target !== IGNORE) count += 1;
  return count;
}

/** Options of `Stepper`. */
export interface StepperOptions {
  sequenceLength: number;
  accumulation: number;
  clip: number;
  /** Random state of the first step. */
  random: RandomState;
  /** Whether steps of equal shape are captured and replayed. */
  capture: boolean;
}

/** Queues the steps of one run. */
export class Stepper {
  /** Random state of the next step. */
  random: RandomState;
  /** Why steps run call by call although they were to be captured; set once, when the first of them does. */
  notice: string | null = null;
  /** The least clip factor so far, f32 [1]: once it is −1 (a norm that is not finite) all later steps change nothing either. */
  private halt: Tensor | null = null;
  private captures: boolean;
  private captured: CapturedStep | null = null;
  /** Of the step before. */
  private shape = "";

  constructor(
    private readonly model: CausalLM,
    private readonly optimizer: Optimizer,
    private readonly options: StepperOptions,
  ) {
    this.random = options.random;
    this.captures = options.capture;
  }

  /** Queues step `step` (from 1) on a batch; returns at once. */
  queue(step: number, batch: TokenRows, lrMultiplier: number): QueuedStep {
    const queuedAt = performance.now();
    const outside = randomState();
    const { random } = this;
    this.optimizer.lrMultiplier = lrMultiplier;
    const { lr } = this.optimizer;
    try {
      setRandomState(random);
      const parts = this.partsOf(batch);
      const numbers = this.replayed(parts) ?? this.plain(parts);
      this.random = randomState();
      return { step, lr, batch, random, queuedAt, numbers };
    } finally {
      setRandomState(outside);
    }
  }

  /** Queues forward and backward of every micro-batch: the gradients of the batch's mean loss lie in the parameters then. */
  gradients(batch: TokenRows): void {
    // The last replay may still hold the memory of a whole step.
    this.forget();
    for (const part of this.partsOf(batch)) this.plainPart(part);
  }

  /** Frees what the steps left. */
  dispose(): void {
    this.forget();
    this.halt?.dispose();
    this.halt = null;
  }

  private partsOf(batch: TokenRows): StepPart[] {
    const { sequenceLength, accumulation } = this.options;
    const rows = batch.inputs.length / sequenceLength / accumulation;
    // Every target of the batch has the same weight, wherever the cuts fall.
    const normaliser = Math.max(1, countTargets(batch.targets)) / accumulation;
    return Array.from({ length: accumulation }, (_, part) => ({
      ...hostInput(batch, sequenceLength, { first: part * rows, rows }),
      normaliser,
    }));
  }

  /** Forward and backward of one micro-batch. */
  private part(
    { input, targets, rows }: DeviceInput,
    normaliser: number,
    take: (losses: PartLosses) => void,
  ): void {
    const factor = 1 / this.options.accumulation;
    const { loss, crossEntropy, terms } = this.model.loss(input, targets, { rows, factor, normaliser });
    take({ crossEntropy, terms });
    backward(loss);
  }

  private plainPart(part: StepPart): Promise<Omit<StepNumbers, "gradNorm">> {
    let read!: Promise<Omit<StepNumbers, "gradNorm">>;
    // The reads are queued before backward frees what they read.
    scope(() =>
      this.part(uploadInput(part), part.normaliser, (losses) => {
        read = readLosses(losses);
      }),
    );
    return read;
  }

  /** Clipping, the update and what follows it; returns the gradients' norm. */
  private update(): Tensor {
    const gradNorm = scope(() => {
      const { norm, clip } = clipGradNorm(this.optimizer.parameters(), this.options.clip);
      this.halt ??= keep(onesLike(clip));
      const halt = this.halt;
      computeBinary("minimum", halt, clip, halt);
      this.optimizer.step({ clip: noGrad(() => where(lt(halt, 0), halt, clip)) });
      return norm;
    });
    this.model.afterStep();
    this.optimizer.zeroGrad();
    return gradNorm;
  }

  /** A step whose kernel calls are queued one by one. */
  private plain(parts: readonly StepPart[]): Promise<StepNumbers> {
    const reads = parts.map((part) => this.plainPart(part));
    const gradNorm = this.update();
    const numbers = gather(reads, gradNorm.item());
    gradNorm.dispose();
    return numbers;
  }

  /** The step as a replay, or null where it has to be queued call by call: the first one, and where the shape is not that of the step before. */
  private replayed(parts: readonly StepPart[]): Promise<StepNumbers> | null {
    if (!this.captures) return null;
    const shape = shapeOfParts(parts);
    const { shape: before } = this;
    this.shape = shape;
    if (this.captured?.shape !== shape) {
      // Two sets of activations are not to be held at a time.
      this.forget();
      if (before !== shape) {
        if (before !== "") {
          this.notice ??=
            "Steps are captured only where batches have the shape of the one before (rows, sequences, longest sequence, targets that count); others are queued call by call.";
        }
        return null;
      }
      if (!this.capture(parts)) return null;
    }
    const { parts: losses, gradNorm } = (this.captured as CapturedStep).replay(parts);
    return gather(losses.map(readLosses), gradNorm.item());
  }

  private capture(parts: readonly StepPart[]): boolean {
    try {
      this.captured = CapturedStep.record(parts, (inputs) => this.record(inputs, parts));
      return true;
    } catch (error) {
      this.optimizer.zeroGrad();
      if (!(error instanceof CaptureError)) throw error;
      this.captures = false;
      this.notice = `Steps are not captured: ${error.message}`;
      return false;
    }
  }

  private record(inputs: readonly DeviceInput[], parts: readonly StepPart[]): StepTensors {
    const losses: PartLosses[] = [];
    for (const [i, input] of inputs.entries()) {
      // Kept, because replays are read after their backward pass.
      scope(() => this.part(input, parts[i].normaliser, (part) => losses.push(keep(part))));
    }
    return { parts: losses, gradNorm: this.update() };
  }

  private forget(): void {
    this.captured?.dispose();
    this.captured = null;
  }
}

function readLosses({ crossEntropy, terms }: PartLosses): Promise<Omit<StepNumbers, "gradNorm">> {
  const names = Object.keys(terms);
  const reads = [crossEntropy.item(), ...names.map((name) => terms[name].item())];
  const result = Promise.all(reads).then(([loss, ...values]) => ({
    loss,
    terms: Object.fromEntries(names.map((name, i) => [name, values[i]])),
  }));
  result.catch(() => undefined);
  return result;
}

async function gatherNow(
  reads: readonly Promise<Omit<StepNumbers, "gradNorm">>[],
  gradNorm: Promise<number>,
): Promise<StepNumbers> {
  const terms: Record<string, number> = {};
  let loss = 0;
  for (const read of reads) {
    const part = await read;
    loss += part.loss;
    for (const [name, value] of Object.entries(part.terms)) terms[name] = (terms[name] ?? 0) + value;
  }
  return { loss, gradNorm: await gradNorm, terms };
}

function gather(
  reads: readonly Promise<Omit<StepNumbers, "gradNorm">>[],
  gradNorm: Promise<number>,
): Promise<StepNumbers> {
  gradNorm.catch(() => undefined);
  const result = gatherNow(reads, gradNorm);
  // A step that nobody waits for any more must not end the process when it fails.
  result.catch(() => undefined);
  return result;
}
