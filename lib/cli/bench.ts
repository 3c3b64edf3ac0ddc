/** `anneal bench`: speed of training steps, of single kernels, and of a kernel call. */

import { benchDispatch } from "../bench/dispatch.js";
import { benchKernels } from "../bench/kernels.js";
import { dispatchReport, kernelLine, machineLine, stepReport } from "../bench/report.js";
import { benchStep } from "../bench/step.js";
import { didYouMean } from "../errors.js";
import { PRESETS } from "../models/presets.js";
import { COMPUTE_DTYPES } from "../models/registry.js";
import { setThreads } from "../native/device.js";
import { type Command, type CommandContext, UsageError } from "./command.js";

const KINDS: Readonly<Record<string, (context: CommandContext) => Promise<unknown>>> = {
  async step({ options, out, progress, signal }) {
    const { workload, dtype = "f32", steps, warmup, seed } = options;
    if (workload === undefined) {
      throw new UsageError(
        `\`anneal bench step\` needs --workload, one of ${Object.keys(PRESETS).join(", ")}.`,
        { option: "workload" },
      );
    }
    progress(`Timing ${warmup} + ${steps} steps of ${workload} in ${dtype} …`);
    const result = await benchStep({ workload, dtype, steps, warmup, seed, signal });
    stepReport(result).forEach(out);
    return result;
  },
  async kernels({ options, out, progress, signal }) {
    const { filter, dtype } = options;
    progress("Measuring copy and large products …");
    const onResult = (result: Parameters<typeof kernelLine>[0]) => out(kernelLine(result));
    const result = await benchKernels({ filter, ...(dtype && { dtypes: [dtype] }), signal, onResult });
    out(machineLine(result.machine));
    return result;
  },
  async dispatch({ out }) {
    const result = await benchDispatch();
    dispatchReport(result).forEach(out);
    return result;
  },
};

export const command: Command = {
  name: "bench",
  summary: "Measure the speed of training steps, of single kernels, or of a kernel call from JavaScript",
  usage: "bench step|kernels|dispatch [options]",
  options: {
    workload: {
      type: "string",
      short: "w",
      placeholder: "NAME",
      choices: Object.keys(PRESETS),
      summary: "step: the configuration to train",
    },
    dtype: {
      type: "string",
      choices: COMPUTE_DTYPES,
      summary: "step: weights and activations, default f32; kernels: only this dtype, default both",
    },
    steps: { type: "integer", default: 10, summary: "step: timed steps" },
    warmup: { type: "integer", default: 3, summary: "step: untimed steps before them" },
    seed: { type: "integer", default: 1, summary: "step: decides weights and tokens" },
    filter: { type: "string", summary: "kernels: only those whose name contains this text" },
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
  },
  positionals: { name: "WHAT", summary: "step, kernels or dispatch" },
  examples: [
    "anneal bench step --workload deepseek-mini --dtype bf16",
    "anneal bench kernels --filter attention",
    "anneal bench dispatch --json",
  ],
  async run(context) {
    const [kind] = context.positionals;
    const kinds = Object.keys(KINDS);
    if (kind === undefined || !Object.hasOwn(KINDS, kind)) {
      throw new UsageError(
        kind === undefined
          ? `Say what to measure: ${kinds.join(", ")}.`
          : `Unknown benchmark "${kind}"; there are ${kinds.join(", ")}.${didYouMean(kind, kinds)}`,
        { argument: kind },
      );
    }
    if (context.options.threads !== undefined) setThreads(context.options.threads);
    return KINDS[kind](context);
  },
};
