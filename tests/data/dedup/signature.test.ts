import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TextBatch } from "../../../lib/native/text/batch.js";
import { foldTexts, minHashSignatures, type SignatureSettings } from "../../../lib/native/text/dedup.js";
import { foldWords, hashFunctions, signature, xxh64 } from "../../reference/dedup.js";
import { randoms, word } from "./texts.js";

const golden = JSON.parse(readFileSync(new URL("../../golden/dedup.json", import.meta.url), "utf8")) as {
  folded: { text: string; words: string[] }[];
  signatures: {
    text: string;
    shingle: number;
    buckets: number;
    rows: number;
    seed: number;
    values: string[] | null;
  }[];
  xxh64: { text: string; hash: string }[];
};

const FINEWEB: SignatureSettings = { shingle: 5, buckets: 14, rows: 8, seed: 1, words: "scripts" };
const KERNELS = ["portable", "avx2", "avx512"];

/** The settings with each kernel that this processor has. */
async function onEveryKernel(check: (settings: SignatureSettings) => Promise<void>): Promise<string[]> {
  const ran: string[] = [];
  for (const kernel of KERNELS) {
    const settings = { ...FINEWEB, kernel };
    const refused = await minHashSignatures(TextBatch.from(["x"]), settings).then(
      () => false,
      (error) => error.code === "ERR_CONFIG",
    );
    if (refused) continue;
    await check(settings);
    ran.push(kernel);
  }
  return ran;
}

function words(text: string, kind: "spaced" | "scripts"): string[] {
  return foldTexts(TextBatch.from([text]), kind)
    .text(0)
    .split(" ")
    .filter((w) => w !== "");
}

describe("folding", () => {
  it.each(
    golden.folded.map(({ text, words }, i) => ({
      name: `${i}: ${JSON.stringify(text.slice(0, 40))}`,
      text,
      words,
    })),
  )("gives the words of Python's libraries for $name", ({ text, words: expected }) => {
    expect(words(text, "spaced")).toEqual(expected);
  });

  it("makes every character of scripts without spaces a word", () => {
    expect(words("東京タワー is ガラス", "scripts")).toEqual([
      "東",
      "京",
      "タ",
      "ワ",
      "ー",
      "is",
      "カ",
      "ラ",
      "ス",
    ]);
    expect(words("ภาษาไทย abc", "scripts")).toEqual(foldWords("ภาษาไทย abc"));
  });

  it("joins words by single spaces, without any at the ends", () => {
    const folded = foldTexts(TextBatch.from(["  A -- b\t\n1.5 ", "", "...", "é"]));
    expect([0, 1, 2, 3].map((i) => folded.text(i))).toEqual(["a b 0", "", "", "e"]);
  });

  it("agrees with the oracle on texts of many scripts", () => {
    const next = randoms(3);
    const alphabet = [..."aZé Ünß.,;0٣९ -_'’東タワーナ한국ไทยéİΣσ😀\u0301\u200b\n\t#$%&「」"];
    for (let i = 0; i < 300; i++) {
      const text = Array.from({ length: next(60) }, () => alphabet[next(alphabet.length)]).join("");
      // Final sigma depends on what stands beside it, which the oracle leaves to JavaScript as well.
      expect(words(text, "scripts"), JSON.stringify(text)).toEqual(foldWords(text));
    }
  });

  it("folds a million characters without a space", () => {
    expect(words("É".repeat(1_000_000), "scripts")[0].length).toBe(1_000_000);
    expect(words("한".repeat(200_000), "scripts")[0].length).toBe(600_000);
    expect(words("東".repeat(200_000), "scripts").length).toBe(200_000);
  });
});

