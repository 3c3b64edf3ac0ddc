/**
 * What counting alone achieves: unigram and bigram models over bytes. A trained model must do better than these; since
 * they work on bytes, they compare with a model over any tokenizer.
 */

/** Counts of bytes and pairs of bytes in a set of texts. */
export class ByteCounts {
  /** How often each byte occurs. */
  readonly bytes = new Float64Array(256);
  /** How often byte b follows byte a within a text, at [a · 256 + b]. */
  readonly pairs = new Float64Array(256 * 256);
  /** How often each byte begins a text. */
  readonly first = new Float64Array(256);
  /** Number of bytes in all texts. */
  total = 0;

  /** Counts one text. Texts are independent: no pair spans two of them. */
  add(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    if (bytes.length === 0) return;
    let previous = bytes[0];
    this.first[previous]++;
    this.bytes[previous]++;
    for (let i = 1; i < bytes.length; i++) {
      const byte = bytes[i];
      this.bytes[byte]++;
      this.pairs[(previous << 8) | byte]++;
      previous = byte;
    }
    this.total += bytes.length;
  }
}

/** Bits per byte of the two baselines on a validation text. */
export interface Baselines {
  unigram: number;
  bigram: number;
}

/**
 * Fits both models on `train` and measures them on `validation`.
 *   unigram: p(b) = (c(b) + 1) / (n + 256)
 *   bigram:  p(b | a) = (c(a b) + u(a) · p(b)) / (c(a) + u(a)), u(a) = distinct bytes seen after a (Witten and Bell, 1991);
 *            the first byte of a text, and bytes after an unseen a, use p(b)
 * @returns bits per byte; NaN when there is no validation text.
 */
export function baselines(train: ByteCounts, validation: ByteCounts): Baselines {
  const unigram = train.bytes.map((count) => (count + 1) / (train.total + 256));
  let unigramBits = 0;
  let bigramBits = 0;
  for (let b = 0; b < 256; b++) {
    const bits = -Math.log2(unigram[b]);
    unigramBits += validation.bytes[b] * bits;
    bigramBits += validation.first[b] * bits;
  }
  for (let a = 0; a < 256; a++) {
    let seen = 0;
    let distinct = 0;
    for (let b = 0; b < 256; b++) {
      const count = train.pairs[(a << 8) | b];
      seen += count;
      if (count > 0) distinct++;
    }
    for (let b = 0; b < 256; b++) {
      const asked = validation.pairs[(a << 8) | b];
      if (asked === 0) continue;
      const p =
        seen === 0 ? unigram[b] : (train.pairs[(a << 8) | b] + distinct * unigram[b]) / (seen + distinct);
      bigramBits -= asked * Math.log2(p);
    }
  }
  return { unigram: unigramBits / validation.total, bigram: bigramBits / validation.total };
}

/** Both baselines for texts at hand. */
export function textBaselines(
  train: Iterable<string> | string,
  validation: Iterable<string> | string,
): Baselines {
  const count = (texts: Iterable<string> | string) => {
    const counts = new ByteCounts();
    for (const text of typeof texts === "string" ? [texts] : texts) counts.add(text);
    return counts;
  };
  return baselines(count(train), count(validation));
}
