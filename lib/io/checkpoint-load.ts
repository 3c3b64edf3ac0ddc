/** Loading training checkpoints: the newest that proves whole by its sizes and checksums, older ones as a fallback. */

import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { CheckpointError, FormatError } from "../errors.js";
import type { NamedArray } from "./arrays.js";
import { warn } from "./checkpoint.js";
import {
  type CheckpointEntry,
  listCheckpoints,
  readManifest,
  readPins,
  STATE_FILE,
} from "./checkpoint-layout.js";
import { errnoOf, type FileSystem, nodeFileSystem, readWholeFile } from "./filesystem.js";
import { decodeUtf8, parseJson } from "./json.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors.js";

/** Options of {@link loadCheckpoint}. */
export interface LoadCheckpointOptions {
  /** Load exactly this step, without a fallback. */
  step?: number;
  /** Load exactly the step that carries this pin, for example `"best"`. */
  pin?: string;
  /** Compare checksums, which reads every byte once. Sizes are always compared. Default true. */
  verify?: boolean;
  /** Hears of each damaged checkpoint that is passed over. Default: a process warning. */
  onWarning?: (message: string) => void;
  /** Stops the verification. */
  signal?: AbortSignal;
  /** Another file system, for tests. */
  fs?: FileSystem;
}

/** A checkpoint whose files are open. Close it once the arrays are read. */
export interface LoadedCheckpoint {
  readonly step: number;
  readonly path: string;
  /** The JSON value that was saved. */
  readonly state: unknown;
  /** ISO 8601 time of the save. */
  readonly createdAt: string;
  /** The arrays by name; their `data` functions read from the open files. */
  readonly arrays: ReadonlyMap<string, NamedArray & { readonly data: () => Promise<Uint8Array> }>;
  close(): Promise<void>;
}

function mismatch(path: string, what: string, expected: unknown, got: unknown): FormatError {
  return new FormatError(`${basename(path)}: expected ${what} ${expected}, got ${got}`, {
    path,
    expected,
    got,
  });
}

/** Opens one checkpoint and proves it whole, or throws. */
async function openCheckpoint(
  entry: CheckpointEntry,
  options: LoadCheckpointOptions,
): Promise<LoadedCheckpoint> {
  const { fs = nodeFileSystem, verify = true, signal } = options;
  const open: SafetensorsFile[] = [];
  const close = async () => {
    await Promise.all(open.map((file) => file.close()));
  };
  try {
    const manifest = await readManifest(fs, entry.path, entry.step);
    const arrays = new Map<string, NamedArray & { readonly data: () => Promise<Uint8Array> }>();
    let state: unknown;
    for (const { name, bytes, sha256 } of manifest.files) {
      signal?.throwIfAborted();
      const path = join(entry.path, name);
      const { size } = await fs.stat(path);
      if (size !== bytes) throw mismatch(path, "bytes", bytes, size);
      if (name === STATE_FILE) {
        const contents = await readWholeFile(fs, path);
        const digest = createHash("sha256").update(contents).digest("hex");
        if (verify && digest !== sha256) throw mismatch(path, "sha256", sha256, digest);
        state = parseJson(decodeUtf8(contents, path), path);
        continue;
      }
      // The same open file is verified here and read later, so that a pruning writer cannot change it in between.
      const file = await openSafetensors(path, { fs });
      open.push(file);
      const digest = verify ? await file.sha256(signal) : sha256;
      if (digest !== sha256) throw mismatch(path, "sha256", sha256, digest);
      for (const [array, { dtype, shape }] of file.tensors) {
        if (arrays.has(array))
          throw new FormatError(`${name}: the array "${array}" is also in another file`, { path, array });
        arrays.set(array, { name: array, dtype, shape, data: () => file.read(array) });
      }
    }
    return { step: entry.step, path: entry.path, state, createdAt: manifest.createdAt, arrays, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The step that the options ask for, if any. */
async function requestedStep(root: string, options: LoadCheckpointOptions): Promise<number | undefined> {
  if (options.pin === undefined) return options.step;
  const pins = await readPins(root, { fs: options.fs });
  if (!Object.hasOwn(pins, options.pin)) {
    const known = Object.keys(pins);
    throw new CheckpointError(
      `${root} has no checkpoint pinned as "${options.pin}". Pins: ${known.join(", ") || "none"}.`,
      {
        root,
        pin: options.pin,
        pins: known,
      },
    );
  }
  return pins[options.pin];
}

/**
 * Loads the newest checkpoint that is whole; a damaged one is reported through `onWarning` and the one before it is tried.
 * With `step` or `pin` only that one is tried.
 * @param root folder of the run's checkpoints
 * @throws CheckpointError when none is usable; its details list each attempt as {step, path, reason}
 */
export async function loadCheckpoint(
  root: string,
  options: LoadCheckpointOptions = {},
): Promise<LoadedCheckpoint> {
  const { fs = nodeFileSystem, onWarning = warn, signal } = options;
  const wanted = await requestedStep(root, options);
  const attempts: Array<{ step: number; path: string; reason: string }> = [];
  for (;;) {
    // Listed anew each time: a running trainer may have pruned what was found before, and then has saved newer ones.
    const found = await listCheckpoints(root, { fs });
    const candidates = wanted === undefined ? found : found.filter((entry) => entry.step === wanted);
    const next = candidates
      .reverse()
      .find((entry) => !attempts.some((attempt) => attempt.path === entry.path));
    if (next === undefined) {
      throw noneUsable(root, wanted, found, attempts);
    }
    try {
      return await openCheckpoint(next, options);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof FormatError) && errnoOf(error) === undefined) throw error;
      const reason = (error as Error).message;
      attempts.push({ step: next.step, path: next.path, reason });
      if (wanted === undefined) {
        onWarning(`Checkpoint of step ${next.step} (${next.path}) is damaged and passed over: ${reason}.`);
      }
    }
  }
}

function noneUsable(
  root: string,
  wanted: number | undefined,
  found: readonly CheckpointEntry[],
  attempts: ReadonlyArray<{ step: number; path: string; reason: string }>,
): CheckpointError {
  const steps = found.map((entry) => entry.step).sort((a, b) => a - b);
  const details = { root, step: wanted, available: steps, attempts };
  const reasons = attempts.map(({ step, reason }) => `step ${step}: ${reason}`).join("; ");
  if (wanted !== undefined && attempts.length > 0) {
    return new CheckpointError(
      `The checkpoint of step ${wanted} in ${root} is damaged: ${reasons}. Choose another step.`,
      details,
    );
  }
  if (wanted !== undefined) {
    return new CheckpointError(
      `${root} has no checkpoint of step ${wanted}. It has ${steps.length === 0 ? "none" : `steps ${steps.join(", ")}`}.`,
      details,
    );
  }
  if (attempts.length === 0) {
    return new CheckpointError(
      `${root} has no checkpoints. Check the run folder, or start the run without resuming.`,
      details,
    );
  }
  return new CheckpointError(
    `${root} has no usable checkpoint: ${reasons}. Restore one from a copy, or start the run anew.`,
    details,
  );
}
