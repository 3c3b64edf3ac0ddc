/** The first two steps of a tokenizer by themselves: normalizing a text, and cutting it into pieces. */
import { nativeNormalize, nativePreTokenize } from "../native/text/split.js";

/** A `pre_tokenizer` or `normalizer` as tokenizer.json has it: `{ type: "Split", pattern: { Regex: "…" }, … }`. */
export type TokenizerPart = Readonly<Record<string, unknown> & { type: string }>;

/** A piece of a text. */
export interface TextPiece {
  text: string;
  /** Where the original begins that it stands for, in UTF-16 units. */
  start: number;
  /** The unit behind it. */
  end: number;
}

export interface PreTokenizeOptions {
  /** Whether ByteLevel writes the printable characters that stand for bytes, as vocabularies do. Default: false. */
  spellBytes?: boolean;
}

/**
 * Cuts a text as a tokenizer does before its model: the pieces that HF tokenizers' `pre_tokenize_str` gives.
 * @throws TokenizerError for a part that is unknown or has a member missing, and for a pattern that cannot be used.
 */
export function preTokenize(
  part: TokenizerPart,
  text: string,
  options: PreTokenizeOptions = {},
): TextPiece[] {
  const cut = nativePreTokenize(JSON.stringify(part), options.spellBytes ?? false, text);
  const pieces: TextPiece[] = [];
  for (let i = 0; i < cut.pieces.length; i += 2) {
    pieces.push({
      text: cut.text.slice(cut.pieces[i], cut.pieces[i + 1]),
      start: cut.offsets[i],
      end: cut.offsets[i + 1],
    });
  }
  return pieces;
}

/** A normalized text. */
export interface NormalizedText {
  text: string;
  /** Begin and end in the original of what each character (code point) of `text` stands for, in UTF-16 units. */
  offsets: Uint32Array;
}

/**
 * Changes a text as a tokenizer does before it cuts it: what HF tokenizers' `normalize_str` gives.
 * @throws TokenizerError for a part that is unknown or has a member missing, and for a pattern that cannot be used.
 */
export function normalizeText(part: TokenizerPart, text: string): NormalizedText {
  return nativeNormalize(JSON.stringify(part), text);
}
