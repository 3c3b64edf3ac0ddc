/** Settings of a pre-training run: what the caller gives, the defaults, and what a resumed run takes from the one before. */
import { resolve } from "node:path";
import { PACKINGS, type Packing, type PrepareProgress } from "../data/index.js";
import { checkInteger, checkOptions } from "../data/options.js";
import { ConfigError, didYouMean } from "../errors.js";
import { isObject } from "../io/json.js";
import { type Checkpointing, parseCheckpointing } from "../models/checkpointing.js";
import type { RawConfig } from "../models/config.js";
import { parseComputeDtype } from "../models/registry.js";
import type { ComputeDtype } from "../nn/module.js";
import type { OptimizerConfig } from "../optim/index.js";
import type { ModelChoice } from "./model-choice.js";
import type { TrainingSchedule } from "./options.js";

/** Names of the schedules that a pre-training run may have. */
export const PRETRAIN_SCHEDULES = ["constant", "cosine", "wsd"] as const;
/** Ways to draw rows from the text. */
export const DATA_MODES = ["packed", "random"] as const;

/** Everything that decides a run, with defaults filled in. It is stored in the run's config.json. */
export interface PretrainSettings {
  /** Name of a preset, or path of a config.json or of a model folder. */
  model: string;
  /**
   * Files and folders with the text, as absolute paths; or folders of packed data (`anneal data pack`), or one mixture file
   * that names such folders.
   */
  data: string[];
  /** Endings of the files that are taken from folders. Default `.txt`, `.md`, `.jsonl`, `.ndjson`. */
  extensions: string[] | null;
  /**
   * `char`, `byte`, or path of a tokenizer.json or of a folder with one. Default `byte`, for char-gpt `char`; for packed data
   * the one that it was packed with.
   */
  tokenizer: string;
  /** Weights and activations. Default f32. */
  dtype: ComputeDtype;
  /** Optimizer steps. Default 1000. */
  steps: number;
  /** B: rows of one optimizer step. Default by the model. */
  batchSize: number;
  /** T: tokens per row. Default by the model. */
  sequenceLength: number;
  /** Parts that a batch is cut into to save memory; divides the batch size. Default 1. */
  accumulation: number;
  /** Peak learning rate. Default 1e-3. */
  lr: number;
  /** Learning rate at the end. Default a tenth of `lr`. */
  minLr: number;
  /** Steps of linear warm-up: step i (from 0) has lr·(i + 1)/(warmup + 1). Default a tenth of the steps, at most 100. */
  warmup: number;
  /** Default cosine. wsd decays over the last fifth. */
  schedule: (typeof PRETRAIN_SCHEDULES)[number];
  /** λ of AdamW, on matrices and embeddings. Default 0.1. */
  weightDecay: number;
  /** Default 0.9. */
  beta1: number;
  /** Default 0.95. */
  beta2: number;
  /** Largest gradient norm; 0 does not clip. Default 1. */
  clip: number;
  /** Dropout of residual connections and embeddings, where the model has it. Default: as configured. */
  dropout: number | null;
  /** Decides weights, order of the data and dropout. Default 1. */
  seed: number;
  /** Steps from one evaluation to the next. Default: ten evaluations a run. */
  evalEvery: number;
  /** Batches of validation text per evaluation, at most. Default 200. */
  evalBatches: number;
  /** Steps from one checkpoint to the next. Default 500. */
  saveEvery: number;
  /** Checkpoints that are kept, beside the best one. Default 2. */
  keep: number;
  /** Steps from one sample to the next; 0 for none. Default 0. */
  sampleEvery: number;
  /** Beginning of the samples. Default a line end. */
  prompt: string;
  /** Tokens of a sample. Default 200. */
  sampleTokens: number;
  /** Share of the text kept for validation. Default 0.1. */
  validationFraction: number;
  /** Default packed. */
  dataMode: (typeof DATA_MODES)[number];
  /** How rows are cut from the documents. Default windows; for packed data as the first folder was packed. */
  packing: Packing;
  /** Keep the documents of a row apart, in attention, positions and targets. Default false. */
  documentMask: boolean;
  /** What is recomputed in the backward pass to save memory: true for whole blocks, or parts of them. Default false. */
  checkpointing: Checkpointing;
}

/** Settings that a resumed run may change: they decide how long it runs and what is watched and kept. */
const CHANGEABLE = [
  "evalEvery",
  "evalBatches",
  "saveEvery",
  "keep",
  "sampleEvery",
  "prompt",
  "sampleTokens",
] as const;

