/** Files that change in one step: written under a temporary name, forced to the disk, then renamed. */

import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import {
  errnoOf,
  type FileSystem,
  nodeFileSystem,
  removeQuietly,
  saveError,
  syncDirectory,
  type WrittenFile,
  writeWholeFile,
} from "./filesystem.js";
import { isLeftover } from "./process.js";

const TEMPORARY = /^\.(.+)\.tmp-(\d+)-[0-9a-f]{8}$/;

/** A name next to `path` that says who writes it, so that leftovers of killed processes can be found. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp-${process.pid}-${randomBytes(4).toString("hex")}`);
}

/**
 * Runs `write` on a temporary path next to `path` and renames the result to `path`. When anything fails the temporary
 * is removed and `path` stays as it was.
 * @param write creates the temporary file and forces its contents to the disk
 */
export async function atomically<T>(
  fs: FileSystem,
  path: string,
  write: (temporary: string) => Promise<T>,
): Promise<T> {
  const temporary = temporaryName(path);
  let result: T;
  try {
    result = await write(temporary);
    await fs.rename(temporary, path);
  } catch (error) {
    await removeQuietly(fs, temporary);
    throw error;
  }
  await syncDirectory(fs, dirname(path));
  return result;
}

/**
 * Replaces a file in one step: readers see the old contents or the new, never a part.
 * @throws CheckpointError when the disk refuses
 */
export async function writeFileAtomic(
  path: string,
  contents: string | Uint8Array,
  options: { fs?: FileSystem } = {},
): Promise<WrittenFile> {
  const fs = options.fs ?? nodeFileSystem;
  try {
    return await atomically(fs, path, (temporary) => writeWholeFile(fs, temporary, contents));
  } catch (error) {
    throw await saveError(fs, error, `file ${basename(path)}`, dirname(path), contents.length);
  }
}

/**
 * Removes temporary files and folders that killed processes left in `dir`.
 * @param options.exclusive the caller knows that no other process writes here (it holds the lock): remove theirs as well
 * @param options.name only temporaries of this file or folder
 * @returns the names that were removed
 */
export async function cleanTemporaryFiles(
  dir: string,
  options: { fs?: FileSystem; exclusive?: boolean; name?: string } = {},
): Promise<string[]> {
  const { fs = nodeFileSystem, exclusive = false } = options;
  const removed: string[] = [];
  for (const name of await listNames(fs, dir)) {
    const match = TEMPORARY.exec(name);
    if (match === null || (options.name !== undefined && options.name !== match[1])) continue;
    const pid = Number(match[2]);
    const path = join(dir, name);
    const info = await fs.stat(path).catch(() => undefined);
    if (info === undefined) continue;
    if ((exclusive && pid !== process.pid) || isLeftover(pid, info.mtimeMs)) {
      await fs.rm(path, { recursive: true, force: true });
      removed.push(name);
    }
  }
  return removed;
}

/** Names in a folder, sorted; none when the folder does not exist. */
export async function listNames(fs: FileSystem, dir: string): Promise<string[]> {
  try {
    return (await fs.readdir(dir)).sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
