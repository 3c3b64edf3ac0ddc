/** Measurements as lines of text. */
import type { DispatchMeasurement } from "./dispatch.js";
import type { KernelMeasurement, MachineRates } from "./kernels.js";
import type { StepMeasurement } from "./step.js";

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20).toLocaleString("en")} MiB`;

/** A time with three digits, in the unit that suits it. */
export function showSeconds(seconds: number): string {
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  return seconds >= 1e-3 ? `${(seconds * 1e3).toPrecision(3)} ms` : `${(seconds * 1e6).toPrecision(3)} µs`;
}

/** Lines for a step benchmark. */
export function stepReport(result: StepMeasurement): string[] {
  return [
    `${result.workload} ${result.dtype}: ${Math.round(result.tokensPerSecond).toLocaleString("en")} tokens/s, ` +
      `${showSeconds(result.secondsPerStep)} a step (median of ${result.steps}, fastest ${showSeconds(result.fastestStep)})`,
    `${result.gflops.toFixed(1)} GFLOP/s, ${(100 * result.mfu).toFixed(0)} % of a large matrix product; ` +
      `tensors at most ${mebibytes(result.peakBytes)}, process ${mebibytes(result.peakRss)}; loss ${result.loss.toFixed(4)}`,
  ];
}

/** One line for a kernel. */
export function kernelLine({ name, dtype, seconds, bound, rate, share }: KernelMeasurement): string {
  const unit = bound === "bytes" ? "GB/s   " : "GFLOP/s";
  const limit = bound === "bytes" ? "copy" : "product";
  const percent = `${(100 * share).toFixed(0)} %`.padStart(6);
  return `${name.padEnd(24)} ${dtype.padEnd(5)} ${showSeconds(seconds).padStart(9)} ${rate.toFixed(1).padStart(9)} ${unit} ${percent} of ${limit}`;
}

/** One line for the limits that kernels are compared with. */
export function machineLine({ copyGigabytes, gemmGigaflops }: MachineRates): string {
  return (
    `This machine: copy ${copyGigabytes.toFixed(1)} GB/s, large product ` +
    `${gemmGigaflops.f32.toFixed(0)} GFLOP/s in f32 and ${gemmGigaflops.bf16.toFixed(0)} in bf16.`
  );
}

/** Lines for the dispatch benchmark. */
export function dispatchReport(result: DispatchMeasurement): string[] {
  return [
    `One kernel call costs ${result.nanosecondsPerCall.toFixed(0)} ns in JavaScript (fastest round ${result.fastestRound.toFixed(0)} ns).`,
    `One recorded operation with its tensor costs ${result.nanosecondsPerOperation.toFixed(0)} ns.`,
  ];
}
