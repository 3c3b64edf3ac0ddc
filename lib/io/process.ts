/** Which processes still run: tells the temporary files of a live writer from those that a killed one left behind. */

import { readFileSync } from "node:fs";

/** When this process started, in milliseconds since 1970. The same in all its threads, to about a second. */
export function processStart(): number {
  return Date.now() - process.uptime() * 1000;
}

/** The fields of /proc/PID/stat from the state (field 3) on; undefined where there are none. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command name in parentheses may itself hold spaces and parentheses.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/**
 * Whether a process with this id runs on this machine. One that has ended and waits for its parent to ask how (a zombie,
 * which in a container without an init process stays for good) does not.
 */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM means that it exists but belongs to someone else.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const state = statFields(pid)?.[0];
  return state !== "Z" && state !== "X";
}

/**
 * A mark that differs between two processes that get the same id one after the other: the kernel's start time of the
 * process in clock ticks since boot, with the boot's own id. Undefined where the system does not tell.
 */
export function startMark(pid: number): string | undefined {
  try {
    // Field 22 of the file.
    const ticks = statFields(pid)?.[19];
    if (ticks === undefined) return undefined;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()}:${ticks}`;
  } catch {
    return undefined;
  }
}

/**
 * Whether a temporary file or folder was left by a process that is gone. In containers a restarted program often has
 * the id of its predecessor: what carries this process's id but is older than this process is a leftover, too.
 * @param pid the id in its name
 * @param mtimeMs when it was last changed
 */
export function isLeftover(pid: number, mtimeMs: number): boolean {
  return pid === process.pid ? mtimeMs < processStart() - 2000 : !isAlive(pid);
}
