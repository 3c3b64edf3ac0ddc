/** Writing Hugging Face model folders: config.json, sharded weights and tokenizer files, replaced as a whole. */

import { basename, dirname, join, resolve } from "node:path";
import { ConfigError, didYouMean, FormatError } from "../errors.js";
import { checkArrays, groupBySize, type NamedArray } from "./arrays.js";
import { cleanTemporaryFiles, listNames, temporaryName } from "./atomic.js";
import {
  type FileSystem,
  nodeFileSystem,
  removeQuietly,
  saveError,
  syncDirectory,
  writeWholeFile,
} from "./filesystem.js";
import { INDEX_FILE, WEIGHTS_FILE } from "./model-folder.js";
import { recoverFolder, replaceFolder } from "./replace-folder.js";
import { streamSafetensors } from "./safetensors.js";

/** What {@link writeModelFolder} writes. */
export interface WriteModelFolderOptions {
  /** Contents of config.json. */
  config: Readonly<Record<string, unknown>>;
  /** The weights, in the order in which they fill the shards; tied ones once. Read one at a time. */
  arrays: readonly NamedArray[];
  /** Contents of generation_config.json, if any. */
  generationConfig?: Readonly<Record<string, unknown>>;
  /** Largest shard in bytes; a single larger array gets a shard of its own. Default 5e9, as in transformers. */
  maxShardBytes?: number;
  /** Further files by name, for example tokenizer.json. */
  tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  /** Stops the write; the folder stays as it was. */
  signal?: AbortSignal;
  /** Another file system, for tests. */
  fs?: FileSystem;
}

const OPTION_NAMES = [
  "config",
  "arrays",
  "generationConfig",
  "maxShardBytes",
  "tokenizerFiles",
  "signal",
  "fs",
];

/** Weights of the previous model, which must not survive next to the new ones. */
const WEIGHTS = /^(model|pytorch_model).*\.(safetensors|bin|index\.json)$|^generation_config\.json$/;

/** Files of the folder to be replaced that the new one keeps (a README, tokenizer files that are not written now). */
async function keptFiles(fs: FileSystem, dir: string, written: ReadonlySet<string>): Promise<string[]> {
  const names = await listNames(fs, dir);
  if (names.length > 0 && !names.includes("config.json")) {
    throw new ConfigError(
      `${dir} is neither empty nor a model folder (it has no config.json), so it is not replaced. Choose another output folder.`,
      { dir, files: names },
    );
  }
  const kept = names.filter((name) => !written.has(name) && !WEIGHTS.test(name));
  for (const name of kept) {
    if ((await fs.stat(join(dir, name))).isDirectory()) {
      throw new ConfigError(
        `${dir} holds the folder ${name}, which is no part of a model, so it is not replaced. Choose another output folder.`,
        {
          dir,
          folder: name,
        },
      );
    }
  }
  return kept;
}

/** Fields of config.json that transformers wants as floating-point numbers: it refuses 1 where it expects 1.0. */
const FLOAT_FIELDS = [
  "routed_scaling_factor",
  "attention_dropout",
  "initializer_range",
  "rms_norm_eps",
  "layer_norm_epsilon",
];

/** config.json's text. JavaScript knows one kind of number, so whole values of float fields get their point here. */
function configText(config: Readonly<Record<string, unknown>>): string {
  const whole = new RegExp(`^( {2}"(?:${FLOAT_FIELDS.join("|")})": -?\\d+)(,?)$`, "gm");
  return `${JSON.stringify(config, null, 2).replace(whole, "$1.0$2")}\n`;
}

/** Checks names and contents of the small files and returns them by name. */
function smallFiles(options: WriteModelFolderOptions): Map<string, string | Uint8Array> {
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const files = new Map<string, string | Uint8Array>([["config.json", configText(options.config)]]);
  if (options.generationConfig !== undefined)
    files.set("generation_config.json", json(options.generationConfig));
  for (const [name, contents] of Object.entries(options.tokenizerFiles ?? {})) {
    if (
      name !== basename(name) ||
      name.startsWith(".") ||
      name.includes("\\") ||
      files.has(name) ||
      WEIGHTS.test(name)
    ) {
      throw new FormatError(
        `tokenizerFiles: "${name}" must be a plain file name other than those of config and weights.`,
        { name },
      );
    }
    files.set(name, contents);
  }
  return files;
}

/** File name of each shard; a single one has no number. */
function shardNames(count: number): string[] {
  if (count === 1) return [WEIGHTS_FILE];
  const five = (n: number) => String(n).padStart(5, "0");
  return Array.from({ length: count }, (_, i) => `model-${five(i + 1)}-of-${five(count)}.safetensors`);
}

/**
 * Writes a model folder that transformers loads. It is built under a temporary name next to `dir` and then takes its
 * place, so that `dir` is the old model or the new one, whole. Other files of an old model folder are carried over; a
 * folder that is not a model folder is never replaced.
 * @throws CheckpointError for disk errors, ConfigError when `dir` holds something else
 */
export async function writeModelFolder(dir: string, options: WriteModelFolderOptions): Promise<void> {
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name)) {
      throw new ConfigError(`writeModelFolder has no option "${name}".${didYouMean(name, OPTION_NAMES)}`, {
        option: name,
      });
    }
  }
  const { fs = nodeFileSystem, arrays, maxShardBytes = 5e9, signal } = options;
  if (!(maxShardBytes > 0)) {
    throw new ConfigError(
      `"maxShardBytes" must be a positive number of bytes, got ${String(maxShardBytes)}.`,
      { maxShardBytes },
    );
  }
  const sizes = checkArrays(arrays);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const files = smallFiles(options);
  const groups = groupBySize(sizes, maxShardBytes);
  const names = shardNames(groups.length);
  let temporary: string | undefined;
  try {
    // A link to a folder keeps pointing at the same place: what it points to is replaced.
    const target = await fs.realpath(dir).catch(() => resolve(dir));
    const parent = dirname(target);
    await fs.mkdir(parent, { recursive: true });
    await recoverFolder(fs, target);
    await cleanTemporaryFiles(parent, { fs, name: basename(target) });
    const kept = await keptFiles(fs, target, new Set([...files.keys(), ...names]));
    temporary = temporaryName(target);
    await fs.mkdir(temporary);
    const weightMap: Record<string, string> = {};
    for (const [i, group] of groups.entries()) {
      const part = group.map((index) => arrays[index]);
      await streamSafetensors(fs, join(temporary, names[i]), part, {}, signal);
      for (const { name } of part) weightMap[name] = names[i];
    }
    if (groups.length > 1) {
      files.set(
        INDEX_FILE,
        `${JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }, null, 2)}\n`,
      );
    }
    for (const [name, contents] of files) await writeWholeFile(fs, join(temporary, name), contents);
    for (const name of kept) await fs.copyFile(join(target, name), join(temporary, name));
    await syncDirectory(fs, temporary);
    signal?.throwIfAborted();
    await replaceFolder(fs, temporary, target);
  } catch (error) {
    if (temporary !== undefined) await removeQuietly(fs, temporary);
    throw await saveError(fs, error, "model folder", dirname(resolve(dir)), total);
  }
}
