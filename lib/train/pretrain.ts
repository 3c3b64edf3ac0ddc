/** Pre-training from end to end: text to token shards (or packed data as it is), tokenizer, model, trainer, run folder, and at the end a Hugging Face model folder. */
import { mkdir, readdir, readFile, rm, rmdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type MixtureUse, type PreparedData, tokenByteTable } from "../data/index.js";
import { newTokenizer } from "../data/new-tokenizer.js";
import { ConfigError } from "../errors.js";
import { RunFolder } from "../io/index.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { RawConfig } from "../models/config.js";
import { fromPretrained, savePretrained } from "../models/pretrained.js";
import { createModel } from "../models/registry.js";
import { manualSeed } from "../tensor/random.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";
import type { TrainerEvent } from "./events.js";
import { chooseModel, fitConfig, type ModelChoice } from "./model-choice.js";
import type { TrainerOptions } from "./options.js";
import { findData, OpenRunData, prepareRunData, type RunData, withPackedOptions } from "./pretrain-data.js";
import {
  checkPretrainOptions,
  fillSettings,
  optimizerOf,
  type PretrainOptions,
  type PretrainSettings,
  readStoredRun,
  resumedSettings,
  type StoredRun,
  scheduleOf,
} from "./pretrain-settings.js";
import { textSampler } from "./sampler.js";
import { divideTime, measureCosts } from "./step-budget.js";
import { Trainer } from "./trainer.js";
import { validationWindows } from "./validation.js";

/** Everything is prepared; the first step follows. */
export interface ReadyEvent {
  type: "ready";
  /** Folder of the run. */
  run: string;
  resumed: boolean;
  settings: PretrainSettings;
  modelType: string;
  parameters: number;
  /** Values that take part in one token's forward pass. */
  activeParameters: number;
  vocabSize: number;
  /** Steps of the run before it was resumed. */
  stepsDone: number;
  data: PreparedData;
  /** Of a mixture: what the whole run uses of each dataset. */
  mixture?: MixtureUse[];
}

/** The model folder was written. */
export interface ExportEvent {
  type: "export";
  /** Folder that transformers and `anneal generate` load. */
  dir: string;
}

/** What `pretrain` tells while it runs. */
export type PretrainEvent = ReadyEvent | TrainerEvent | ExportEvent;

/** Folders inside a run, beside those of the trainer. */
const DATA = "data";
const TOKENIZER = "tokenizer";
const MODEL = "model";

/** Evaluations of a run whose length is measured. */
const EVALUATIONS = 10;

/** A run that is about to train. */
interface Plan {
  run: string;
  resumed: boolean;
  settings: PretrainSettings;
  tokenizer: Tokenizer;
  modelConfig: RawConfig;
  /** Folder of the first weights; undefined for random ones. */
  weightsFrom?: string;
  data: RunData;
}

const exists = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined)) !== undefined;

/** `runs/char-gpt-20260131-101500`. */
export function defaultRunFolder(name: string, now: Date = new Date()): string {
  const stem =
    name
      .replace(/\.json$/, "")
      .replace(/[^A-Za-z0-9._-]+/g, "-")
      .replace(/^[.-]+|-+$/g, "") || "model";
  const time = now.toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  return join("runs", `${stem}-${time}`);
}

/** Makes a run's folder, or says why that cannot be. */
async function makeFolder(run: string): Promise<void> {
  if (await exists(join(run, "config.json"))) {
    throw new ConfigError(
      `${run} holds a run already. Go on with it by --resume, or choose another folder with --out.`,
      { run },
    );
  }
  try {
    await mkdir(join(run, DATA), { recursive: true });
  } catch (error) {
    throw new ConfigError(
      `Cannot write to ${run}: ${(error as Error).message}. Choose another folder with --out.`,
      { run },
      { cause: error },
    );
  }
}

/** Takes away what a run that did not come to its first step has left. */
async function unmakeFolder(run: string): Promise<void> {
  if (await exists(join(run, "config.json"))) return;
  for (const name of [DATA, TOKENIZER]) await rm(join(run, name), { recursive: true, force: true });
  await rmdir(run).catch(() => undefined);
}

