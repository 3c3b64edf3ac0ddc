/** Devices: opened by name, once per JavaScript environment; their memory, threads, clocks and synchronisation. */

import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { ConfigError, DeviceError, didYouMean } from "../errors.js";
import { type MemorySplit, resetTally, splitMemory } from "./accounting.js";
import { addon, type MemoryStatistics, typedError } from "./addon.js";
import { backendLibrary, locateAddon } from "./locate.js";

/** Names of the devices that this package knows: processor, GPU, and the interpreter that runs GPU kernels on the processor for tests. */
export const DEVICE_NAMES = ["cpu", "cuda", "simt"] as const;

/** The name of a device. */
export type DeviceName = (typeof DEVICE_NAMES)[number];

const open = new Map<DeviceName, number>();
let chosen: DeviceName | undefined;

/** Checks a device name that came from outside. */
export function parseDevice(name: string): DeviceName {
  if ((DEVICE_NAMES as readonly string[]).includes(name)) return name as DeviceName;
  throw new DeviceError(
    `Unknown device "${name}"; there are ${DEVICE_NAMES.join(", ")}.${didYouMean(name, DEVICE_NAMES)}`,
    { device: name },
  );
}

/** The device used where none is named: `setDefaultDevice`, else the environment variable ANNEAL_DEVICE, else `cpu`. */
export function defaultDevice(): DeviceName {
  chosen ??= parseDevice(process.env.ANNEAL_DEVICE || "cpu");
  return chosen;
}

/** Chooses the device for everything created from now on. */
export function setDefaultDevice(name: DeviceName): void {
  chosen = parseDevice(name);
}

function wantedThreads(): number {
  const text = process.env.ANNEAL_THREADS;
  if (text === undefined || text === "") return availableParallelism();
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1) {
    throw new ConfigError(`ANNEAL_THREADS is "${text}"; expected a positive integer such as 2.`, {
      value: text,
    });
  }
  return threads;
}

const HOW_TO_BUILD: Readonly<Record<Exclude<DeviceName, "cpu">, string>> = {
  cuda: "Install the CUDA toolkit 12.8 or newer (nvcc) and run `npx anneal build --cuda on`.",
  simt: "It serves tests of the GPU kernels; compile it with `npx anneal build --simt`.",
};

/** The file of a device's backend, beside the addon; undefined for the CPU, whose kernels are in the addon. */
function libraryOf(name: DeviceName): string | undefined {
  if (name === "cpu") return undefined;
  const path = backendLibrary(name, locateAddon().path ?? "");
  if (!existsSync(path)) {
    throw new DeviceError(
      `Device "${name}" is not part of this installation: there is no ${path}. ${HOW_TO_BUILD[name]}`,
      { device: name, path },
    );
  }
  return path;
}

/**
 * The addon's id of a device, which is opened at first use.
 * @throws DeviceError when its backend is missing, does not fit the addon, or finds no GPU, with the reason
 */
export function deviceId(name: DeviceName = defaultDevice()): number {
  let id = open.get(name);
  if (id === undefined) {
    try {
      const native = addon();
      id = native.openDevice(name, wantedThreads(), libraryOf(name));
    } catch (error) {
      const typed = typedError(error);
      if (!(typed instanceof DeviceError) || typed.details.device !== undefined) throw typed;
      throw new DeviceError(
        `Device "${name}" cannot be used: ${typed.message}.`,
        { device: name },
        { cause: error },
      );
    }
    open.set(name, id);
  }
  return id;
}

/** Bytes in use on a device; see MemoryStatistics. */
export function memory(device: DeviceName = defaultDevice()): MemoryStatistics {
  return addon().memory(deviceId(device));
}

/**
 * Bytes by what they are used for: weights (tensors that require gradients), gradients of weights, moments (everything the optimizer keeps,
 * master weights included), activations (what a forward pass that records and its backward pass make), workspace (what kernels hold), other. `peak` is the
 * split of the tensors at the moment of the highest total since the start or `resetPeakMemory()`; the workspace only grows and is as it is now.
 */
export function memoryByCategory(device: DeviceName = defaultDevice()): {
  live: MemorySplit;
  peak: MemorySplit;
} {
  const id = deviceId(device);
  return splitMemory(device, addon().memory(id), addon().workspace(id));
}

/** Starts a new measurement of `memory().peak` and `memoryByCategory().peak`. */
export function resetPeakMemory(device: DeviceName = defaultDevice()): void {
  addon().resetPeak(deviceId(device));
  resetTally(device);
}

/** Limits the bytes that a device may hold; 0 removes the limit. Beyond it, allocations throw OutOfMemoryError. */
export function setMemoryLimit(bytes: number, device: DeviceName = defaultDevice()): void {
  addon().setMemoryLimit(deviceId(device), bytes);
}

/** Gives memory that is kept for reuse back to the system. */
export function trimMemory(device: DeviceName = defaultDevice()): void {
  addon().trim(deviceId(device));
}

/** Resolves when everything queued on the device so far has run; rejects with the error of a kernel that failed. */
export async function synchronize(device: DeviceName = defaultDevice()): Promise<void> {
  try {
    await addon().synchronize(deviceId(device));
  } catch (error) {
    throw typedError(error);
  }
}

/** Sets the number of threads of the CPU device's team. Results do not depend on it. */
export function setThreads(threads: number, device: DeviceName = defaultDevice()): void {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new ConfigError(`threads must be a positive integer, got ${threads}.`, { threads });
  }
  addon().setThreads(deviceId(device), threads);
}

/** The number of threads of the CPU device's team. */
export function getThreads(device: DeviceName = defaultDevice()): number {
  return addon().threads(deviceId(device));
}

/** A point on a device's stream at which its clock was read. */
export interface Mark {
  readonly device: DeviceName;
  readonly id: number;
}

/** Queues a reading of the device's clock. Release it with `releaseMark`. */
export function mark(device: DeviceName = defaultDevice()): Mark {
  return { device, id: addon().mark(deviceId(device)) };
}

/** Resolves to the seconds that the device needed between two marks, once it has passed both. */
export async function elapsed(from: Mark, to: Mark): Promise<number> {
  const seconds = new Float64Array(1);
  try {
    await addon().elapsed(deviceId(from.device), from.id, to.id, seconds);
  } catch (error) {
    throw typedError(error);
  }
  return seconds[0];
}

/** Frees a mark; one that `elapsed` still waits for lives until then. */
export function releaseMark(mark: Mark): void {
  addon().releaseMark(deviceId(mark.device), mark.id);
}
