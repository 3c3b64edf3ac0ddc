/** Times single kernels and says how far each is from its floor on this device, and what PyTorch needs for the same. */
import { ConfigError, didYouMean, NativeError, OutOfMemoryError } from "../errors.js";
import { type DeviceName, defaultDevice, getThreads, memory, trimMemory } from "../native/device.js";
import type { ComputeDtype } from "../nn/module.js";
import { randomState, setRandomState } from "../tensor/random.js";
import { scope } from "../tensor/scope.js";
import { bound, type KernelCase, output, type PreparedCase, random, six } from "./cases/case.js";
import { fasterRates, type MachineRates, type Standing, standing, type Work } from "./floors.js";
import { KERNEL_CASES } from "./kernel-cases.js";
import { type MachineFacts, machineFacts } from "./machine.js";
import { PEER_MODES, type PeerMode, type PeerRequest, type PeerResult, TorchPeer } from "./peer.js";
import { type CaseSizes, setsFor, sizesFor } from "./sizes.js";
import { type Timing, type TimingOptions, timeQueued } from "./timing.js";

/** One kernel's measurement. */
export interface KernelMeasurement extends Standing, Timing {
  name: string;
  shape: string;
  dtype: ComputeDtype;
  /** Sets of tensors used in turn. */
  sets: number;
  /** PyTorch's times, where it ran and has an equivalent. */
  pytorch?: PeerResult;
}

/** A kernel that could not be timed. */
export interface SkippedKernel {
  name: string;
  dtype: ComputeDtype;
  reason: string;
}

/** The result of `benchKernels`. */
export interface KernelBench {
  machine: MachineFacts;
  rates: MachineRates;
  sizes: CaseSizes;
  kernels: KernelMeasurement[];
  skipped: SkippedKernel[];
  /** Version of PyTorch, or why it was left out. */
  pytorch: { version: string } | { absent: string };
}

/** Options of `benchKernels`. */
export interface KernelBenchOptions extends TimingOptions {
  /** Only kernels whose name contains this text, without regard to case. */
  filter?: string;
  /** Default both. */
  dtypes?: readonly ComputeDtype[];
  /** How PyTorch runs; none leaves it out. Default eager and compiled. */
  peerModes?: readonly PeerMode[];
  /** Default by the device. */
  sizes?: CaseSizes;
  /** Called before each measurement, with what it is. */
  onProgress?: (text: string) => void;
}

/**
 * Makes sets of tensors, as many as caches of the device cannot hold together, and times calls that use them in turn. Everything is freed afterwards.
 */
async function timeSets(
  make: () => PreparedCase,
  { cacheBytes, memoryBytes, device }: MachineFacts,
  options: TimingOptions,
): Promise<{ prepared: PreparedCase; sets: number; timing: Timing }> {
  const random = randomState();
  try {
    return await scope(async () => {
      const before = memory(device).live;
      const prepared = make();
      const sets = setsFor(memory(device).live - before, cacheBytes, memoryBytes);
      const calls = [prepared, ...Array.from({ length: sets - 1 }, make)].map(({ call }) => call);
      return { prepared, sets, timing: await timeQueued(calls, options) };
    });
  } finally {
    setRandomState(random);
    // A GPU's memory is needed by PyTorch; a processor's is slow to get back, page by page.
    if (device === "cuda" || memory(device).reserved > memoryBytes / 4) trimMemory(device);
  }
}

/** Measures the limits that kernels are compared with, on the default device: a large copy, and large products. */
export async function measureRates(
  machine: MachineFacts,
  sizes: CaseSizes,
  options: TimingOptions = {},
): Promise<MachineRates> {
  const n = sizes.copied;
  const layout = [...six([n]), ...six([1], 0), ...six([1], 0)];
  const copy = await timeSets(
    () => {
      const call = bound("copyStrided", random("f32", n), output("f32", n), "f32", 1, 0, 0, 0, ...layout);
      return { shape: String(n), bytes: 8 * n, call };
    },
    machine,
    options,
  );
  const product = async (dtype: ComputeDtype): Promise<number> => {
    const side = sizes.product[dtype];
    const words = [1, side, side, side, 0, 1, side, side, side, 0, 0, 0];
    const { timing } = await timeSets(
      () => {
        const tensors = [random(dtype, side, side), random(dtype, side, side), output(dtype, side, side)];
        const call = bound("matmul", ...tensors, null, ...words, 1, 0, dtype, dtype);
        return { shape: String(side), bytes: 0, call };
      },
      machine,
      options,
    );
    return (2 * side ** 3) / timing.seconds;
  };
  return {
    copy: (8 * n) / copy.timing.seconds,
    product: { f32: await product("f32"), bf16: await product("bf16") },
  };
}

