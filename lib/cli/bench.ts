/** `anneal bench`: speed of training steps, of single kernels, and of a kernel call. */

import { benchDispatch } from "../bench/dispatch.js";
import { benchKernels } from "../bench/kernels.js";
import { machineFacts } from "../bench/machine.js";
import { PEER_MODES } from "../bench/peer.js";
import { keepRecord } from "../bench/record.js";
import { dispatchReport, kernelReport, stepReport } from "../bench/report.js";
import { benchStep } from "../bench/step.js";
import { didYouMean } from "../errors.js";
import { PRESETS } from "../models/presets.js";
import { COMPUTE_DTYPES } from "../models/registry.js";
import { defaultDevice, setThreads } from "../native/device.js";
import { type Command, type CommandContext, UsageError } from "./command.js";
import { DEVICE_OPTION } from "./device-option.js";

/** Which of PyTorch's ways `--peer` asks for. */
const PEERS = { all: PEER_MODES, eager: ["eager"], none: [] } as const;

/** Prints a report and keeps it where `--out` says. */
async function finish<Result>(
  { options, out, info }: CommandContext,
  benchmark: string,
  result: Result,
  report: readonly string[],
): Promise<Result> {
  report.forEach(out);
  if (options.out !== undefined) {
    await keepRecord(options.out, benchmark, machineFacts(defaultDevice()), result, report);
    info(`Written to ${options.out} and, as a table, beside it.`);
  }
  return result;
}

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
  async kernels(context) {
    const { options, progress, signal } = context;
    const { filter, dtype, samples, sampleMilliseconds } = options;
    const result = await benchKernels({
      filter,
      ...(dtype && { dtypes: [dtype] }),
      peerModes: PEERS[options.peer as keyof typeof PEERS],
      samples,
      sampleMilliseconds,
      signal,
      onProgress: progress,
    });
    return finish(context, "kernels", result, kernelReport(result));
  },
  async dispatch(context) {
    const result = await benchDispatch({ peer: context.options.peer !== "none" });
    return finish(context, "dispatch", result, dispatchReport(result));
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
    samples: { type: "integer", default: 5, summary: "kernels: samples, whose median counts" },
    "sample-milliseconds": {
      type: "number",
      default: 20,
      summary: "kernels: least length of a sample, in milliseconds",
    },
    peer: {
      type: "string",
      choices: Object.keys(PEERS),
      default: "all",
      summary:
        "kernels, dispatch: PyTorch beside it, eager and compiled, where ANNEAL_PYTHON or python3 has torch",
    },
    out: {
      type: "string",
      placeholder: "FILE",
      summary: "kernels, dispatch: keep the result as JSON, with date, device, versions and commit",
    },
    ...DEVICE_OPTION,
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
  },
  positionals: { name: "WHAT", summary: "step, kernels or dispatch" },
  examples: [
    "anneal bench step --workload deepseek-mini --dtype bf16",
    "anneal bench kernels --device cuda --out bench/results/h200.json",
    "anneal bench kernels --filter rmsNorm --peer eager",
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
