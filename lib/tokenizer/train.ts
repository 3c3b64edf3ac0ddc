/** Training of tokenizers: texts in, a tokenizer.json with its companions out. */
import { DataError } from "../errors.js";
import { TextBatch } from "../native/text/batch.js";
import { WordCounts, type WordParts, type WordStatistics } from "../native/text/train.js";
import { writeFiles } from "./files.js";
import { loadCounts, saveCounts } from "./train-counts.js";
import { tokenizerFiles, vocabularyOf } from "./train-files.js";
import { type TrainingPlan, type TrainTokenizerOptions, trainingPlan } from "./train-options.js";

export type { TokenizerTrainingProgress, TrainTokenizerOptions } from "./train-options.js";
export { TRAINING_PATTERNS, type TrainingPattern } from "./train-pipelines.js";

/** A trained tokenizer. */
export interface TrainedTokenizer {
  /** The text of tokenizer.json. */
  readonly tokenizerJson: string;
  /** All files by name: tokenizer.json, tokenizer_config.json, special_tokens_map.json. */
  readonly files: ReadonlyMap<string, string>;
  /** Tokens by id, as tokenizer.json spells them. Fewer than asked for where no pair was frequent enough. */
  readonly tokens: readonly string[];
  /** Number of merges. */
  readonly merges: number;
  /** What it was trained on. */
  readonly texts: number;
  readonly bytes: number;
  readonly words: WordStatistics;
  /** Whether the words were counted before (`countsFile`). */
  readonly resumed: boolean;
  /** Writes the files into a folder, each whole or not at all; `loadTokenizer` and `transformers` read it. */
  save(dir: string): Promise<void>;
}

/**
 * Trains a tokenizer on texts: the vocabulary, the ids and the merges are those of HF tokenizers 0.23 on the same texts,
 * for any number of threads and any batches. Words are counted on all threads as the texts come in; memory is that of the
 * distinct words.
 * @throws ConfigError for options that do not fit; DataError where the texts hold nothing; CheckpointError for a
 * `countsFile` of other texts; the signal's reason when it was aborted.
 */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<TrainedTokenizer> {
  const plan = trainingPlan(options);
  const { signal, countsFile, countsKey: key = "", fs } = options;
  const parts: WordParts = {
    normalizer: plan.parts.normalizer,
    pre_tokenizer: plan.parts.pre_tokenizer,
  };
  const counts = new WordCounts(parts, plan.kind === "bpe");
  const expected = { key, kind: plan.kind, parts, pruneBelow: plan.pruneBelow };
  let record = countsFile === undefined ? undefined : await loadCounts(countsFile, counts, expected, fs);
  const resumed = record !== undefined;
  if (record === undefined) {
    const counted = await countWords(counts, plan, options);
    record = { ...expected, ...counted };
    if (countsFile !== undefined) await saveCounts(countsFile, counts, record, fs);
  } else {
    await counts.settle(1, { threads: plan.threads, signal });
  }
  const { texts, bytes, statistics } = record;
  const pace = new Pace();
  const trained = await counts.train(
    {
      vocabSize: plan.vocabSize,
      minFrequency: plan.minFrequency,
      specialTokens: plan.specialTokens,
      initialAlphabet: plan.initialAlphabet,
      limitAlphabet: plan.limitAlphabet,
      maxTokenLength: plan.maxTokenLength,
      continuingSubwordPrefix: plan.kind === "wordpiece" ? "##" : undefined,
    },
    {
      threads: plan.threads,
      signal,
      onProgress: (done, total) =>
        options.onProgress?.({
          phase: "merge",
          texts,
          bytes,
          totalBytes: options.totalBytes,
          tokens: done,
          vocabSize: plan.vocabSize,
          ...pace.of(done, total),
        }),
    },
  );
  const vocabulary = await vocabularyOf(trained);
  const files = await tokenizerFiles(plan, vocabulary, options);
  return {
    tokenizerJson: files.get("tokenizer.json") as string,
    files,
    tokens: vocabulary.tokens,
    merges: plan.kind === "bpe" ? trained.merges.length / 2 : 0,
    texts,
    bytes,
    words: statistics,
    resumed,
    save: (dir) => writeFiles(dir, files),
  };
}

/** Rate and time left of a phase. */
class Pace {
  private readonly start = performance.now();
  private first?: number;

  of(done: number, total: number | undefined): { rate: number; secondsLeft: number | null } {
    this.first ??= done;
    const seconds = (performance.now() - this.start) / 1000;
    const rate = seconds > 0 ? (done - this.first) / seconds : 0;
    return { rate, secondsLeft: rate > 0 && total !== undefined ? Math.max(0, total - done) / rate : null };
  }
}

/** Counts the words of all texts; while a batch is counted the next one is read. */
async function countWords(
  counts: WordCounts,
  plan: TrainingPlan,
  options: TrainTokenizerOptions,
): Promise<{ texts: number; bytes: number; statistics: WordStatistics }> {
  const { threads, pruneBelow, pruneBytes } = plan;
  const { signal, totalBytes } = options;
  const pace = new Pace();
  let texts = 0;
  let bytes = 0;
  let removed = 0;
  const report = (done: number) =>
    options.onProgress?.({
      phase: "count",
      texts,
      bytes: done,
      totalBytes,
      tokens: 0,
      vocabSize: plan.vocabSize,
      ...pace.of(done, totalBytes),
    });
  const feed = async (batch: TextBatch) => {
    const before = bytes;
    await counts.feed(batch, { threads, signal, onProgress: (done) => report(before + done) });
    texts += batch.length;
    bytes += batch.bytes.length;
    if (pruneBelow > 1) {
      const { bytes: used } = await counts.settle(1, { threads, signal });
      if (used > pruneBytes) removed += (await counts.settle(pruneBelow, { threads, signal })).removed;
    }
  };
  let pending: Promise<void> = Promise.resolve();
  try {
    for await (const batch of batches(options.texts, plan.batchCharacters)) {
      await pending;
      signal?.throwIfAborted();
      pending = feed(batch);
      // Met below at the latest; until then it is not unhandled.
      pending.catch(() => {});
    }
  } finally {
    await pending;
  }
  report(bytes);
  const statistics = await counts.settle(1, { threads, signal });
  if (statistics.total === 0) {
    throw new DataError(
      `There is nothing to train a tokenizer on: ${texts === 0 ? "no texts" : `${texts} texts without any word`}.`,
      { texts, bytes },
    );
  }
  return { texts, bytes, statistics: { ...statistics, removed } };
}

/** Texts in batches of about so many characters. */
async function* batches(
  texts: TrainTokenizerOptions["texts"],
  characters: number,
): AsyncGenerator<TextBatch> {
  let waiting: string[] = [];
  let size = 0;
  let index = 0;
  for await (const item of texts) {
    const text = typeof item === "string" ? item : item?.text;
    if (typeof text !== "string") {
      throw new DataError(`Text ${index} must be a string or a document with a text, got ${typeof item}.`, {
        index,
      });
    }
    index++;
    waiting.push(text);
    size += text.length;
    // Empty texts have no end otherwise.
    if (size >= characters || waiting.length >= 2 ** 20) {
      yield TextBatch.from(waiting);
      waiting = [];
      size = 0;
    }
  }
  if (waiting.length > 0) yield TextBatch.from(waiting);
}
