/** `anneal bench`: speed of training steps, of single kernels, and of a kernel call. */

import { benchDispatch } from "../bench/dispatch.js";
import { benchKernels } from "../bench/kernels.js";
import { machineFacts } from "../bench/machine.js";
import { PEER_MODES } from "../bench/peer.js";
import { keepRecord } from "../bench/record.js";
import { dispatchReport, kernelReport, stepComparison, stepDetails, stepReport } from "../bench/report.js";
import { benchStep } from "../bench/step.js";
import { benchStepPeers } from "../bench/step-peers.js";
import { didYouMean } from "../errors.js";
import { CHECKPOINT_PARTS, parseCheckpointing } from "../models/checkpointing.js";
import { PRESETS } from "../models/presets.js";
import { COMPUTE_DTYPES } from "../models/registry.js";
import { defaultDevice, getThreads, setThreads, trimMemory } from "../native/device.js";
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
  async step(context) {
    const { options, progress, signal } = context;
    const { workload, dtype = "f32", steps, warmup, seed, capture, batchSize, sequenceLength } = options;
    if (workload === undefined) {
      throw new UsageError(
        `\`anneal bench step\` needs --workload, one of ${Object.keys(PRESETS).join(", ")}.`,
        { option: "workload" },
      );
    }
    progress(`Timing ${warmup} + ${steps} steps of ${workload} in ${dtype} …`);
    const checkpointing = parseCheckpointing(options.checkpointing);
    const batch = { batchSize, sequenceLength };
    const asked = { workload, dtype, steps, warmup, seed, capture, checkpointing, ...batch, signal };
    const own = await benchStep(asked);
    const report = [...stepReport(own), ...stepDetails(own)];
    if (!options.compare) return finish(context, "step", own, report);
    trimMemory();
    const { device } = own;
    const { timeLimit } = options;
    const work = { workload, dtype, device, steps, warmup, timeLimit, threads: getThreads() };
    const size = { batchSize: own.batchSize, sequenceLength: own.sequenceLength };
    const peers = await benchStepPeers({ ...work, ...size, signal, onProgress: progress });
    return finish(context, "step", { ...own, peers }, [...report, "", ...stepComparison(own, peers)]);
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
    "batch-size": { type: "integer", summary: "step: rows of a batch; default by workload and device" },
    "sequence-length": { type: "integer", summary: "step: tokens of a row; default by workload and device" },
    checkpointing: {
      type: "string",
      default: "none",
      placeholder: "WHAT",
      summary: `step: recompute none, full (whole blocks), or some of ${CHECKPOINT_PARTS.join(",")}`,
    },
    compare: {
      type: "boolean",
      summary:
        "step: then the same in PyTorch (ANNEAL_PYTHON or python3; eager and compiled, on CUDA with flash and cuDNN attention, in " +
        "bf16 by autocast and with f32 masters) and, where ANNEAL_LLMC is the path of a built train_gpt2cu, in llm.c",
    },
    "time-limit": { type: "number", default: 600, summary: "step: seconds for each way of --compare" },
    seed: { type: "integer", default: 1, summary: "step: decides weights and tokens" },
    capture: { type: "boolean", summary: "step: record the step once and replay it" },
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
      summary: "Keep the result as JSON, with date, device, versions and commit",
    },
    ...DEVICE_OPTION,
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
  },
  positionals: { name: "WHAT", summary: "step, kernels or dispatch" },
  examples: [
    "anneal bench step --workload deepseek-mini --dtype bf16",
    "anneal bench step --workload gpt2-124m --dtype bf16 --device cuda --batch-size 32 --compare",
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