/** What a caller gives: any setting, and how the run is carried out. */
export interface PretrainOptions extends Partial<Omit<PretrainSettings, "model">> {
  /** A name or path, or a configuration of the caller's own. Needed unless the run is resumed. */
  model?: string | ModelChoice;
  /** Folder of the run. Default runs/MODEL-TIME. */
  out?: string;
  /** Go on with the run in `out`: settings left out are those of the run. Default false. */
  resume?: boolean;
  /**
   * Instead of `steps`: measure a few steps, then choose as many as take about so many minutes here, evaluations included.
   */
  minutes?: number;
  /** Also evaluate and sample before the first step. Default false. */
  evalAtStart?: boolean;
  /** Called while the text is read and encoded. */
  onPrepare?: (progress: PrepareProgress) => void;
  /** Ends the run cleanly after the current step, with a checkpoint and the model folder. */
  signal?: AbortSignal;
}

const SETTING_NAMES = [
  "model",
  "data",
  "extensions",
  "tokenizer",
  "dtype",
  "steps",
  "batchSize",
  "sequenceLength",
  "accumulation",
  "lr",
  "minLr",
  "warmup",
  "schedule",
  "weightDecay",
  "beta1",
  "beta2",
  "clip",
  "dropout",
  "seed",
  "evalEvery",
  "evalBatches",
  "saveEvery",
  "keep",
  "sampleEvery",
  "prompt",
  "sampleTokens",
  "validationFraction",
  "dataMode",
  "packing",
  "documentMask",
  "checkpointing",
] as const satisfies readonly (keyof PretrainSettings)[];

const OPTION_NAMES = [
  ...SETTING_NAMES,
  "out",
  "resume",
  "minutes",
  "evalAtStart",
  "onPrepare",
  "signal",
] as const;

function checkNumber(name: string, value: number, least: number, below = Number.POSITIVE_INFINITY): void {
  if (typeof value === "number" && value >= least && value < below) return;
  const range = below === Number.POSITIVE_INFINITY ? `from ${least}` : `from ${least} to below ${below}`;
  throw new ConfigError(`${name} must be a number ${range}, got ${String(value)}.`, { [name]: value });
}

function checkChoice(name: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new ConfigError(
    `${name} must be one of ${choices.join(", ")}, got "${value}".${didYouMean(value, choices)}`,
    { [name]: value },
  );
}

/** Refuses option names that do not exist and combinations without a meaning. */
export function checkPretrainOptions(options: PretrainOptions): void {
  checkOptions("pretrain", options, OPTION_NAMES);
  if (options.minutes !== undefined) {
    checkNumber("minutes", options.minutes, 0);
    if (options.steps !== undefined) {
      throw new ConfigError("Give either steps or minutes, not both.", {
        steps: options.steps,
        minutes: options.minutes,
      });
    }
  }
}

/**
 * Settings of a new run.
 * @param steps the number of steps where it was measured, overriding `options.steps`
 * @throws ConfigError naming the option, what is expected and what was given
 */
export function fillSettings(
  options: PretrainOptions,
  choice: ModelChoice,
  steps?: number,
): PretrainSettings {
  const { data = [], lr = 1e-3 } = options;
  if (data.length === 0) {
    throw new ConfigError("There is no data to train on: name files or folders with text (--data PATH).");
  }
  const total = steps ?? options.steps ?? 1000;
  const settings: PretrainSettings = {
    model: choice.name,
    data: data.map((path) => resolve(path)),
    extensions: options.extensions ?? null,
    tokenizer: options.tokenizer ?? (choice.name === "char-gpt" ? "char" : "byte"),
    dtype: parseComputeDtype(options.dtype ?? "f32"),
    steps: checkInteger("steps", total, 1),
    batchSize: checkInteger("batchSize", options.batchSize ?? choice.batchSize, 1),
    sequenceLength: checkInteger("sequenceLength", options.sequenceLength ?? choice.sequenceLength, 1),
    accumulation: checkInteger("accumulation", options.accumulation ?? 1, 1),
    lr,
    minLr: options.minLr ?? lr / 10,
    warmup: checkInteger("warmup", options.warmup ?? Math.min(100, Math.floor(total / 10)), 0),
    schedule: options.schedule ?? "cosine",
    weightDecay: options.weightDecay ?? 0.1,
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.95,
    clip: options.clip ?? 1,
    dropout: options.dropout ?? null,
    seed: checkInteger("seed", options.seed ?? 1, 0),
    evalEvery: checkInteger("evalEvery", options.evalEvery ?? Math.max(1, Math.ceil(total / 10)), 1),
    evalBatches: checkInteger("evalBatches", options.evalBatches ?? 200, 1),
    saveEvery: checkInteger("saveEvery", options.saveEvery ?? 500, 1),
    keep: checkInteger("keep", options.keep ?? 2, 1),
    sampleEvery: checkInteger("sampleEvery", options.sampleEvery ?? 0, 0),
    prompt: options.prompt ?? "\n",
    sampleTokens: checkInteger("sampleTokens", options.sampleTokens ?? 200, 1),
    validationFraction: options.validationFraction ?? 0.1,
    dataMode: options.dataMode ?? "packed",
    packing: options.packing ?? "windows",
    documentMask: options.documentMask ?? false,
    checkpointing: parseCheckpointing(options.checkpointing ?? false),
  };
  checkNumber("lr", settings.lr, 0);
  checkNumber("minLr", settings.minLr, 0);
  checkNumber("weightDecay", settings.weightDecay, 0);
  checkNumber("beta1", settings.beta1, 0, 1);
  checkNumber("beta2", settings.beta2, 0, 1);
  checkNumber("clip", settings.clip, 0);
  checkNumber("validationFraction", settings.validationFraction, 0, 1);
  if (settings.dropout !== null) checkNumber("dropout", settings.dropout, 0, 1);
  checkChoice("schedule", settings.schedule, PRETRAIN_SCHEDULES);
  checkChoice("dataMode", settings.dataMode, DATA_MODES);
  checkChoice("packing", settings.packing, PACKINGS);
  if (settings.minLr > settings.lr) {
    throw new ConfigError(`minLr ${settings.minLr} must not exceed lr ${settings.lr}.`, {
      minLr: settings.minLr,
      lr: settings.lr,
    });
  }
  return settings;
}

