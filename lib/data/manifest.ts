/** The records of prepared data: what was made from which sources, so that it is found again, and how far an unfinished run came. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { atomically, cleanTemporaryFiles } from "../io/atomic.js";
import { type FileSystem, nodeFileSystem, writeWholeFile } from "../io/filesystem.js";
import type { Baselines } from "./baselines.js";
import { diskError } from "./disk-error.js";
import type { Packing } from "./packing/options.js";

/** Name of the record in the folder of prepared data. */
export const MANIFEST_NAME = "prepared.json";
/** Name of the record of a run that has not ended. */
export const JOURNAL_NAME = "preparing.json";
/** Raised whenever the same inputs would give other shards. Records of version 1 are still read. */
export const MANIFEST_VERSION = 2;

/** One split, with shard names relative to the folder. */
export interface SplitRecord {
  shards: string[];
  tokens: number;
  /** Bytes of UTF-8 text that the tokens stand for. */
  bytes: number;
  documents: number;
}

export interface Manifest {
  version: number;
  /** SHA-256 of everything the shards were made from. */
  key: string;
  tokenizer: { name: string; fingerprint: string; vocabSize: number };
  splitMethod: "documents" | "contiguous";
  sourceFiles: number;
  sourceBytes: number;
  train: SplitRecord;
  validation: SplitRecord;
  baselines: Baselines | null;
  /** How the folder was packed; absent where it was only prepared. */
  packing?: Packing;
}

/** How far an unfinished run came: the shards that are complete. */
export interface Journal {
  /** As in the manifest that it will be. */
  key: string;
  train: SplitRecord;
  validation: SplitRecord;
}

export const emptySplit = (): SplitRecord => ({ shards: [], tokens: 0, bytes: 0, documents: 0 });

async function readRecord<T>(dir: string, name: string): Promise<Partial<T> | undefined> {
  try {
    const value = JSON.parse(await readFile(join(dir, name), "utf8"));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The record in a folder, or undefined when there is none that can be read. */
export async function readManifest(dir: string): Promise<Manifest | undefined> {
  const manifest = await readRecord<Manifest>(dir, MANIFEST_NAME);
  const known = manifest?.version === 1 || manifest?.version === MANIFEST_VERSION;
  return known && Array.isArray(manifest.train?.shards) && Array.isArray(manifest.validation?.shards)
    ? (manifest as Manifest)
    : undefined;
}

/** How far a run came that did not end, or undefined when there is none. */
export async function readJournal(dir: string): Promise<Journal | undefined> {
  const journal = await readRecord<Journal>(dir, JOURNAL_NAME);
  return Array.isArray(journal?.train?.shards) && Array.isArray(journal?.validation?.shards)
    ? (journal as Journal)
    : undefined;
}

/** Writes a record, whole or not at all. */
export async function writeRecord(
  dir: string,
  name: typeof MANIFEST_NAME | typeof JOURNAL_NAME,
  record: Manifest | Journal,
  fs: FileSystem = nodeFileSystem,
): Promise<void> {
  try {
    await atomically(fs, join(dir, name), (temporary) =>
      writeWholeFile(fs, temporary, `${JSON.stringify(record, null, 2)}\n`),
    );
  } catch (error) {
    throw await diskError(error, `record ${name}`, dir);
  }
}

/** Removes the shards of earlier records that are not in use any more, plans of rows over them, and leftovers of killed processes. */
export async function removeOld(dir: string, now: Manifest): Promise<void> {
  const used = new Set([...now.train.shards, ...now.validation.shards]);
  for (const name of await readdir(dir)) {
    const ours = /^(train|validation)-[0-9a-f]{12}(-\d{5}\.tokens|\.rows)$/.test(name);
    if (ours && !used.has(name)) await rm(join(dir, name), { force: true });
  }
  await rm(join(dir, JOURNAL_NAME), { force: true });
  await cleanTemporaryFiles(dir);
}
