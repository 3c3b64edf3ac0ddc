/** Options of commands that use a saved model. This file imports no models, so that help is quick. */

import type { OptionSpec } from "./command.js";
import { DEVICE_OPTION } from "./device-option.js";

/** `--model`, `--tokenizer` and `--dtype`, as `loadModel` takes them, and `--device`. */
export const MODEL_OPTIONS = {
  ...DEVICE_OPTION,
  model: {
    type: "string",
    short: "m",
    required: true,
    placeholder: "DIR",
    summary: "Hugging Face model folder with tokenizer.json, or a run folder",
  },
  tokenizer: {
    type: "string",
    placeholder: "byte|PATH",
    summary: "Another tokenizer: `byte`, a tokenizer.json or a folder with one; default: the model folder's",
  },
  dtype: {
    type: "string",
    choices: ["f32", "bf16"],
    summary: "What to compute in; default: as the model is stored",
  },
} as const satisfies Record<string, OptionSpec>;
