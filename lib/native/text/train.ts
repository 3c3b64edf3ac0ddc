/** Counting the words of texts and training vocabularies on them, natively. */
import { addon } from "../addon.js";
import { TextBatch } from "./batch.js";
import { type JobOptions, type JobWords, jobThreads, runJob, runNow } from "./job.js";

declare const COUNTS: unique symbol;
/** Word counts of the addon; freed by the garbage collector. */
type CountsHandle = { readonly [COUNTS]: true };

declare module "../addon.js" {
  interface Addon {
    openWordCounts(parts: string, bpe: boolean): CountsHandle;
    feedWordCounts(
      counts: CountsHandle,
      bytes: Uint8Array,
      ends: Uint32Array,
      threads: number,
      words: JobWords,
    ): Promise<void>;
    settleWordCounts(
      counts: CountsHandle,
      least: number,
      threads: number,
      words: JobWords,
    ): Promise<WordStatistics>;
    saveWordCounts(counts: CountsHandle, table: number, words: JobWords): Promise<Uint8Array>;
    loadWordCounts(counts: CountsHandle, bytes: Uint8Array, words: JobWords): Promise<void>;
    trainPairs(
      counts: CountsHandle,
      settings: PairTrainingSettings,
      threads: number,
      words: JobWords,
    ): Promise<{ bytes: Uint8Array; ends: Uint32Array; merges: Uint32Array }>;
  }
}

/** How texts become words: the parts of a tokenizer.json under their names there. */
export interface WordParts {
  normalizer: object | null;
  pre_tokenizer: object | null;
}

/** What was counted. */
export interface WordStatistics {
  /** Distinct words. */
  distinct: number;
  /** Words in all. */
  total: number;
  /** Memory of the counts in bytes. */
  bytes: number;
  /** Distinct words that were forgotten just now because they were too rare. */
  removed: number;
}

/** Settings of a training; the meaning is that of HF tokenizers' BpeTrainer. */
export interface PairTrainingSettings {
  /** Tokens in all, special ones and alphabet included. */
  vocabSize: number;
  /** Pairs seen fewer times are not merged. */
  minFrequency: number;
  /** They get the first ids. */
  specialTokens: readonly string[];
  /** Characters that are in the alphabet whether seen or not. */
  initialAlphabet: readonly string[];
  /** Most characters in the alphabet; the rarest are left out. */
  limitAlphabet?: number;
  /** Tokens have fewer characters than this (at least two characters always join). */
  maxTokenLength?: number;
  /** Put before every part of a word but the first. */
  continuingSubwordPrefix?: string;
  /** Put behind the last part of a word. */
  endOfWordSuffix?: string;
}

/** A vocabulary and the merges that made it. */
export interface TrainedPairs {
  /** Tokens by id; byte-level ones in the byte alphabet. */
  tokens: TextBatch;
  /** Ids of the two parts of each merge, two by two, best first. */
  merges: Uint32Array;
}

/** Counts of words; one call at a time. */
export class WordCounts {
  /** How many tables saved counts have. */
  static readonly TABLES = 64;
  private readonly handle: CountsHandle;

  /**
   * @param parts how texts become words
   * @param bpe whether the words are for byte-pair encoding, which works on raw bytes where the pre-tokenizer ends in ByteLevel
   * @throws TokenizerError when a part is not valid.
   */
  constructor(parts: WordParts, bpe: boolean) {
    this.handle = runNow(() => addon().openWordCounts(JSON.stringify(parts), bpe));
  }

  /** Counts the words of texts. Progress is in bytes. After an abort the counts are of no use any more. */
  feed(batch: TextBatch, options: JobOptions = {}): Promise<void> {
    return runJob(options, (words) =>
      addon().feedWordCounts(this.handle, batch.bytes, batch.ends, jobThreads(options), words),
    );
  }

  /**
   * Brings the threads' counts together.
   * @param least words seen fewer times are forgotten
   */
  settle(least = 1, options: JobOptions = {}): Promise<WordStatistics> {
    return runJob(options, (words) =>
      addon().settleWordCounts(this.handle, least, jobThreads(options), words),
    );
  }

  /** The words of one table, in a form for `load`; only after `settle`. */
  save(table: number): Promise<Uint8Array> {
    return runJob({}, (words) => addon().saveWordCounts(this.handle, table, words));
  }

  /**
   * Adds saved words.
   * @throws FormatError when they are damaged.
   */
  load(bytes: Uint8Array): Promise<void> {
    return runJob({}, (words) => addon().loadWordCounts(this.handle, bytes, words));
  }

  /** Trains on what was counted; progress is in tokens. The counts stay as they are. */
  async train(settings: PairTrainingSettings, options: JobOptions = {}): Promise<TrainedPairs> {
    const { bytes, ends, merges } = await runJob(options, (words) =>
      addon().trainPairs(this.handle, settings, jobThreads(options), words),
    );
    return { tokens: new TextBatch(bytes, ends), merges };
  }
}
