/** The public interface of anneal: a list of what each room exports. */

export * as data from "./data/index.js";
export * from "./errors.js";
export * from "./generate/index.js";
export * as io from "./io/index.js";
export { CausalLM, type ModelLoss, type TokenInput } from "./models/causal-lm.js";
export { Deepseek } from "./models/deepseek/model.js";
export { Gpt2 } from "./models/gpt2.js";
export { KvCache } from "./models/kv-cache.js";
export { Llama } from "./models/llama.js";
export { PRESETS, type Preset, preset } from "./models/presets.js";
export { fromPretrained, savePretrained } from "./models/pretrained.js";
export { createModel, MODEL_TYPES } from "./models/registry.js";
export * from "./native/device.js";
export { doctor, formatDoctor } from "./native/doctor.js";
export { type Dtype, parseDtype } from "./native/dtype.js";
export { measureDispatch } from "./native/measure.js";
export * from "./nn/layers.js";
export { buffer, type ComputeDtype, Module, parameter, type StateEntry } from "./nn/module.js";
export * from "./nn/rotary.js";
export * from "./optim/index.js";
export * from "./tensor/index.js";
export * from "./tokenizer/index.js";
export * from "./train/index.js";
