/**
 * Document folders: a corpus between two stages of its preparation. The documents lie in part-NNNNN.jsonl, one per line, so
 * that any tool reads them; documents.json records what made them and how far it came.
 */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../errors.js";
import { writeFileAtomic } from "../../io/atomic.js";
import type { FileSystem } from "../../io/filesystem.js";
import { diskError } from "../disk-error.js";
import { FOLDER_RECORD } from "../sources.js";

/** Raised whenever the same settings would give other documents. */
const FOLDER_VERSION = 1;

/** One finished file of documents. */
export interface DocumentPart {
  name: string;
  documents: number;
  /** Bytes of UTF-8 text. */
  textBytes: number;
  /** Bytes of the file. */
  fileBytes: number;
  sha256: string;
}

/** What made the documents of a folder, and how far it came. */
export interface FolderRecord {
  version: number;
  /** The stage, for example `clean`. */
  stage: string;
  /** SHA-256 of stage, settings and input files. */
  key: string;
  /** What was asked for, for people. */
  settings: unknown;
  complete: boolean;
  /** Documents of the input that the parts account for. */
  consumed: number;
  /** Bytes of UTF-8 text of those documents. */
  consumedBytes: number;
  parts: DocumentPart[];
  /** The stage's own counters, as they stood after the last part. */
  state?: unknown;
}

/** An empty record for a stage that begins. */
export function newRecord(stage: string, key: string, settings: unknown): FolderRecord {
  return {
    version: FOLDER_VERSION,
    stage,
    key,
    settings,
    complete: false,
    consumed: 0,
    consumedBytes: 0,
    parts: [],
  };
}

/**
 * The record of a folder; undefined when there is none.
 * @throws DataError when it is there but cannot be read.
 */
export async function readFolderRecord(dir: string): Promise<FolderRecord | undefined> {
  const path = join(dir, FOLDER_RECORD);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw new DataError(`Cannot read ${path}: ${error.message}`, { path }, { cause: error });
  });
  if (text === undefined) return undefined;
  let record: FolderRecord;
  try {
    record = JSON.parse(text);
  } catch (error) {
    throw new DataError(
      `${path} is damaged (${(error as Error).message}). Make the folder again with --force, or choose another one.`,
      { path },
      { cause: error },
    );
  }
  if (record?.version !== FOLDER_VERSION || !Array.isArray(record.parts)) {
    throw new DataError(
      `${path} was written by another version of anneal. Make the folder again with --force, or choose another one.`,
      { path, version: record?.version },
    );
  }
  return record;
}

/** Writes the record, whole or not at all. */
export async function writeFolderRecord(dir: string, record: FolderRecord, fs?: FileSystem): Promise<void> {
  try {
    await writeFileAtomic(join(dir, FOLDER_RECORD), `${JSON.stringify(record, null, 2)}\n`, { fs });
  } catch (error) {
    throw await diskError((error as Error).cause ?? error, "record of the documents", dir);
  }
}

/** Whether the parts of a record lie in the folder with their sizes. */
export async function partsPresent(dir: string, record: FolderRecord): Promise<boolean> {
  for (const part of record.parts) {
    const info = await stat(join(dir, part.name)).catch(() => undefined);
    if (info?.size !== part.fileBytes) return false;
  }
  return true;
}

/** SHA-256 of a JSON value; keys in the order given. */
export function keyOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
