/** Devices: opened by name, once per JavaScript environment; their memory, threads and synchronisation. */

import { availableParallelism } from "node:os";
import { ConfigError, DeviceError, didYouMean } from "../errors.js";
import { addon, type MemoryStatistics, typedError } from "./addon.js";

/** Names of the devices that this package knows. */
export const DEVICE_NAMES = ["cpu"] as const;

/** The name of a device. */
export type DeviceName = (typeof DEVICE_NAMES)[number];

const open = new Map<DeviceName, number>();
let chosen: DeviceName | undefined;

/** Checks a device name that came from outside. */
export function parseDevice(name: string): DeviceName {
  if ((DEVICE_NAMES as readonly string[]).includes(name)) return name as DeviceName;
  throw new DeviceError(
    `Unknown device "${name}"; this build has ${DEVICE_NAMES.join(", ")}.${didYouMean(name, DEVICE_NAMES)}`,
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

/** The addon's id of a device, which is opened at first use. */
export function deviceId(name: DeviceName = defaultDevice()): number {
  let id = open.get(name);
  if (id === undefined) {
    try {
      id = addon().openDevice(name, wantedThreads());
    } catch (error) {
      throw typedError(error);
    }
    open.set(name, id);
  }
  return id;
}

/** Bytes in use on a device; see MemoryStatistics. */
export function memory(device: DeviceName = defaultDevice()): MemoryStatistics {
  return addon().memory(deviceId(device));
}

/** Starts a new measurement of `memory().peak`. */
export function resetPeakMemory(device: DeviceName = defaultDevice()): void {
  addon().resetPeak(deviceId(device));
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
