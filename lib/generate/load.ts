/** Opens a model folder, or the model of a run folder, together with its tokenizer. */

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, TokenizerError } from "../errors.js";
import { readJson } from "../io/index.js";
import type { CausalLM } from "../models/causal-lm.js";
import { fromPretrained } from "../models/pretrained.js";
import type { ComputeDtype } from "../nn/module.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";

/** Options of `loadModel`. */
export interface LoadModelOptions {
  /** What the model computes in. Default: as stored. */
  dtype?: ComputeDtype;
  /** `byte`, or the path of a tokenizer.json or of a folder with one. Default: the model folder's own. */
  tokenizer?: string;
}

/** A model that is ready to use. Dispose `model` when done. */
export interface LoadedModel {
  model: CausalLM;
  tokenizer: Tokenizer;
  /** The folder that the weights are from. */
  dir: string;
  /** Tokens that end a text: the tokenizer's end token and those of generation_config.json. */
  stopIds: number[];
}

const exists = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined)) !== undefined;

/**
 * The model folder that a path stands for: the folder itself, or the `model` folder of a run.
 * @throws FormatError for a run that has not saved a model yet
 */
export async function resolveModelDir(path: string): Promise<string> {
  if (await exists(join(path, "model", "config.json"))) {
    const own = await Promise.all(
      ["model.safetensors", "model.safetensors.index.json"].map((name) => exists(join(path, name))),
    );
    if (!own.includes(true)) return join(path, "model");
  } else if ((await exists(join(path, "checkpoints"))) && (await exists(join(path, "metrics.jsonl")))) {
    throw new FormatError(
      `${path} is a run that has not written its model yet: there is no ${join(path, "model")}. Resume the run and let it end.`,
      { path },
    );
  }
  return path;
}

/**
 * Checks that every id of a tokenizer exists in a model.
 * @throws TokenizerError when the tokenizer has more tokens than the model
 */
export function requireFittingTokenizer(
  tokenizer: { readonly name: string; readonly vocabSize: number },
  model: { readonly vocabSize: number },
): void {
  if (tokenizer.vocabSize <= model.vocabSize) return;
  throw new TokenizerError(
    `The tokenizer ${tokenizer.name} has ${tokenizer.vocabSize} tokens, but the model only ${model.vocabSize}. Use the tokenizer that the model was trained with.`,
    { tokenizer: tokenizer.name, tokenizerSize: tokenizer.vocabSize, modelSize: model.vocabSize },
  );
}

/** `eos_token_id` of generation_config.json, one or several. */
async function generationStops(dir: string, vocabSize: number): Promise<number[]> {
  const path = join(dir, "generation_config.json");
  if (!(await exists(path))) return [];
  const config = (await readJson(path)) as { eos_token_id?: unknown } | null;
  const ids = [config?.eos_token_id].flat();
  return ids.filter(
    (id): id is number => Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize,
  );
}

/**
 * Opens a model with its tokenizer.
 * @param path a Hugging Face model folder with tokenizer.json, or a run folder
 * @throws FormatError or ConfigError for a missing or damaged model, TokenizerError for a missing, damaged or wrong tokenizer
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const dir = await resolveModelDir(path);
  const model = await fromPretrained(dir, { dtype: options.dtype });
  try {
    const tokenizer = await loadTokenizer(options.tokenizer ?? dir);
    requireFittingTokenizer(tokenizer, model);
    const own = tokenizer.eosId === undefined ? [] : [tokenizer.eosId];
    const stopIds = [...new Set([...own, ...(await generationStops(dir, model.vocabSize))])];
    model.eval();
    return { model, tokenizer, dir, stopIds };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
