/** The record of prepared data: what was made from which sources, so that it can be used again. */
import { randomUUID } from "node:crypto";
import { open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Baselines } from "./baselines.js";
import { syncFolder } from "./shard-writer.js";

/** Name of the record in the folder of prepared data. */
export const MANIFEST_NAME = "prepared.json";
/** Raised whenever the same inputs would give other shards. */
export const MANIFEST_VERSION = 1;

/** Age after which a temporary file cannot belong to a running process. */
const STALE_MILLISECONDS = 6 * 3600 * 1000;

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
}

/** The record in a folder, or undefined when there is none that can be read. */
export async function readManifest(dir: string): Promise<Manifest | undefined> {
  try {
    const manifest = JSON.parse(await readFile(join(dir, MANIFEST_NAME), "utf8")) as Manifest;
    return manifest.version === MANIFEST_VERSION && Array.isArray(manifest.train?.shards)
      ? manifest
      : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the record, whole or not at all. */
export async function writeManifest(dir: string, manifest: Manifest): Promise<void> {
  const temporary = join(dir, `${MANIFEST_NAME}.tmp-${randomUUID()}`);
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(dir, MANIFEST_NAME));
    await syncFolder(dir);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Removes the shards of an earlier record that the new one does not use, and leftovers of processes that were killed. */
export async function removeOld(dir: string, before: Manifest | undefined, now: Manifest): Promise<void> {
  const used = new Set([...now.train.shards, ...now.validation.shards]);
  for (const name of [...(before?.train.shards ?? []), ...(before?.validation.shards ?? [])]) {
    if (!used.has(name)) await rm(join(dir, name), { force: true });
  }
  for (const name of await readdir(dir)) {
    if (!/^(prepared\.json|(train|validation)-.*\.tokens)\.tmp-/.test(name)) continue;
    const info = await stat(join(dir, name)).catch(() => undefined);
    if (info !== undefined && Date.now() - info.mtimeMs > STALE_MILLISECONDS)
      await rm(join(dir, name), { force: true });
  }
}
