/**
 * How checkpoints lie on disk. `ROOT/step-00000123/` holds `arrays-00001.safetensors`, …, `state.json` and
 * `manifest.json` (sizes and checksums of the others). Names that begin with a dot are never checkpoints, but
 * for one case: `.replaced-step-…` while the folder that replaces it is not there yet.
 */

import { join } from "node:path";
import { FormatError } from "../errors.js";
import { listNames } from "./atomic.js";
import { errnoOf, type FileSystem, nodeFileSystem } from "./filesystem.js";
import { isObject, kindOf, readJsonObject } from "./json.js";

/** Version of the checkpoint format that this package writes. */
export const CHECKPOINT_VERSION = 1;
/** The file with sizes and checksums. */
export const MANIFEST_FILE = "manifest.json";
/** The file with the state that is not arrays. */
export const STATE_FILE = "state.json";
const PINS_FILE = "pins.json";

const FINISHED = /^step-(\d{8,})$/;
const HIDDEN = /^\.(tmp|replaced|trash)-step-(\d{8,})-(\d+)(?:-[0-9a-f]+)?$/;

/** A file of a checkpoint as its manifest lists it. */
export interface ManifestFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 in lower-case hexadecimal. */
  readonly sha256: string;
}

/** Contents of `manifest.json`. */
export interface CheckpointManifest {
  readonly version: number;
  readonly step: number;
  readonly files: readonly ManifestFile[];
  /** ISO 8601 time in UTC. */
  readonly createdAt: string;
}

/** A checkpoint folder that was found; its contents are not checked yet. */
export interface CheckpointEntry {
  readonly step: number;
  readonly path: string;
  /** Labels that protect it from pruning, for example `best`. */
  readonly pins: readonly string[];
}

/** A folder of a save or a deletion that is under way or was cut off. */
export interface HiddenFolder {
  readonly kind: "tmp" | "replaced" | "trash";
  readonly step: number;
  readonly pid: number;
  readonly path: string;
}

/** Folder name of a step: `step-00000123`. */
export function stepName(step: number): string {
  return `step-${String(step).padStart(8, "0")}`;
}

/** The hidden folders under a checkpoint root. */
export async function listHidden(fs: FileSystem, root: string): Promise<HiddenFolder[]> {
  return (await listNames(fs, root)).flatMap((name) => {
    const match = HIDDEN.exec(name);
    if (match === null) return [];
    const kind = match[1] as HiddenFolder["kind"];
    return [{ kind, step: Number(match[2]), pid: Number(match[3]), path: join(root, name) }];
  });
}

function pinsPath(root: string): string {
  return join(root, PINS_FILE);
}

/** The pinned steps by label; none when nothing was pinned. Throws FormatError when the file is damaged. */
export async function readPins(
  root: string,
  options: { fs?: FileSystem } = {},
): Promise<Readonly<Record<string, number>>> {
  const path = pinsPath(root);
  let pins: Record<string, unknown>;
  try {
    pins = await readJsonObject(path, options.fs);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return {};
    throw error;
  }
  for (const [label, step] of Object.entries(pins)) {
    if (!Number.isSafeInteger(step)) {
      throw new FormatError(
        `${path}: the pin "${label}" must be a step number, got ${kindOf(step)}. Correct or delete the file.`,
        {
          path,
          label,
        },
      );
    }
  }
  return pins as Record<string, number>;
}

/** Path and text of the pin file with `label` moved to `step`. */
export async function withPin(
  root: string,
  label: string,
  step: number,
  fs: FileSystem,
): Promise<{ path: string; text: string }> {
  const pins = { ...(await readPins(root, { fs })), [label]: step };
  return { path: pinsPath(root), text: `${JSON.stringify(pins, null, 2)}\n` };
}

/**
 * The checkpoints under `root` by ascending step; none when the folder does not exist. A damaged pin file does not hide
 * them: their `pins` are then empty.
 */
export async function listCheckpoints(
  root: string,
  options: { fs?: FileSystem } = {},
): Promise<CheckpointEntry[]> {
  const { fs = nodeFileSystem } = options;
  const paths = new Map<number, string>();
  for (const { kind, step, path } of await listHidden(fs, root)) {
    if (kind === "replaced") paths.set(step, path);
  }
  for (const name of await listNames(fs, root)) {
    const match = FINISHED.exec(name);
    if (match !== null) paths.set(Number(match[1]), join(root, name));
  }
  if (paths.size === 0) return [];
  const pins = Object.entries(await readPins(root, { fs }).catch(() => ({})));
  return [...paths]
    .sort(([a], [b]) => a - b)
    .map(([step, path]) => ({
      step,
      path,
      pins: pins.filter(([, at]) => at === step).map(([label]) => label),
    }));
}

/** Reads and validates a manifest; FormatError when it does not describe a checkpoint of `step`. */
export async function readManifest(
  fs: FileSystem,
  folder: string,
  step: number,
): Promise<CheckpointManifest> {
  const path = join(folder, MANIFEST_FILE);
  const value = await readJsonObject(path, fs);
  const { version, files } = value;
  if (typeof version === "number" && version > CHECKPOINT_VERSION) {
    throw new FormatError(
      `${path}: format version ${version} is newer than ${CHECKPOINT_VERSION}, which this version of anneal reads. Update anneal.`,
      { path, expected: CHECKPOINT_VERSION, got: version },
    );
  }
  if (version !== CHECKPOINT_VERSION) {
    throw new FormatError(
      `${path}: expected version ${CHECKPOINT_VERSION}, got ${JSON.stringify(version)}.`,
      { path, got: version },
    );
  }
  if (value.step !== step) {
    throw new FormatError(
      `${path}: expected step ${step} as in the folder's name, got ${JSON.stringify(value.step)}.`,
      {
        path,
        expected: step,
        got: value.step,
      },
    );
  }
  const valid =
    Array.isArray(files) &&
    files.every(
      (file) =>
        isObject(file) &&
        typeof file.name === "string" &&
        /^[\w.-]+$/.test(file.name) &&
        Number.isSafeInteger(file.bytes) &&
        /^[0-9a-f]{64}$/.test(String(file.sha256)),
    ) &&
    files.some((file) => file.name === STATE_FILE);
  if (!valid) {
    throw new FormatError(
      `${path}: "files" must list ${STATE_FILE} and the arrays, each with name, bytes and sha256.`,
      { path },
    );
  }
  return value as unknown as CheckpointManifest;
}
