/** Division of one text and of many documents, and the counting baselines. */
import { describe, expect, it } from "vitest";
import {
  ByteCounts,
  baselines,
  documentKey,
  planSplit,
  splitText,
  textBaselines,
} from "../../lib/data/index.js";
import { ConfigError, DataError } from "../../lib/errors.js";

describe("splitText", () => {
  it("keeps the last part for validation", () => {
    const text = Array.from({ length: 105 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
    const { train, validation } = splitText(text, 0.1);
    expect(train.length).toBe(94);
    expect(train + validation).toBe(text);
    expect(splitText(text, 0)).toEqual({ train: text, validation: "" });
  });

  it("counts characters, not code units, and never cuts one", () => {
    const { train, validation } = splitText("👍".repeat(9) + "é", 0.5);
    expect(train).toBe("👍".repeat(5));
    expect(validation).toBe("👍".repeat(4) + "é");
  });

  it("refuses fractions outside [0, 1)", () => {
    for (const fraction of [-0.1, 1, Number.NaN])
      expect(() => splitText("abc", fraction)).toThrow(ConfigError);
  });
});

describe("planSplit", () => {
  const sizesOf = (texts: string[]) => {
    const sizes = new Map<string, number>();
    for (const text of texts) sizes.set(documentKey(text), (sizes.get(documentKey(text)) ?? 0) + text.length);
    return sizes;
  };
  const many = Array.from({ length: 500 }, (_, i) => `document ${i} `.repeat(1 + ((i * 7) % 13)));

  it("takes whole documents of about the wanted share", () => {
    const sizes = sizesOf(many);
    const total = [...sizes.values()].reduce((a, b) => a + b);
    for (const fraction of [0.02, 0.1, 0.3]) {
      const plan = planSplit(sizes, fraction, 5);
      expect(plan.method).toBe("documents");
      const taken = [...plan.validation].reduce((sum, key) => sum + (sizes.get(key) as number), 0);
      expect(taken / total).toBeGreaterThan(fraction * 0.9);
      expect(taken / total).toBeLessThanOrEqual(fraction);
    }
  });

  it("depends on the texts and the seed, not on their order", () => {
    const plan = (texts: string[], seed: number) =>
      [...planSplit(sizesOf(texts), 0.1, seed).validation].sort().join();
    expect(plan([...many].reverse(), 5)).toBe(plan(many, 5));
    expect(plan(many, 6)).not.toBe(plan(many, 5));
  });

  it("cuts documents where whole ones would not do", () => {
    expect(planSplit(sizesOf(["one text only"]), 0.1, 0).method).toBe("contiguous");
    expect(planSplit(sizesOf(["a".repeat(1000), "b".repeat(1000)]), 0.1, 0).method).toBe("contiguous");
    expect(planSplit(sizesOf(many), 0.1, 0, "contiguous").method).toBe("contiguous");
    expect(() => planSplit(sizesOf(["one text only"]), 0.1, 0, "documents")).toThrow(DataError);
    expect(planSplit(sizesOf(["one"]), 0, 0)).toEqual({ method: "documents", validation: new Set() });
  });
});

describe("baselines", () => {
  it("counts the bytes of texts that stand alone", () => {
    const counts = new ByteCounts();
    counts.add("ab");
    counts.add("");
    counts.add("ba");
    expect(counts.total).toBe(4);
    expect([counts.bytes[97], counts.bytes[98]]).toEqual([2, 2]);
    expect([counts.pairs[97 * 256 + 98], counts.pairs[98 * 256 + 97], counts.pairs[98 * 256 + 98]]).toEqual([
      1, 1, 0,
    ]);
    expect([counts.first[97], counts.first[98]]).toEqual([1, 1]);
  });

  it("measures what the formulas say", () => {
    const result = textBaselines("aab", ["ab"]);
    const p = (count: number) => (count + 1) / (3 + 256);
    expect(result.unigram).toBeCloseTo(-(Math.log2(p(2)) + Math.log2(p(1))) / 2, 12);
    // After "a": "a" and "b" once each, two distinct.
    const afterA = (1 + 2 * p(1)) / (2 + 2);
    expect(result.bigram).toBeCloseTo(-(Math.log2(p(2)) + Math.log2(afterA)) / 2, 12);
  });

  it("gives probabilities that sum to one", () => {
    const train = new ByteCounts();
    train.add("the quick brown fox jumps over the lazy dog");
    // 256 texts "t?" ask for every byte after "t" once: the sum of 2^−bits must be one.
    let sum = 0;
    for (let byte = 0; byte < 256; byte++) {
      const one = new ByteCounts();
      one.add(Uint8Array.of(0x74, byte));
      const first = new ByteCounts();
      first.add(Uint8Array.of(0x74));
      sum += 2 ** -(baselines(train, one).bigram * 2 - baselines(train, first).bigram);
    }
    expect(sum).toBeCloseTo(1, 12);
  });

  it("finds structure, and does not depend on a tokenizer", () => {
    const text = "she sells sea shells on the sea shore. ".repeat(60);
    const { train, validation } = splitText(text, 0.1);
    const { unigram, bigram } = textBaselines(train, validation);
    expect(unigram).toBeLessThan(8);
    expect(bigram).toBeLessThan(unigram);
    expect(textBaselines("a", "").bigram).toBeNaN();
  });
});
