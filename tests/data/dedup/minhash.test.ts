import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type DedupResult,
  deduplicate,
  ExactDeduplicator,
  MinHashDeduplicator,
  type MinHashOptions,
  matchProbability,
} from "../../../lib/data/dedup/index.js";
import type { TextDocument } from "../../../lib/data/index.js";
import { clusters, foldWords, signature } from "../../reference/dedup.js";
import { plantedPairs, randoms, word } from "./texts.js";

async function find(
  texts: readonly string[],
  options: MinHashOptions = {},
  batch = 1000,
): Promise<DedupResult> {
  const deduplicator = await MinHashDeduplicator.open(options);
  try {
    for (let at = 0; at < texts.length; at += batch) await deduplicator.add(texts.slice(at, at + batch));
    return await deduplicator.finish();
  } finally {
    await deduplicator.discard();
  }
}

const folder = () => join(mkdtempSync(join(tmpdir(), "anneal-dedup-")), "work");

/** Random short texts of few words, many of them alike. */
function smallTexts(count: number, seed: number): string[] {
  const next = randoms(seed);
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    const before = texts.length > 0 && next(3) > 0 ? texts[next(texts.length)].split(" ") : undefined;
    const words =
      before?.map((w) => (next(12) === 0 ? word(next(50)) : w)) ??
      Array.from({ length: next(20) }, () => word(next(50)));
    texts.push(words.join(" "));
  }
  return texts;
}

describe("recall and precision on planted pairs", () => {
  const PAIRS = 2000;
  const SHINGLES = 100;
  it.each([
    [0.5, 33],
    [0.6, 25],
    [0.7, 18],
    [0.75, 14],
    [0.8, 11],
    [0.85, 8],
    [0.9, 5],
    [0.95, 3],
  ])("follow 1 − (1 − s⁸)¹⁴ at about %f", async (about, different) => {
    const similarity = (SHINGLES - different) / (SHINGLES + different);
    expect(similarity).toBeCloseTo(about, 1);
    const result = await find(plantedPairs(PAIRS, SHINGLES, different));
    // Nothing but planted pairs is found: every cluster is one of them.
    for (let i = 0; i < result.clusters; i++) {
      const { members } = result.cluster(i);
      expect([members.length, members[0] % 2, members[1]]).toEqual([2, 0, members[0] + 1]);
    }
    const p = matchProbability(similarity);
    const deviation = Math.sqrt(PAIRS * p * (1 - p));
    expect(Math.abs(result.clusters - PAIRS * p)).toBeLessThan(4.5 * deviation + 1);
  });

  it("follow the curve of other numbers of buckets and rows", async () => {
    const texts = plantedPairs(1000, 100, 25);
    for (const [buckets, rows] of [
      [5, 3],
      [20, 4],
      [1, 1],
    ]) {
      const result = await find(texts, { buckets, rows, seed: 5 });
      const p = matchProbability(0.6, buckets, rows);
      expect(Math.abs(result.clusters - 1000 * p)).toBeLessThan(4.5 * Math.sqrt(1000 * p * (1 - p)) + 1);
    }
  });

  it("are those of the estimated similarity when pairs are verified", async () => {
    const far = await find(plantedPairs(500, 100, 18), { verify: 0.85 });
    // s = 0.695: 112 functions agree in 85 % of cases with a probability of about 1e-4.
    expect(far.clusters).toBeLessThan(5);
    expect(far.rejected).toBeGreaterThan(200);
    const near = await find(plantedPairs(500, 100, 2), { verify: 0.85 });
    expect(near.clusters).toBeGreaterThan(495);
  });

  it("has the probabilities of the specification", () => {
    const at = [0.5, 0.7, 0.75, 0.8, 0.85, 0.9].map((s) => matchProbability(s));
    for (const [i, p] of [0.053, 0.565, 0.772, 0.924, 0.988, 0.9996].entries())
      expect(at[i]).toBeCloseTo(p, 3);
  });
});

