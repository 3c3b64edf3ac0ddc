/** What a benchmark ran on: the device, versions, and the commit of the sources. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { addon } from "../native/addon.js";
import { type DeviceName, getThreads } from "../native/device.js";
import { backendLibrary, locateAddon, PACKAGE_ROOT, packageVersion } from "../native/locate.js";

/** The device of a benchmark. Sizes in bytes. */
export interface MachineFacts {
  device: DeviceName;
  /** Name of the GPU, or of the processor. */
  name: string;
  memoryBytes: number;
  /** L2 of a GPU, the last-level cache of a processor; 0 where nothing is kept in caches, or the system does not tell. */
  cacheBytes: number;
  /** Multiprocessors of a GPU, threads of the team of a processor. */
  units: number;
  /** 10·major + minor, of a GPU. */
  computeCapability?: number;
  /** CUDA version of the driver, 1000·major + 10·minor. */
  driverVersion?: number;
}

/** What was installed when a benchmark ran. */
export interface Versions {
  anneal: string;
  /** Commit of the sources; undefined where neither git nor a bundle tells. */
  commit?: string;
  /** Whether the sources differ from the commit. */
  modified?: boolean;
  node: string;
  /** Compiler of the addon. */
  compiler: string;
}

/** Bytes of a size as Linux writes it, such as "266240K". 0 for what is not one. */
export function parseCacheSize(text: string): number {
  const match = /^(\d+)([KMG]?)$/.exec(text.trim());
  return match === null
    ? 0
    : Number(match[1]) * { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2] as "" | "K"];
}

/** The largest cache of the first processor. */
function lastLevelCache(): number {
  let largest = 0;
  for (let i = 0; i < 8; i++) {
    try {
      const path = `/sys/devices/system/cpu/cpu0/cache/index${i}/size`;
      largest = Math.max(largest, parseCacheSize(readFileSync(path, "utf8")));
    } catch {
      break;
    }
  }
  return largest;
}

/** Describes an opened device. */
export function machineFacts(device: DeviceName): MachineFacts {
  if (device === "cuda") {
    const [facts] = addon().probe(backendLibrary("cuda", locateAddon().path ?? "")).devices;
    const { name, memory, l2Bytes, processors, computeCapability, driverVersion } = facts;
    return {
      device,
      name,
      memoryBytes: memory,
      cacheBytes: l2Bytes,
      units: processors,
      computeCapability,
      driverVersion,
    };
  }
  return {
    device,
    name: cpus()[0]?.model.trim() ?? "unknown processor",
    memoryBytes: totalmem(),
    // An interpreter's time does not depend on caches.
    cacheBytes: device === "cpu" ? lastLevelCache() : 0,
    units: getThreads(device),
  };
}

/** What the archive of `npm run bundle` says of itself; undefined elsewhere. */
function bundleFacts(): { commit?: string; changed?: boolean } | undefined {
  try {
    return JSON.parse(readFileSync(join(PACKAGE_ROOT, "bundle.json"), "utf8"));
  } catch {
    return undefined;
  }
}

/** Versions of what runs, and the commit. */
export async function versions(): Promise<Versions> {
  const base = { anneal: packageVersion(), node: process.version, compiler: addon().info().compiler };
  const bundle = bundleFacts();
  if (bundle !== undefined) return { ...base, commit: bundle.commit, modified: bundle.changed };
  const git = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)("git", ["-C", PACKAGE_ROOT, ...args])).stdout.trim();
  try {
    // A package inside some other repository has no commit of its own.
    if ((await git("rev-parse", "--show-prefix")) !== "") return base;
    const commit = await git("rev-parse", "HEAD");
    return { ...base, commit, modified: (await git("status", "--porcelain", "-uno")) !== "" };
  } catch {
    return base;
  }
}
