/**
 * Room `models`: one file (or folder) per family that reads from top to bottom, the registry from config.json to class, presets, and Hugging Face folders. A
 * model offers CausalLM to training and generation; they know no families.
 */

export {
  type CacheUse,
  CausalLM,
  type LossOptions,
  type ModelFacts,
  type ModelLoss,
  type TokenInput,
} from "./causal-lm.js";
export {
  CHECKPOINT_PARTS,
  type Checkpointing,
  type CheckpointPart,
  parseCheckpointing,
} from "./checkpointing.js";
export type { RawConfig } from "./config.js";
export { type DeepseekConfig, parseDeepseekConfig } from "./deepseek/config.js";
export { Deepseek } from "./deepseek/model.js";
export { Gpt2, type Gpt2Config, parseGpt2Config } from "./gpt2.js";
export { type CacheLayout, KvCache, type TokenCache } from "./kv-cache.js";
export { Llama, type LlamaConfig, parseLlamaConfig } from "./llama.js";
export { PagedCache, type PagedCacheOptions, pagedCacheBytes } from "./paged-cache.js";
export { PRESETS, type Preset, preset } from "./presets.js";
export {
  type FromPretrainedOptions,
  fromPretrained,
  type SavePretrainedOptions,
  savePretrained,
} from "./pretrained.js";
export { type CreateModelOptions, createModel, MODEL_TYPES, parseComputeDtype } from "./registry.js";
