/** From files to token shards: reads the text, splits it, encodes it, and writes it so that it can be used again. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ConfigError, DataError, didYouMean } from "../errors.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { type Baselines, baselines } from "./baselines.js";
import {
  MANIFEST_VERSION,
  type Manifest,
  readManifest,
  removeOld,
  type SplitRecord,
  writeManifest,
} from "./manifest.js";
import { checkInteger, checkOptions } from "./options.js";
import { TokenShard } from "./shard.js";
import { documents, listSources, type SourceFile, type SourceOptions } from "./sources.js";
import { checkFraction, documentKey, planSplit, type SplitPlan, splitText } from "./split.js";
import { SplitWriter } from "./split-writer.js";

export interface PrepareProgress {
  /** `scan`: reading all documents once; `tokenize`: encoding and writing them. */
  phase: "scan" | "tokenize";
  /** Bytes of text done in this phase. */
  bytes: number;
  /** Bytes of all text; during the scan the size of the files. */
  totalBytes: number;
  documents: number;
  tokens: number;
}

export interface PrepareOptions extends SourceOptions {
  /** Files and folders with the text. */
  paths: string | readonly string[];
  tokenizer: Tokenizer;
  /** Folder for the shards and their record; made if missing. */
  outDir: string;
  /** Share of the text kept for validation, in [0, 1). Default 0.1. */
  validationFraction?: number;
  /** Decides which documents are for validation. Default 0. */
  seed?: number;
  /** Tokens per shard. Default 2^27 (256 MiB of 16-bit tokens). */
  shardTokens?: number;
  /**
   * `documents`: whole documents go to validation; `contiguous`: the end of each document does (for one text: its
   * end); `auto` (default): documents, unless there are too few to come near the wanted share.
   */
  split?: "auto" | SplitPlan["method"];
  /** Put the tokenizer's begin token, if it has one, before each document. Default false. */
  bos?: boolean;
  /** Put the tokenizer's end token, if it has one, after each document. Default true. */
  eos?: boolean;
  /** Make the shards anew even if they are there. Default false. */
  force?: boolean;
  onProgress?: (progress: PrepareProgress) => void;
  signal?: AbortSignal;
}

/** One split of prepared data; shards are paths. */
export type PreparedSplit = SplitRecord;

export interface PreparedData {
  train: PreparedSplit;
  /** Without shards when `validationFraction` is 0. */
  validation: PreparedSplit;
  /** Bits per byte of counting models on the validation text; null without validation. */
  baselines: Baselines | null;
  splitMethod: SplitPlan["method"];
  sourceFiles: number;
  sourceBytes: number;
  /** Whether the shards were there already. */
  reused: boolean;
}

const OPTIONS = [
  "paths",
  "tokenizer",
  "outDir",
  "validationFraction",
  "seed",
  "shardTokens",
  "split",
  "bos",
  "eos",
  "force",
  "onProgress",
  "signal",
  "extensions",
  "textField",
  "maxDocumentBytes",
] as const;
const SPLITS = ["auto", "documents", "contiguous"] as const;

/** Longest time the event loop is kept busy, in milliseconds. */
const SLICE_MILLISECONDS = 20;

/**
 * Makes train and validation shards from text. Unchanged sources, tokenizer and options find the shards of last time.
 * A process that is killed leaves the earlier shards usable.
 * @throws DataError, ConfigError or TokenizerError as for reading, splitting and encoding.
 */
export async function prepareTokens(options: PrepareOptions): Promise<PreparedData> {
  checkOptions("prepareTokens", options, OPTIONS);
  const { paths, tokenizer, outDir, force = false } = options;
  const settings = {
    validationFraction: checkFraction(options.validationFraction ?? 0.1),
    seed: checkInteger("seed", options.seed ?? 0, 0),
    shardTokens: checkInteger("shardTokens", options.shardTokens ?? 2 ** 27, 1),
    split: options.split ?? "auto",
    bos: options.bos ?? false,
    eos: options.eos ?? true,
  };
  if (!SPLITS.includes(settings.split)) {
    throw new ConfigError(
      `split must be one of ${SPLITS.join(", ")}, got "${settings.split}".${didYouMean(String(settings.split), SPLITS)}`,
      { split: settings.split },
    );
  }
  const source: SourceOptions = {
    extensions: options.extensions,
    textField: options.textField,
    maxDocumentBytes: options.maxDocumentBytes,
  };
  const files = await listSources(paths, source);
  const key = preparationKey(files, tokenizer, settings, source);
  const before = await readManifest(outDir);
  if (!force && before?.key === key && (await usable(outDir, before))) return result(outDir, before, true);

  await mkdir(outDir, { recursive: true });
  const progress = new Progress(options, files);
  const plan = await scan(files, source, settings, progress);
  const provenance = { ...settings, sourceFiles: files.length, splitMethod: plan.method };
  const writer = (name: "train" | "validation") =>
    new SplitWriter({
      dir: outDir,
      prefix: `${name}-${key.slice(0, 12)}`,
      tokenizer,
      shardTokens: settings.shardTokens,
      provenance: { ...provenance, split: name },
      bos: settings.bos,
      eos: settings.eos,
    });
  const train = writer("train");
  const validation = writer("validation");
  try {
    await encode(files, source, settings.validationFraction, plan, train, validation, progress);
    if (train.record.tokens === 0) {
      throw new DataError(
        `The text is too short to be split: ${progress.totalBytes} bytes leave nothing for training. ` +
          "Use a longer text or validationFraction: 0.",
        { bytes: progress.totalBytes },
      );
    }
    await train.close();
    await validation.close();
  } catch (error) {
    await train.abort();
    await validation.abort();
    throw error;
  }
  const manifest: Manifest = {
    version: MANIFEST_VERSION,
    key,
    tokenizer: { name: tokenizer.name, fingerprint: tokenizer.fingerprint, vocabSize: tokenizer.vocabSize },
    splitMethod: plan.method,
    sourceFiles: files.length,
    sourceBytes: files.reduce((sum, file) => sum + file.size, 0),
    train: train.record,
    validation: validation.record,
    baselines: validation.counts.total > 0 ? baselines(train.counts, validation.counts) : null,
  };
  await writeManifest(outDir, manifest);
  await removeOld(outDir, before, manifest);
  return result(outDir, manifest, false);
}