describe("clusters", () => {
  it.each([1, 2, 3])("are those of comparing every document with every other (seed %i)", async (seed) => {
    const texts = smallTexts(120, seed);
    const [buckets, rows] = [6, 2];
    const signatures = texts.map((text) =>
      signature(text, { shingle: 5, functions: buckets * rows, seed: 1 }),
    );
    const alike = (a: number, b: number) =>
      Array.from({ length: buckets }, (_, k) =>
        [0, 1].every(
          (r) =>
            signatures[a]?.[k * rows + r] === signatures[b]?.[k * rows + r] && signatures[a] !== undefined,
        ),
      ).some(Boolean);
    const expected = clusters(texts.length, alike);
    const result = await find(texts, { buckets, rows }, 7);
    expect(Array.from(result.representative)).toEqual(expected);
    expect(Array.from(result.removed())).toEqual(expected.flatMap((first, i) => (first === i ? [] : [i])));
    expect(new Set(expected.filter((first, i) => first !== i)).size).toBe(result.clusters);
    expect(result.sizes().reduce((sum, [size, count]) => sum + size * count, 0)).toBe(
      result.removedCount + result.clusters,
    );
    const sizes = Array.from({ length: result.clusters }, (_, i) => result.size(i));
    expect(result.largest(3).map((i) => result.size(i))).toEqual(
      [...sizes].sort((a, b) => b - a).slice(0, 3),
    );
  });

  it("do not depend on threads, batches, runs or memory", async () => {
    const texts = [...smallTexts(4000, 21), ...plantedPairs(300, 30, 2)];
    const expected = await find(texts, { threads: 1 }, texts.length);
    expect(expected.clusters).toBeGreaterThan(300);
    for (const [threads, batch] of [
      [1, 333],
      [2, 1000],
      [5, 17],
    ]) {
      const result = await find(texts, { threads }, batch);
      expect(result.representative).toEqual(expected.representative);
    }
    for (const [threads, batch] of [
      [1, 500],
      [3, 4600],
    ]) {
      const result = await find(texts, { threads, memoryLimit: 2 ** 20, workDir: folder() }, batch);
      expect(result.facts.runs).toBeGreaterThan(3);
      expect(result.representative).toEqual(expected.representative);
      expect(result.pairs).toBe(expected.pairs);
    }
  });

  it("do not depend on runs when pairs are verified", async () => {
    const texts = smallTexts(1500, 22);
    const options = { buckets: 20, rows: 2, verify: 0.7 };
    const expected = await find(texts, options, 100);
    expect(expected.rejected).toBeGreaterThan(0);
    const result = await find(texts, { ...options, threads: 3, memoryLimit: 2 ** 20, workDir: folder() }, 64);
    expect(result.facts.runs).toBeGreaterThan(1);
    expect(result.representative).toEqual(expected.representative);
    expect(result.rejected).toBe(expected.rejected);
  });

  it("keep short, empty and odd documents", async () => {
    const words = Array.from({ length: 200_000 }, (_, i) => word(i % 5000));
    const long = words.join(" ");
    const emoji = "😀👍🏽 👩‍👩‍👧‍👦 🇩🇪 😀 😀😀 🇩🇪🇩🇪";
    const texts = [
      "",
      "",
      "one two three four",
      "one two three four",
      "..",
      emoji,
      `${emoji}!`,
      long,
      `${long} end`,
      "\ud800 a b c d e",
      "\ud800 a b c d e",
    ];
    const result = await find(texts);
    expect(Array.from(result.removed())).toEqual([6, 8, 10]);
    expect(result.facts.keyed).toBe(6);
  });

  it("find nothing among no documents", async () => {
    const result = await find([]);
    expect([result.documents, result.clusters, result.removedCount]).toEqual([0, 0, 0]);
    expect(result.largest(5)).toEqual([]);
  });
});

describe("options", () => {
  it.each([
    [{ shingel: 5 }, /no option "shingel".*"shingle"/],
    [{ shingle: 0 }, /shingle must be an integer from 1 to 1000, got 0/],
    [{ buckets: 1.5 }, /buckets must be an integer/],
    [{ rows: -1 }, /rows must be an integer/],
    [{ seed: 2 ** 32 }, /seed must be an integer from 0 to 4294967295/],
    [{ words: "letters" }, /words must be one of scripts, spaced, got letters/],
    [{ verify: 2 }, /verify must be a number from 0 to 1, got 2/],
    [{ memoryLimit: 1000 }, /memoryLimit must be an integer at least 1048576/],
    [{ threads: 0 }, /threads must be an integer/],
  ])("%o are refused", async (options, message) => {
    await expect(MinHashDeduplicator.open(options as MinHashOptions)).rejects.toThrow(message);
  });

  it("refuse more keys than memory holds, naming the fix", async () => {
    const texts = plantedPairs(4000, 4, 1);
    const deduplicator = await MinHashDeduplicator.open({ memoryLimit: 2 ** 20 });
    await expect(deduplicator.add(texts)).rejects.toThrow(
      /do not fit into 1.05 MB of memory. Name a work folder/,
    );
  });
});

