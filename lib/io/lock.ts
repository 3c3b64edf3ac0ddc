/** A lock file that keeps two processes from writing one run folder; the lock of a process that is gone is taken over. */

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout } from "node:timers/promises";
import { ConfigError } from "../errors.js";
import { temporaryName } from "./atomic.js";
import {
  errnoOf,
  type FileSystem,
  nodeFileSystem,
  readWholeFile,
  removeQuietly,
  writeWholeFile,
} from "./filesystem.js";
import { isAlive, startMark } from "./process.js";

/** Who holds a lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** Tells apart processes that were given the same id, where the system allows. */
  readonly start?: string;
  /** ISO 8601 time. */
  readonly since: string;
}

/** A held lock. */
export interface RunLock {
  /** Gives the lock back; may be called twice. */
  release(): Promise<void>;
}

/** A lock file without readable contents counts as held for this long, then as left behind by a kill. */
const UNREADABLE_MS = 10_000;
/** Age after which the guard of a takeover was left behind by a kill, and the wait for one that is under way. */
const GUARD_MS = 10_000;
const GUARD_WAIT_MS = 10;

function describe(holder: LockHolder): string {
  return `process ${holder.pid} on ${holder.host} since ${holder.since}`;
}

async function readHolder(fs: FileSystem, path: string): Promise<LockHolder | undefined> {
  try {
    const value = JSON.parse(new TextDecoder().decode(await readWholeFile(fs, path))) as LockHolder;
    return Number.isSafeInteger(value.pid) && typeof value.host === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the process behind a lock still runs. Undefined where it cannot be known, on another host. */
function isHeld(holder: LockHolder): boolean | undefined {
  if (holder.host !== hostname()) return undefined;
  if (!isAlive(holder.pid)) return false;
  const mark = startMark(holder.pid);
  return holder.start === undefined || mark === undefined || holder.start === mark;
}

/** Creates the lock file together with its contents. False when it exists. */
async function tryCreate(fs: FileSystem, path: string, text: string): Promise<boolean> {
  const temporary = temporaryName(path);
  await writeWholeFile(fs, temporary, text);
  try {
    // A hard link appears with its contents in one step and fails when the name is taken.
    await fs.link(temporary, path);
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return false;
    if (errno === undefined || !["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(errno))
      throw error;
  } finally {
    await removeQuietly(fs, temporary);
  }
  try {
    await writeWholeFile(fs, path, text);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Takes the lock file `path`.
 * @param options.takeOver take the lock even when its holder may still run on another host
 * @throws ConfigError naming the holder when another process, or this one, holds it
 */
export async function acquireLock(
  path: string,
  options: { fs?: FileSystem; takeOver?: boolean } = {},
): Promise<RunLock> {
  const { fs = nodeFileSystem, takeOver = false } = options;
  const mine: LockHolder = {
    pid: process.pid,
    host: hostname(),
    start: startMark(process.pid),
    since: new Date().toISOString(),
  };
  const text = `${JSON.stringify(mine)}\n`;
  let released = false;
  const lock: RunLock = {
    release: async () => {
      if (released) return;
      released = true;
      // Another process may have taken the lock over by force; then it is theirs to remove.
      if (isText(path, text)) await removeQuietly(fs, path);
    },
  };
  for (let attempt = 0; attempt < 20; attempt++) {
    if (await tryCreate(fs, path, text)) return lock;
    const holder = await readHolder(fs, path);
    if (holder === undefined) {
      const info = await fs.stat(path).catch(() => undefined);
      if (info === undefined) continue;
      if (Date.now() - info.mtimeMs < UNREADABLE_MS) {
        throw new ConfigError(
          `${path} is locked by a process that is just starting. Try again in ${UNREADABLE_MS / 1000} seconds.`,
          { path },
        );
      }
    } else {
      const held = isHeld(holder);
      if (held === true) {
        throw new ConfigError(
          `${path}: the run is in use by ${describe(holder)}. Stop that process first, or choose another output folder.`,
          { path, holder },
        );
      }
      if (held === undefined && !takeOver) {
        throw new ConfigError(
          `${path}: the run is locked by ${describe(holder)}, another machine or container, so that it cannot be seen whether it still runs. If it does not, delete this file.`,
          { path, holder },
        );
      }
    }
    if (await replaceStale(fs, path, holder, text)) return lock;
  }
  throw new ConfigError(
    `${path}: other processes keep taking this lock. Stop them first, or choose another output folder.`,
    { path },
  );
}

/** Whether the lock file still holds exactly `text`. */
function isText(path: string, text: string): boolean {
  try {
    return readFileSync(path, "utf8") === text;
  } catch {
    return false;
  }
}

/**
 * Replaces a stale lock by this process's own, unless somebody else did so since it was read. The name is never free
 * meanwhile, and a second file lets one process at a time do this: otherwise two could both replace it.
 */
async function replaceStale(
  fs: FileSystem,
  path: string,
  stale: LockHolder | undefined,
  text: string,
): Promise<boolean> {
  const guard = `${path}.takeover`;
  if (!(await tryCreate(fs, guard, text))) {
    const info = await fs.stat(guard).catch(() => undefined);
    // Replacing takes milliseconds: an old guard is that of a process that was killed in the middle.
    if (info !== undefined && Date.now() - info.mtimeMs > GUARD_MS) await removeQuietly(fs, guard);
    else await setTimeout(GUARD_WAIT_MS);
    return false;
  }
  const temporary = temporaryName(path);
  try {
    const now = await readHolder(fs, path);
    if (JSON.stringify(now) !== JSON.stringify(stale)) return false;
    await writeWholeFile(fs, temporary, text);
    await fs.rename(temporary, path);
    return true;
  } finally {
    await removeQuietly(fs, temporary);
    await removeQuietly(fs, guard);
  }
}
