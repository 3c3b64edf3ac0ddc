/**
 * Reads documents from files, folders, globs and data sets of the Hugging Face hub, in an order that depends on nothing but
 * their names. The formats themselves are in readers/.
 */
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { DataError } from "../errors.js";
import { checkOptions } from "./options.js";
import { fileChunks } from "./readers/bytes.js";
import { type Compression, unpack } from "./readers/compression.js";
import { readCsv, readTsv } from "./readers/csv.js";
import { compressionEnding, type Format, formatOf } from "./readers/formats.js";
import { readHtml } from "./readers/html.js";
import { readJsonl } from "./readers/jsonl.js";
import { readMarkdown } from "./readers/markdown.js";
import { PagePool } from "./readers/page-pool.js";
import { readParquet } from "./readers/parquet.js";
import {
  DamagePolicy,
  damaged,
  Pace,
  type Reader,
  type ReaderSettings,
  type SkippedRecord,
  type TextDocument,
} from "./readers/reader.js";
import { readText } from "./readers/text.js";
import { readWarc } from "./readers/warc.js";
import { FOLDER_RECORD, listSources, missing, PART_NAME, type SourceFile } from "./source-files.js";
import { SOURCE_OPTIONS, type SourceOptions, settingsOf } from "./source-options.js";

export type { Compression, Format, SkippedRecord, SourceFile, SourceOptions, TextDocument };
export { FOLDER_RECORD, listSources, PART_NAME, SOURCE_OPTIONS };

/** Text of one batch, in UTF-16 units. */
const BATCH_LENGTH = 2 ** 21;
/** Most files with web pages that are open at once. */
const PAGES_AHEAD = 64;

const READERS: Readonly<Record<Exclude<Format, "parquet">, Reader>> = {
  text: readText,
  markdown: readMarkdown,
  html: readHtml,
  jsonl: readJsonl,
  csv: readCsv,
  tsv: readTsv,
  warc: readWarc,
};

/**
 * The documents of files, folders, globs and data sets, one after the other. Empty documents are left out.
 * @throws DataError for missing files, damaged files and records (with file and byte offset), or when all is empty.
 */
export async function* documents(
  paths: string | readonly string[],
  options: SourceOptions = {},
): AsyncGenerator<TextDocument> {
  for await (const found of arraysOf(paths, options)) yield* found;
}

/**
 * The same documents in arrays of about two million characters, which cost less per document.
 * @throws as `documents`
 */
export async function* documentBatches(
  paths: string | readonly string[],
  options: SourceOptions = {},
): AsyncGenerator<TextDocument[]> {
  let batch: TextDocument[] = [];
  let length = 0;
  for await (const found of arraysOf(paths, options)) {
    for (const document of found) {
      batch.push(document);
      length += document.text.length;
      if (length < BATCH_LENGTH) continue;
      yield batch;
      batch = [];
      length = 0;
    }
  }
  if (batch.length > 0) yield batch;
}

/** All documents that are not empty, in the arrays in which the readers give them. */
async function* arraysOf(
  paths: string | readonly string[],
  options: SourceOptions,
): AsyncGenerator<TextDocument[]> {
  checkOptions("documents", options, SOURCE_OPTIONS);
  const settings = settingsOf(options);
  const files = await listSources(paths, options);
  let empty = true;
  const pages = new PagePool(settings.html, options);
  try {
    for await (const found of filesInOrder(files, options, settings, pages)) {
      const kept = found.filter(({ text }) => text.length > 0);
      if (kept.length === 0) continue;
      empty = false;
      yield kept;
    }
  } finally {
    await pages.close();
  }
  if (empty) {
    throw new DataError(
      `The data is empty: ${files.length === 1 ? files[0].path : `${files.length} files`} without any text.`,
      { paths: files.map((file) => file.path) },
    );
  }
}

/** A web page that is being read: what it came to, what was skipped, and what reading it ended in. */
interface PageFile {
  size: number;
  outcome: Promise<{ found: TextDocument[]; skips: SkippedRecord[]; failure?: { error: unknown } }>;
}

