/** Texts for the tests of deduplication: words that never repeat by chance, and pairs of a known similarity. */
import { philox4x32 } from "../../../lib/data/index.js";

/** A word of letters for a number; other numbers give other words, and none is a number to the folding. */
export function word(number: number): string {
  let text = "";
  for (let left = number; ; left = Math.floor(left / 26) - 1) {
    text = String.fromCharCode(97 + (left % 26)) + text;
    if (left < 26) return `q${text}`;
  }
}

/** Integers below `bound` from a seed. */
export function randoms(seed: number): (bound: number) => number {
  const block = new Uint32Array(4);
  let counter = 0;
  return (bound) => philox4x32(counter++, 0, 0, 0, seed, 0, block)[0] % bound;
}

/**
 * Pairs of texts of unique words whose sets of 5-word shingles have a Jaccard similarity of (n − d)/(n + d): n shingles each, of
 * which the last d differ. Text 2i and 2i + 1 are pair i.
 */
export function plantedPairs(pairs: number, shingles: number, different: number): string[] {
  const texts: string[] = [];
  let next = 0;
  const fresh = () => word(next++);
  for (let i = 0; i < pairs; i++) {
    const words = Array.from({ length: shingles + 4 }, fresh);
    // Replacing the last d words changes exactly the d shingles that end in one of them.
    const other = words.map((w, at) => (at < words.length - different ? w : fresh()));
    texts.push(words.join(" "), other.join(" "));
  }
  return texts;
}