describe("exact deduplication", () => {
  const texts = ["a  b", "a b", "A b", "e\u0301", "é", "", " ", "a\u00a0b\n", "a b", "a, b"];
  it.each([
    ["bytes" as const, [8]],
    ["canonical" as const, [1, 4, 6, 7, 8]],
    ["folded" as const, [1, 2, 4, 6, 7, 8, 9]],
  ])("compares %s", async (sameness, removed) => {
    const deduplicator = await ExactDeduplicator.open({ sameness });
    await deduplicator.add(texts);
    expect(Array.from((await deduplicator.finish()).removed())).toEqual(removed);
  });

  it("is the same out of core", async () => {
    const next = randoms(31);
    const many = Array.from({ length: 60_000 }, () => word(next(40_000)));
    const seen = new Set<string>();
    const expected = many.flatMap((text, i) => {
      const before = seen.has(text);
      seen.add(text);
      return before ? [i] : [];
    });
    for (const options of [{}, { memoryLimit: 2 ** 20, workDir: folder(), threads: 3 }]) {
      const deduplicator = await ExactDeduplicator.open(options);
      for (let at = 0; at < many.length; at += 7000) await deduplicator.add(many.slice(at, at + 7000));
      const result = await deduplicator.finish();
      await deduplicator.discard();
      expect(Array.from(result.removed())).toEqual(expected);
    }
  });

  it("refuses an unknown kind of sameness", async () => {
    await expect(ExactDeduplicator.open({ sameness: "words" as never })).rejects.toThrow(
      /bytes, canonical, folded/,
    );
  });
});

describe("deduplicate", () => {
  const source = (texts: readonly string[]) =>
    async function* (): AsyncGenerator<TextDocument> {
      for (const [i, text] of texts.entries()) yield { text, source: `memory:${i}` };
    };

  it("gives the first document of every cluster, in order, and a report", async () => {
    const texts = smallTexts(300, 41);
    const expected = await find(texts);
    let removedInReport = -1;
    const kept: string[] = [];
    for await (const { source: from } of deduplicate(source(texts), {}, (report) => {
      removedInReport = report.removed;
      expect(report.largest[0].kept.text).toBe(texts[report.largest[0].kept.document].slice(0, 600));
      expect(report.largest[0].removed[0].source).toBe(`memory:${report.largest[0].removed[0].document}`);
    })) {
      kept.push(from);
    }
    expect(removedInReport).toBe(expected.removedCount);
    expect(kept).toEqual(texts.flatMap((_, i) => (expected.isRemoved(i) ? [] : [`memory:${i}`])));
  });

  it("notices that the source changed between the passes", async () => {
    for (const [first, second] of [
      [3, 2],
      [2, 3],
    ]) {
      let pass = 0;
      const texts = ["a b c d e", "f g h i j", "k l m n o"];
      const open = () => source(texts.slice(0, pass++ === 0 ? first : second))();
      await expect(async () => {
        for await (const _ of deduplicate(open, { method: "exact" })) void _;
      }).rejects.toThrow(/the input has changed/);
    }
  });

  it("refuses a method that does not exist", async () => {
    await expect(deduplicate(source([]), { method: "simhash" } as never).next()).rejects.toThrow(
      /minhash or exact/,
    );
  });

  it("keeps the words of a text that differs in case, numbers and punctuation only", async () => {
    const texts = [
      "The 3 quick brown foxes, in 1999!",
      "the 4 QUICK brown foxes in 2001",
      "another text of five words here",
    ];
    const kept: string[] = [];
    for await (const document of deduplicate(source(texts))) kept.push(document.text);
    expect(kept).toEqual([texts[0], texts[2]]);
    expect(foldWords(texts[0])).toEqual(foldWords(texts[1]));
  });
});