describe("signatures", () => {
  it("rest on XXH64 and numpy's generator", () => {
    for (const { text, hash } of golden.xxh64) expect(xxh64(text).toString(16)).toBe(hash);
    expect(hashFunctions(2, 1).a.every((a) => a > 0n && a < (1n << 61n) - 1n)).toBe(true);
  });

  it("equal those of numpy in datatrove's way, bit for bit", async () => {
    for (const { text, values, ...settings } of golden.signatures) {
      const got = await minHashSignatures(TextBatch.from([text]), { ...FINEWEB, ...settings });
      const hex = Array.from(got.values, (value) => value.toString(16));
      if (values === null) expect(got.shingles[0]).toBe(0);
      else expect(hex).toEqual(values);
    }
  });

  it("equal the oracle's with every kernel and any number of functions", async () => {
    const next = randoms(5);
    const texts = Array.from({ length: 12 }, (_, i) =>
      Array.from({ length: 3 + i * 4 }, () => word(next(40))).join(i % 2 ? " " : ", "),
    );
    const ran = await onEveryKernel(async (base) => {
      for (const [buckets, rows] of [
        [14, 8],
        [1, 1],
        [3, 5],
        [7, 9],
      ]) {
        const settings = { ...base, buckets, rows, seed: 1 + buckets };
        const { values, shingles } = await minHashSignatures(TextBatch.from(texts), settings);
        const functions = buckets * rows;
        for (const [i, text] of texts.entries()) {
          const expected = signature(text, { shingle: 5, functions, seed: settings.seed });
          expect(shingles[i]).toBe(Math.max(0, foldWords(text).length - 4));
          expect(Array.from(values.subarray(i * functions, (i + 1) * functions))).toEqual(
            expected ?? new Array(functions).fill(0n),
          );
        }
      }
    });
    expect(ran).toContain("portable");
  });

  it("are the same for a document longer than the hash block, with every kernel and thread count", async () => {
    const next = randoms(9);
    const texts = [5000, 2052, 2053, 4, 0].map((n) =>
      Array.from({ length: n }, () => word(next(5000))).join(" "),
    );
    const expected = await minHashSignatures(
      TextBatch.from(texts),
      { ...FINEWEB, kernel: "portable" },
      { threads: 1 },
    );
    const last = signature(texts[1], { shingle: 5, functions: 112, seed: 1 });
    expect(Array.from(expected.values.subarray(112, 224))).toEqual(last);
    await onEveryKernel(async (settings) => {
      for (const threads of [1, 2, 5]) {
        expect(await minHashSignatures(TextBatch.from(texts), settings, { threads })).toEqual(expected);
      }
    });
  });

  it("estimate the Jaccard similarity without bias", async () => {
    const next = randoms(11);
    let share = 0;
    const pairs = 300;
    for (let i = 0; i < pairs; i++) {
      const words = Array.from({ length: 54 }, () => word(next(10 ** 8)));
      const other = [...words.slice(0, 44), ...Array.from({ length: 10 }, () => word(next(10 ** 8)))];
      const { values } = await minHashSignatures(TextBatch.from([words.join(" "), other.join(" ")]), FINEWEB);
      for (let j = 0; j < 112; j++) share += values[j] === values[112 + j] ? 1 : 0;
    }
    // 40 of 60 shingles are shared; 33,600 draws in 300 groups.
    expect(share / (pairs * 112)).toBeCloseTo(40 / 60, 1);
    expect(Math.abs(share / (pairs * 112) - 40 / 60)).toBeLessThan(
      4.5 * Math.sqrt(((2 / 3) * (1 / 3)) / (pairs * 112)),
    );
  });

  it("end with the signal's reason when they are stopped", async () => {
    const controller = new AbortController();
    const texts = TextBatch.from(Array.from({ length: 3000 }, (_, i) => `${word(i)} `.repeat(400)));
    const work = minHashSignatures(texts, FINEWEB, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(work).rejects.toThrow("enough");
  });

  it("refuse a kernel that does not exist", async () => {
    await expect(minHashSignatures(TextBatch.from(["x"]), { ...FINEWEB, kernel: "mmx" })).rejects.toThrow(
      /no MinHash kernel "mmx"/,
    );
  });
});
