/** Pre-tokenizers, normalizers and regular expressions of the native text room by themselves. */
import { addon } from "../addon.js";
import { runNow } from "./job.js";

declare module "../addon.js" {
  interface Addon {
    preTokenize(
      json: string,
      mapBytes: boolean,
      text: string,
    ): { text: string; pieces: Uint32Array; offsets: Uint32Array };
    normalizeText(json: string, text: string): { text: string; offsets: Uint32Array };
    matchPattern(pattern: string, rust: boolean, text: string): Uint32Array;
    tiktokenPieces(pattern: string, text: string): Uint32Array;
  }
}

/**
 * @param json a `pre_tokenizer` of a tokenizer.json
 * @param mapBytes whether ByteLevel writes the characters that stand for bytes
 * @returns the text that the pieces are of; begin and end of every piece in it; and in the given text. UTF-16 units.
 * @throws TokenizerError
 */
export function nativePreTokenize(json: string, mapBytes: boolean, text: string) {
  return runNow(() => addon().preTokenize(json, mapBytes, text));
}

/**
 * @param json a `normalizer` of a tokenizer.json
 * @returns the normalized text, and for each of its characters begin and end in the given text, in UTF-16 units.
 * @throws TokenizerError
 */
export function nativeNormalize(json: string, text: string) {
  return runNow(() => addon().normalizeText(json, text));
}

/**
 * Begin and end of all matches of a regular expression, in UTF-16 units.
 * @param rust whether the pattern is in the syntax of Rust's fancy-regex rather than of Oniguruma
 * @throws TokenizerError for a pattern that cannot be used, or that takes too many steps on this text.
 */
export function matchPattern(pattern: string, text: string, rust = false): Uint32Array {
  return runNow(() => addon().matchPattern(pattern, rust, text));
}

/**
 * Begin and end of the pieces that tiktoken makes of a text, in UTF-16 units.
 * @throws TokenizerError as `matchPattern`.
 */
export function tiktokenPieces(pattern: string, text: string): Uint32Array {
  return runNow(() => addon().tiktokenPieces(pattern, text));
}
