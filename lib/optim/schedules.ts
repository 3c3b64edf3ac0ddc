/**
 * Learning-rate schedules: pure functions from the step (from 0) to a multiplier of the peak rate, with the meaning that Hugging Face's
 * `get_…_schedule` functions give them.
 */

import { ConfigError, didYouMean } from "../errors.js";
import { checkNames } from "./optimizer.js";

/** Multiplier of the peak learning rate at a step, from 0. */
export type Schedule = (step: number) => number;

/** Names that `parseSchedule` knows. */
export const SCHEDULES = ["constant", "linear", "cosine", "wsd"] as const;

/** The name of a schedule. */
export type ScheduleName = (typeof SCHEDULES)[number];

/**
 * Where a warm-up of W steps begins, at step i: `zero` is i/W, as Hugging Face does (the first step changes nothing); `one` is (i + 1)/W; `between` is
 * (i + 1)/(W + 1), as nanoGPT does.
 */
export type WarmupStart = "zero" | "one" | "between";

/** Options of a schedule. */
export interface ScheduleOptions {
  /** W: steps of linear warm-up. Default 0. */
  warmupSteps?: number;
  /** Default "zero". */
  warmupStart?: WarmupStart;
  /** N: all steps. Needed by linear, cosine and wsd. */
  totalSteps?: number;
  /** Multiplier at the end of the decay, from 0 to 1. Default 0. */
  minRatio?: number;
  /** wsd: steps of the decay at the end. Default: a fifth of totalSteps. */
  decaySteps?: number;
  /** wsd: the decay over its progress p is 1 − p, ½(1 + cos πp), or 1 − √p. Default "linear". */
  decayShape?: "linear" | "cosine" | "sqrt";
}

type Filled = Required<ScheduleOptions>;

const OPTIONS = ["warmupSteps", "warmupStart", "totalSteps", "minRatio", "decaySteps", "decayShape"] as const;
const WARMUP_STARTS = ["zero", "one", "between"] as const;

/** What remains of the rate at progress p of the decay. */
const FALLS = {
  linear: (p: number) => 1 - p,
  cosine: (p: number) => 0.5 * (1 + Math.cos(Math.PI * p)),
  sqrt: (p: number) => 1 - Math.sqrt(p),
} as const;

const DECAY_SHAPES = Object.keys(FALLS) as (keyof typeof FALLS)[];

function warmup(step: number, { warmupSteps: W, warmupStart }: Filled): number {
  if (warmupStart === "zero") return step / W;
  return (step + 1) / (warmupStart === "one" ? W : W + 1);
}

function makeSchedule(name: ScheduleName, options: Filled): Schedule {
  const { warmupSteps: W, totalSteps: N, minRatio, decaySteps, decayShape } = options;
  const lift = (x: number): number => minRatio + (1 - minRatio) * x;
  const decay =
    (begin: number, length: number, fall: (p: number) => number): Schedule =>
    (step) =>
      lift(fall(Math.min((step - begin) / Math.max(length, 1), 1)));
  switch (name) {
    case "constant":
      return (step) => (step < W ? warmup(step, options) : 1);
    case "wsd": {
      // As in Hugging Face's, this warm-up rises from the minimum instead of 0.
      const begin = N - decaySteps;
      const end = decay(begin, decaySteps, FALLS[decayShape]);
      return (step) => (step < W ? lift(warmup(step, options)) : step < begin ? 1 : end(step));
    }
    default: {
      const falling = decay(W, N - W, FALLS[name]);
      return (step) => (step < W ? warmup(step, options) : falling(step));
    }
  }
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): void {
  if (allowed.includes(value)) return;
  throw new ConfigError(
    `${name} must be one of ${allowed.join(", ")}, got "${String(value)}".${didYouMean(String(value), allowed)}`,
    { [name]: value },
  );
}

function count(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new ConfigError(`${name} of a schedule must be an integer from ${least}, got ${String(value)}.`, {
    [name]: value,
  });
}

/**
 * The schedule of a name:
 *   constant  warm-up, then 1
 *   linear    warm-up, then a straight line to minRatio at totalSteps
 *   cosine    warm-up, then half a cosine to minRatio at totalSteps
 *   wsd       warm-up (from minRatio), 1, then the decay to minRatio over the last decaySteps
 * Beyond totalSteps the last value holds.
 * @throws ConfigError for unknown names and options (with the one that was probably meant) and values out of range
 */
export function parseSchedule(name: string, options: ScheduleOptions = {}): Schedule {
  oneOf("schedule", name, SCHEDULES);
  checkNames(`The schedule ${name}`, options, OPTIONS);
  const kind = name as ScheduleName;
  if (kind !== "constant" && options.totalSteps === undefined) {
    throw new ConfigError(`The schedule ${name} needs totalSteps, the number of steps it spans.`, {
      schedule: name,
    });
  }
  const {
    warmupSteps = 0,
    warmupStart = "zero",
    totalSteps = 1,
    minRatio = 0,
    decayShape = "linear",
  } = options;
  const { decaySteps = Math.floor(totalSteps / 5) } = options;
  count("warmupSteps", warmupSteps, 0);
  count("totalSteps", totalSteps, 1);
  count("decaySteps", decaySteps, 0);
  oneOf("warmupStart", warmupStart, WARMUP_STARTS);
  oneOf("decayShape", decayShape, DECAY_SHAPES);
  if (!(minRatio >= 0 && minRatio <= 1)) {
    throw new ConfigError(`minRatio of a schedule must lie from 0 to 1, got ${String(minRatio)}.`, {
      minRatio,
    });
  }
  if (kind === "wsd" && warmupSteps + decaySteps > totalSteps) {
    throw new ConfigError(
      `The schedule wsd has ${warmupSteps} steps of warm-up and ${decaySteps} of decay, more than totalSteps ${totalSteps}. Shorten one of them.`,
      { warmupSteps, decaySteps, totalSteps },
    );
  }
  return makeSchedule(kind, { warmupSteps, warmupStart, totalSteps, minRatio, decaySteps, decayShape });
}
