/** A few documents of a corpus to look at: the first ones, a random sample, or those with a word. */
import { Stream, uniform } from "./philox.js";
import { documents, type SourceOptions, type TextDocument } from "./sources.js";

export interface SampleOptions {
  source?: SourceOptions;
  /** Documents wanted. Default 5. */
  count?: number;
  /** Instead of the first documents a random sample of all of them; the same seed gives the same sample. */
  seed?: number;
  /** Only documents whose text this matches. */
  pattern?: RegExp;
  signal?: AbortSignal;
}

/** A document with its number in the corpus, from 0. */
export interface SampledDocument extends TextDocument {
  number: number;
}

/**
 * Documents to look at, in the order of the corpus. Only a random sample reads all of it.
 * @throws DataError as for reading.
 */
export async function sampleDocuments(
  paths: string | readonly string[],
  options: SampleOptions = {},
): Promise<SampledDocument[]> {
  const { count = 5, seed, pattern, signal } = options;
  const kept: SampledDocument[] = [];
  let number = 0;
  let matching = 0;
  for await (const document of documents(paths, options.source)) {
    signal?.throwIfAborted();
    const entry = { ...document, number: number++ };
    if (pattern !== undefined && document.text.search(pattern) < 0) continue;
    matching++;
    if (kept.length < count) {
      kept.push(entry);
    } else if (seed !== undefined) {
      // Each of the documents seen so far is in the sample with equal chance.
      const place = Math.floor(uniform(seed, Stream.Sample, matching) * matching);
      if (place < count) kept[place] = entry;
    }
    if (seed === undefined && kept.length === count) break;
  }
  return kept.sort((a, b) => a.number - b.number);
}
