/** `anneal pretrain`: trains a model from scratch on text. */

import { PACKINGS } from "../data/index.js";
import { CHECKPOINT_PARTS, parseCheckpointing } from "../models/checkpointing.js";
import { PRESETS } from "../models/presets.js";
import { COMPUTE_DTYPES } from "../models/registry.js";
import { setThreads } from "../native/device.js";
import { pretrain } from "../train/pretrain.js";
import { DATA_MODES, PRETRAIN_SCHEDULES } from "../train/pretrain-settings.js";
import { type Command, UsageError } from "./command.js";
import { DEVICE_OPTION } from "./device-option.js";
import { closingLines, followRun, prepareLine } from "./training-output.js";

export const command: Command = {
  name: "pretrain",
  summary: "Train a model from scratch on text; the run's folder ends with a model that transformers loads",
  usage: "pretrain --model NAME --data PATH… [options]",
  options: {
    model: {
      type: "string",
      short: "m",
      placeholder: "NAME",
      summary: `One of ${Object.keys(PRESETS).join(", ")}, or the path of a config.json or of a model folder`,
    },
    data: {
      type: "string",
      short: "d",
      multiple: true,
      placeholder: "PATH",
      summary: "Files and folders with text; or a folder of `anneal data pack`; or a mixture of such (.json)",
    },
    tokenizer: {
      type: "string",
      placeholder: "NAME",
      summary:
        "char, byte, or the path of a tokenizer.json; default byte, for char-gpt char, for packed data its own",
    },
    dtype: { type: "string", choices: COMPUTE_DTYPES, summary: "Weights and activations; default f32" },
    steps: { type: "integer", summary: "Optimizer steps; default 1000" },
    minutes: { type: "number", summary: "Instead of --steps: as many steps as take so many minutes here" },
    "batch-size": { type: "integer", summary: "Rows of one optimizer step; default by the model" },
    "sequence-length": { type: "integer", summary: "Tokens per row; default by the model" },
    accumulation: { type: "integer", summary: "Parts that each batch is cut into to save memory; default 1" },
    lr: { type: "number", summary: "Peak learning rate; default 1e-3" },
    "min-lr": { type: "number", summary: "Learning rate at the end; default a tenth of --lr" },
    warmup: {
      type: "integer",
      summary: "Steps of linear warm-up; default a tenth of the steps, at most 100",
    },
    schedule: { type: "string", choices: PRETRAIN_SCHEDULES, summary: "After the warm-up; default cosine" },
    "weight-decay": { type: "number", summary: "AdamW's, on matrices and embeddings; default 0.1" },
    beta1: { type: "number", summary: "AdamW's; default 0.9" },
    beta2: { type: "number", summary: "AdamW's; default 0.95" },
    clip: { type: "number", summary: "Largest gradient norm, 0 for none; default 1" },
    dropout: {
      type: "number",
      summary: "GPT-2: of embeddings and residual connections; default as configured",
    },
    seed: { type: "integer", summary: "Decides weights, data order and dropout; default 1" },
    "eval-every": { type: "integer", summary: "Steps between evaluations; default a tenth of the steps" },
    "eval-batches": { type: "integer", summary: "Batches per evaluation at most; default 200" },
    "save-every": { type: "integer", summary: "Steps between checkpoints; default 500" },
    keep: { type: "integer", summary: "Checkpoints that are kept beside the best; default 2" },
    "sample-every": {
      type: "integer",
      summary: "Steps between samples of the model's writing; default 0, none",
    },
    prompt: { type: "string", summary: "Beginning of the samples; default a line end" },
    "validation-fraction": { type: "number", summary: "Share of the text kept for validation; default 0.1" },
    "data-mode": {
      type: "string",
      choices: DATA_MODES,
      summary: "packed: every token once per epoch; random: rows begin anywhere; default packed",
    },
    packing: {
      type: "string",
      choices: PACKINGS,
      summary:
        "windows: cut anywhere; best-fit: whole documents; best-fit-crop: rows begin with one; default windows, for packed data as it was packed",
    },
    "document-mask": {
      type: "boolean",
      summary: "Keep the documents of a row apart in attention and targets",
    },
    checkpointing: { type: "boolean", summary: "Recompute activations in the backward pass to save memory" },
    recompute: {
      type: "string",
      placeholder: "PARTS",
      summary: `Instead of --checkpointing, only some of ${CHECKPOINT_PARTS.join(",")}`,
    },
    ...DEVICE_OPTION,
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
    out: {
      type: "string",
      short: "o",
      placeholder: "RUN",
      summary: "Folder of the run; default runs/NAME-TIME",
    },
    resume: { type: "boolean", summary: "Go on with the run in --out; its settings need not be repeated" },
  },
  positionals: { name: "PATH", summary: "More data, as with --data", many: true },
  examples: [
    "anneal pretrain --model char-gpt --data input.txt --steps 2000 --sample-every 500",
    "anneal pretrain --model deepseek-mini --data docs/ --tokenizer byte --dtype bf16 --minutes 10 --out runs/docs",
    "anneal pretrain --model deepseek-mini --data packed/web --packing best-fit --document-mask",
    "anneal pretrain --out runs/docs --resume",
  ],
  async run(context) {
    const { options, positionals, signal, out, progress } = context;
    const { threads, data, checkpointing, recompute, documentMask, device: _, ...rest } = options;
    if (options.model === undefined && !options.resume) {
      throw new UsageError(
        `--model NAME is missing: one of ${Object.keys(PRESETS).join(", ")}, or the path of a config.json.`,
        { option: "model" },
      );
    }
    if (threads !== undefined) setThreads(threads);
    const paths = [...data, ...positionals];
    const events = pretrain({
      ...rest,
      ...(paths.length > 0 && { data: paths }),
      // Not given is not the same as false where a run is resumed.
      ...(documentMask && { documentMask }),
      ...(checkpointing && { checkpointing }),
      ...(recompute !== undefined && { checkpointing: parseCheckpointing(recompute) }),
      onPrepare: (state) => progress(prepareLine(state)),
      signal,
    });
    const result = await followRun(events, context);
    closingLines(result, options.prompt ?? "The ").forEach(out);
    return result;
  },
};