/** What `prepareTokens` made in a folder, whatever has become of the sources since; undefined when it is not there or not whole. */
export async function openPrepared(dir: string): Promise<PreparedData | undefined> {
  const manifest = await readManifest(dir);
  return manifest !== undefined && (await usable(dir, manifest)) ? result(dir, manifest, true) : undefined;
}

/** Counts progress and lets other work run in between. */
class Progress {
  private phase: PrepareProgress["phase"] = "scan";
  private bytes = 0;
  private documents = 0;
  private tokens = 0;
  private sliceStart = performance.now();
  totalBytes: number;

  constructor(
    private readonly options: PrepareOptions,
    files: readonly SourceFile[],
  ) {
    this.totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  }

  /** Starts the second phase, now that the size of the text is known. */
  scanned(): void {
    this.phase = "tokenize";
    this.totalBytes = this.bytes;
    this.bytes = 0;
    this.documents = 0;
  }

  document(): void {
    this.documents++;
  }

  async advance(bytes: number, tokens = this.tokens): Promise<void> {
    this.bytes += bytes;
    this.tokens = tokens;
    const { phase, totalBytes, documents } = this;
    this.options.onProgress?.({ phase, bytes: this.bytes, totalBytes, documents, tokens });
    if (performance.now() - this.sliceStart > SLICE_MILLISECONDS) {
      await setImmediate();
      this.sliceStart = performance.now();
    }
    this.options.signal?.throwIfAborted();
  }
}

/** Reads everything once: how much text there is, and which documents are for validation. */
async function scan(
  files: readonly SourceFile[],
  source: SourceOptions,
  settings: { validationFraction: number; seed: number; split: "auto" | SplitPlan["method"] },
  progress: Progress,
): Promise<SplitPlan> {
  const sizes = new Map<string, number>();
  for await (const { text } of documents(
    files.map((file) => file.path),
    source,
  )) {
    const bytes = Buffer.byteLength(text);
    const key = documentKey(text);
    sizes.set(key, (sizes.get(key) ?? 0) + bytes);
    progress.document();
    await progress.advance(bytes);
  }
  progress.scanned();
  return planSplit(sizes, settings.validationFraction, settings.seed, settings.split);
}

/** Reads everything again and writes it to its split. */
async function encode(
  files: readonly SourceFile[],
  source: SourceOptions,
  fraction: number,
  plan: SplitPlan,
  train: SplitWriter,
  validation: SplitWriter,
  progress: Progress,
): Promise<void> {
  const between = (bytes: number) => progress.advance(bytes, train.record.tokens + validation.record.tokens);
  const write = async (text: string, path: string) => {
    if (plan.method === "contiguous") {
      const parts = splitText(text, fraction);
      await train.add(parts.train, path, between);
      await validation.add(parts.validation, path, between);
    } else {
      const split = plan.validation.size > 0 && plan.validation.has(documentKey(text)) ? validation : train;
      await split.add(text, path, between);
    }
  };
  for await (const { text, source: path } of documents(
    files.map((file) => file.path),
    source,
  )) {
    progress.document();
    await write(text, path);
  }
}

/** SHA-256 of everything that decides the shards. Files count as unchanged while their size and time of change are. */
function preparationKey(
  files: readonly SourceFile[],
  tokenizer: Tokenizer,
  settings: object,
  source: SourceOptions,
): string {
  const { textField = "text", maxDocumentBytes = null } = source;
  const sources = files.map(({ path, size, modified }) => [resolve(path), size, modified]);
  const identity = {
    version: MANIFEST_VERSION,
    tokenizer: tokenizer.fingerprint,
    settings,
    textField,
    maxDocumentBytes,
    sources,
  };
  return createHash("sha256").update(JSON.stringify(identity)).digest("hex");
}

/** Whether all shards of a record are there with whole headers and the right size. */
async function usable(dir: string, manifest: Manifest): Promise<boolean> {
  try {
    for (const name of [...manifest.train.shards, ...manifest.validation.shards]) {
      await (await TokenShard.open(join(dir, name), { checksum: false, memoryLimit: 0 })).close();
    }
    return true;
  } catch {
    return false;
  }
}

function result(dir: string, manifest: Manifest, reused: boolean): PreparedData {
  const located = (split: SplitRecord): PreparedSplit => ({
    ...split,
    shards: split.shards.map((name) => join(dir, name)),
  });
  const { baselines: counted, splitMethod, sourceFiles, sourceBytes } = manifest;
  return {
    train: located(manifest.train),
    validation: located(manifest.validation),
    baselines: counted,
    splitMethod,
    sourceFiles,
    sourceBytes,
    reused,
  };
}
