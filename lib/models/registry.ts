/** The registry: which class a Hugging Face `model_type` names. */

import { ConfigError, didYouMean } from "../errors.js";
import type { ComputeDtype } from "../nn/module.js";
import type { CausalLM } from "./causal-lm.js";
import type { RawConfig } from "./config.js";
import { Deepseek } from "./deepseek/model.js";
import { Gpt2 } from "./gpt2.js";
import { Llama } from "./llama.js";

const CLASSES: Readonly<Record<string, new (config: RawConfig, dtype: ComputeDtype) => CausalLM<RawConfig>>> =
  {
    gpt2: Gpt2,
    llama: Llama,
    deepseek_v2: Deepseek,
    deepseek_v3: Deepseek,
  };

/** `model_type` values that can be built. */
export const MODEL_TYPES = Object.keys(CLASSES);

/** The dtypes that models compute in, as command lines name them. */
export const COMPUTE_DTYPES = ["f32", "bf16"] as const;

/** Checks a compute dtype that came from outside. */
export function parseComputeDtype(name: string): ComputeDtype {
  if ((COMPUTE_DTYPES as readonly string[]).includes(name)) return name as ComputeDtype;
  throw new ConfigError(`Unknown dtype "${name}"; expected f32 or bf16.${didYouMean(name, COMPUTE_DTYPES)}`, {
    dtype: name,
  });
}

/** Options of `createModel`. */
export interface CreateModelOptions {
  /** Weights and activations; sums, norms, softmax and losses are f32 always. Default f32. */
  dtype?: ComputeDtype;
}

/** A new model with random weights, drawn from the library's random state (`manualSeed`). `config` is a Hugging Face config.json. */
export function createModel(config: RawConfig, options: CreateModelOptions = {}): CausalLM<RawConfig> {
  const type = config.model_type;
  if (typeof type !== "string" || !(type in CLASSES)) {
    const near = typeof type === "string" ? didYouMean(type, MODEL_TYPES) : "";
    throw new ConfigError(
      `config.json: unknown model_type ${JSON.stringify(type)}; supported are ${MODEL_TYPES.join(", ")}.${near}`,
      {
        modelType: type,
        supported: MODEL_TYPES,
      },
    );
  }
  return new CLASSES[type](config, options.dtype ?? "f32");
}