/** The documents of all files. Web pages are read ahead, since each alone is too little for several threads. */
async function* filesInOrder(
  files: readonly SourceFile[],
  options: SourceOptions,
  settings: ReaderSettings,
  pages: PagePool,
): AsyncGenerator<TextDocument[]> {
  const ahead: PageFile[] = [];
  const isPage = ({ path }: SourceFile) => formatOf(basename(path), options).format === "html";
  const begin = (file: SourceFile): PageFile => {
    const found: TextDocument[] = [];
    const skips: SkippedRecord[] = [];
    const read = async () => {
      // Skips are told when it is this file's turn, so that their order is always the same.
      const own = { ...options, onSkip: (skip: SkippedRecord) => skips.push(skip) };
      for await (const batch of batchesOf(file, own, settings, pages)) found.push(...batch);
    };
    const outcome = read().then(
      () => ({ found, skips }),
      (error: unknown) => ({ found, skips, failure: { error } }),
    );
    return { size: file.size, outcome };
  };
  try {
    let next = 0;
    for (const [index, file] of files.entries()) {
      if (!isPage(file)) {
        yield* batchesOf(file, options, settings, pages);
        continue;
      }
      next = Math.max(next, index);
      let bytes = ahead.reduce((sum, { size }) => sum + size, 0);
      while (next < files.length && ahead.length < PAGES_AHEAD && isPage(files[next])) {
        bytes += files[next].size;
        if (ahead.length > 0 && bytes > pages.window) break;
        ahead.push(begin(files[next++]));
      }
      const { found, skips, failure } = await (ahead.shift() as PageFile).outcome;
      for (const skip of skips) options.onSkip?.(skip);
      if (found.length > 0) yield found;
      if (failure !== undefined) throw failure.error;
    }
  } finally {
    // Their files are closed before this ends; what still waits for a thread need not come.
    if (ahead.length > 0) await pages.close();
    await Promise.all(ahead.map(({ outcome }) => outcome));
  }
}

/** The documents of one file. */
export async function* documentsOf(
  file: SourceFile,
  options: SourceOptions = {},
): AsyncGenerator<TextDocument> {
  for await (const batch of batchesOf(file, options)) yield* batch;
}

/** One record of a file with fields, and where it stands. */
export interface DataRecord {
  record: Record<string, unknown>;
  /** As in `TextDocument`. */
  source: string;
}

/** Formats whose records have fields. */
const RECORD_FORMATS: readonly Format[] = ["jsonl", "csv", "tsv", "parquet"];

/**
 * The records of JSON-lines, CSV and parquet files as they are, one after the other.
 * @throws DataError as `documents`, and for files of other formats
 */
export async function* records(
  paths: string | readonly string[],
  options: Omit<SourceOptions, "textField" | "idField" | "urlField" | "metadata"> = {},
): AsyncGenerator<DataRecord> {
  checkOptions("records", options, SOURCE_OPTIONS);
  const settings = { ...settingsOf(options), textFields: [] };
  let empty = true;
  for (const file of await listSources(paths, options)) {
    const { format } = formatOf(basename(file.path), options);
    if (!RECORD_FORMATS.includes(format)) {
      throw new DataError(
        `${file.path} is read as ${format}, which has no records. Use JSON lines, CSV or parquet, or say what it is with the option format.`,
        { path: file.path, format },
      );
    }
    for await (const batch of batchesOf(file, options, settings)) {
      for (const { metadata = {}, source } of batch) {
        empty = false;
        yield { record: metadata, source };
      }
    }
  }
  if (empty) throw new DataError("The data has no record.", { paths });
}

/** The documents of one file as its reader gives them. */
async function* batchesOf(
  file: SourceFile,
  options: SourceOptions,
  settings = settingsOf(options),
  pages?: PagePool,
): AsyncGenerator<TextDocument[]> {
  const { path } = file;
  const { format, compression } = formatOf(basename(path), options);
  const damage = new DamagePolicy(options.onError ?? "throw", options.onSkip);
  let told = 0;
  const onRead = (bytes: number) => {
    told += bytes;
    options.onRead?.(bytes);
  };
  const handle = await open(path).catch(async (error) => {
    throw await missing(path, error);
  });
  try {
    if (format === "parquet") {
      if (compression !== "none") throw packedParquet(path);
      yield* readParquet({ path, handle, settings, damage, onRead });
    } else {
      const chunks = unpack(fileChunks(handle, path, onRead), compression, path);
      const pace = new Pace();
      for await (const found of READERS[format]({ path, chunks, settings, damage, pages })) {
        yield found;
        await pace.step();
      }
    }
  } catch (error) {
    // What a reader could not go on after: the rest of the file is left out.
    damage.pass(error);
  } finally {
    await handle.close();
  }
  // What was not worth reading, such as parquet columns that were not asked for, is done with, too.
  if (told < file.size) onRead(file.size - told);
}

function packedParquet(path: string): DataError {
  const unpacked = path.slice(0, path.length - compressionEnding(path).length);
  return damaged(
    `${path} is a compressed parquet file. Parquet is read from its end and is compressed inside already: ` +
      `unpack it to ${unpacked} first.`,
    { path, offset: 0 },
  );
}
