/** Memory of this process as the operating system counts it. */
import { readFileSync, writeFileSync } from "node:fs";

/** A line of Linux's /proc/self/status in bytes, or undefined elsewhere. */
function statusBytes(field: string): number | undefined {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync("/proc/self/status", "utf8"));
    return line === null ? undefined : Number(line[1]) * 1024;
  } catch {
    return undefined;
  }
}

/** Resident bytes now. */
export function residentBytes(): number {
  return statusBytes("VmRSS") ?? process.memoryUsage.rss();
}

/** Starts a new measurement of `peakResidentBytes`, where the system allows it; elsewhere the peak is that since the start. */
export function resetPeakResident(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Not Linux, or not permitted: the peak then includes what came before, which only makes it larger.
  }
}

/** Most resident bytes at any moment since the reset. */
export function peakResidentBytes(): number {
  return statusBytes("VmHWM") ?? process.resourceUsage().maxRSS * 1024;
}
