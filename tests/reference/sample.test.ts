import { describe, expect, it } from "vitest";
import { relativeError, rng } from "./array.js";
import { filteredProbabilities, sample, sampledLogProb } from "./sample.js";

const kept = (logits: ArrayLike<number>, options: Parameters<typeof filteredProbabilities>[1]): number[] =>
  Array.from(filteredProbabilities(logits, options).entries()).flatMap(([id, p]) => (p > 0 ? [id] : []));

describe("filters", () => {
  const logits = [0.5, 0.1, 0.3, 0.1].map(Math.log);

  it("top-k keeps ties with the k-th", () => {
    expect(kept(logits, { topK: 2 })).toEqual([0, 2]);
    expect(kept(logits, { topK: 3 })).toEqual([0, 1, 2, 3]);
    expect(kept(logits, { topK: 9 })).toEqual([0, 1, 2, 3]);
  });

  it("top-p keeps the token that crosses, the lower id first on ties", () => {
    expect(kept(logits, { topP: 0.4 })).toEqual([0]);
    expect(kept(logits, { topP: 0.6 })).toEqual([0, 2]);
    expect(kept(logits, { topP: 0.85 })).toEqual([0, 1, 2]);
    expect(kept(logits, { topP: 0 })).toEqual([0]);
  });

  it("top-p counts the probabilities that top-k left", () => {
    // Of the two that stay, the first has 0.625 and so reaches 0.6 alone; of all four it has 0.5 and does not.
    expect(kept(logits, { topK: 2, topP: 0.6 })).toEqual([0]);
  });

  it("min-p compares with the largest, and temperature comes first", () => {
    expect(kept(logits, { minP: 0.5 })).toEqual([0, 2]);
    expect(kept(logits, { minP: 0.5, temperature: 3 })).toEqual([0, 1, 2, 3]);
    expect(
      relativeError(filteredProbabilities(logits, { temperature: 0.5 }), [25 / 36, 1 / 36, 9 / 36, 1 / 36]),
    ).toBeLessThan(1e-14);
  });
});

describe("drawing", () => {
  it("is greedy at temperature 0, lowest id on ties", () => {
    expect(sample([1, 4, 4, 2], 0.99, { temperature: 0 })).toBe(1);
  });

  it("inverts the cumulative distribution in id order", () => {
    const logits = [0.25, 0.5, 0.25].map(Math.log2).map((z) => z * Math.LN2);
    expect([0, 0.24, 0.26, 0.74, 0.76, 1 - 2 ** -24].map((u) => sample(logits, u))).toEqual([
      0, 0, 1, 1, 2, 2,
    ]);
    expect(sample([-Infinity, 0, -Infinity], 1 - 2 ** -24)).toBe(1);
    expect(sample([3, 0, 0], 0.999, { topK: 1 })).toBe(0);
  });

  it("draws in proportion", () => {
    const random = rng(1);
    const logits = random.normals(6);
    const options = { temperature: 0.8, topP: 0.9 };
    const counts = new Float64Array(6);
    const draws = 20000;
    for (let i = 0; i < draws; i++) counts[sample(logits, random.uniform(), options)] += 1 / draws;
    expect(relativeError(counts, filteredProbabilities(logits, options))).toBeLessThan(0.03);
  });

  it("reports the log-probability over the whole vocabulary", () => {
    expect(sampledLogProb([0, 0, 0, 0], 2)).toBeCloseTo(-Math.log(4), 14);
    expect(sampledLogProb([0, Math.LN2], 1, 0.5)).toBeCloseTo(Math.log(0.8), 14);
    expect(sampledLogProb([0, 0], 0, 0)).toBeCloseTo(-Math.LN2, 14);
  });
});
