/** Options of the preparation of tokens, their checks, and what identifies its result. */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { ConfigError, didYouMean } from "../errors.js";
import type { FileSystem } from "../io/filesystem.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { MANIFEST_VERSION } from "./manifest.js";
import { type FillInMiddle, fillInMiddle } from "./middle.js";
import { checkInteger, checkOptions } from "./options.js";
import { SOURCE_OPTIONS, type SourceFile, type SourceOptions } from "./sources.js";
import { checkFraction, type SplitPlan } from "./split.js";

export interface PrepareProgress {
  /** `scan`: reading documents to choose those for validation; `tokenize`: encoding and writing them. */
  phase: "scan" | "tokenize";
  /** Bytes of text done in this phase, those of an earlier run included. */
  bytes: number;
  /** Bytes of all text, as far as it is known; else the size of the files. */
  totalBytes: number;
  documents: number;
  tokens: number;
  /** Bytes of text per second in this phase. */
  bytesPerSecond: number;
  /** Seconds until the end of this phase at this rate; null while nothing can be said. */
  secondsLeft: number | null;
}

export interface PrepareOptions extends SourceOptions {
  /** Files, folders and whatever else `listSources` takes. */
  paths: string | readonly string[];
  tokenizer: Tokenizer;
  /** Folder for the shards and their record; made if missing. */
  outDir: string;
  /** Share of the text kept for validation, in [0, 1). Default 0.1. */
  validationFraction?: number;
  /** Decides which documents are for validation. Default 0. */
  seed?: number;
  /** Tokens per shard, which ends with the document that reaches them. Default 2^27 (256 MiB of 16-bit tokens). */
  shardTokens?: number;
  /**
   * `documents`: whole documents go to validation; `contiguous`: the end of each document does (for one text: its
   * end); `auto` (default): documents, unless there are too few to come near the wanted share. In a corpus of more than
   * 100,000 documents or 256 MiB each document is decided by itself, and the share is met on average.
   */
  split?: "auto" | SplitPlan["method"];
  /** Put the tokenizer's begin token, if it has one, before each document. Default false. */
  bos?: boolean;
  /** Put the tokenizer's end token, if it has one, after each document. Default true. */
  eos?: boolean;
  /** Share of the training documents whose middle comes last ("fill in the middle"), in [0, 1]. Default 0. */
  fimRate?: number;
  /** Make the shards anew even if they are there. Default false. */
  force?: boolean;
  /** Threads that encode, and that take the text from web pages. Default: the usable cores. */
  threads?: number;
  onProgress?: (progress: PrepareProgress) => void;
  signal?: AbortSignal;
  /** Another file system for the output, for tests. */
  fs?: FileSystem;
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
  "fimRate",
  "force",
  "onProgress",
  "signal",
  "fs",
  ...SOURCE_OPTIONS,
] as const;
const SPLITS = ["auto", "documents", "contiguous"] as const;

/** Everything that decides the shards, besides sources and tokenizer. */
export interface PrepareSettings {
  validationFraction: number;
  seed: number;
  shardTokens: number;
  split: "auto" | SplitPlan["method"];
  bos: boolean;
  eos: boolean;
  fimRate: number;
}

/** Options with defaults filled in. */
export interface CheckedPreparation {
  settings: PrepareSettings;
  source: SourceOptions;
  /** Where `fimRate` is above 0. */
  middle: FillInMiddle | undefined;
}

/** @throws ConfigError for unknown options and values out of range; TokenizerError where the tokenizer lacks what they need. */
export function checkPreparation(options: PrepareOptions, where = "prepareTokens"): CheckedPreparation {
  checkOptions(where, options, OPTIONS);
  const settings: PrepareSettings = {
    validationFraction: checkFraction(options.validationFraction ?? 0.1),
    seed: checkInteger("seed", options.seed ?? 0, 0),
    shardTokens: checkInteger("shardTokens", options.shardTokens ?? 2 ** 27, 1),
    split: options.split ?? "auto",
    bos: options.bos ?? false,
    eos: options.eos ?? true,
    fimRate: options.fimRate ?? 0,
  };
  if (options.threads !== undefined) checkInteger("threads", options.threads, 1);
  if (!SPLITS.includes(settings.split)) {
    throw new ConfigError(
      `split must be one of ${SPLITS.join(", ")}, got "${settings.split}".${didYouMean(String(settings.split), SPLITS)}`,
      { split: settings.split },
    );
  }
  // Nothing else of a record becomes tokens.
  const source: Record<string, unknown> = { metadata: false };
  for (const name of SOURCE_OPTIONS) {
    if (options[name] !== undefined) source[name] = options[name];
  }
  return {
    settings,
    source: source as SourceOptions,
    middle: fillInMiddle(options.tokenizer, settings.fimRate, settings.seed),
  };
}

/** SHA-256 of everything that decides the shards. Files count as unchanged while their size and time of change are. */
export function preparationKey(
  files: readonly SourceFile[],
  tokenizer: Tokenizer,
  { settings, source }: CheckedPreparation,
): string {
  const sources = files.map(({ path, size, modified }) => [resolve(path), size, modified]);
  const reading = Object.fromEntries(
    // How files are fetched, which may hold a token, and threads decide nothing about what is in them.
    Object.entries(source).filter(
      ([name, value]) => typeof value !== "function" && name !== "hub" && name !== "threads",
    ),
  );
  const identity = {
    version: MANIFEST_VERSION,
    tokenizer: tokenizer.fingerprint,
    settings,
    reading,
    sources,
  };
  return createHash("sha256").update(JSON.stringify(identity)).digest("hex");
}
