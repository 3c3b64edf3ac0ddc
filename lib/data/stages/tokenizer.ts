/** The stage `tokenizer`: documents in, a tokenizer's folder out. */
import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  type TokenizerTrainingProgress,
  type TrainTokenizerOptions,
  trainTokenizer,
} from "../../tokenizer/train.js";
import { keyOf } from "../documents/folder.js";
import { documents, listSources, type SourceOptions } from "../sources.js";

export interface TokenizerStageOptions {
  /** Files, folders, globs and `hf://datasets/…` paths with documents. */
  inputs: string | readonly string[];
  source?: SourceOptions;
  /** Folder for the tokenizer; made if missing. */
  out: string;
  train: Omit<
    TrainTokenizerOptions,
    "texts" | "countsFile" | "countsKey" | "totalBytes" | "signal" | "onProgress"
  >;
  signal?: AbortSignal;
  onProgress?: (progress: TokenizerTrainingProgress) => void;
}

export interface TokenizerStageResult {
  folder: string;
  vocabSize: number;
  merges: number;
  texts: number;
  /** Bytes of UTF-8 text. */
  bytes: number;
  distinctWords: number;
}

/** Name of the file with counts of words, inside the output; it is gone when the tokenizer is there. */
const COUNTS = ".counts";

/**
 * Trains a tokenizer. When it was stopped after the words were counted, the same call goes on with the merges.
 * @throws as reading documents and `trainTokenizer`
 */
export async function trainCorpusTokenizer(options: TokenizerStageOptions): Promise<TokenizerStageResult> {
  const { inputs, source, out, train, signal, onProgress } = options;
  const files = await listSources(inputs, source);
  const countsFile = join(out, COUNTS);
  await mkdir(out, { recursive: true });
  const trained = await trainTokenizer({
    ...train,
    texts: documents(
      files.map((file) => file.path),
      { ...source, metadata: false },
    ),
    countsFile,
    countsKey: keyOf(files.map(({ path, size, modified }) => [resolve(path), size, modified])),
    totalBytes: files.reduce((sum, file) => sum + file.size, 0),
    signal,
    onProgress,
  });
  await trained.save(out);
  await rm(countsFile, { force: true });
  const { tokens, merges, texts, bytes, words } = trained;
  return { folder: out, vocabSize: tokens.length, merges, texts, bytes, distinctWords: words.distinct };
}