/** The model with its first weights. */
async function newModel(
  plan: Pick<Plan, "settings" | "modelConfig" | "weightsFrom">,
): Promise<CausalLM<RawConfig>> {
  const { dtype, seed } = plan.settings;
  manualSeed(seed);
  return plan.weightsFrom === undefined
    ? createModel(plan.modelConfig, { dtype })
    : fromPretrained(plan.weightsFrom, { dtype });
}

/** The data of a run, open for one piece of work. */
async function withData<T>(
  data: RunData,
  settings: PretrainSettings,
  work: (open: OpenRunData) => Promise<T>,
): Promise<T> {
  const open = await OpenRunData.open(data, settings);
  try {
    return await work(open);
  } finally {
    await open.close();
  }
}

/** The trainer's options that follow from settings and data. */
function trainingOptions(
  settings: PretrainSettings,
  tokenizer: Tokenizer,
  { batches, validation }: OpenRunData,
): Omit<TrainerOptions, "model" | "steps"> {
  const { sequenceLength, batchSize, seed, accumulation, clip, checkpointing, evalBatches } = settings;
  const { documentMask = false } = settings;
  const tokenBytes = tokenByteTable(tokenizer);
  const windows = () =>
    validationWindows(validation, {
      ...{ sequenceLength, batchSize, maxBatches: evalBatches, tokenBytes, documentMask },
    });
  const validationTokens = validation.reduce((sum, shard) => sum + shard.length, 0);
  return {
    batches,
    optimizer: optimizerOf(settings),
    schedule: scheduleOf(settings),
    accumulation,
    clip,
    checkpointing,
    seed,
    // A single token has nothing after it to predict.
    ...(validationTokens > 1 && { validation: windows }),
  };
}

/** Chooses steps and evaluation batches for a run that is given minutes instead. */
async function fitIntoTime(
  options: PretrainOptions,
  plan: Omit<Plan, "run" | "resumed">,
): Promise<Pick<PretrainOptions, "steps" | "evalBatches">> {
  const model = await newModel(plan);
  try {
    const costs = await withData(plan.data, plan.settings, (open) =>
      measureCosts(model, {
        ...trainingOptions({ ...plan.settings, evalBatches: 1 }, plan.tokenizer, open),
        signal: options.signal,
      }),
    );
    return divideTime(60 * (options.minutes ?? 0), costs, EVALUATIONS, options.evalBatches);
  } finally {
    model.dispose();
  }
}

async function planNew(options: PretrainOptions): Promise<Plan> {
  const { model } = options;
  if (model === undefined) {
    throw new ConfigError("Name a model to train: a preset, or the path of a config.json (--model NAME).");
  }
  const choice: ModelChoice = typeof model === "string" ? await chooseModel(model) : model;
  const given = withPackedOptions(options, await findData(options.data ?? []));
  const settings = fillSettings(given, choice);
  const run = options.out ?? defaultRunFolder(choice.name);
  await makeFolder(run);
  try {
    const tokenizer = await newTokenizer(settings.tokenizer, settings.data, {
      ...(settings.extensions && { extensions: settings.extensions }),
    });
    const { sequenceLength, dropout } = settings;
    const modelConfig = fitConfig(choice, { tokenizer, sequenceLength, dropout: dropout ?? undefined });
    const weightsFrom = choice.weightsFrom && resolve(choice.weightsFrom);
    // Made once already here, because a wrong configuration should be told before the text is read.
    (await newModel({ settings, modelConfig, weightsFrom })).dispose();
    await tokenizer.save(join(run, TOKENIZER));
    const data = await prepareRunData(run, settings, tokenizer, options, false);
    const plan = { settings, tokenizer, modelConfig, weightsFrom, data };
    if (options.minutes !== undefined) {
      const fitted = await fitIntoTime(options, plan);
      plan.settings = fillSettings({ ...given, ...fitted }, choice);
    }
    return { run, resumed: false, ...plan };
  } catch (error) {
    await unmakeFolder(run);
    throw error;
  }
}

