/** Reading Hugging Face model folders: config.json and the weights, in one safetensors file or in indexed shards. */

import { join } from "node:path";
import { DisposedError, didYouMean, FormatError } from "../errors.js";
import type { NamedArray } from "./arrays.js";
import { listNames } from "./atomic.js";
import { errnoOf, type FileSystem, nodeFileSystem } from "./filesystem.js";
import { isObject, kindOf, readJsonObject } from "./json.js";
import { recoverFolder } from "./replace-folder.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors.js";
import type { TensorEntry } from "./safetensors-header.js";

/** The weights when they are in one file. */
export const WEIGHTS_FILE = "model.safetensors";
/** Says which shard holds which tensor. */
export const INDEX_FILE = "model.safetensors.index.json";

/** An open model folder. Weights stay on disk until they are read. Close it when done. */
export interface ModelFolder {
  readonly dir: string;
  /** Contents of config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Contents of generation_config.json, if there is one. */
  readonly generationConfig: Readonly<Record<string, unknown>> | undefined;
  /** All tensors by name. Offsets are those within the tensor's own shard. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Bytes of one tensor, row-major and little-endian. Throws FormatError with a suggestion for an unknown name. */
  read(name: string): Promise<Uint8Array>;
  /** Reads `target.byteLength` bytes of one tensor from byte `offset` (default 0) on into memory of the caller. */
  readInto(name: string, target: Uint8Array, offset?: number): Promise<void>;
  /** The tensors as named arrays that are read when asked for. */
  arrays(): NamedArray[];
  close(): Promise<void>;
}

/** Reads index.json and returns the tensors that it expects in each shard. */
async function readIndex(fs: FileSystem, dir: string): Promise<Map<string, string[]>> {
  const path = join(dir, INDEX_FILE);
  const map = (await readJsonObject(path, fs)).weight_map;
  if (!isObject(map) || Object.keys(map).length === 0) {
    throw new FormatError(
      `${path}: "weight_map" must be an object that maps tensor names to shard files, got ${isObject(map) ? "an empty one" : kindOf(map)}. Fetch or export the model again.`,
      { path },
    );
  }
  const shards = new Map<string, string[]>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw new FormatError(
        `${path}: tensor "${tensor}" must map to the name of a .safetensors file in this folder, got ${JSON.stringify(file)}. Fetch or export the model again.`,
        { path, tensor, got: file },
      );
    }
    const list = shards.get(file);
    if (list === undefined) shards.set(file, [tensor]);
    else list.push(tensor);
  }
  return shards;
}

/** Which weight files the folder has, with the tensors expected in each (undefined for a single file). */
async function findWeights(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
): Promise<Map<string, string[] | undefined>> {
  if (names.includes(WEIGHTS_FILE)) return new Map([[WEIGHTS_FILE, undefined]]);
  if (!names.includes(INDEX_FILE)) {
    const pickle = names.find((name) => /\.(bin|pt|pth)$/.test(name));
    const shard = names.find((name) => name.endsWith(".safetensors"));
    const hint =
      pickle !== undefined
        ? ` It has ${pickle}, a PyTorch pickle: save the model again with safe_serialization=True.`
        : shard !== undefined
          ? ` It has ${shard}, but no index: fetch ${INDEX_FILE} as well.`
          : " Check the path, or fetch the weights.";
    throw new FormatError(`${dir} has neither ${WEIGHTS_FILE} nor ${INDEX_FILE}.${hint}`, {
      dir,
      files: names,
    });
  }
  const shards = await readIndex(fs, dir);
  const missing = [...shards.keys()].filter((file) => !names.includes(file));
  if (missing.length > 0) {
    throw new FormatError(
      `${dir} lacks ${missing.length} of the ${shards.size} shards that ${INDEX_FILE} names: ${missing.slice(0, 5).join(", ")}${missing.length > 5 ? ", …" : ""}. Fetch the missing files.`,
      { dir, missing },
    );
  }
  return shards;
}

