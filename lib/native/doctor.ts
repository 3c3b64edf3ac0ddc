/**
 * What `anneal doctor` reports: Node, processor, memory, addon, build tools and devices, and for each thing that is
 * missing the reason and the fix. With `ANNEAL_DEVICE=cpu` no GPU is looked for.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, freemem, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Addon, BackendProbe, DeviceFacts } from "./addon.js";
import {
  type AddonAttempt,
  type AddonSource,
  backendLibrary,
  loadAddon,
  locateAddon,
  packageVersion,
} from "./locate.js";

/** A program that a build uses. */
export interface ToolReport {
  name: string;
  /** What it is for. */
  purpose: string;
  /** First line of its version output; undefined when it is not on PATH. */
  version?: string;
}

/** A device that tensors may live on. */
export interface DeviceReport {
  name: "cpu" | "cuda";
  available: boolean;
  /** Names of the processors or GPUs, or why there is none. */
  detail: string;
}

/** The state of the native addon. */
export interface AddonReport {
  loaded: boolean;
  path?: string;
  source?: AddonSource;
  /** Why it is not loaded, with the fix. */
  error?: string;
  /** Places without an addon. */
  tried: AddonAttempt[];
  /** What the addon says of itself: versions and the instruction set in use. */
  info?: Readonly<Record<string, unknown>>;
}

/** Everything that `doctor` found. Sizes are in bytes. */
export interface DoctorReport {
  anneal: string;
  node: { version: string; npmPlatform: string };
  system: { platform: string; release: string; arch: string };
  cpu: { model: string; cores: number; features: string[] };
  memory: { total: number; free: number; limit?: number };
  addon: AddonReport;
  tools: ToolReport[];
  devices: DeviceReport[];
}

/** Inputs of `doctor`; the defaults are this process's own. */
export interface DoctorOptions {
  env?: Readonly<Record<string, string | undefined>>;
  /** Runs a program and resolves to its output; rejects when it fails. */
  run?: (program: string, args: string[]) => Promise<string>;
  /** Whether a file exists. */
  exists?: (path: string) => boolean;
  /** What a backend's library finds. */
  probe?: (library: string) => BackendProbe;
}

type Run = NonNullable<DoctorOptions["run"]>;

const execFileAsync = promisify(execFile);

/** Runs a program for at most ten seconds and resolves to its standard output. */
async function runProgram(program: string, args: string[]): Promise<string> {
  return (await execFileAsync(program, args, { timeout: 10_000 })).stdout;
}

/** Processor features that choose a kernel variant or matter for its speed. */
const FEATURES =
  /^(sse4_2|avx|avx2|fma|f16c|avx512(f|bw|vl|dq|_bf16|_vnni|_fp16)|amx_(tile|bf16|int8)|asimd|sve|sve2|bf16|i8mm)$/;

/** The features listed in the text of /proc/cpuinfo that matter here, in the order listed. */
export function cpuFeatures(cpuinfo: string): string[] {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo);
  return (line?.[1] ?? "").split(/\s+/).filter((flag) => FEATURES.test(flag));
}

function readCpuInfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return "";
  }
}

const TOOLS: { name: string; purpose: string; args: string[] }[] = [
  { name: "g++", purpose: "compiles the addon", args: ["--version"] },
  { name: "clang++", purpose: "compiles the addon where g++ is absent", args: ["--version"] },
  { name: "cmake", purpose: "builds the addon", args: ["--version"] },
  { name: "make", purpose: "builds the addon", args: ["--version"] },
  { name: "ninja", purpose: "builds the addon faster than make", args: ["--version"] },
  { name: "nvcc", purpose: "compiles the CUDA backend", args: ["--version"] },
];

async function inspectTool(tool: (typeof TOOLS)[number], run: Run): Promise<ToolReport> {
  const { name, purpose } = tool;
  try {
    const lines = (await run(name, tool.args)).trim().split("\n");
    return { name, purpose, version: lines.find((line) => /\d+\.\d+/.test(line)) ?? lines[0] };
  } catch {
    return { name, purpose };
  }
}

function inspectAddon(env: NonNullable<DoctorOptions["env"]>): AddonReport {
  const { path, source, tried } = locateAddon({ env });
  try {
    const addon = loadAddon(env === process.env ? undefined : { env }) as {
      info?: () => Record<string, unknown>;
    };
    return { loaded: true, path, source, tried, info: addon.info?.() };
  } catch (error) {
    return {
      loaded: false,
      path,
      source,
      tried,
      error: error instanceof Error ? error.message : String(error),
    };
  }
}

/** Folders in which an NVIDIA driver puts libcuda.so.1. */
function driverFolders(env: NonNullable<DoctorOptions["env"]>): string[] {
  return [
    ...(env.LD_LIBRARY_PATH ?? "").split(":").filter(Boolean),
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
  ];
}

