/** Which files some paths stand for: files, folders, globs and data sets of the Hugging Face hub. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DataError, didYouMean } from "../errors.js";
import { globBase, isGlob } from "../io/glob.js";
import type { SnapshotOptions } from "../io/hub.js";
import { isHubPath, parseHubPath } from "../io/hub-path.js";
import { unreadable } from "./readers/bytes.js";
import { COMPRESSION_ENDINGS } from "./readers/compression.js";
import { FORMAT_ENDINGS, hasEnding } from "./readers/formats.js";
import { glob } from "./readers/globs.js";
import type { SourceOptions } from "./source-options.js";

/** Name of the record in a folder of documents that anneal wrote, and of its files of documents. */
export const FOLDER_RECORD = "documents.json";
export const PART_NAME = /^part-\d+\.jsonl$/;

/** A file that documents are read from. */
export interface SourceFile {
  path: string;
  /** Size in bytes, as it lies on the disk. */
  size: number;
  /** Time of the last change, in milliseconds. */
  modified: number;
}

/** The endings of compressions as choices of a pattern. */
const PACKED = Object.keys(COMPRESSION_ENDINGS).join(",");
const DEFAULT_EXTENSIONS = Object.keys(FORMAT_ENDINGS);

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/**
 * All files that the paths stand for: files as they are, folders with all below them, globs (`data/**\/*.jsonl.gz`) with all
 * that match, and `hf://datasets/owner/name[@revision][/pattern]` with the files of a data set, which are fetched first. Names
 * are sorted by UTF-16 code units; those in a folder that begin with a dot and links to folders are left out.
 * @throws DataError when a path does not exist or nothing is found.
 */
export async function listSources(
  paths: string | readonly string[],
  options: SourceOptions = {},
): Promise<SourceFile[]> {
  const list = typeof paths === "string" ? [paths] : paths;
  const extensions = (options.extensions ?? DEFAULT_EXTENSIONS).map((e) => e.toLowerCase());
  const files: SourceFile[] = [];
  const walk = async (dir: string): Promise<void> => {
    const entries = await readdir(dir, { withFileTypes: true }).catch(async (error) => {
      throw await missing(dir, error);
    });
    // Beside its documents such a folder has reports, which are no documents.
    const parts = entries.some(({ name }) => name === FOLDER_RECORD);
    for (const entry of entries.sort(byName)) {
      if (entry.name.startsWith(".") || (parts && !PART_NAME.test(entry.name))) continue;
      const path = join(dir, entry.name);
      if (entry.isDirectory()) {
        await walk(path);
      } else if (hasEnding(entry.name, extensions)) {
        const info = await stat(path).catch(() => undefined);
        if (info?.isFile()) files.push({ path, size: info.size, modified: info.mtimeMs });
      }
    }
  };
  const take = async (path: string): Promise<void> => {
    const info = await stat(path).catch(async (error) => {
      throw await missing(path, error);
    });
    if (info.isDirectory()) await walk(path);
    else files.push({ path, size: info.size, modified: info.mtimeMs });
  };
  for (const path of list) {
    if (isHubPath(path)) {
      for (const file of await resolveHub(path, extensions, options.hub)) await take(file);
    } else if (isGlob(path) && (await stat(path).catch(() => undefined)) === undefined) {
      for (const file of await matches(path, extensions)) await take(file);
    } else {
      await take(path);
    }
  }
  if (files.length === 0) {
    throw new DataError(
      list.length === 0
        ? "No data: name at least one file or folder."
        : `No text files in ${list.join(", ")}: looked for names ending in ${extensions.join(", ")}. ` +
            "Name other endings with the option extensions, or name the files themselves.",
      { paths: list, extensions },
    );
  }
  return files;
}

/**
 * What a glob stands for. Files are taken as if they were named directly, unless the pattern ends in a bare `*` or `**`,
 * which says nothing of endings.
 */
async function matches(pattern: string, extensions: readonly string[]): Promise<string[]> {
  const found = await glob(pattern);
  const bare = isBare(pattern);
  const taken = found.filter(({ path, directory }) => directory || !bare || hasEnding(path, extensions));
  if (taken.length > 0) return taken.map(({ path }) => path);
  const base = globBase(pattern) || (pattern.startsWith("/") ? "/" : ".");
  const there = await readdir(base).catch(() => undefined);
  const name = basename(pattern);
  const hint =
    there === undefined
      ? ` There is no folder ${base}.`
      : there.length === 0
        ? ` The folder ${base} is empty.`
        : didYouMean(name.replace(/[*?]/g, ""), there) ||
          ` ${base} has ${examples(there)}; ** stands for any number of folders.`;
  throw new DataError(`Nothing matches ${pattern}.${hint}`, { pattern, base });
}

const isBare = (pattern: string) => /(?:^|\/)\*+\/*$/.test(pattern);

const examples = (names: readonly string[]): string => {
  const sorted = [...names].sort();
  return `${sorted.slice(0, 3).join(", ")}${sorted.length > 3 ? ` and ${sorted.length - 3} more` : ""}`;
};

/** Files of a data set that are about it. */
const ABOUT = ["/README*", "/LICENSE*", "/CITATION*", "/.gitattributes"];

/**
 * The files of a repository on the Hugging Face hub, fetched as far as they are not there yet. Without a pattern, or with
 * one that says nothing of endings, those with the endings of data.
 */
async function resolveHub(
  path: string,
  extensions: readonly string[],
  options: SnapshotOptions = {},
): Promise<string[]> {
  const { path: pattern } = parseHubPath(path);
  const choose = pattern === undefined || isBare(pattern) || !/\.[\w*?{},[\]]+$/.test(pattern);
  const { snapshotHubPath } = await import("../io/hub.js");
  const { folder, files } = await snapshotHubPath(path, {
    ...options,
    ...(pattern === undefined && {
      include: extensions.map((ending) => `*${ending}{,${PACKED}}`),
      exclude: ABOUT,
    }),
  });
  return files.filter((file) => !choose || hasEnding(file, extensions)).map((file) => join(folder, file));
}

/** The error for a path that cannot be opened, with the name that was probably meant. */
export async function missing(path: string, error: NodeJS.ErrnoException): Promise<DataError> {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") return unreadable(path, error);
  const siblings = await readdir(dirname(resolve(path))).catch(() => [] as string[]);
  return new DataError(
    `There is no file or folder ${path}.${didYouMean(basename(path), siblings)}`,
    { path },
    { cause: error },
  );
}
