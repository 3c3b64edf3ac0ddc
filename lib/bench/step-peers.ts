/**
 * Whole training steps of others beside anneal's: PyTorch by bench/peers/torch_step.py, and llm.c by a binary that somebody built. Each is a process of
 * its own that runs when anneal has let go of the device.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Stream, uniform } from "../data/index.js";
import { preset } from "../models/presets.js";
import type { DeviceName } from "../native/device.js";
import { PACKAGE_ROOT } from "../native/locate.js";
import type { ComputeDtype } from "../nn/module.js";
import { median } from "./timing.js";

const run = promisify(execFile);

/** One way in which somebody else ran the workload. */
export interface StepPeer {
  /** Such as "PyTorch compile, flash, autocast" or "llm.c". */
  name: string;
  secondsPerStep?: number;
  tokensPerSecond?: number;
  peakBytes?: number;
  loss?: number;
  /** Why there is no figure. */
  error?: string;
}

/** What is compared; the batch is anneal's. */
export interface StepPeerOptions {
  workload: string;
  dtype: ComputeDtype;
  device: DeviceName;
  batchSize: number;
  sequenceLength: number;
  steps: number;
  warmup: number;
  threads: number;
  /** Seconds that each way may take. Default 600. */
  timeLimit?: number;
  signal?: AbortSignal;
  onProgress?: (line: string) => void;
}

interface Way {
  mode: "eager" | "compile";
  attention: string;
  bf16: string;
}

