/**
 * Room generate: continues token sequences with a model. decode.ts runs a batch step by step on a key/value cache, text.ts
 * turns ids into text as they come, generate.ts is what callers use, load.ts opens a model folder with its tokenizer.
 */

export { generate, generateBatch } from "./generate.js";
export {
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
  requireFittingTokenizer,
  resolveModelDir,
} from "./load.js";
export type {
  BatchOptions,
  FinishReason,
  GeneratedSequence,
  GeneratedToken,
  GenerateOptions,
} from "./options.js";
