/** How well tokenizers compress texts. */
import { TextBatch } from "../native/text/batch.js";
import type { Tokenizer } from "./tokenizer.js";

/** What one tokenizer makes of texts. */
export interface TokenizerScore {
  name: string;
  vocabSize: number;
  tokens: number;
  /** Bytes of UTF-8 text per token: the higher the shorter the sequences. */
  bytesPerToken: number;
  /** Tokens per stretch without white space. */
  tokensPerWord: number;
  /** Share of the vocabulary that occurs. */
  used: number;
  /** Whether decoding gives the texts back, character by character. */
  exact: boolean;
  /** Bytes per second of encoding on all threads. */
  bytesPerSecond: number;
}

export interface EvaluateTokenizersOptions {
  /** Threads; default: the usable cores. */
  threads?: number;
  signal?: AbortSignal;
}

/**
 * Scores tokenizers on the same texts.
 * @throws TokenizerError when a text has characters that a vocabulary cannot express.
 */
export async function evaluateTokenizers(
  tokenizers: readonly Tokenizer[],
  texts: readonly string[],
  options: EvaluateTokenizersOptions = {},
): Promise<TokenizerScore[]> {
  const batch = TextBatch.from(texts);
  let words = 0;
  for (const text of texts) words += text.match(/\S+/g)?.length ?? 0;
  const scores: TokenizerScore[] = [];
  for (const tokenizer of tokenizers) {
    const startedAt = performance.now();
    const { ids, ends } = await tokenizer.encodeBatch(batch, options);
    const seconds = (performance.now() - startedAt) / 1000;
    let exact = true;
    let start = 0;
    for (let i = 0; i < ends.length && exact; i++) {
      exact = tokenizer.decode(ids.subarray(start, ends[i])) === batch.text(i);
      start = ends[i];
    }
    scores.push({
      name: tokenizer.name,
      vocabSize: tokenizer.vocabSize,
      tokens: ids.length,
      bytesPerToken: batch.bytes.length / ids.length,
      tokensPerWord: ids.length / words,
      used: new Set(ids).size / tokenizer.vocabSize,
      exact,
      bytesPerSecond: batch.bytes.length / seconds,
    });
  }
  return scores;
}