/** The ways in which PyTorch is asked; the fastest one is the bar. */
export function torchWays(device: DeviceName, dtype: ComputeDtype): Way[] {
  const kernels = device !== "cuda" ? ["default"] : dtype === "bf16" ? ["flash", "cudnn"] : ["efficient"];
  const precisions = dtype === "bf16" ? ["autocast", "master"] : ["autocast"];
  return (["eager", "compile"] as const).flatMap((mode) =>
    kernels.flatMap((attention) => precisions.map((bf16) => ({ mode, attention, bf16 }))),
  );
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";

function reason(error: unknown, limit: number): string {
  const { killed, stderr, message } = error as { killed?: boolean; stderr?: string; message: string };
  return killed ? `not finished within ${limit} s` : lastLine(stderr || message);
}

async function torchStep(options: StepPeerOptions, way: Way): Promise<StepPeer> {
  const { workload, dtype, device, batchSize, sequenceLength, steps, warmup, threads, signal } = options;
  const { timeLimit = 600 } = options;
  const words = [way.mode, way.attention, dtype === "bf16" ? way.bf16 : ""];
  const name = `PyTorch ${words.filter((word) => word !== "" && word !== "default").join(", ")}`;
  const args = [join(PACKAGE_ROOT, "bench/peers/torch_step.py"), "--json", "--workload", workload];
  args.push("--config", JSON.stringify(preset(workload).config), "--device", device, "--dtype", dtype);
  args.push("--batch-size", `${batchSize}`, "--sequence-length", `${sequenceLength}`, "--mode", way.mode);
  args.push("--attention", way.attention, "--bf16", way.bf16, "--threads", `${threads}`);
  args.push("--steps", `${steps}`, "--warmup", `${Math.max(1, warmup)}`);
  try {
    const python = process.env.ANNEAL_PYTHON || "python3";
    const { stdout } = await run(python, args, { timeout: timeLimit * 1000, maxBuffer: 2 ** 26, signal });
    const { secondsPerStep, tokensPerSecond, peakBytes, loss } = JSON.parse(lastLine(stdout));
    return { name, secondsPerStep, tokensPerSecond, peakBytes, loss };
  } catch (error) {
    signal?.throwIfAborted();
    return { name, error: reason(error, timeLimit) };
  }
}

/** Depth that llm.c calls each workload by (`-e d12`). */
const LLMC_DEPTHS: Readonly<Record<string, string>> = {
  "gpt2-124m": "d12",
  "gpt2-350m": "d24",
  "gpt2-1558m": "d48",
};

/** Reads what llm.c's train_gpt2cu prints: the median of the steps after `warmup`, the last loss, and the device's memory in use. */
export function parseLlmc(output: string, warmup: number): Omit<StepPeer, "name"> {
  const line = /^step\s+(\d+)\/\d+ \| loss ([\d.]+).*?\| ([\d.]+) ms \|.*?\| ([\d.]+) tok\/s/gm;
  const steps = [...output.matchAll(line)].filter(([, step]) => Number(step) > warmup);
  if (steps.length === 0) return { error: "its output has no line `step … | loss … | … ms | … tok/s`" };
  const secondsPerStep = median(steps.map(([, , , milliseconds]) => Number(milliseconds) / 1000));
  // Its tokens/s is an average that moves: the batch follows from a step's own time instead.
  const used = /device memory usage: (\d+) MiB/.exec(output);
  return {
    secondsPerStep,
    loss: Number(steps[steps.length - 1][2]),
    ...(used !== null && { peakBytes: Number(used[1]) * 2 ** 20 }),
  };
}

/** A file of tokens as llm.c reads them: 256 words of header (magic, version, count), then 16-bit ids. */
export function llmcTokens(count: number, vocabulary: number): Uint8Array {
  const header = new Int32Array(256);
  header.set([20240520, 1, count]);
  const ids = Uint16Array.from({ length: count }, (_, i) =>
    Math.floor(uniform(1, Stream.Offset, 0, i) * vocabulary),
  );
  const file = new Uint8Array(1024 + 2 * count);
  file.set(new Uint8Array(header.buffer));
  file.set(new Uint8Array(ids.buffer), 1024);
  return file;
}

async function llmcStep(options: StepPeerOptions, binary: string): Promise<StepPeer> {
  const { workload, dtype, device, batchSize, sequenceLength, steps, warmup, signal } = options;
  const { timeLimit = 600 } = options;
  const name = "llm.c";
  const depth = LLMC_DEPTHS[workload];
  if (depth === undefined || device !== "cuda" || dtype !== "bf16") {
    return { name, error: "trains GPT-2 in bf16 on CUDA only" };
  }
  if (!existsSync(binary)) return { name, error: `ANNEAL_LLMC names ${binary}, which does not exist` };
  const folder = await mkdtemp(join(tmpdir(), "anneal-llmc-"));
  try {
    const tokens = join(folder, "tokens.bin");
    const total = batchSize * sequenceLength;
    await writeFile(tokens, llmcTokens(4 * total + 1, 50257));
    const args = ["-i", tokens, "-j", tokens, "-e", depth, "-b", `${batchSize}`, "-t", `${sequenceLength}`];
    // -v 0, -s 0, -h 0: neither validation nor samples nor HellaSwag; -r 0: nothing recomputed.
    args.push("-d", `${total}`, "-x", `${warmup + steps}`, "-v", "0", "-s", "0", "-h", "0", "-r", "0");
    const limits = { cwd: folder, timeout: timeLimit * 1000, maxBuffer: 2 ** 26, signal };
    const { stdout } = await run(binary, args, limits);
    const parsed = parseLlmc(stdout, warmup);
    const { secondsPerStep } = parsed;
    return {
      name,
      ...parsed,
      ...(secondsPerStep !== undefined && { tokensPerSecond: total / secondsPerStep }),
    };
  } catch (error) {
    signal?.throwIfAborted();
    return { name, error: reason(error, timeLimit) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs every peer that can run here, one after the other. */
export async function benchStepPeers(options: StepPeerOptions): Promise<StepPeer[]> {
  if (options.device === "simt") {
    return [{ name: "PyTorch", error: "an interpreter's times are compared with nothing" }];
  }
  const peers: StepPeer[] = [];
  for (const way of torchWays(options.device, options.dtype)) {
    options.onProgress?.(`PyTorch ${way.mode}, ${options.workload} …`);
    peers.push(await torchStep(options, way));
  }
  const llmc = process.env.ANNEAL_LLMC;
  if (llmc) {
    options.onProgress?.(`llm.c, ${options.workload} …`);
    peers.push(await llmcStep(options, llmc));
  }
  return peers;
}
