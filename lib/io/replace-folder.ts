/** Replacing a whole folder so that a kill leaves the old one or the new one, if only under a name that is found again. */

import { basename, dirname, join } from "node:path";
import { listNames } from "./atomic.js";
import { errnoOf, type FileSystem, removeQuietly, syncDirectory } from "./filesystem.js";
import { isAlive } from "./process.js";

/** Folders that this thread is replacing at the moment. */
const active = new Set<string>();

/** Where the old folder waits while the new one takes its place. */
function asideName(target: string): string {
  return join(dirname(target), `.${basename(target)}.replaced-${process.pid}`);
}

async function exists(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/**
 * Puts back a folder whose replacement was cut off by a kill; removes it where the replacement arrived. What a live
 * process is replacing is left alone.
 */
export async function recoverFolder(fs: FileSystem, target: string): Promise<void> {
  const parent = dirname(target);
  const prefix = `.${basename(target)}.replaced-`;
  for (const name of await listNames(fs, parent)) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : Number.NaN;
    if (!Number.isSafeInteger(pid)) continue;
    const aside = join(parent, name);
    if (active.has(aside) || (pid !== process.pid && isAlive(pid))) continue;
    if (await exists(fs, target)) await removeQuietly(fs, aside);
    else await fs.rename(aside, target);
  }
}

/** Renames the finished folder `temporary` to `target` and deletes what was there; on failure the old folder comes back. */
export async function replaceFolder(fs: FileSystem, temporary: string, target: string): Promise<void> {
  const aside = asideName(target);
  const replaces = await exists(fs, target);
  active.add(aside);
  try {
    if (replaces) await fs.rename(target, aside);
    try {
      await fs.rename(temporary, target);
    } catch (error) {
      if (replaces) await fs.rename(aside, target).catch(() => undefined);
      throw error;
    }
    await syncDirectory(fs, dirname(target));
    if (replaces) await removeQuietly(fs, aside);
  } finally {
    active.delete(aside);
  }
}
