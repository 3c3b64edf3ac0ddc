/** Packed data: a folder with token shards, the tokenizer that made them, and the plan of their rows. It is all that training needs. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DataError } from "../errors.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { MANIFEST_NAME, type Manifest, readManifest, writeRecord } from "./manifest.js";
import {
  bestFitOptions,
  checkPacking,
  checkSequenceLength,
  type Packing,
  type PackingReport,
} from "./packing/options.js";
import { PackingPlan } from "./packing/plan.js";
import { openPrepared, type PreparedData, type PrepareOptions, prepareTokens } from "./prepare.js";
import { openShards } from "./shard.js";
import { TokenStream } from "./stream.js";

export interface PackOptions extends PrepareOptions {
  /** How rows are made. Default `windows`, which needs no plan. */
  packing?: Packing;
  /** T: input tokens per row; needed for every packing but `windows`. */
  sequenceLength?: number;
  /** Called with the documents that are in the plan so far. */
  onPlan?: (documents: number) => void;
}

/** What `packTokens` made. */
export interface PackedData extends PreparedData {
  /** The folder. */
  dir: string;
  /** Folder with the tokenizer's files. */
  tokenizerDir: string;
  packing: Packing;
  /** The rows of the training split; null for windows. */
  plan: PackingReport | null;
}

/** Name of the tokenizer's folder inside a folder of packed data. */
const TOKENIZER = "tokenizer";

/**
 * Makes a folder that `anneal pretrain --data` takes: token shards as `prepareTokens`, the tokenizer's files, and the plan of
 * the rows. Can be stopped and called again.
 * @throws as `prepareTokens` and `PackingPlan.open`
 */
export async function packTokens(options: PackOptions): Promise<PackedData> {
  const { packing: wanted = "windows", sequenceLength, onPlan, ...rest } = options;
  const packing = checkPacking(wanted);
  if (packing !== "windows" && sequenceLength === undefined) {
    throw new ConfigError(`packing: ${packing} needs sequenceLength, the input tokens per row.`, { packing });
  }
  if (sequenceLength !== undefined) checkSequenceLength(sequenceLength);
  const { outDir: dir, tokenizer, signal, fs } = rest;
  const prepared = await prepareTokens(rest);
  const tokenizerDir = join(dir, TOKENIZER);
  await tokenizer.save(tokenizerDir);
  const wantedPlan = sequenceLength === undefined ? undefined : bestFitOptions(packing, sequenceLength);
  let plan: PackingReport | null = null;
  if (wantedPlan !== undefined) {
    const shards = await openShards(prepared.train.shards, { checksum: false });
    try {
      const stream = new TokenStream(shards);
      const made = await PackingPlan.open(stream, {
        ...wantedPlan,
        ...{ dirs: [dir], name: "train", onProgress: onPlan, signal, fs },
      });
      plan = made.report;
      made.close();
    } finally {
      for (const shard of shards) await shard.close();
    }
  }
  const manifest = await readManifest(dir);
  if (manifest !== undefined && manifest.packing !== packing) {
    await writeRecord(dir, MANIFEST_NAME, { ...manifest, packing }, fs);
  }
  return { ...prepared, dir, tokenizerDir, packing, plan };
}

/** Whether a path is a folder of prepared or packed data. */
export async function isPackedFolder(path: string): Promise<boolean> {
  return (await readFile(join(path, MANIFEST_NAME)).catch(() => undefined)) !== undefined;
}

/** A folder of packed data. */
export interface PackedFolder {
  dir: string;
  data: PreparedData;
  tokenizer: Manifest["tokenizer"];
  /** Folder with the tokenizer's files. */
  tokenizerDir: string;
  /** How it was packed; undefined where it was only prepared. */
  packing: Packing | undefined;
}

/**
 * Opens what `packTokens` made.
 * @throws DataError when the folder is none, is not whole, or was not finished
 */
export async function openPacked(dir: string): Promise<PackedFolder> {
  const manifest = await readManifest(dir);
  const data = await openPrepared(dir);
  if (manifest === undefined || data === undefined) {
    throw new DataError(
      manifest === undefined
        ? `${dir} holds no packed data: it has no ${MANIFEST_NAME} that can be read. Make it with \`anneal data pack\`.`
        : `Shards of ${dir} are missing or damaged. Run \`anneal data pack\` again.`,
      { dir },
    );
  }
  const { tokenizer, packing } = manifest;
  return { dir, data, tokenizer, tokenizerDir: join(dir, TOKENIZER), packing };
}

/** @throws DataError when packed data was made with another tokenizer */
export function requirePackedTokenizer(folder: PackedFolder, tokenizer: Tokenizer): void {
  if (folder.tokenizer.fingerprint === tokenizer.fingerprint) return;
  throw new DataError(
    `${folder.dir} was packed with the tokenizer "${folder.tokenizer.name}", not with "${tokenizer.name}". ` +
      "Use its own (leave --tokenizer out), or pack the data again.",
    { dir: folder.dir, packed: folder.tokenizer.fingerprint, tokenizer: tokenizer.fingerprint },
  );
}