/** Opens the weight files and maps each tensor to its file. `open` receives every file that must be closed. */
async function openWeights(
  fs: FileSystem,
  dir: string,
  weights: ReadonlyMap<string, readonly string[] | undefined>,
  open: SafetensorsFile[],
): Promise<Map<string, SafetensorsFile>> {
  const homes = new Map<string, SafetensorsFile>();
  for (const [name, expected] of weights) {
    const file = await openSafetensors(join(dir, name), { fs });
    open.push(file);
    for (const tensor of file.tensors.keys()) {
      const other = homes.get(tensor);
      if (other !== undefined) {
        throw new FormatError(
          `${dir}: tensor "${tensor}" is in two shards, ${other.path} and ${file.path}. Shards of different exports are mixed: fetch or export the model again.`,
          { dir, tensor, files: [other.path, file.path] },
        );
      }
      homes.set(tensor, file);
    }
    const absent = expected?.filter((tensor) => !file.tensors.has(tensor)) ?? [];
    if (absent.length > 0) {
      throw new FormatError(
        `${dir}: ${INDEX_FILE} places ${absent.length} tensors in ${name} that are not there, the first "${absent[0]}". Shards of different exports are mixed: fetch or export the model again.`,
        { dir, tensor: absent[0], file: name, absent },
      );
    }
  }
  return homes;
}

/**
 * Opens a Hugging Face model folder.
 * @param dir folder with config.json and model.safetensors, or model.safetensors.index.json with its shards
 * @throws FormatError for anything missing, damaged or contradictory, with file, line or tensor and the fix
 */
export async function readModelFolder(dir: string, options: { fs?: FileSystem } = {}): Promise<ModelFolder> {
  const { fs = nodeFileSystem } = options;
  const open: SafetensorsFile[] = [];
  try {
    await recoverFolder(fs, dir);
    const names = await fs.readdir(dir);
    if (!names.includes("config.json")) {
      throw new FormatError(`${dir} is not a model folder: it has no config.json. Check the path.`, {
        dir,
        files: names,
      });
    }
    const config = await readJsonObject(join(dir, "config.json"), fs);
    const generationConfig = names.includes("generation_config.json")
      ? await readJsonObject(join(dir, "generation_config.json"), fs)
      : undefined;
    const homes = await openWeights(fs, dir, await findWeights(fs, dir, names), open);
    return makeFolder(dir, config, generationConfig, homes, open);
  } catch (error) {
    await Promise.all(open.map((file) => file.close()));
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const near = errno === "ENOENT" ? didYouMean(dir, await siblings(fs, dir)) : "";
    throw new FormatError(
      `Cannot read the model folder ${dir}: ${(error as Error).message}.${near} Check the path and its permissions.`,
      { dir, errno },
      { cause: error },
    );
  }
}

/** Folders next to a missing one, for a suggestion. */
async function siblings(fs: FileSystem, dir: string): Promise<string[]> {
  const parent = join(dir, "..");
  const names = await listNames(fs, parent).catch(() => []);
  return names.filter((name) => !name.startsWith(".")).map((name) => join(parent, name));
}

function makeFolder(
  dir: string,
  config: Record<string, unknown>,
  generationConfig: Record<string, unknown> | undefined,
  homes: ReadonlyMap<string, SafetensorsFile>,
  open: readonly SafetensorsFile[],
): ModelFolder {
  const tensors = new Map([...homes].map(([name, file]) => [name, file.tensors.get(name) as TensorEntry]));
  let closed = false;
  const home = (name: string): SafetensorsFile => {
    if (closed)
      throw new DisposedError(`The model folder ${dir} was closed. Open it again before reading.`, { dir });
    const file = homes.get(name);
    if (file === undefined) {
      throw new FormatError(
        `${dir} has no tensor "${name}".${didYouMean(name, homes.keys())} It holds ${homes.size} tensors.`,
        {
          dir,
          tensor: name,
        },
      );
    }
    return file;
  };
  return {
    dir,
    config,
    generationConfig,
    tensors,
    read: async (name) => home(name).read(name),
    readInto: async (name, target, offset) => home(name).readInto(name, target, offset),
    arrays: () =>
      [...tensors].map(([name, { dtype, shape }]) => ({
        name,
        dtype,
        shape,
        data: async () => home(name).read(name),
      })),
    close: async () => {
      closed = true;
      await Promise.all(open.map((file) => file.close()));
    },
  };
}
