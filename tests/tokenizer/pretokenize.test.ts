/** Pieces equal to those of HF tokenizers and tiktoken (tests/golden/make_pretokenizers.py); scanners equal to the engine. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../lib/errors.js";
import { nativePreTokenize, tiktokenPieces } from "../../lib/native/text/split.js";
import { preTokenize, type TokenizerPart } from "../../lib/tokenizer/index.js";
import { randomTexts } from "./random-texts.js";

type Piece = [text: string, start: number, end: number];
interface Golden {
  texts: string[];
  cases: { name: string; part: TokenizerPart; results: [text: number, pieces: Piece[]][] }[];
  tiktoken: { name: string; pattern: string; results: string[][] }[];
}

const golden: Golden = JSON.parse(
  await readFile(fileURLToPath(new URL("../golden/pretokenizers.json", import.meta.url)), "utf8"),
);

const cut = (part: TokenizerPart, text: string): Piece[] =>
  preTokenize(part, text, { spellBytes: true }).map((piece) => [piece.text, piece.start, piece.end]);

const tiktoken = (pattern: string, text: string): string[] => {
  const bounds = tiktokenPieces(pattern, text);
  return Array.from({ length: bounds.length / 2 }, (_, i) => text.slice(bounds[2 * i], bounds[2 * i + 1]));
};

const splitOf = (regex: string): TokenizerPart => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});

/** The same pattern in a form that no scanner knows. */
const hidden = (part: TokenizerPart): TokenizerPart => {
  if (part.type === "Sequence") {
    return { ...part, pretokenizers: (part.pretokenizers as TokenizerPart[]).map(hidden) };
  }
  if (part.type !== "Split") return part;
  const { Regex } = part.pattern as { Regex: string };
  return { ...part, pattern: { Regex: `(?:)(?:${Regex})` } };
};

/** Parts that scanners do. */
const scanned = golden.cases.filter((one) => /^(GPT|Llama|Qwen|nanochat|DeepSeek-V3)/.test(one.name));

describe("pieces of HF tokenizers", () => {
  it.each(golden.cases.map((one) => [one.name, one] as const))("%s", (_, { part, results }) => {
    for (const [index, pieces] of results) {
      expect(cut(part, golden.texts[index]), JSON.stringify(golden.texts[index])).toEqual(pieces);
    }
  });

  it.each(scanned.map((one) => [one.name, one] as const))(
    "%s, by the engine instead of the scanner",
    (_, { part, results }) => {
      for (const [index, pieces] of results) {
        const engine = hidden(
          part.type === "Sequence"
            ? {
                ...part,
                pretokenizers: (part.pretokenizers as TokenizerPart[]).filter((p) => p.type === "Split"),
              }
            : part,
        );
        const plain = preTokenize(part, golden.texts[index]);
        expect(preTokenize(engine, golden.texts[index])).toEqual(plain);
        expect(plain.length).toBe(pieces.length);
      }
    },
  );

  it.each(scanned.map((one) => [one.name, one.part] as const))("%s on random texts", (_, part) => {
    const splits =
      part.type === "Sequence"
        ? {
            ...part,
            pretokenizers: (part.pretokenizers as TokenizerPart[]).filter((p) => p.type === "Split"),
          }
        : part;
    for (const text of randomTexts(400, 11)) {
      const pieces = preTokenize(splits, text);
      expect(preTokenize(hidden(splits), text), JSON.stringify(text)).toEqual(pieces);
      expect(pieces.map((piece) => piece.text).join("")).toBe(text);
    }
  });
});

describe("pieces of tiktoken", () => {
  it.each(golden.tiktoken.map((one) => [one.name, one] as const))("%s", (_, { pattern, results }) => {
    for (const [index, pieces] of results.entries()) {
      expect(tiktoken(pattern, golden.texts[index]), JSON.stringify(golden.texts[index])).toEqual(pieces);
    }
  });

  it("keeps digits in threes where Oniguruma reads the same pattern otherwise", () => {
    const { pattern } = golden.tiktoken.find((one) => one.name === "cl100k_base") as { pattern: string };
    expect(tiktoken(pattern, "x1234567")).toEqual(["x", "123", "456", "7"]);
    expect(preTokenize(splitOf(pattern), "x1234567").map((piece) => piece.text)).toEqual(["x", "1234567"]);
  });
});

