/** The native word splitter beside spaCy's own words and beside the oracle. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { splitWords } from "../../lib/native/text/clean.js";
import { splitWords as oracleWords } from "../reference/clean-words.js";
import { exceptionsOf, type Golden, Random } from "./clean-texts.js";

const golden: Golden = JSON.parse(readFileSync(new URL("../golden/clean.json", import.meta.url), "utf8"));
const exceptions = exceptionsOf(golden);

describe("words", () => {
  it.each(golden.samples.map((sample) => [sample.text, sample]))(
    "are spaCy's for English: %s",
    (text, sample) => {
      expect(splitWords(text)).toEqual(sample.words);
    },
  );

  it("are spaCy's for all of its English exceptions", () => {
    for (const words of golden.exceptions) expect(splitWords(words.join(""))).toEqual(words);
  });

  it.each(golden.samples.map((sample) => [sample.text, sample]))(
    "are spaCy's for any language: %s",
    (text, sample) => {
      expect(splitWords(text, { english: false })).toEqual(sample.general);
    },
  );

  it("are the oracle's on random texts", () => {
    const random = new Random(3);
    for (let i = 0; i < 3000; i++) {
      const text = random.noise(random.below(60));
      expect(splitWords(text), JSON.stringify(text)).toEqual(
        oracleWords(text, { exceptions, english: true }),
      );
    }
  });

  it("are none in empty and blank texts", () => {
    for (const text of ["", " ", "\n\n\t \u00a0\u3000\u2028"]) expect(splitWords(text)).toEqual([]);
  });

  it("are every ideograph by itself where asked for", () => {
    expect(splitWords("私はTypeScriptを学ぶ。", { english: false, ideographs: true })).toEqual([
      "私",
      "は",
      "TypeScript",
      "を",
      "学",
      "ぶ",
      "。",
    ]);
  });

  it("take time that grows with the text, not its square", () => {
    for (const part of ["(", ".", "a.", "a@a.b", "…", "1", "-a", "😀", "'", "x'"]) {
      const text = part.repeat(Math.ceil(1_000_000 / part.length));
      const begin = performance.now();
      const words = splitWords(text);
      expect(words.join("")).toBe(text);
      expect(performance.now() - begin, part).toBeLessThan(5000);
    }
  });
});
