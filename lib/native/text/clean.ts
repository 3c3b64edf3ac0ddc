/** The cleaning rules of native/text/clean over batches of documents, and the steps that make texts uniform. */
import { addon } from "../addon.js";
import type { TextBatch } from "./batch.js";
import { type JobOptions, type JobWords, jobThreads, runJob, runNow } from "./job.js";

/** Compiled rules; belongs to the addon. */
export type NativeCleaner = { readonly __cleaner: unique symbol };

/** What can be set about the rules, as the addon takes it; every field is required. */
export interface NativeCleanOptions {
  /** By rule, in the order of `cleanFacts().rules`; NaN: the rule is not asked. */
  thresholds: Float64Array;
  /** English contractions and abbreviations in the word splitter. */
  english: boolean;
  /** Every Han or kana character is a word. */
  ideographs: boolean;
  stopWords: readonly string[];
  /** Whether C4's line rules and its document rules are asked at all. */
  lines: boolean;
  /** Characters; NaN: not asked. */
  maxWordLength: number;
  terminalPunctuation: boolean;
  /** NaN: not asked. */
  minWordsPerLine: number;
  javascript: boolean;
  /** In small letters. */
  policyPhrases: readonly string[];
  citations: boolean;
  shortLine: number;
  longParagraph: number;
  /** Characters that end a line well; empty: all that Unicode knows. */
  terminalMarks: string;
  /** Of mail addresses, IPv4, IPv6, telephone numbers; none: left as they are. */
  placeholders: readonly (readonly string[])[];
  publicAddressesOnly: boolean;
  /** Examples per rule and batch. */
  examples: number;
}

/** A passage that a rule objected to. */
export interface NativeExample {
  /** A rule; behind the rules line rules; behind them masks. */
  subject: number;
  /** Number in the batch. */
  document: number;
  /** 64 bits of the document's text, hexadecimal. */
  hash: string;
  before: string;
  passage: string;
  after: string;
}

/** What the rules say of a batch. */
export interface NativeCleaned {
  /** [documents]: the rule that removes it, or −1. */
  rules: Int32Array;
  /** [documents, rules]: what each rule looked at; NaN where it was not asked. */
  values: Float64Array;
  /** [documents]: lines that the line rules saw. */
  lines: Uint32Array;
  /** [documents, line rules]: lines dropped, or citations cut. */
  lineCounts: Uint32Array;
  /** [documents, line rules]: bytes of them. */
  lineBytes: Uint32Array;
  /** [documents, masks]: what was masked. */
  masked: Uint32Array;
  /** Documents that are kept with another text; their texts are in `bytes` and `ends`. */
  edited: Uint32Array;
  bytes: Uint8Array;
  ends: Uint32Array;
  /** By subject, then by hash; at most `examples` of each. */
  examples: NativeExample[];
}

/** Texts that changed, by number. */
export interface NativeRepaired {
  indices: Uint32Array;
  bytes: Uint8Array;
  ends: Uint32Array;
}

declare module "../addon.js" {
  interface Addon {
    cleanFacts(): { rules: { name: string; above: boolean }[]; lineRules: number; masks: number };
    createCleaner(options: NativeCleanOptions): NativeCleaner;
    cleanBatch(
      cleaner: NativeCleaner,
      bytes: Uint8Array,
      ends: Uint32Array,
      threads: number,
      words: JobWords,
    ): Promise<NativeCleaned>;
    repairBatch(
      bytes: Uint8Array,
      ends: Uint32Array,
      steps: number,
      threads: number,
      words: JobWords,
    ): Promise<NativeRepaired>;
    maskText(cleaner: NativeCleaner, text: string): string;
    splitWords(text: string, english: boolean, ideographs: boolean): Uint32Array;
  }
}

/** Steps of `repairTexts`, in the order in which they are done; bits of its argument. */
export const REPAIR_STEPS = [
  "mojibake",
  "lineEnds",
  "controls",
  "invisible",
  "spaces",
  "compose",
  "blankLines",
] as const;

/** Compiles rules. */
export function createCleaner(options: NativeCleanOptions): NativeCleaner {
  return runNow(() => addon().createCleaner(options));
}

/** Rules over a batch, on all threads; progress counts bytes. */
export function cleanTexts(
  cleaner: NativeCleaner,
  batch: TextBatch,
  options: JobOptions = {},
): Promise<NativeCleaned> {
  return runJob(options, (words) =>
    addon().cleanBatch(cleaner, batch.bytes, batch.ends, jobThreads(options), words),
  );
}

/** A short text as masking leaves it. */
export function maskText(cleaner: NativeCleaner, text: string): string {
  return runNow(() => addon().maskText(cleaner, text));
}

/** Makes the texts of a batch uniform. */
export function repairTexts(
  batch: TextBatch,
  steps: number,
  options: JobOptions = {},
): Promise<NativeRepaired> {
  return runJob(options, (words) =>
    addon().repairBatch(batch.bytes, batch.ends, steps, jobThreads(options), words),
  );
}

/**
 * The words of a text as the cleaning rules count them.
 * @param options.english contractions and abbreviations of English; default true
 * @param options.ideographs every Han or kana character is a word; default false
 */
export function splitWords(
  text: string,
  options: { english?: boolean; ideographs?: boolean } = {},
): string[] {
  const { english = true, ideographs = false } = options;
  const spans = runNow(() => addon().splitWords(text, english, ideographs));
  const bytes = Buffer.from(text, "utf8");
  const words: string[] = [];
  for (let i = 0; i < spans.length; i += 2) words.push(bytes.toString("utf8", spans[i], spans[i + 1]));
  return words;
}