/** One GPU in words. */
function gpuText(facts: DeviceFacts): string {
  const capability = `${Math.floor(facts.computeCapability / 10)}.${facts.computeCapability % 10}`;
  const driver = `${Math.floor(facts.driverVersion / 1000)}.${Math.floor((facts.driverVersion % 1000) / 10)}`;
  return (
    `${facts.name}, ${gib(facts.memory)}, ${facts.processors} multiprocessors, ` +
    `compute capability ${capability}, driver for CUDA ${driver}, matrix products by ${facts.products}`
  );
}

/** Asks the CUDA backend for its GPUs, unless ANNEAL_DEVICE=cpu forbids it; without a backend, says whether one would help. */
function inspectCuda(
  options: Required<Pick<DoctorOptions, "env" | "exists" | "probe">>,
  addon: AddonReport,
): DeviceReport {
  const absent = (detail: string): DeviceReport => ({ name: "cuda", available: false, detail });
  if (options.env.ANNEAL_DEVICE === "cpu") {
    return absent("not looked for, because ANNEAL_DEVICE=cpu");
  }
  const library = backendLibrary("cuda", addon.path ?? "");
  if (!addon.loaded || !options.exists(library)) {
    const driver = driverFolders(options.env)
      .map((folder) => join(folder, "libcuda.so.1"))
      .find(options.exists);
    return absent(
      driver === undefined
        ? "no NVIDIA driver here (libcuda.so.1 was not found), and the CUDA backend is not compiled"
        : `the driver ${driver} is here, but the CUDA backend is not compiled: install the CUDA toolkit and run \`npx anneal build\``,
    );
  }
  try {
    const { devices, reason } = options.probe(library);
    if (devices.length === 0) return absent(reason);
    return { name: "cuda", available: true, detail: devices.map(gpuText).join("; ") };
  } catch (error) {
    return absent(error instanceof Error ? error.message : String(error));
  }
}

/** Inspects this machine. Nothing missing is an error: the report says what is absent and why. */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorReport> {
  const { env = process.env, run = runProgram, exists = existsSync } = options;
  const { probe = (library: string) => (loadAddon() as Addon).probe(library) } = options;
  const addon = inspectAddon(env);
  const model = cpus()[0]?.model.trim() ?? "unknown";
  const cores = availableParallelism();
  const limit = process.constrainedMemory();
  const tools = await Promise.all(TOOLS.map((tool) => inspectTool(tool, run)));
  const cuda = inspectCuda({ env, exists, probe }, addon);
  const cpu: DeviceReport = addon.loaded
    ? { name: "cpu", available: true, detail: `${model}, ${cores} cores` }
    : { name: "cpu", available: false, detail: "the native addon is not loaded" };
  return {
    anneal: packageVersion(),
    node: { version: process.versions.node, npmPlatform: `${process.platform}-${process.arch}` },
    system: { platform: platform(), release: release(), arch: arch() },
    cpu: { model, cores, features: cpuFeatures(readCpuInfo()) },
    memory: {
      total: totalmem(),
      free: freemem(),
      limit: limit !== undefined && limit > 0 && limit < totalmem() ? limit : undefined,
    },
    addon,
    tools,
    devices: [cpu, cuda],
  };
}

/** `12.3 GiB` for a number of bytes. */
function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

// Room for the longest name, "  scratchBytes".
const NAME_WIDTH = 16;

/** The report as aligned lines for a person. */
export function formatDoctor(report: DoctorReport): string {
  const rows: [string, string][] = [
    ["anneal", report.anneal],
    ["node", `${report.node.version} (${report.node.npmPlatform})`],
    ["system", `${report.system.platform} ${report.system.release}`],
    ["cpu", `${report.cpu.model}, ${report.cpu.cores} cores`],
    ["features", report.cpu.features.join(" ") || "unknown"],
    [
      "memory",
      `${gib(report.memory.total)}, ${gib(report.memory.free)} free` +
        (report.memory.limit === undefined ? "" : `, limited to ${gib(report.memory.limit)}`),
    ],
  ];
  if (report.addon.loaded) {
    rows.push(["addon", `${report.addon.path} (${report.addon.source})`]);
    for (const [name, value] of Object.entries(report.addon.info ?? {})) {
      rows.push([`  ${name}`, String(value)]);
    }
  } else {
    rows.push([
      "addon",
      (report.addon.error ?? "not loaded").split("\n").join(`\n${" ".repeat(NAME_WIDTH)}`),
    ]);
  }
  for (const tool of report.tools) {
    rows.push([tool.name, tool.version ?? `not found (${tool.purpose})`]);
  }
  for (const device of report.devices) {
    rows.push([
      `device ${device.name}`,
      device.available ? device.detail : `not available: ${device.detail}`,
    ]);
  }
  return rows.map(([name, value]) => `${name.padEnd(NAME_WIDTH)}${value}`).join("\n");
}
