/** What a corpus consists of: documents, bytes, characters, lines, words, lengths, sites. */
import { TextBatch } from "../native/text/batch.js";
import { countTexts, TEXT_COUNTS } from "../native/text/count.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { documentBatches, type SourceOptions } from "./sources.js";

export interface StatisticsOptions {
  source?: SourceOptions;
  /** Count tokens as well. */
  tokenizer?: Tokenizer;
  /** Threads; default: the usable cores. */
  threads?: number;
  signal?: AbortSignal;
  onProgress?: (progress: { documents: number; bytes: number }) => void;
}

/** Least, fifth percentile, quartiles, ninety-fifth percentile and largest of a length. */
export interface Quantiles {
  least: number;
  p5: number;
  p25: number;
  median: number;
  p75: number;
  p95: number;
  largest: number;
}

export interface CorpusStatistics {
  documents: number;
  /** Bytes of UTF-8 text. */
  bytes: number;
  /** Code points. */
  characters: number;
  lines: number;
  /** Stretches without ASCII white space. */
  words: number;
  /** Tokens of the tokenizer, when one was given. */
  tokens?: number;
  bytesPerToken?: number;
  /** Shares of all bytes: below 128, letters (characters beyond ASCII included), digits. */
  ascii: number;
  /** Characters of a document. */
  length: Quantiles;
  /** Bytes of the longest line of all. */
  longestLine: number;
  /** The sites with most documents, where documents have addresses: at most 20. */
  sites: { site: string; documents: number }[];
}

/** Sites that are counted apart; the rarest of more are forgotten. */
const MOST_SITES = 100_000;

/**
 * Counts a corpus, reading it once.
 * @throws DataError as for reading.
 */
export async function corpusStatistics(
  paths: string | readonly string[],
  options: StatisticsOptions = {},
): Promise<CorpusStatistics> {
  const { tokenizer, threads, signal } = options;
  const totals = { characters: 0, lines: 0, words: 0, ascii: 0, longestLine: 0 };
  const lengths = new Lengths();
  const sites = new Map<string, number>();
  let bytes = 0;
  let tokens = 0;
  for await (const batch of documentBatches(paths, options.source)) {
    signal?.throwIfAborted();
    const texts = TextBatch.from(batch.map(({ text }) => text));
    const counts = await countTexts(texts, { threads, signal });
    for (let i = 0; i < batch.length; i++) {
      const row = counts.subarray(i * TEXT_COUNTS.length, (i + 1) * TEXT_COUNTS.length);
      const [characters, lines, words, ascii, , , longestLine] = row;
      totals.characters += characters;
      totals.lines += lines;
      totals.words += words;
      totals.ascii += ascii;
      totals.longestLine = Math.max(totals.longestLine, longestLine);
      lengths.add(characters);
      const site = siteOf(batch[i].url);
      if (site !== undefined) count(sites, site);
    }
    bytes += texts.bytes.length;
    if (tokenizer !== undefined)
      tokens += (await tokenizer.encodeBatch(texts, { threads, signal })).ids.length;
    options.onProgress?.({ documents: lengths.count, bytes });
  }
  const { ascii, ...sums } = totals;
  return {
    documents: lengths.count,
    bytes,
    ...sums,
    ascii: ascii / bytes,
    ...(tokenizer !== undefined && { tokens, bytesPerToken: bytes / tokens }),
    length: lengths.quantiles(),
    sites: [...sites]
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, 20)
      .map(([site, documents]) => ({ site, documents })),
  };
}

/** The host of an address; undefined for what is none. */
function siteOf(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url).hostname || undefined : undefined;
}

function count(sites: Map<string, number>, site: string): void {
  sites.set(site, (sites.get(site) ?? 0) + 1);
  if (sites.size <= MOST_SITES) return;
  const kept = [...sites].sort(([, m], [, n]) => n - m).slice(0, MOST_SITES / 2);
  sites.clear();
  for (const [name, documents] of kept) sites.set(name, documents);
}

/** All lengths, 4 bytes each, so that the quantiles are exact. */
class Lengths {
  private values = new Uint32Array(1024);
  count = 0;

  add(value: number): void {
    if (this.count === this.values.length) {
      const larger = new Uint32Array(2 * this.count);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.count++] = Math.min(value, 0xffffffff);
  }

  quantiles(): Quantiles {
    const sorted = this.values.slice(0, this.count).sort();
    const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
    return {
      least: at(0),
      p5: at(0.05),
      p25: at(0.25),
      median: at(0.5),
      p75: at(0.75),
      p95: at(0.95),
      largest: at(1),
    };
  }
}