async function planResumed(options: PretrainOptions): Promise<Plan> {
  const run = options.out;
  if (run === undefined) throw new ConfigError("To resume, name the run's folder (--out RUN --resume).");
  const folder = await RunFolder.open(run, { lock: false });
  const stored = readStoredRun(folder.config, run);
  const settings = resumedSettings(stored.settings, options);
  const { modelConfig, weightsFrom } = stored;
  const tokenizer = await loadTokenizer(join(run, TOKENIZER));
  if (tokenizer.fingerprint !== stored.tokenizer) {
    throw new ConfigError(
      `${join(run, TOKENIZER)} is not the tokenizer that the run was started with. Restore its files, or start a new run.`,
      { run, expected: stored.tokenizer, found: tokenizer.fingerprint },
    );
  }
  const data = await prepareRunData(run, settings, tokenizer, options, true);
  return { run, resumed: true, settings, tokenizer, modelConfig, weightsFrom, data };
}

/** Writes the model folder with the tokenizer's files beside the weights. */
async function exportModel(model: CausalLM<RawConfig>, run: string): Promise<string> {
  const dir = join(run, MODEL);
  const tokenizerFiles: Record<string, Uint8Array> = {};
  for (const name of await readdir(join(run, TOKENIZER))) {
    tokenizerFiles[name] = await readFile(join(run, TOKENIZER, name));
  }
  const { bos_token_id, eos_token_id } = model.config;
  await savePretrained(model, dir, { tokenizerFiles, generationConfig: { bos_token_id, eos_token_id } });
  return dir;
}

function samplerOf({ settings, tokenizer }: Plan): ReturnType<typeof textSampler> {
  return textSampler({ tokenizer, prompt: settings.prompt, maxTokens: settings.sampleTokens });
}

function createTrainer(
  options: PretrainOptions,
  plan: Plan,
  model: CausalLM<RawConfig>,
  open: OpenRunData,
): Promise<Trainer> {
  const { settings, tokenizer, modelConfig, weightsFrom } = plan;
  const { steps, evalEvery, saveEvery, keep, sampleEvery } = settings;
  const stored: StoredRun = {
    kind: "pretrain",
    settings,
    modelConfig,
    ...(weightsFrom && { weightsFrom }),
    tokenizer: tokenizer.fingerprint,
  };
  return Trainer.create({
    ...trainingOptions(settings, tokenizer, open),
    model,
    steps,
    evalEvery,
    evalAtStart: options.evalAtStart,
    saveEvery,
    keep,
    ...(sampleEvery > 0 && { sampler: samplerOf(plan), sampleEvery }),
    runDir: plan.run,
    config: { ...stored },
    resume: plan.resumed,
    signal: options.signal,
  });
}

function readyEvent(
  plan: Plan,
  model: CausalLM<RawConfig>,
  trainer: Trainer,
  { usedBy }: OpenRunData,
): ReadyEvent {
  const { run, resumed, settings, data } = plan;
  const { parameters, activeParameters } = model.facts();
  const { modelType, vocabSize } = model;
  const { stepsDone } = trainer;
  return {
    type: "ready",
    run,
    resumed,
    settings,
    modelType,
    parameters,
    activeParameters,
    vocabSize,
    stepsDone,
    data: data.summary,
    ...(usedBy && { mixture: usedBy(settings.steps) }),
  };
}

/**
 * Trains a model on text, as an async iterator of events: `ready`, the trainer's events, `export`. The run's folder holds config.json,
 * metrics.jsonl, checkpoints/, data/ (token shards), tokenizer/ and, at the end, model/, which transformers loads.
 * @throws ConfigError, DataError, TokenizerError for what cannot be trained on; CheckpointError for a run that cannot be resumed; DivergenceError
 */
export async function* pretrain(options: PretrainOptions): AsyncGenerator<PretrainEvent, void, void> {
  checkPretrainOptions(options);
  const plan = options.resume ? await planResumed(options) : await planNew(options);
  const model = await newModel(plan);
  let open: OpenRunData | undefined;
  let trainer: Trainer | undefined;
  try {
    open = await OpenRunData.open(plan.data, plan.settings, options.signal);
    open.requireSteps(plan.settings.steps);
    trainer = await createTrainer(options, plan, model, open);
    yield readyEvent(plan, model, trainer, open);
    for await (const event of trainer.run()) {
      // The folder is still locked: nobody else writes the model now.
      if (event.type === "done" && event.step > 0) {
        yield { type: "export", dir: await exportModel(model, plan.run) };
      }
      yield event;
    }
  } finally {
    await trainer?.close();
    await open?.close();
    model.dispose();
    await unmakeFolder(plan.run);
  }
}
