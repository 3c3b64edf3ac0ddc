/** One optimizer step: forward and backward of every micro-batch, clipping, the update. All of it is queued; its numbers arrive as a promise. */

import type { CausalLM } from "../models/causal-lm.js";
import { clipGradNorm, type Optimizer } from "../optim/index.js";
import { backward, noGrad } from "../tensor/autograd.js";
import { lt } from "../tensor/ops/compare.js";
import { where } from "../tensor/ops/elementwise.js";
import { type RandomState, randomState, setRandomState } from "../tensor/random.js";
import { keep, scope } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { inputFromBatch, type TokenRows } from "./batch-input.js";

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

/** Queues the steps of one run. */
export class Stepper {
  /** Random state of the next step. */
  random: RandomState;
  /** The clip factor of the step before: once it is −1 (a norm that is not finite) all later steps change nothing either. */
  private halt: Tensor | null = null;

  constructor(
    private readonly model: CausalLM,
    private readonly optimizer: Optimizer,
    private readonly options: {
      sequenceLength: number;
      accumulation: number;
      clip: number;
      random: RandomState;
    },
  ) {
    this.random = options.random;
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
      const reads = this.gradients(batch);
      this.random = randomState();
      const gradNorm = scope(() => {
        const { norm, clip } = clipGradNorm(this.optimizer.parameters(), this.options.clip);
        const before = this.halt;
        const factor = before === null ? clip : noGrad(() => where(lt(before, 0), before, clip));
        this.optimizer.step({ clip: factor });
        before?.dispose();
        this.halt = keep(factor);
        return norm.item();
      });
      this.model.afterStep();
      this.optimizer.zeroGrad();
      return { step, lr, batch, random, queuedAt, numbers: gather(reads, gradNorm) };
    } finally {
      setRandomState(outside);
    }
  }

  /** Queues forward and backward of every micro-batch: the gradients of the batch's mean loss lie in the parameters then. */
  gradients(batch: TokenRows): Promise<Omit<StepNumbers, "gradNorm">>[] {
    const { sequenceLength, accumulation } = this.options;
    const rows = batch.inputs.length / sequenceLength / accumulation;
    // Every target of the batch has the same weight, wherever the cuts fall.
    const normaliser = Math.max(1, countTargets(batch.targets)) / accumulation;
    return Array.from({ length: accumulation }, (_, part) =>
      scope(() => {
        const { input, targets } = inputFromBatch(batch, sequenceLength, { first: part * rows, rows });
        const result = this.model.loss(input, targets, { rows, factor: 1 / accumulation, normaliser });
        // The reads are queued before backward frees what they read.
        const read = readLosses(result.crossEntropy, result.terms);
        backward(result.loss);
        return read;
      }),
    );
  }

  /** Frees what the steps left. */
  dispose(): void {
    this.halt?.dispose();
    this.halt = null;
  }
}

function readLosses(
  crossEntropy: Tensor,
  terms: Record<string, Tensor>,
): Promise<Omit<StepNumbers, "gradNorm">> {
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
