/**
 * Saving training checkpoints. A checkpoint is written under a temporary name, forced to the disk file by file and
 * renamed as a whole: at every moment the folder holds the previous checkpoints, and the new one entirely or not at all.
 */

import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { CheckpointError, ConfigError } from "../errors.js";
import { checkArrays, groupBySize, type NamedArray } from "./arrays.js";
import { atomically, cleanTemporaryFiles } from "./atomic.js";
import {
  CHECKPOINT_VERSION,
  type CheckpointManifest,
  listCheckpoints,
  listHidden,
  MANIFEST_FILE,
  type ManifestFile,
  readPins,
  STATE_FILE,
  stepName,
  withPin,
} from "./checkpoint-layout.js";
import {
  errnoOf,
  type FileSystem,
  nodeFileSystem,
  removeQuietly,
  saveError,
  syncDirectory,
  writeWholeFile,
} from "./filesystem.js";
import { isLeftover } from "./process.js";
import { streamSafetensors } from "./safetensors.js";

/** Options of {@link saveCheckpoint}. */
export interface SaveCheckpointOptions {
  /** How many checkpoints to keep, the new one included; pinned ones do not count. Default 3. */
  keep?: number;
  /** Moves this pin (for example `"best"`) to the new checkpoint, which protects it from pruning. */
  pin?: string;
  /** Largest array file in bytes; a single larger array gets a file of its own. Default 5e9. */
  maxShardBytes?: number;
  /** Stops the save between two chunks; the temporary folder is removed and the signal's reason thrown. */
  signal?: AbortSignal;
  /** Receives problems that do not endanger the new checkpoint, such as an old one that cannot be deleted. Default: a process warning. */
  onWarning?: (message: string) => void;
  /** Another file system, for tests. */
  fs?: FileSystem;
}

/** A checkpoint that is safely on the disk. */
export interface SavedCheckpoint {
  readonly step: number;
  readonly path: string;
  /** All its files together, in bytes. */
  readonly bytes: number;
  /** Steps that were pruned. */
  readonly removed: readonly number[];
}

/** Hidden folders that saves of this thread are using. */
const active = new Set<string>();

/** Default of every `onWarning` here. */
export function warn(message: string): void {
  process.emitWarning(message, { code: "ANNEAL_CHECKPOINT" });
}