/**
 * Settings of a resumed run: its own, with the changes that leave the course of the losses as it is.
 * @throws ConfigError for options that would change the mathematics of the run
 */
export function resumedSettings(stored: PretrainSettings, options: PretrainOptions): PretrainSettings {
  // Runs of earlier versions have neither.
  const before = { packing: "windows", documentMask: false, ...(stored as Partial<PretrainSettings>) };
  const settings: Record<string, unknown> = { ...before };
  for (const name of SETTING_NAMES) {
    const given = name === "data" ? options.data?.map((path) => resolve(path)) : options[name];
    if (given === undefined || (name === "data" && (given as string[]).length === 0)) continue;
    if ((CHANGEABLE as readonly string[]).includes(name)) {
      settings[name] = given;
    } else if (JSON.stringify(nameOf(given)) !== JSON.stringify(before[name])) {
      throw new ConfigError(
        `The run was started with ${name} = ${JSON.stringify(stored[name])}, so it cannot go on with ${JSON.stringify(nameOf(given))}. ` +
          "Leave the option out, or start a new run in another folder.",
        { option: name, stored: stored[name], given: nameOf(given) },
      );
    }
  }
  return settings as unknown as PretrainSettings;
}

const nameOf = (value: unknown): unknown => (isObject(value) && "config" in value ? value.name : value);

/** AdamW as the settings say. */
export function optimizerOf({ lr, beta1, beta2, weightDecay }: PretrainSettings): OptimizerConfig {
  return { type: "adamw", lr, betas: [beta1, beta2], weightDecay };
}

/** The schedule as the settings say; its warm-up is nanoGPT's. */
export function scheduleOf({ schedule, warmup, lr, minLr, steps }: PretrainSettings): TrainingSchedule {
  const minRatio = lr === 0 ? 0 : minLr / lr;
  const warmupSteps = Math.min(warmup, steps);
  if (schedule === "constant") return { name: "constant", warmupSteps, warmupStart: "between" };
  const rising = { warmupSteps, warmupStart: "between", minRatio } as const;
  return schedule === "cosine"
    ? { name: "cosine", ...rising }
    : { name: "wsd", ...rising, decaySteps: Math.min(Math.floor(steps / 5), steps - warmupSteps) };
}

/** What a run's config.json holds for `pretrain`. */
export interface StoredRun {
  kind: "pretrain";
  settings: PretrainSettings;
  /** The model's configuration, fitted to tokenizer and sequence length. */
  modelConfig: RawConfig;
  /** Folder of the weights that the run began with; absent for random ones. */
  weightsFrom?: string;
  /** Fingerprint of the tokenizer. */
  tokenizer: string;
}

/**
 * Reads what `pretrain` stored in a run's config.json.
 * @throws ConfigError when the run is of another kind
 */
export function readStoredRun(config: Readonly<Record<string, unknown>>, dir: string): StoredRun {
  const { kind, settings, modelConfig } = config;
  if (kind !== "pretrain" || !isObject(settings) || !isObject(modelConfig)) {
    throw new ConfigError(
      `${dir} is not a pre-training run: its config.json has ${kind === undefined ? "no kind" : `kind ${JSON.stringify(kind)}`}. Resume it with the command that started it.`,
      { dir, kind },
    );
  }
  return config as unknown as StoredRun;
}
