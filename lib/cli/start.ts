/** `anneal start`, behind `npm start`: trains a small DeepSeek-style model here and lets it write. */

import { COMPUTE_DTYPES } from "../models/registry.js";
import { demoRun } from "../train/demo.js";
import { pretrain } from "../train/pretrain.js";
import type { Command } from "./command.js";
import { closingLines, followRun, prepareLine, verdictLines } from "./training-output.js";

export const command: Command = {
  name: "start",
  summary: "Train a small DeepSeek-style model here in about two minutes, then let it write",
  usage: "start [--data PATH…] [options]",
  options: {
    data: {
      type: "string",
      short: "d",
      multiple: true,
      placeholder: "PATH",
      summary: "Text to learn from; default: the documentation in node_modules",
    },
    minutes: { type: "number", default: 2, summary: "Length of the training, in minutes" },
    dtype: { type: "string", choices: COMPUTE_DTYPES, summary: "Weights and activations; default f32" },
    seed: { type: "integer", summary: "Decides weights and data order; default 1" },
    prompt: { type: "string", summary: "Beginning of the samples" },
    out: {
      type: "string",
      short: "o",
      placeholder: "RUN",
      summary: "Folder of the run; default a new one in runs/",
    },
    resume: {
      type: "boolean",
      summary: "Go on with the run in --out, or the newest one, instead of starting anew",
    },
  },
  positionals: { name: "PATH", summary: "More text, as with --data", many: true },
  examples: [
    "anneal start",
    "anneal start --data my-notes/ --minutes 5",
    "npm start -- --data input.txt",
    "anneal start --resume",
  ],
  async run(context) {
    const { options, positionals, out, progress, signal } = context;
    const data = [...options.data, ...positionals];
    const demo = await demoRun({ ...options, data });
    out("A small DeepSeek-V3-style model (latent attention, mixture of experts, multi-token prediction)");
    out(`learns to write from ${demo.source}, byte by byte, on this CPU.`);
    const onPrepare: NonNullable<Parameters<typeof pretrain>[0]["onPrepare"]> = (state) =>
      progress(prepareLine(state));
    const result = await followRun(pretrain({ ...demo.options, onPrepare, signal }), context);
    verdictLines(result).forEach(out);
    closingLines(result, demo.options.prompt?.trim() ? demo.options.prompt : "The ").forEach(out);
    return result;
  },
};
