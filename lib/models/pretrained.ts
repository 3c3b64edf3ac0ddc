/** Loading and saving models as Hugging Face folders: config.json and safetensors, so that transformers and this package read each other's. */

import { FormatError } from "../errors.js";
import { type ModelFolder, type NamedArray, readModelFolder, toF32, writeModelFolder } from "../io/index.js";
import type { ComputeDtype } from "../nn/module.js";
import { scope } from "../tensor/scope.js";
import { roundToBf16, sizeOf, type Tensor } from "../tensor/tensor.js";
import type { CausalLM } from "./causal-lm.js";
import type { RawConfig } from "./config.js";
import { createModel } from "./registry.js";

/** Options of `fromPretrained`. */
export interface FromPretrainedOptions {
  /** Default: the dtype that config.json names, f32 where it names none that models compute in. */
  dtype?: ComputeDtype;
  /** Fields that replace those of config.json: dropout, loss weights, attention scaling. */
  overrides?: RawConfig;
}

/** Tensors that other programs store and that are not needed: rotary frequencies, causal masks, copies of tied or shared weights. */
const IGNORED = [
  /\.rotary_emb\.inv_freq$/,
  /\.attn\.(masked_)?bias$/,
  /\.layers\.\d+\.(embed_tokens|shared_head\.head)\.weight$/,
];

function storedDtype(config: RawConfig): ComputeDtype {
  const name = config.dtype ?? config.torch_dtype;
  return name === "bfloat16" ? "bf16" : "f32";
}

/** Which stored tensor fills an entry: the same name, or a place inside a stack of experts (the form transformers holds in memory). */
interface Source {
  name: string;
  /** First byte within the stored tensor. */
  offset: number;
  shape: readonly number[];
}

function findSource(folder: ModelFolder, name: string, modelType: string): Source | undefined {
  const prefix = `${modelType === "gpt2" ? "transformer" : "model"}.`;
  // A bare base model (GPT2Model, LlamaModel) is saved without the prefix of the model with a head.
  for (const candidate of [name, name.startsWith(prefix) ? name.slice(prefix.length) : name]) {
    const entry = folder.tensors.get(candidate);
    if (entry !== undefined) return { name: candidate, offset: 0, shape: entry.shape };
  }
  const expert = /^(.*\.experts)\.(\d+)\.(gate|up|down)_proj\.weight$/.exec(name);
  if (expert === null) return undefined;
  const [, base, index, which] = expert;
  const stack = `${base}.${which === "down" ? "down_proj" : "gate_up_proj"}`;
  const entry = folder.tensors.get(stack);
  if (entry === undefined || entry.shape.length !== 3) return undefined;
  const [experts, rows, columns] = entry.shape;
  if (Number(index) >= experts) return undefined;
  const part = which === "down" ? rows : rows / 2;
  const bytes = (entry.end - entry.begin) / Math.max(1, sizeOf(entry.shape));
  const first = Number(index) * rows + (which === "up" ? part : 0);
  return { name: stack, offset: first * columns * bytes, shape: [part, columns] };
}

async function fill(folder: ModelFolder, source: Source, target: Tensor): Promise<void> {
  const entry = folder.tensors.get(source.name);
  if (entry === undefined) return;
  const bytes = ((entry.end - entry.begin) / Math.max(1, sizeOf(entry.shape))) * sizeOf(source.shape);
  const buffer = new Uint8Array(bytes);
  await folder.readInto(source.name, buffer, source.offset);
  if (entry.dtype === "bf16" && target.dtype === "bf16") {
    target.write(new Uint16Array(buffer.buffer));
    return;
  }
  const values = toF32(entry.dtype, buffer);
  target.write(target.dtype === "bf16" ? roundToBf16(values) : values);
}

/** Fills a model's state from the tensors of an open folder; every tensor of the model must be there with its shape, and nothing else. */
async function loadState(model: CausalLM<RawConfig>, folder: ModelFolder): Promise<void> {
  const missing: string[] = [];
  const used = new Set<string>();
  for (const entry of model.state()) {
    const source = findSource(folder, entry.name, model.modelType);
    if (source === undefined) {
      missing.push(entry.name);
      continue;
    }
    used.add(source.name);
    if (source.shape.join() !== entry.tensor.shape.join()) {
      throw new FormatError(
        `${folder.dir}: tensor ${source.name} has shape [${source.shape.join(", ")}], but config.json asks for [${entry.tensor.shape.join(", ")}].`,
        { dir: folder.dir, tensor: source.name, found: source.shape, expected: entry.tensor.shape },
      );
    }
    await fill(folder, source, entry.tensor);
  }
  const tied = model.outputWeight();
  const extra = [...folder.tensors.keys()].filter(
    (name) =>
      !used.has(name) &&
      !IGNORED.some((pattern) => pattern.test(name)) &&
      !(name === "lm_head.weight" && !ownsHead(model, tied)),
  );
  if (missing.length > 0 || extra.length > 0) {
    const list = (names: string[]): string =>
      names.length > 8 ? `${names.slice(0, 8).join(", ")} and ${names.length - 8} more` : names.join(", ");
    throw new FormatError(
      `${folder.dir}: the weights do not fit config.json.${missing.length > 0 ? ` Missing: ${list(missing)}.` : ""}${extra.length > 0 ? ` Not known: ${list(extra)}.` : ""}`,
      { dir: folder.dir, missing, extra },
    );
  }
}

function ownsHead(model: CausalLM<RawConfig>, head: Tensor): boolean {
  for (const [name, tensor] of model.namedParameters()) if (tensor === head) return name === "lm_head.weight";
  return false;
}

/**
 * The model of a Hugging Face folder. Names, shapes and dtypes are checked against config.json; nothing is left random. Throws FormatError or ConfigError.
 */
export async function fromPretrained(
  dir: string,
  options: FromPretrainedOptions = {},
): Promise<CausalLM<RawConfig>> {
  const folder = await readModelFolder(dir);
  try {
    const config: RawConfig = { ...folder.config, ...options.overrides };
    const model = createModel(config, { dtype: options.dtype ?? storedDtype(config) });
    try {
      // Views of stacked experts are made on the way; the scope frees them.
      await scope(() => loadState(model, folder));
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
  } finally {
    await folder.close();
  }
}

/** Options of `savePretrained`. */
export interface SavePretrainedOptions {
  /** Largest shard in bytes. Default 5e9. */
  maxShardBytes?: number;
  /** Files of the tokenizer by name (tokenizer.json, tokenizer_config.json). */
  tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  /** Contents of generation_config.json. */
  generationConfig?: Readonly<Record<string, unknown>>;
  signal?: AbortSignal;
}

/** The state of a model as named arrays that are read from the device one at a time. Call it inside a scope, which frees the views of stacked experts. */
export function stateArrays(model: CausalLM<RawConfig>): NamedArray[] {
  return [...model.state()].map(({ name, tensor }) => ({
    name,
    dtype: tensor.dtype as NamedArray["dtype"],
    shape: tensor.shape,
    data: () => tensor.bytes(),
  }));
}

/** Writes a folder that transformers loads: config.json, sharded safetensors, tokenizer files. Atomic: an existing model is replaced as a whole. */
export async function savePretrained(
  model: CausalLM<RawConfig>,
  dir: string,
  options: SavePretrainedOptions = {},
): Promise<void> {
  const config = { ...model.config, dtype: model.dtype === "bf16" ? "bfloat16" : "float32" };
  await scope(() => writeModelFolder(dir, { config, arrays: stateArrays(model), ...options }));
}
