/** Options of the trainer: meaning, unit and default of each, and their checks. */

import { ConfigError, didYouMean } from "../errors.js";
import type { FileSystem } from "../io/index.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Checkpointing } from "../models/checkpointing.js";
import type { DeviceName } from "../native/device.js";
import {
  type Optimizer,
  type OptimizerConfig,
  parseSchedule,
  type Schedule,
  type ScheduleName,
  type ScheduleOptions,
} from "../optim/index.js";
import type { TokenRows } from "./batch-input.js";
import type { EvaluationRows } from "./evaluate.js";

/** Where batches come from: `TokenBatches` of data/, or anything that gives the batch of a step, always the same one. */
export interface TrainingBatches {
  /** Rows of one batch. */
  readonly batchSize: number;
  /** Tokens per row. */
  readonly sequenceLength: number;
  /** Names the data and its order; a run resumes only where it is the same. */
  readonly fingerprint?: string;
  /** The batch of a step, from 0. */
  batchAt(step: number): Promise<TokenRows>;
}

/** A schedule by name and options (`totalSteps` defaults to the run's steps), or a function from the step (from 0) to a multiplier. */
export type TrainingSchedule = ({ name: ScheduleName } & ScheduleOptions) | Schedule;

/** What a sampler gets. */
export interface SampleContext {
  step: number;
  /** In evaluation mode. */
  model: CausalLM;
  signal?: AbortSignal;
}

/** Options of `Trainer.create`. */
export interface TrainerOptions {
  /** What is trained. It stays the caller's. */
  model: CausalLM;
  /** An optimizer over the model's parameters, or the options of one; default AdamW with its defaults. */
  optimizer?: Optimizer | OptimizerConfig;
  /** Default constant. */
  schedule?: TrainingSchedule;
  batches: TrainingBatches;
  /** Optimizer steps in all, those before a resume included. */
  steps: number;
  /** Micro-batches that each batch is cut into by rows; a divisor of its rows. Less memory, the same update. Default 1. */
  accumulation?: number;
  /** Largest norm of all gradients together; 0 does not clip. Default 1. */
  clip?: number;
  /** What is recomputed in the backward pass instead of being kept: true or "full" for whole blocks, or parts of them; the same losses, bit for bit. Default: as the model is set. */
  checkpointing?: Checkpointing;
  /**
   * Record a step's kernel calls once and replay them as one command (on CUDA a graph), where steps have equal shapes; the same numbers, bit for bit.
   * Memory of a step stays set aside between steps. "auto", the default: on the CPU and on CUDA.
   */
  capture?: boolean | "auto";
  /** Seed of dropout. Default 0. */
  seed?: number;

  /** Makes the validation windows anew for each evaluation. Default: no evaluation. */
  validation?: () => AsyncIterable<EvaluationRows>;
  /** Tokens per row of the validation windows. Default: as in training. */
  validationLength?: number;
  /** Steps from one evaluation to the next; the last step is always evaluated. Default 250. */
  evalEvery?: number;
  /** Batches of an evaluation at most. Default: all. */
  evalBatches?: number;
  /** Also evaluate and sample before the first step. Default false. */
  evalAtStart?: boolean;
  /** Writes a text with the model. Random numbers that it draws do not change the training. */
  sampler?: (context: SampleContext) => string | Promise<string>;
  /** Steps from one sample to the next; the last step is always sampled. Default: as evalEvery. */
  sampleEvery?: number;

  /** Folder for config.json, metrics.jsonl and checkpoints. Default: nothing is written. */
  runDir?: string;
  /** Stored in the run's config.json, for whoever resumes it. */
  config?: Record<string, unknown>;
  /**
   * `true`: go on from the newest good checkpoint of `runDir`, or from the start when it has none. `"auto"`: the same, and begin a new run when there is no
   * run. Default false: `runDir` must not hold a run.
   */
  resume?: boolean | "auto";
  /** Resume even with settings that change the mathematics; each is told as a warning. Default false. */
  allowChanges?: boolean;
  /** Steps from one checkpoint to the next; the last step is always saved. Default 500. */
  saveEvery?: number;
  /** Checkpoints that are kept; the best one is kept besides. Default 3. */
  keep?: number;
  /** Steps from one record in metrics.jsonl to the next. Default 1. */
  metricsEvery?: number;
  /** Peak FLOP/s for `mfu`; 0 leaves it out. Default: measured for 50 ms at the start. */
  peakFlops?: number;

  /**
   * A loss above this many times the median of the last 64 (and 1 nat above it) stops the run. 0 never does. Losses that are not finite always do.
   * Default 4.
   */
  spikeFactor?: number;
  /** Ends the run cleanly after the current step, with a checkpoint. */
  signal?: AbortSignal;
  /** Another file system, for tests. */
  fs?: FileSystem;
}