/** The cases whose name contains `filter`. */
function chooseCases(filter: string): KernelCase[] {
  const chosen = KERNEL_CASES.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  if (chosen.length > 0) return chosen;
  const names = KERNEL_CASES.map(({ name }) => name);
  throw new ConfigError(
    `No kernel benchmark matches "${filter}"; there are ${names.join(", ")}.${didYouMean(filter, names)}`,
    { filter, known: names },
  );
}

/** Why a kernel cannot be timed on this device; undefined for errors that mean something else. */
function reasonToSkip(error: unknown): string | undefined {
  if (error instanceof OutOfMemoryError) return "not enough memory";
  if (error instanceof NativeError && error.message.includes("is missing on device")) return error.message;
  return undefined;
}

/**
 * Times every kernel case on the default device, beside PyTorch where that is found.
 * @throws ConfigError when no kernel matches the filter
 */
export async function benchKernels(options: KernelBenchOptions = {}): Promise<KernelBench> {
  const { filter = "", dtypes = ["f32", "bf16"], peerModes = PEER_MODES, onProgress } = options;
  const { sampleMilliseconds = 20, samples = 5, signal } = options;
  const timing: TimingOptions = { sampleMilliseconds, samples, signal };
  const cases = chooseCases(filter);
  const device: DeviceName = defaultDevice();
  const machine = machineFacts(device);
  const sizes = options.sizes ?? sizesFor(device, machine.memoryBytes);
  onProgress?.("Measuring a large copy and large products …");
  const ratesBefore = await measureRates(machine, sizes, timing);
  const threads = device === "cuda" ? 1 : getThreads(device);
  const started = peerModes.length === 0 ? "not asked for" : await TorchPeer.start(device, sizes, threads);
  let peer = typeof started === "string" ? undefined : started;
  let pytorch: KernelBench["pytorch"] =
    typeof started === "string" ? { absent: started } : { version: started.version };
  if (typeof started === "string" && peerModes.length > 0) onProgress?.(`PyTorch is left out: ${started}.`);
  const ask = async (request: PeerRequest): Promise<PeerResult | undefined> => {
    try {
      return await peer?.measure(request);
    } catch (error) {
      // A peer that crashed does not take the benchmark with it.
      pytorch = { absent: `it ended at ${request.name} ${request.dtype}: ${(error as Error).message}` };
      peer?.close();
      peer = undefined;
      return undefined;
    }
  };
  const measured: (Omit<KernelMeasurement, keyof Standing> & { work: Work })[] = [];
  const skipped: SkippedKernel[] = [];
  try {
    for (const item of cases) {
      for (const dtype of dtypes) {
        const { name } = item;
        onProgress?.(`${name} ${dtype} …`);
        try {
          const run = await timeSets(() => item.make(sizes, dtype), machine, timing);
          const { prepared, sets } = run;
          const { shape, bytes, flops } = prepared;
          const own = { name, shape, dtype, sets, ...run.timing, work: { bytes, flops } };
          const request = { name, dtype, sets, modes: peerModes, sampleMilliseconds, samples };
          const theirs = await ask(request);
          measured.push(theirs === undefined ? own : { ...own, pytorch: theirs });
        } catch (error) {
          const reason = reasonToSkip(error);
          if (reason === undefined) throw error;
          skipped.push({ name, dtype, reason });
        }
      }
    }
  } finally {
    peer?.close();
  }
  // Clocks and neighbours change while a benchmark runs: what was reached before or after it can be reached.
  onProgress?.("Measuring a large copy and large products again …");
  const rates = fasterRates(ratesBefore, await measureRates(machine, sizes, timing));
  const kernels = measured.map(({ work, ...rest }) => ({
    ...rest,
    ...standing(work, rest.dtype, rates, rest.seconds),
  }));
  return { machine, rates, sizes, kernels, skipped, pytorch };
}
