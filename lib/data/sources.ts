/** Reads documents from text files, folders and JSON-lines files, in an order that depends on nothing but their names. */
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DataError, didYouMean } from "../errors.js";
import { checkOptions } from "./options.js";
import { decodeUtf8 } from "./utf8.js";

/** One text with the place it came from. */
export interface TextDocument {
  text: string;
  /** Path of the file, with `:line` for a JSON-lines record and `#part` for a piece of a very large file. */
  source: string;
}

export interface SourceOptions {
  /**
   * Endings of the files that are taken from folders, for example `[".md", ".d.ts"]`. Files named directly are always
   * taken. Default `.txt`, `.md`, `.jsonl`, `.ndjson`.
   */
  extensions?: readonly string[];
  /** Field of a JSON-lines record that holds the text. Default `text`. */
  textField?: string;
  /** Plain text files above this many bytes become several documents, cut at line ends. Default 256 MiB. */
  maxDocumentBytes?: number;
}

/** A file that documents are read from. */
export interface SourceFile {
  path: string;
  /** Size in bytes. */
  size: number;
  /** Time of the last change, in milliseconds. */
  modified: number;
}

const SOURCE_OPTIONS = ["extensions", "textField", "maxDocumentBytes"] as const;
const DEFAULT_EXTENSIONS = [".txt", ".md", ".jsonl", ".ndjson"];
const DEFAULT_MAX_BYTES = 256 * 2 ** 20;
const JSON_LINES = [".jsonl", ".ndjson"];
const READ_BYTES = 4 * 2 ** 20;

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/**
 * All files that the paths stand for: files as they are, folders with all below them. Inside a folder names are sorted
 * by UTF-16 code units; names that begin with a dot and links to folders are left out.
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
    for (const entry of entries.sort(byName)) {
      if (entry.name.startsWith(".")) continue;
      const path = join(dir, entry.name);
      if (entry.isDirectory()) {
        await walk(path);
      } else if (extensions.some((extension) => entry.name.toLowerCase().endsWith(extension))) {
        const info = await stat(path).catch(() => undefined);
        if (info?.isFile()) files.push({ path, size: info.size, modified: info.mtimeMs });
      }
    }
  };
  for (const path of list) {
    const info = await stat(path).catch(async (error) => {
      throw await missing(path, error);
    });
    if (info.isDirectory()) await walk(path);
    else files.push({ path, size: info.size, modified: info.mtimeMs });
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
 * The documents of files and folders, one after the other. Files ending in `.jsonl` or `.ndjson` hold one document per line,
 * all others are one document. Empty documents are left out.
 * @throws DataError for missing files, invalid UTF-8 (with file and byte offset), broken records, or when all is empty.
 */
export async function* documents(
  paths: string | readonly string[],
  options: SourceOptions = {},
): AsyncGenerator<TextDocument> {
  checkOptions("documents", options, SOURCE_OPTIONS);
  const files = await listSources(paths, options);
  let empty = true;
  for (const file of files) {
    for await (const document of documentsOf(file, options)) {
      if (document.text.length === 0) continue;
      empty = false;
      yield document;
    }
  }
  if (empty) {
    throw new DataError(
      `The data is empty: ${files.length === 1 ? files[0].path : `${files.length} files`} without any text.`,
      { paths: files.map((file) => file.path) },
    );
  }
}

/** The documents of one file. */
export async function* documentsOf(
  file: SourceFile,
  options: SourceOptions = {},
): AsyncGenerator<TextDocument> {
  const { textField = "text", maxDocumentBytes = DEFAULT_MAX_BYTES } = options;
  const handle = await open(file.path).catch(async (error) => {
    throw await missing(file.path, error);
  });
  try {
    if (JSON_LINES.some((ending) => file.path.toLowerCase().endsWith(ending))) {
      yield* records(handle, file.path, textField);
    } else {
      yield* wholeText(handle, file.path, maxDocumentBytes);
    }
  } finally {
    await handle.close();
  }
}

/** The text of a plain file: one document, or several when it is larger than a string should be. */
async function* wholeText(handle: FileHandle, path: string, maxBytes: number): AsyncGenerator<TextDocument> {
  const { size } = await handle.stat();
  if (size <= maxBytes) {
    yield { text: decodeUtf8(await handle.readFile(), path), source: path };
    return;
  }
  let part = 0;
  let start = 0;
  while (start < size) {
    const bytes = await readAt(handle, start, Math.min(maxBytes, size - start));
    if (bytes.length === 0) return;
    let end = bytes.length;
    if (start + end < size) {
      end = bytes.lastIndexOf(0x0a) + 1;
      if (end === 0) {
        throw new DataError(
          `${path} has a line of more than ${maxBytes} bytes (at byte ${start}). Break the text into lines.`,
          { path, offset: start },
        );
      }
    }
    yield { text: decodeUtf8(bytes.subarray(0, end), path, start), source: `${path}#${part++}` };
    start += end;
  }
}

/** The records of a JSON-lines file, read a few megabytes at a time. */
async function* records(handle: FileHandle, path: string, field: string): AsyncGenerator<TextDocument> {
  let rest: Buffer = Buffer.alloc(0);
  let restStart = 0;
  let position = 0;
  let line = 0;
  for (;;) {
    const bytes = await readAt(handle, position, READ_BYTES);
    position += bytes.length;
    const buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let start = 0;
    for (let end = buffer.indexOf(0x0a); end !== -1; end = buffer.indexOf(0x0a, start)) {
      const text = record(buffer.subarray(start, end), path, ++line, restStart + start, field);
      if (text !== undefined) yield { text, source: `${path}:${line}` };
      start = end + 1;
    }
    rest = buffer.subarray(start);
    restStart += start;
    if (bytes.length === 0) break;
  }
  const text = record(rest, path, ++line, restStart, field);
  if (text !== undefined) yield { text, source: `${path}:${line}` };
}

/** The text of one JSON-lines record; undefined for a blank line. */
function record(
  bytes: Buffer,
  path: string,
  line: number,
  offset: number,
  field: string,
): string | undefined {
  const json = decodeUtf8(bytes, path, offset).trim();
  if (json === "") return undefined;
  const where = `${path}, line ${line}`;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new DataError(
      `${where}: not valid JSON (${(error as Error).message}). Every line must be one JSON object.`,
      { path, line, offset },
      { cause: error },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DataError(`${where}: expected a JSON object with the field "${field}".`, {
      path,
      line,
      offset,
    });
  }
  const text = (value as Record<string, unknown>)[field];
  if (typeof text === "string") return text;
  const fields = Object.keys(value);
  throw new DataError(
    text === undefined
      ? `${where}: the record has no field "${field}", it has ${fields.map((f) => `"${f}"`).join(", ") || "none"}. ` +
          `Name the text's field with the option textField.${didYouMean(field, fields)}`
      : `${where}: the field "${field}" must be a string, got ${Array.isArray(text) ? "a list" : typeof text}.`,
    { path, line, offset, field, fields },
  );
}

/** Up to `length` bytes from a position; fewer only at the end of the file. */
async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** The error for a path that cannot be opened, with the name that was probably meant. */
async function missing(path: string, error: NodeJS.ErrnoException): Promise<DataError> {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") {
    return new DataError(`Cannot read ${path}: ${error.message}`, { path }, { cause: error });
  }
  const siblings = await readdir(dirname(resolve(path))).catch(() => [] as string[]);
  return new DataError(
    `There is no file or folder ${path}.${didYouMean(basename(path), siblings)}`,
    { path },
    { cause: error },
  );
}
