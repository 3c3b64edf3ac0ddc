/** How many steps fit into a given time on this machine: a few steps and one evaluation batch are measured with a model that is thrown away. */
import type { CausalLM } from "../models/causal-lm.js";
import { evaluate } from "./evaluate.js";
import type { TrainerOptions } from "./options.js";
import { Trainer } from "./trainer.js";

/** What was measured. */
export interface StepCosts {
  /** Seconds of one optimizer step. */
  step: number;
  /** Seconds of one evaluation batch; 0 without validation. */
  evaluation: number;
}

/** A division of the time. */
export interface StepBudget {
  steps: number;
  /** Batches per evaluation. */
  evalBatches: number;
}

/** The first steps are slower: memory is asked for, kernels are chosen. */
const UNTIMED = 2;
const TIMED = { steps: 10, seconds: 3 };

/**
 * Measures steps and evaluation of a run that is about to begin. The model is changed.
 * @param options those of the run, without folder and steps
 */
export async function measureCosts(
  model: CausalLM,
  options: Omit<TrainerOptions, "model" | "steps">,
): Promise<StepCosts> {
  const { validation, batches, signal, ...rest } = options;
  const trainer = await Trainer.create({
    ...rest,
    batches,
    signal,
    model,
    steps: UNTIMED + TIMED.steps,
    peakFlops: 0,
  });
  // Time from one step's event to the next: what a step costs with everything around it.
  const seconds: number[] = [];
  const start = performance.now();
  let last = start;
  for await (const event of trainer.run()) {
    if (event.type !== "step") continue;
    const now = performance.now();
    if (event.step > UNTIMED) seconds.push((now - last) / 1000);
    last = now;
    // Three steps say enough where they take seconds.
    if (seconds.length >= 3 && now - start > TIMED.seconds * 1000) break;
  }
  let evaluation = 0;
  if (validation !== undefined && !signal?.aborted) {
    const once = async (): Promise<number> => {
      const begin = performance.now();
      await evaluate(model, validation(), { sequenceLength: batches.sequenceLength, maxBatches: 1, signal });
      return (performance.now() - begin) / 1000;
    };
    await once();
    evaluation = await once();
  }
  // The middle one: a machine that is used for other things now and then does not spoil it.
  const step = seconds.sort((a, b) => a - b)[seconds.length >> 1] ?? 0;
  return { step, evaluation };
}

/**
 * Divides a time: a tenth at most goes to evaluations, the rest to steps.
 * @param seconds the time for all of it
 * @param evaluations how often a run is evaluated
 * @param evalBatches batches per evaluation where the caller wants a number, else as many as fit, 200 at most
 */
export function divideTime(
  seconds: number,
  costs: StepCosts,
  evaluations: number,
  evalBatches?: number,
): StepBudget {
  const fitting = Math.floor((0.1 * seconds) / (evaluations * Math.max(costs.evaluation, 1e-6)));
  const batches = evalBatches ?? Math.max(1, Math.min(200, fitting));
  const left = seconds - evaluations * batches * costs.evaluation;
  return { steps: Math.max(1, Math.floor(left / Math.max(costs.step, 1e-6))), evalBatches: batches };
}
