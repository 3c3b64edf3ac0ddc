/** Times single kernels and says which share of the machine's own limits they reach: copying for memory, a large product for arithmetic. */
import { ConfigError, didYouMean } from "../errors.js";
import type { ComputeDtype } from "../nn/module.js";
import { noGrad } from "../tensor/autograd.js";
import { computeCast } from "../tensor/ops/compute.js";
import { normal } from "../tensor/ops/random.js";
import { scope } from "../tensor/scope.js";
import { measurePeakFlops } from "../train/peak.js";
import { type Bound, KERNEL_CASES } from "./kernel-cases.js";
import { type TimingOptions, timeQueued } from "./timing.js";

/** What the machine can do at most, as measured now. */
export interface MachineRates {
  /** Bytes read and written per second by a large copy, in GB/s (10⁹). */
  copyGigabytes: number;
  /** Operations per second of a 1024³ product, in GFLOP/s (10⁹), by dtype. */
  gemmGigaflops: Record<ComputeDtype, number>;
}

/** One kernel's measurement. */
export interface KernelMeasurement {
  name: string;
  dtype: ComputeDtype;
  /** Seconds per call, median. */
  seconds: number;
  bound: Bound;
  /** GB/s for kernels bound by memory, GFLOP/s for those bound by arithmetic. */
  rate: number;
  /** The rate divided by that of the copy, or of the large product in the same dtype. */
  share: number;
}

/** Options of `benchKernels`. */
export interface KernelBenchOptions extends TimingOptions {
  /** Only kernels whose name contains this text, without regard to case. */
  filter?: string;
  /** Default both. */
  dtypes?: readonly ComputeDtype[];
  /** Called with each measurement as it is made. */
  onResult?: (result: KernelMeasurement) => void;
}

/** Measures the limits that kernels are compared with. */
export async function measureMachine(options: TimingOptions = {}): Promise<MachineRates> {
  return scope(async () => {
    // As large as the arrays of the kernels that are compared with it: part of them may lie in the last-level cache.
    const values = 4 * 2 ** 20;
    const source = normal([values]);
    const copySeconds = await timeQueued(() => scope(() => void computeCast(source, "f32")), options);
    return {
      copyGigabytes: (8 * values) / copySeconds / 1e9,
      gemmGigaflops: {
        f32: (await measurePeakFlops("f32")) / 1e9,
        bf16: (await measurePeakFlops("bf16")) / 1e9,
      },
    };
  });
}

/**
 * Times every kernel case on the default device.
 * @throws ConfigError when no kernel matches the filter
 */
export async function benchKernels(
  options: KernelBenchOptions = {},
): Promise<{ machine: MachineRates; kernels: KernelMeasurement[] }> {
  const { filter = "", dtypes = ["f32", "bf16"], onResult, ...timing } = options;
  const names = Object.keys(KERNEL_CASES);
  const chosen = names.filter((name) => name.toLowerCase().includes(filter.toLowerCase()));
  if (chosen.length === 0) {
    throw new ConfigError(
      `No kernel benchmark matches "${filter}"; there are ${names.join(", ")}.${didYouMean(filter, names)}`,
      { filter, known: names },
    );
  }
  const machine = await measureMachine(timing);
  const kernels: KernelMeasurement[] = [];
  for (const name of chosen) {
    for (const dtype of dtypes) {
      const result = await scope(async () => {
        const { call, bound, amount } = KERNEL_CASES[name](dtype);
        const training = name.endsWith("+backward");
        const once = training ? call : () => noGrad(call);
        const seconds = await timeQueued(() => scope(once), timing);
        const rate = amount / seconds / 1e9;
        const limit = bound === "bytes" ? machine.copyGigabytes : machine.gemmGigaflops[dtype];
        return { name, dtype, seconds, bound, rate, share: rate / limit };
      });
      kernels.push(result);
      onResult?.(result);
    }
  }
  return { machine, kernels };
}
