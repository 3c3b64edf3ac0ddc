/** Options of deduplication, their defaults and their checks. */
import { ConfigError } from "../../errors.js";
import type { FileSystem } from "../../io/filesystem.js";
import type { Sameness, SignatureSettings, WordKind } from "../../native/text/dedup.js";
import { checkInteger, checkOptions } from "../options.js";

/** What every kind of deduplication can be told. */
export interface DedupCommon {
  /**
   * Bytes of memory for keys, read buffers and clusters, besides the texts at hand. Default 1 GiB. Clusters need 4 bytes per
   * document and 12 per removed one; more keys than fit go to `workDir`.
   */
  memoryLimit?: number;
  /** Folder for what does not fit into memory and for going on after a kill. Default: none, all stays in memory. */
  workDir?: string;
  /** What the documents are, for example a hash of the input's names and sizes: a work folder of others is refused. Default "". */
  fingerprint?: string;
  /** Threads. Default: the usable cores. */
  threads?: number;
  signal?: AbortSignal;
  /** Called after each batch and while runs are merged. */
  onProgress?: (progress: DedupProgress) => void;
  /** The file system, for tests. */
  fs?: FileSystem;
}

export interface DedupProgress {
  phase: "keys" | "merge";
  /** Documents whose keys are known. */
  documents: number;
  /** Bytes of UTF-8 text of them, in this process. */
  bytes: number;
  /** Share of the merge that is done. */
  share: number;
}

/** Options of near-duplicate search. The defaults are FineWeb's. */
export interface MinHashOptions extends DedupCommon {
  /** Words of a shingle. Default 5. */
  shingle?: number;
  /** Buckets; two documents that agree in all values of one of them are duplicates. Default 14. */
  buckets?: number;
  /** Hash functions of a bucket. Default 8. */
  rows?: number;
  /** Seed of the hash functions, below 2^32. Default 1. */
  seed?: number;
  /**
   * `scripts`: also every character of a script written without spaces is a word; `spaced`: words stand between spaces.
   * Default `scripts`.
   */
  words?: WordKind;
  /**
   * Join two documents of a bucket only when at least this share of all their signature values is equal, which estimates
   * their Jaccard similarity. Default 0: all of them, as FineWeb does. Costs 4 bytes per function and document.
   */
  verify?: number;
}

/** Options of exact deduplication. */
export interface ExactOptions extends DedupCommon {
  /**
   * What is compared: `bytes`; `canonical`, NFC with runs of white space as one space; `folded`, the words that
   * near-duplicate search sees (no case, punctuation, accents or numbers). Default `canonical`.
   */
  sameness?: Sameness;
}

const COMMON = ["memoryLimit", "workDir", "fingerprint", "threads", "signal", "onProgress", "fs"] as const;
const LEAST_MEMORY = 2 ** 20;

/** What is common, with its defaults. */
export interface CheckedCommon extends DedupCommon {
  memoryLimit: number;
  fingerprint: string;
}

/** @throws ConfigError for an option that is neither common nor one of `own`. */
export function checkNames(where: string, options: object, own: readonly string[]): void {
  checkOptions(where, options, [...own, ...COMMON]);
}

/** @throws ConfigError naming the option. */
export function checkCommon(options: DedupCommon): CheckedCommon {
  const { threads, memoryLimit = 2 ** 30, fingerprint = "" } = options;
  if (threads !== undefined) checkInteger("threads", threads, 1, 1024);
  checkInteger("memoryLimit", memoryLimit, LEAST_MEMORY);
  return { ...options, memoryLimit, fingerprint };
}

/** @throws ConfigError naming the option. */
export function checkMinHashOptions(
  options: MinHashOptions,
): CheckedCommon & { settings: SignatureSettings; verify: number } {
  checkNames("MinHash deduplication", options, ["shingle", "buckets", "rows", "seed", "words", "verify"]);
  const { shingle = 5, buckets = 14, rows = 8, seed = 1, words = "scripts", verify = 0 } = options;
  checkInteger("shingle", shingle, 1, 1000);
  checkInteger("buckets", buckets, 1, 1000);
  checkInteger("rows", rows, 1, 1000);
  checkInteger("seed", seed, 0, 2 ** 32 - 1);
  checkChoice("words", words, ["scripts", "spaced"]);
  if (typeof verify !== "number" || !(verify >= 0 && verify <= 1)) {
    throw new ConfigError(`verify must be a number from 0 to 1, got ${String(verify)}.`, { verify });
  }
  return { ...checkCommon(options), settings: { shingle, buckets, rows, seed, words }, verify };
}

/** @throws ConfigError naming the option. */
export function checkExactOptions(options: ExactOptions): CheckedCommon & { sameness: Sameness } {
  checkNames("Exact deduplication", options, ["sameness"]);
  const { sameness = "canonical" } = options;
  checkChoice("sameness", sameness, ["bytes", "canonical", "folded"]);
  return { ...checkCommon(options), sameness };
}

/** @throws ConfigError when the value is none of the choices. */
export function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (typeof value !== "string" || !choices.includes(value)) {
    throw new ConfigError(`${name} must be one of ${choices.join(", ")}, got ${String(value)}.`, {
      [name]: value,
      choices,
    });
  }
}

/**
 * Probability that MinHash finds two documents of Jaccard similarity `similarity`: 1 − (1 − s^rows)^buckets.
 * With 14 buckets of 8: .5 → .053, .7 → .565, .75 → .772, .8 → .924, .85 → .988, .9 → .9996.
 */
export function matchProbability(similarity: number, buckets = 14, rows = 8): number {
  return 1 - (1 - similarity ** rows) ** buckets;
}
