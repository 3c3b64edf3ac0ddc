/** Measurements as lines of text. */
import { MEMORY_CATEGORIES } from "../native/accounting.js";
import type { DispatchMeasurement } from "./dispatch.js";
import type { MachineRates } from "./floors.js";
import type { KernelBench, KernelMeasurement } from "./kernels.js";
import type { MachineFacts } from "./machine.js";
import type { PeerMode } from "./peer.js";
import type { StepMeasurement } from "./step.js";
import type { StepPeer } from "./step-peers.js";

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

/** Lines for a step's memory by category and its use of the device. */
export function stepDetails(result: StepMeasurement): string[] {
  const { memory, palmMfu, peakFlops, datasheetMfu, datasheetFlops, batchSize, sequenceLength } = result;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const names = MEMORY_CATEGORIES.map((name) => `${name} ${mebibytes(memory[name])}`);
  const sheet =
    datasheetMfu === null || datasheetFlops === null
      ? ""
      : `, ${percent(datasheetMfu)} of the datasheet's ${showRate(datasheetFlops, "flops")}`;
  return [
    `Batch ${batchSize} x ${sequenceLength}; model FLOPs utilisation (PaLM's count) ${percent(palmMfu)} of the measured ${showRate(peakFlops, "flops")}${sheet}.`,
    `Peak memory ${mebibytes(memory.total)}: ${names.join(", ")}.`,
  ];
}

/** anneal and its peers as a table, fastest first; what failed says why. */
export function stepComparison(result: StepMeasurement, peers: readonly StepPeer[]): string[] {
  const own: StepPeer = { ...result, name: "anneal", peakBytes: result.memory.total };
  const time = ({ secondsPerStep = Infinity }: StepPeer): number => secondsPerStep;
  const rows = [own, ...peers]
    .sort((a, b) => time(a) - time(b))
    .map((peer) =>
      peer.secondsPerStep === undefined
        ? [peer.name, peer.error ?? "no figure", "–", "–", "–", "–"]
        : [
            peer.name,
            showSeconds(peer.secondsPerStep),
            Math.round(peer.tokensPerSecond ?? 0).toLocaleString("en"),
            peer.peakBytes === undefined ? "–" : mebibytes(peer.peakBytes),
            peer.loss?.toFixed(4) ?? "–",
            (peer.secondsPerStep / result.secondsPerStep).toFixed(2),
          ],
    );
  const head = ["", "step", "tokens/s", "peak memory", "loss", "times anneal's"];
  return table(head, rows, new Set([1, 2, 3, 4, 5]));
}

/** A rate: GB/s (10⁹ bytes), GFLOP/s or TFLOP/s. */
export function showRate(rate: number, bound: "bytes" | "flops"): string {
  const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  if (bound === "bytes") return `${digits(rate / 1e9)} GB/s`;
  return rate >= 1e12 ? `${digits(rate / 1e12)} TFLOP/s` : `${digits(rate / 1e9)} GFLOP/s`;
}

/** Lines of a Markdown table whose columns are padded, so that it reads as text too. `right`: columns of figures. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number>,
): string[] {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (right.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(" | ")} |`;
  const rule = widths.map((width, i) => (right.has(i) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  return [line(head), line(rule), ...rows.map(line)];
}

/** PyTorch's time in one mode and how many times as long that is, as two cells. */
function peerCells({ pytorch, seconds }: KernelMeasurement, mode: PeerMode): string[] {
  const theirs = pytorch?.[mode];
  if (theirs !== undefined) return [showSeconds(theirs), (theirs / seconds).toFixed(2)];
  return [pytorch?.errors?.[mode] === undefined ? "–" : "failed", "–"];
}

/** The table of kernels; columns for PyTorch only where it ran. */
export function kernelTable({ kernels }: Pick<KernelBench, "kernels">): string[] {
  const modes = (["eager", "compiled"] as const).filter((mode) =>
    kernels.some(({ pytorch }) => pytorch?.[mode] !== undefined || pytorch?.errors?.[mode] !== undefined),
  );
  const head = ["kernel", "shape", "dtype", "time", "spread", "rate", "% of floor"];
  for (const mode of modes) head.push(`PyTorch ${mode}`, "ratio");
  const rows = kernels.map((result) => [
    result.name,
    result.shape,
    result.dtype,
    showSeconds(result.seconds),
    `${(100 * result.spread).toFixed(0)} %`,
    showRate(result.rate, result.bound),
    (100 * result.share).toFixed(0),
    ...modes.flatMap((mode) => peerCells(result, mode)),
  ]);
  return table(head, rows, new Set(head.map((_, i) => i).filter((i) => i >= 3)));
}

/** One line for the device. */
export function machineLine(machine: MachineFacts): string {
  const { device, name, memoryBytes, units, cacheBytes } = machine;
  const unit = device === "cuda" ? "multiprocessors" : units === 1 ? "thread" : "threads";
  return `${name}, ${units} ${unit}, ${mebibytes(memoryBytes)}, largest cache ${mebibytes(cacheBytes)}.`;
}

/** One line for the limits that kernels are compared with. */
export function ratesLine({ copy, product }: MachineRates): string {
  return (
    `Floors are taken from a large copy, ${showRate(copy, "bytes")} counting what is read and what is written, and from ` +
    `large products, ${showRate(product.f32, "flops")} in f32 and ${showRate(product.bf16, "flops")} in bf16.`
  );
}

/** Lines for the whole kernel benchmark. */
export function kernelReport(result: KernelBench): string[] {
  const { pytorch, skipped } = result;
  const peer =
    "version" in pytorch
      ? `PyTorch ${pytorch.version}; a ratio is its time divided by anneal's.`
      : `PyTorch was left out: ${pytorch.absent}.`;
  const lines = [machineLine(result.machine), ratesLine(result.rates), peer, "", ...kernelTable(result)];
  if (skipped.length > 0) {
    lines.push("", "Not measured:");
    for (const { name, dtype, reason } of skipped) lines.push(`- ${name} ${dtype}: ${reason}`);
  }
  return lines;
}

/** Lines for the dispatch benchmark. */
export function dispatchReport(result: DispatchMeasurement): string[] {
  const nanoseconds = (value: number): string => `${value.toFixed(0)} ns`;
  const { pytorch } = result;
  const against = (value: number | undefined): string =>
    value === undefined ? "" : `; PyTorch eager ${nanoseconds(value)}`;
  const theirs = "absent" in pytorch ? undefined : pytorch;
  return [
    `One kernel call costs ${nanoseconds(result.nanosecondsPerCall)} in JavaScript ` +
      `(fastest round ${nanoseconds(result.fastestRound)})${against(theirs?.nanosecondsPerCall)}.`,
    `One after the other, with the work on ${result.device} itself, kernels of one value take ${nanoseconds(result.nanosecondsPerLaunch)} each.`,
    `One recorded operation with its tensor costs ${nanoseconds(result.nanosecondsPerOperation)}${against(theirs?.nanosecondsPerOperation)}.`,
    "absent" in pytorch ? `PyTorch was left out: ${pytorch.absent}.` : `PyTorch ${pytorch.version}.`,
  ];
}
