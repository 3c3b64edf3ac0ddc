/** Normalized texts and their offsets equal to those of HF tokenizers (tests/golden/make_pretokenizers.py). */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../lib/errors.js";
import { normalizeText, type TokenizerPart } from "../../lib/tokenizer/index.js";
import { randomTexts } from "./random-texts.js";

interface Golden {
  texts: string[];
  cases: { name: string; part: TokenizerPart; results: [text: string, offsets: number[]][] }[];
}

const golden: Golden = JSON.parse(
  await readFile(fileURLToPath(new URL("../golden/normalizers.json", import.meta.url)), "utf8"),
);

describe("HF tokenizers", () => {
  it.each(golden.cases.map((one) => [one.name, one] as const))("%s", (_, { part, results }) => {
    for (const [index, [text, offsets]] of results.entries()) {
      const normalized = normalizeText(part, golden.texts[index]);
      expect(normalized.text, JSON.stringify(golden.texts[index])).toBe(text);
      expect([...normalized.offsets], JSON.stringify(golden.texts[index])).toEqual(offsets);
    }
  });
});

/** Blocks that have not changed since Unicode 9, whose tables the library has. */
const SETTLED = [
  [0x00, 0x24f],
  [0x300, 0x52f],
  [0x1e00, 0x1fff],
  [0x2100, 0x218b],
  [0x3040, 0x30ff],
  [0xac00, 0xd7a3],
  [0xf900, 0xfa2d],
  [0xff01, 0xffbe],
];
const settled = (char: string) => {
  const code = char.codePointAt(0) as number;
  return SETTLED.some(([first, last]) => code >= first && code <= last);
};

describe.each(["NFC", "NFD", "NFKC", "NFKD"])("%s", (form) => {
  it("is JavaScript's", () => {
    const texts = SETTLED.map(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i)).join(""),
    );
    for (const text of randomTexts(2000, 5)) texts.push([...text].filter(settled).join(""));
    for (const text of texts) expect(normalizeText({ type: form }, text).text).toBe(text.normalize(form));
  });

  it("leaves its own results as they are", () => {
    for (const text of randomTexts(500, 6)) {
      const once = normalizeText({ type: form }, text).text;
      const again = normalizeText({ type: form }, once);
      expect(again.text).toBe(once);
      let unit = 0;
      for (const [i, char] of [...once].entries()) {
        expect([again.offsets[2 * i], again.offsets[2 * i + 1]]).toEqual([unit, unit + char.length]);
        unit += char.length;
      }
    }
  });

  it("orders a hundred thousand marks on one letter", () => {
    const count = 50_000;
    const first = form.endsWith("C") ? "\u00e1" : "a\u0301";
    const [letter, acute] = [first[0], first.slice(1)];
    const expected = letter + "\u0316".repeat(count) + acute + "\u0301".repeat(count - 1);
    expect(normalizeText({ type: form }, `a${"\u0301\u0316".repeat(count)}`).text === expected).toBe(true);
  });
});

it("has no rule for a sigma at the end of a word, but two characters for İ", () => {
  expect(normalizeText({ type: "Lowercase" }, "ΟΔΟΣ İI").text).toBe("οδοσ i\u0307i");
});

it("normalizes the empty text to the empty text", () => {
  for (const { part } of golden.cases) {
    const { text, offsets } = normalizeText(part, "");
    expect([text, offsets.length]).toEqual(["", 0]);
  }
});

it("refuses normalizers that it does not know", () => {
  expect(() => normalizeText({ type: "NFX" }, "a")).toThrow(TokenizerError);
});
