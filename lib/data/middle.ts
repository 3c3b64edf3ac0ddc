/**
 * Fill in the middle: a document is cut in three at random, and its middle comes last, so that a model learns to write what
 * stands between two texts (Bavarian et al., 2022). The order is prefix, suffix, middle, as DeepSeek-V3 has it.
 */
import { ConfigError, TokenizerError } from "../errors.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { Stream, uniform } from "./philox.js";

/** Names of the three tokens, family by family: before the prefix, before the suffix, before the middle. */
const FAMILIES: readonly (readonly [string, string, string])[] = [
  ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"],
  ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
  ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
  ["<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"],
];

/** The parts of a document in the order in which they are learnt. */
export type MiddleParts = readonly [prefix: string, suffix: string, middle: string];

export interface FillInMiddle {
  /** Ids before the prefix, the suffix and the middle. */
  readonly ids: readonly [number, number, number];
  /**
   * The parts of a document; undefined where it stays as it is.
   * @param key the document's `documentKey`: the choice depends on it and the seed alone
   */
  cut(text: string, key: string): MiddleParts | undefined;
}

/**
 * Fill in the middle for a share of the documents; undefined for rate 0.
 * @throws ConfigError for a rate outside [0, 1]; TokenizerError where the tokenizer has none of the tokens
 */
export function fillInMiddle(tokenizer: Tokenizer, rate: number, seed: number): FillInMiddle | undefined {
  if (!(rate >= 0 && rate <= 1)) {
    throw new ConfigError(`fimRate must be from 0 to 1, got ${rate}.`, { fimRate: rate });
  }
  if (rate === 0) return undefined;
  const ids = tokensOf(tokenizer);
  return {
    ids,
    cut(text, key) {
      const index = Number.parseInt(key.slice(0, 13), 16);
      if (uniform(seed, Stream.Middle, index, 0) >= rate) return undefined;
      const a = cutAt(text, uniform(seed, Stream.Middle, index, 1));
      const b = cutAt(text, uniform(seed, Stream.Middle, index, 2));
      const [first, second] = a < b ? [a, b] : [b, a];
      return [text.slice(0, first), text.slice(second), text.slice(first, second)];
    },
  };
}

/** A place in a text, never inside a character. */
function cutAt(text: string, fraction: number): number {
  const at = Math.floor(fraction * (text.length + 1));
  const inside = /[\udc00-\udfff]/.test(text.charAt(at)) && /[\ud800-\udbff]/.test(text.charAt(at - 1));
  return inside ? at - 1 : at;
}

function tokensOf(tokenizer: Tokenizer): readonly [number, number, number] {
  for (const names of FAMILIES) {
    const ids = names.map((name) => {
      try {
        const encoded = tokenizer.encode(name);
        return encoded.length === 1 && tokenizer.tokenBytes(encoded[0]) === 0 ? encoded[0] : undefined;
      } catch {
        // A vocabulary of characters may lack those of the name.
        return undefined;
      }
    });
    if (ids.every((id) => id !== undefined)) return ids as unknown as [number, number, number];
  }
  throw new TokenizerError(
    `The tokenizer "${tokenizer.name}" has no tokens for filling in the middle (${FAMILIES.map((names) => names[0]).join(", ")} and the like). ` +
      "Use one that has them as special tokens, or fimRate: 0.",
    { tokenizer: tokenizer.name },
  );
}