/** Places where a piece does not begin where the one before it ends; whole texts have none. */
const gaps = (part: TokenizerPart, text: string): number => {
  const { pieces } = nativePreTokenize(JSON.stringify(part), false, text);
  let count = pieces[0] === 0 && pieces[pieces.length - 1] === text.length ? 0 : 1;
  for (let i = 2; i < pieces.length; i += 2) if (pieces[i] !== pieces[i - 1]) count++;
  return count;
};

describe("texts of a million characters", () => {
  const unit = [
    "x",
    "X",
    " ",
    "\n",
    "\r\n",
    "1",
    ".",
    "日",
    "\u0301",
    "\u00a0",
    "👍",
    "\u0000",
    "Aa",
    "日A",
    " \n",
    "'s",
  ];
  it.each(scanned.map((one) => [one.name, one.part] as const))("%s", (_, part) => {
    for (const text of unit) {
      const long = text.repeat(1_000_000 / text.length);
      expect(gaps(part, long), JSON.stringify(text)).toBe(0);
    }
  });

  it("go through the engine in linear time", () => {
    const engine = hidden(splitOf((golden.tiktoken[2] as { pattern: string }).pattern));
    for (const text of unit) {
      const long = text.repeat(200_000 / text.length);
      expect(gaps(engine, long), JSON.stringify(text)).toBe(0);
    }
    // A loop that fails at every place of a run is left after the first.
    const spaces = `${" ".repeat(1_000_000)}x`;
    expect(preTokenize(splitOf("\\s+$"), spaces)).toHaveLength(1);
  });
});

describe("what is refused", () => {
  it("a pattern that needs too many steps, with the pattern in the message", () => {
    const text = `${"a".repeat(64)}!`;
    expect(() => preTokenize(splitOf("(?:a+)+$"), text)).toThrow(TokenizerError);
    expect(() => preTokenize(splitOf("(?:a+)+$"), text)).toThrow(/\(\?:a\+\)\+\$ takes too many steps/);
  });

  it.each([
    ["(", "'(' without ')'"],
    ["a)", "')' without '('"],
    ["[a", "'[' without ']'"],
    ["*a", "a repetition of nothing"],
    ["\\p{Nonsense}", 'unknown property "Nonsense"'],
    ["\\p{L", "'{' without '}'"],
    ["(a)\\1", "back references are not supported"],
    ["\\Xa", "\\X is not supported"],
    ["(?<=a+)b", "a lookbehind of changing length"],
    ["(?#a", "a comment without its end"],
    ["a{100001}", "more than 100000 repetitions"],
    ["(?:a[bc]){60000}", "its repetitions make it too large"],
    ["[z-a]", "a range from a higher to a lower character"],
    ["\\u00", "too few hexadecimal digits"],
    ["\\x{D800}", "no code point"],
    ["a\\", "'\\' at the end"],
    ["(?Q)a", "this kind of group is not supported"],
    [`${"(".repeat(300)}a${")".repeat(300)}`, "nested too deeply"],
  ])("the pattern %s", (pattern, problem) => {
    let error: unknown;
    try {
      preTokenize(splitOf(pattern), "a");
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(TokenizerError);
    expect((error as TokenizerError).message).toContain(problem);
  });

  it("a FixedLength of 0", () => {
    expect(() => preTokenize({ type: "FixedLength", length: 0 }, "a")).toThrow(TokenizerError);
  });
});

it("gives no pieces for the empty text", () => {
  for (const { part } of golden.cases) expect(preTokenize(part, "")).toEqual([]);
});

it("takes lone surrogates for U+FFFD", () => {
  expect(preTokenize(splitOf("\\s"), "a\ud800 b").map((piece) => piece.text)).toEqual(["a\ufffd", " ", "b"]);
});
