/**
 * Runs one stage of a corpus' preparation: documents in, documents out, in order, batch by batch. While a batch is worked on
 * the next one is read. A stage that was stopped goes on after the last part that is on the disk, and the folder in the
 * end is the same to the byte.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { DataError } from "../../errors.js";
import { cleanTemporaryFiles } from "../../io/atomic.js";
import type { FileSystem } from "../../io/filesystem.js";
import { checkInteger } from "../options.js";
import {
  documentBatches,
  listSources,
  PART_NAME,
  type SourceOptions,
  type TextDocument,
} from "../sources.js";
import {
  type DocumentPart,
  type FolderRecord,
  keyOf,
  newRecord,
  partsPresent,
  readFolderRecord,
  writeFolderRecord,
} from "./folder.js";
import { DocumentWriter } from "./writer.js";

export interface StageProgress {
  /** The stage. */
  stage: string;
  /** Documents and bytes of text that were read, those of an earlier run included. */
  documents: number;
  bytes: number;
  /** Bytes of the input files that were read, and of all of them. */
  readBytes: number;
  totalBytes: number;
  /** Documents that were kept. */
  kept: number;
}

/** What every stage can be told. */
export interface StageCommon {
  /** Files, folders, globs and `hf://datasets/…` paths with documents. */
  inputs: string | readonly string[];
  /** How they are read. */
  source?: SourceOptions;
  /** Folder for the documents; made if missing. */
  out: string;
  /** Replace documents that the folder holds. Default false. */
  force?: boolean;
  /** Bytes of text per part. Default 64 MiB. */
  partBytes?: number;
  signal?: AbortSignal;
  onProgress?: (progress: StageProgress) => void;
  /** Another file system for what is written, for tests. */
  fs?: FileSystem;
}

export interface StageOptions extends StageCommon {
  /** Name of the stage, for the record. */
  name: string;
  /** Everything that decides the result, besides the input; it goes into the record as JSON. */
  settings: unknown;
  /**
   * Works on a batch and gives the documents to keep, in order.
   * @param first number of the batch's first document among all of the input
   */
  process(batch: TextDocument[], first: number): Promise<readonly TextDocument[]>;
  /** The stage's counters as JSON, asked for after each part. */
  saveState?(): unknown;
  /** Sets the counters to what `saveState` gave. */
  restoreState?(state: unknown): void;
  /** What comes after the last document and before the folder counts as complete, such as writing a report. */
  finish?(): Promise<void>;
}

export interface StageResult {
  /** The folder with the documents. */
  folder: string;
  documentsIn: number;
  documentsOut: number;
  /** Bytes of UTF-8 text. */
  bytesIn: number;
  bytesOut: number;
  parts: DocumentPart[];
  /** Whether the folder was complete already. */
  reused: boolean;
}

const PART_BYTES = 64 * 2 ** 20;
/**
 * Runs a stage.
 * @throws DataError for inputs that cannot be read, a folder that holds other documents, or a disk that refuses; what was finished stays.
 */
export async function runStage(options: StageOptions): Promise<StageResult> {
  const { name, settings, out, force = false, signal, fs } = options;
  const partBytes = checkInteger("partBytes", options.partBytes ?? PART_BYTES, 1);
  const files = await listSources(options.inputs, options.source);
  if (files.some(({ path }) => resolve(path).startsWith(`${resolve(out)}/`))) {
    throw new DataError(`${out} is both input and output. Choose another folder for the output.`, {
      path: out,
    });
  }
  const identity = files.map(({ path, size, modified }) => [resolve(path), size, modified]);
  const { onRead, onSkip: _, hub: __, threads: ___, ...source } = options.source ?? {};
  const key = keyOf({ name, settings, partBytes, source, files: identity });
  const before = force ? undefined : await readFolderRecord(out);
  const record = await startRecord(out, name, key, settings, before, force);
  if (record.state !== undefined) options.restoreState?.(record.state);
  if (record.complete) return result(out, record, true);

  await mkdir(out, { recursive: true });
  await cleanTemporaryFiles(out);
  // From here on the folder says whose it is: a part may be on the disk before the record that counts it.
  await writeFolderRecord(out, record, fs);
  const writer = new DocumentWriter(out, record.parts.length, fs);
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  let readBytes = 0;
  let seen = record.consumed;
  let bytes = record.consumedBytes;
  let kept = record.parts.reduce((sum, part) => sum + part.documents, 0);
  const report = () =>
    options.onProgress?.({ stage: name, documents: seen, bytes, readBytes, totalBytes, kept });

  const finishPart = async () => {
    const part = await writer.finishPart();
    if (part !== undefined) record.parts.push(part);
    record.consumed = seen;
    record.consumedBytes = bytes;
    record.state = options.saveState?.();
    await writeFolderRecord(out, record, fs);
  };
  const handle = async (batch: TextDocument[], size: number) => {
    const first = seen;
    const result = await options.process(batch, first);
    for (const document of result) await writer.write(document);
    seen += batch.length;
    bytes += size;
    kept += result.length;
    report();
    if (writer.partBytes >= partBytes) await finishPart();
  };

  const input = documentBatches(
    files.map((file) => file.path),
    {
      ...options.source,
      onRead(count) {
        readBytes += count;
        onRead?.(count);
      },
    },
  );
  let working: Promise<void> = Promise.resolve();
  try {
    // Batches depend on the documents alone, so an earlier run stopped between two of them.
    const done = record.consumed;
    let passed = 0;
    for await (const batch of input) {
      if (passed < done) {
        passed += batch.length;
        continue;
      }
      const size = batch.reduce((sum, document) => sum + Buffer.byteLength(document.text), 0);
      await working;
      signal?.throwIfAborted();
      working = handle(batch, size);
      // It is awaited before the next batch; until then a failure must not count as unhandled.
      working.catch(() => undefined);
    }
    await working;
    signal?.throwIfAborted();
    await finishPart();
    await options.finish?.();
    record.complete = true;
    await writeFolderRecord(out, record, fs);
  } catch (error) {
    await working.catch(() => undefined);
    await writer.abort();
    throw error;
  }
  return result(out, record, false);
}

/** The record to go on with, or a fresh one. */
async function startRecord(
  out: string,
  name: string,
  key: string,
  settings: unknown,
  before: FolderRecord | undefined,
  force: boolean,
): Promise<FolderRecord> {
  if (before?.key === key && (await partsPresent(out, before))) return before;
  const stale = (await readdir(out).catch(() => [] as string[])).filter((file) => PART_NAME.test(file));
  if (stale.length > 0 && !force) {
    throw new DataError(
      before === undefined
        ? `${out} holds ${stale.length} files of documents already. Choose another folder, or replace them with --force.`
        : `${out} holds documents that were made from other files or with other settings (stage ${before.stage}). ` +
            "Choose another folder, or replace them with --force.",
      { path: out, stage: before?.stage },
    );
  }
  for (const file of stale) await rm(join(out, file), { force: true });
  return newRecord(name, key, settings);
}

function result(folder: string, record: FolderRecord, reused: boolean): StageResult {
  const { parts, consumed, consumedBytes } = record;
  const sum = (field: "documents" | "textBytes") => parts.reduce((total, part) => total + part[field], 0);
  return {
    folder,
    documentsIn: consumed,
    documentsOut: sum("documents"),
    bytesIn: consumedBytes,
    bytesOut: sum("textBytes"),
    parts,
    reused,
  };
}