/** Throws for values that JSON would silently turn into something else: NaN, infinities, functions, typed arrays, maps. */
function checkState(value: unknown, path: string): void {
  const bad = (what: string): never => {
    throw new CheckpointError(
      `Checkpoint state ${path} is ${what}, which JSON cannot hold. Store it as text, numbers or an array.`,
      {
        path,
      },
    );
  };
  if (typeof value === "number" && !Number.isFinite(value)) bad(String(value));
  if (typeof value === "bigint" || typeof value === "function" || typeof value === "symbol")
    bad(`a ${typeof value}`);
  if (typeof value !== "object" || value === null) return;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) {
    bad(`an instance of ${value.constructor?.name ?? "a class"}`);
  }
  for (const [key, item] of Object.entries(value))
    checkState(item, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`);
}

/** Renames a folder to a trash name and deletes it: cut off anywhere, what is left does not look like a checkpoint. */
async function discard(fs: FileSystem, root: string, path: string, step: number): Promise<void> {
  const trash = join(root, `.trash-${stepName(step)}-${process.pid}-${randomBytes(4).toString("hex")}`);
  await fs.rename(path, trash);
  await fs.rm(trash, { recursive: true, force: true });
}

/**
 * Removes what killed saves and deletions left under `root`. A checkpoint that was about to be replaced and
 * whose successor never arrived is put back.
 * @param options.exclusive the caller knows that no other process writes here (it holds the run's lock)
 */
export async function cleanCheckpoints(
  root: string,
  options: { fs?: FileSystem; exclusive?: boolean } = {},
): Promise<void> {
  const { fs = nodeFileSystem, exclusive = false } = options;
  for (const { kind, step, pid, path } of await listHidden(fs, root)) {
    const info = await fs.stat(path).catch(() => undefined);
    if (info === undefined || active.has(path)) continue;
    const own = pid === process.pid && kind !== "tmp";
    if (!own && !(exclusive && pid !== process.pid) && !isLeftover(pid, info.mtimeMs)) continue;
    const final = join(root, stepName(step));
    const orphan = kind === "replaced" && (await fs.stat(final).catch(() => undefined)) === undefined;
    if (orphan) await fs.rename(path, final);
    else await fs.rm(path, { recursive: true, force: true });
  }
  await cleanTemporaryFiles(root, { fs, exclusive });
}

/** Writes all files of a checkpoint into `folder`, each forced to the disk, the manifest last. */
async function writeFiles(
  fs: FileSystem,
  folder: string,
  step: number,
  arrays: readonly NamedArray[],
  state: string,
  options: SaveCheckpointOptions,
): Promise<number> {
  const files: ManifestFile[] = [];
  const groups = groupBySize(checkArrays(arrays), options.maxShardBytes ?? 5e9);
  for (const [index, group] of groups.entries()) {
    const name = `arrays-${String(index + 1).padStart(5, "0")}.safetensors`;
    const part = group.map((i) => arrays[i]);
    files.push({ name, ...(await streamSafetensors(fs, join(folder, name), part, {}, options.signal)) });
  }
  files.push({ name: STATE_FILE, ...(await writeWholeFile(fs, join(folder, STATE_FILE), state)) });
  const manifest: CheckpointManifest = {
    version: CHECKPOINT_VERSION,
    step,
    files,
    createdAt: new Date().toISOString(),
  };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  await writeWholeFile(fs, join(folder, MANIFEST_FILE), text);
  await syncDirectory(fs, folder);
  options.signal?.throwIfAborted();
  return files.reduce((sum, file) => sum + file.bytes, text.length);
}

/** Gives the finished temporary folder its final name. A checkpoint of the same step steps aside first and comes back on failure. */
async function commit(fs: FileSystem, root: string, temporary: string, step: number): Promise<string> {
  const final = join(root, stepName(step));
  const aside = join(root, `.replaced-${stepName(step)}-${process.pid}`);
  const replaces = (await fs.stat(final).catch(() => undefined)) !== undefined;
  active.add(aside);
  try {
    if (replaces) await fs.rename(final, aside);
    try {
      await fs.rename(temporary, final);
    } catch (error) {
      if (replaces) await fs.rename(aside, final).catch(() => undefined);
      throw error;
    }
    await syncDirectory(fs, root);
    if (replaces) await removeQuietly(fs, aside);
    return final;
  } finally {
    active.delete(aside);
  }
}

/** Removes checkpoints older than `step` beyond `keep` (which counts `step` itself); pinned ones stay. */
async function prune(fs: FileSystem, root: string, step: number, keep: number): Promise<number[]> {
  const pinned = new Set(Object.values(await readPins(root, { fs })));
  const older = (await listCheckpoints(root, { fs })).filter(
    (entry) => entry.step < step && !pinned.has(entry.step),
  );
  const surplus = older.slice(0, Math.max(0, older.length - (keep - 1)));
  for (const entry of surplus) await discard(fs, root, entry.path, entry.step);
  return surplus.map((entry) => entry.step);
}

/** Runs housekeeping whose failure must not fail a save: it becomes a warning. */
async function housekeeping<T>(
  task: () => Promise<T>,
  otherwise: T,
  what: string,
  warning: (message: string) => void,
): Promise<T> {
  try {
    return await task();
  } catch (error) {
    warning(`${what}: ${(error as Error).message}`);
    return otherwise;
  }
}

/**
 * Saves a checkpoint as `ROOT/step-NNNNNNNN/` and prunes older ones. When the promise resolves the checkpoint has
 * reached the disk; when it rejects the previous checkpoints are intact. A checkpoint of the same step is replaced.
 * @param root folder of the run's checkpoints; created when missing
 * @param step training step, an integer from 0
 * @param content arrays (read one at a time) and any JSON state
 * @throws CheckpointError with errno, path, bytesNeeded and bytesFree in its details when the disk refuses
 */
export async function saveCheckpoint(
  root: string,
  step: number,
  content: { arrays: readonly NamedArray[]; state: unknown },
  options: SaveCheckpointOptions = {},
): Promise<SavedCheckpoint> {
  const { fs = nodeFileSystem, keep = 3, onWarning = warn } = options;
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new ConfigError(`The step of a checkpoint must be an integer from 0, got ${String(step)}.`, {
      step,
    });
  }
  if (!(Number.isSafeInteger(keep) && keep >= 1)) {
    throw new ConfigError(
      `"keep" must be an integer from 1, got ${String(keep)}: the new checkpoint itself is counted.`,
      { keep },
    );
  }
  checkState(content.state, "state");
  const state = `${JSON.stringify(content.state ?? null)}\n`;
  const needed = checkArrays(content.arrays).reduce((sum, size) => sum + size, state.length);
  const temporary = join(root, `.tmp-${stepName(step)}-${process.pid}`);
  if (active.has(temporary)) {
    throw new CheckpointError(
      `A save of step ${step} to ${root} is under way. Await it before saving the step again.`,
      { root, step },
    );
  }
  active.add(temporary);
  let path: string;
  let bytes: number;
  try {
    if ((await fs.mkdir(root, { recursive: true })) !== undefined) await syncDirectory(fs, dirname(root));
    await housekeeping(
      () => cleanCheckpoints(root, { fs }),
      undefined,
      `Could not remove leftovers in ${root}`,
      onWarning,
    );
    await fs.rm(temporary, { recursive: true, force: true });
    await fs.mkdir(temporary);
    bytes = await writeFiles(fs, temporary, step, content.arrays, state, options);
    path = await commit(fs, root, temporary, step);
  } catch (error) {
    await removeQuietly(fs, temporary);
    throw await saveError(fs, error, `checkpoint of step ${step}`, root, needed);
  } finally {
    active.delete(temporary);
  }
  const tidy = async () => {
    if (options.pin !== undefined) await pinCheckpoint(root, step, options.pin, { fs });
    return prune(fs, root, step, keep);
  };
  const removed = await housekeeping(
    tidy,
    [],
    `Checkpoint ${path} is saved, but pinning or pruning failed`,
    onWarning,
  );
  return { step, path, bytes, removed };
}

/**
 * Protects a checkpoint from pruning under a label. A label marks one step: pinning a new best releases the previous one.
 * @throws CheckpointError when there is no checkpoint of that step
 */
export async function pinCheckpoint(
  root: string,
  step: number,
  label = "best",
  options: { fs?: FileSystem } = {},
): Promise<void> {
  const { fs = nodeFileSystem } = options;
  const steps = (await listCheckpoints(root, { fs })).map((entry) => entry.step);
  if (!steps.includes(step)) {
    throw new CheckpointError(
      `${root} has no checkpoint of step ${step} to pin. It has ${steps.join(", ") || "none"}.`,
      {
        root,
        step,
        available: steps,
      },
    );
  }
  const { path, text } = await withPin(root, label, step, fs);
  await atomically(fs, path, (temporary) => writeWholeFile(fs, temporary, text));
}

/**
 * Removes all checkpoints of later steps, pinned or not: after a resume from an earlier step they belong to
 * another history, and a later resume must not pick them.
 * @returns the removed steps
 */
export async function removeCheckpointsAfter(
  root: string,
  step: number,
  options: { fs?: FileSystem } = {},
): Promise<number[]> {
  const { fs = nodeFileSystem } = options;
  const later = (await listCheckpoints(root, { fs })).filter((entry) => entry.step > step).reverse();
  for (const entry of later) {
    try {
      await discard(fs, root, entry.path, entry.step);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      throw new CheckpointError(
        `Could not remove the checkpoint ${entry.path}: ${(error as Error).message}. Delete it by hand.`,
        {
          path: entry.path,
        },
      );
    }
  }
  return later.map((entry) => entry.step);
}