const NAMES = [
  "model",
  "optimizer",
  "schedule",
  "batches",
  "steps",
  "accumulation",
  "clip",
  "checkpointing",
  "capture",
  "seed",
  "validation",
  "validationLength",
  "evalEvery",
  "evalBatches",
  "evalAtStart",
  "sampler",
  "sampleEvery",
  "runDir",
  "config",
  "resume",
  "allowChanges",
  "saveEvery",
  "keep",
  "metricsEvery",
  "peakFlops",
  "spikeFactor",
  "signal",
  "fs",
] as const satisfies readonly (keyof TrainerOptions)[];

/** Options with their defaults filled in. */
export type FilledOptions = TrainerOptions &
  Required<
    Pick<
      TrainerOptions,
      | "accumulation"
      | "clip"
      | "seed"
      | "evalEvery"
      | "sampleEvery"
      | "saveEvery"
      | "keep"
      | "metricsEvery"
      | "spikeFactor"
    >
  >;

function integer(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new ConfigError(`Trainer: ${name} must be an integer from ${least}, got ${String(value)}.`, {
    [name]: value,
  });
}

function number(name: string, value: number): void {
  if (typeof value === "number" && value >= 0 && value < Number.POSITIVE_INFINITY) return;
  throw new ConfigError(`Trainer: ${name} must be a number from 0, got ${String(value)}.`, { [name]: value });
}

/**
 * Checks options and fills in defaults.
 * @throws ConfigError naming the option, what is expected and what was given
 */
export function fillOptions(options: TrainerOptions): FilledOptions {
  for (const name of Object.keys(options)) {
    if ((NAMES as readonly string[]).includes(name)) continue;
    throw new ConfigError(`Trainer has no option "${name}".${didYouMean(name, NAMES)}`, { option: name });
  }
  const evalEvery = options.evalEvery ?? 250;
  const filled: FilledOptions = {
    ...options,
    accumulation: options.accumulation ?? 1,
    clip: options.clip ?? 1,
    seed: options.seed ?? 0,
    evalEvery,
    sampleEvery: options.sampleEvery ?? evalEvery,
    saveEvery: options.saveEvery ?? 500,
    keep: options.keep ?? 3,
    metricsEvery: options.metricsEvery ?? 1,
    spikeFactor: options.spikeFactor ?? 4,
  };
  integer("steps", filled.steps, 0);
  integer("seed", filled.seed, 0);
  for (const name of [
    "accumulation",
    "evalEvery",
    "sampleEvery",
    "saveEvery",
    "keep",
    "metricsEvery",
  ] as const) {
    integer(name, filled[name], 1);
  }
  for (const name of ["evalBatches", "validationLength"] as const) {
    const value = filled[name];
    if (value !== undefined) integer(name, value, 1);
  }
  for (const name of ["clip", "spikeFactor"] as const) number(name, filled[name]);
  if (filled.peakFlops !== undefined) number("peakFlops", filled.peakFlops);
  const { batchSize, sequenceLength } = filled.batches;
  if (batchSize % filled.accumulation !== 0) {
    throw new ConfigError(
      `Trainer: a batch of ${batchSize} rows cannot be cut into ${filled.accumulation} equal micro-batches. Choose an accumulation that divides ${batchSize}.`,
      { batchSize, accumulation: filled.accumulation },
    );
  }
  const { capture = "auto" } = filled;
  if (capture !== "auto" && typeof capture !== "boolean") {
    throw new ConfigError(`Trainer: capture must be true, false or "auto", got ${String(capture)}.`, {
      capture,
    });
  }
  const longest = Math.max(sequenceLength, filled.validationLength ?? 0);
  if (longest > filled.model.maxPositions) {
    throw new ConfigError(
      `Trainer: sequences of ${longest} tokens are longer than the model's ${filled.model.maxPositions} positions. Use a shorter sequenceLength.`,
      { sequenceLength: longest, maxPositions: filled.model.maxPositions },
    );
  }
  if (filled.runDir === undefined && filled.resume) {
    throw new ConfigError("Trainer: resume needs runDir, the folder of the run to go on with.", {});
  }
  return filled;
}

/** Whether steps on a device are captured. The interpreter of GPU kernels gains nothing from it. */
export function resolveCapture(capture: boolean | "auto" | undefined, device: DeviceName): boolean {
  return capture === undefined || capture === "auto" ? device !== "simt" : capture;
}

/** The function of a schedule, and what identifies it on resume. */
export function resolveSchedule(
  schedule: TrainingSchedule | undefined,
  steps: number,
): { multiplier: Schedule; identity: unknown } {
  if (typeof schedule === "function") return { multiplier: schedule, identity: "custom" };
  const { name = "constant", ...rest } = schedule ?? {};
  const options = name === "constant" ? rest : { totalSteps: steps, ...rest };
  return { multiplier: parseSchedule(name, options), identity: { name, ...options } };
}
