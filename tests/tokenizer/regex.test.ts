/**
 * The regular expression engine: classes equal to Oniguruma's over all code points, matches equal to JavaScript's where
 * both mean the same, and what is Oniguruma's own.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../lib/errors.js";
import { matchPattern } from "../../lib/native/text/split.js";
import { randomNumbers } from "./random-texts.js";

const golden: { classes: Record<string, string> } = JSON.parse(
  await readFile(fileURLToPath(new URL("../golden/character-classes.json", import.meta.url)), "utf8"),
);

const matches = (pattern: string, text: string, rust = false): string[] => {
  const bounds = matchPattern(pattern, text, rust);
  return Array.from({ length: bounds.length / 2 }, (_, i) => text.slice(bounds[2 * i], bounds[2 * i + 1]));
};

describe("classes over all code points", () => {
  let everything = "";
  for (let code = 0; code < 0x110000; code++) {
    if (code < 0xd800 || code > 0xdfff) everything += String.fromCodePoint(code);
  }
  it.each(Object.entries(golden.classes))("%s", (pattern, hash) => {
    const bounds = matchPattern(`(?:${pattern})+`, everything);
    const ranges: string[] = [];
    for (let i = 0; i < bounds.length; i += 2) {
      const first = everything.codePointAt(bounds[i]) as number;
      // A character beyond the basic plane ends two units after its beginning.
      const wide = (everything.codePointAt(bounds[i + 1] - 2) as number) > 0xffff;
      const last = everything.codePointAt(bounds[i + 1] - (wide ? 2 : 1)) as number;
      ranges.push(`${first.toString(16)}-${last.toString(16)}`);
    }
    expect(createHash("sha256").update(ranges.join(",")).digest("hex")).toBe(hash);
  });
});

/** A random pattern that means the same in JavaScript (flags `gu` and `s`), and whether it can match nothing. */
function randomPattern(random: () => number, depth: number): { text: string; empty: boolean } {
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]) => list[below(list.length)];
  const atom = (): { text: string; empty: boolean } => {
    const choice = random();
    if (choice < 0.35 || depth === 0)
      return { text: pick(["a", "b", "c", "é", "日", "👍", "\\.", "\\n"]), empty: false };
    if (choice < 0.5) {
      return {
        text: pick([
          "[ab]",
          "[^a]",
          "[a-cé]",
          "[^\\n👍]",
          "\\p{L}",
          "\\P{L}",
          "\\s",
          "\\S",
          "\\d",
          "[日-龥b]",
        ]),
        empty: false,
      };
    }
    if (choice < 0.6) return { text: ".", empty: false };
    if (choice < 0.66)
      return {
        text: pick(["(?=a)", "(?!b)", "(?<=a)", "(?<!b)", "(?<=ab|cb)", "(?![\\s\\S])"]),
        empty: true,
      };
    const inner = randomPattern(random, depth - 1);
    if (choice < 0.7) return { text: `(?=${inner.text})`, empty: true };
    if (choice < 0.74) return { text: `(?!${inner.text})`, empty: true };
    return { text: `(${choice < 0.9 ? "?:" : ""}${inner.text})`, empty: inner.empty };
  };
  const branches: { text: string; empty: boolean }[] = [];
  for (let b = pick([1, 1, 1, 2, 3]); b > 0; b--) {
    let text = "";
    let empty = true;
    for (let n = 1 + below(3); n > 0; n--) {
      const one = atom();
      // A repetition of what can be empty ends otherwise in the two engines, and JavaScript repeats no lookaround.
      if (one.empty || random() < 0.5) {
        text += one.text;
        empty &&= one.empty;
        continue;
      }
      const [repeat, optional] = pick([
        ["*", true],
        ["+", false],
        ["?", true],
        ["*?", true],
        ["+?", false],
        ["??", true],
        ["{2}", false],
        ["{1,2}", false],
        ["{2,}", false],
        ["{0,2}?", true],
        ["{1,}?", false],
      ] as const);
      text += one.text + repeat;
      empty &&= optional;
    }
    branches.push({ text, empty });
  }
  return { text: branches.map((one) => one.text).join("|"), empty: branches.some((one) => one.empty) };
}

describe("JavaScript's matches", () => {
  it("of four thousand random patterns", () => {
    const random = randomNumbers(3);
    const alphabet = ["a", "a", "b", "b", "c", "é", "日", "👍", ".", " ", "1", "\n"];
    let found = 0;
    for (let i = 0; i < 4000; i++) {
      const { text: pattern, empty } = randomPattern(random, 3);
      const expression = new RegExp(pattern, "gu");
      // V8 looks for empty matches inside surrogate pairs too.
      const narrow = empty || /\(\?<?[=!]/.test(pattern);
      const letters = narrow ? alphabet.filter((letter) => letter !== "👍") : alphabet;
      for (let n = 0; n < 4; n++) {
        const length = Math.floor(random() * 14);
        const subject = Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join("");
        const expected: number[] = [];
        let end = -1;
        for (const match of subject.matchAll(expression)) {
          // An empty match at the end of the one before does not count.
          if (match[0] === "" && match.index === end) continue;
          end = match.index + match[0].length;
          expected.push(match.index, end);
        }
        found += expected.length;
        expect([...matchPattern(pattern, subject)], `${pattern} on ${JSON.stringify(subject)}`).toEqual(
          expected,
        );
      }
    }
    expect(found).toBeGreaterThan(20_000);
  });
});

describe("Oniguruma", () => {
  it.each<[string, string, string[]]>([
    // Possessive and atomic.
    ["a++a", "aaa", []],
    ["a*+b", "aab", ["aab"]],
    ["(?>a|ab)c", "abc", []],
    ["(?:ab|a)?+b", "ab b", ["b", "b"]],
    // {n,m}+ repeats, {m,n} with more before less is possessive, {n}? is optional.
    ["a{1,2}+", "aaaaa", ["aaaaa"]],
    ["a{3,1}a", "aaa", []],
    ["a{2}?", "aab", ["aa", ""]],
    ["a{,2}", "aaa", ["aa", "a"]],
    ["a{x}", "a{x}", ["a{x}"]],
    // Options.
    ["(?i:k)", "kK\u212a", ["k", "K", "\u212a"]],
    ["(?i)ß|ſ", "SsſẞS", ["S", "s", "ſ", "ẞ", "S"]],
    ["a(?i)b|c", "aB aC ac b", ["aB", "aC", "ac"]],
    ["(?i:a(?-i)b)c", "Abc ABc", ["Abc"]],
    ["(?m:a.b)", "a\nb", ["a\nb"]],
    ["a.b", "a\nb", []],
    ["(?x) a b # letters\n c", "abc", ["abc"]],
    ["a(?#comment)b", "ab", ["ab"]],
    // Anchors are about lines.
    ["^.", "ab\ncd\n", ["a", "c"]],
    [".$", "ab\ncd", ["b", "d"]],
    ["\\A.|.\\z", "ab\ncd", ["a", "d"]],
    ["d\\Z", "d\n", ["d"]],
    ["\\bé\\w+\\b", "école aéb", ["école"]],
    ["\\B.\\B", "abc", ["b"]],
    ["\\Ga", "aaba", ["a", "a"]],
    // Classes.
    ["[a-z&&[^aeiou]]+", "abcde", ["bcd"]],
    ["[[a-c][x-z]]+", "abxyq", ["abxy"]],
    ["[^[:space:]&&[:alpha:]]+", "a b1", ["a b1"]],
    ["[^[:space:][:alpha:]]+", "a b1", ["1"]],
    ["[]a]+", "a]a", ["a]a"]],
    ["[a\\-z]+", "a-zb", ["a-z"]],
    ["[\\d-x]+", "1-x2y", ["1-x2"]],
    ["[\\x{65E5}\\u672C]+", "日本語", ["日本"]],
    ["\\xE6\\x97\\xA5", "日", ["日"]],
    ["\\h+", "beef-cafe!", ["beef", "cafe"]],
    ["\\R", "a\r\nb\nc\u2028", ["\r\n", "\n", "\u2028"]],
    ["\\p{^L}+\\P{^L}", "1a", ["1a"]],
    ["\\p{Han}|a", "漢a", ["漢", "a"]],
    ["\\p{greek}+\\p{white space}", "αβ x", ["αβ "]],
    ["(?<name>a)(b)", "ab", ["ab"]],
    ["(?<=\\s|^)x", "x yx x", ["x", "x"]],
    ["(?<=ab|c)x", "abx cx bx", ["x", "x"]],
    ["", "ab", ["", "", ""]],
  ])("%s on %j", (pattern, text, expected) => {
    expect(matches(pattern, text)).toEqual(expected);
  });
});

describe("Rust", () => {
  it.each<[string, string, string[]]>([
    ["a{1,2}+", "aaaaa", ["aa", "aa", "a"]],
    ["a{1,2}+a", "aa", []],
    [".$", "ab\ncd", ["d"]],
    ["(?m).$", "ab\ncd", ["b", "d"]],
    ["(?s)b.", "ab\ncd", ["b\n"]],
    ["a(?i)b|c", "aB C", ["aB", "C"]],
    ["a{2}?", "aaa", ["aa"]],
    ["\\w+", "a²b\u200dc", ["a", "b\u200dc"]],
    ["[[:alpha:]]+", "aéb", ["a", "b"]],
  ])("%s on %j", (pattern, text, expected) => {
    expect(matches(pattern, text, true)).toEqual(expected);
  });
});

it("ends with matches or a TokenizerError for whatever is given as pattern", () => {
  const random = randomNumbers(17);
  const pieces = [
    ..."()[]{}|*+?^$.\\-&:=!<>#,0129abipPsdwxuLN",
    "(?:",
    "(?i)",
    "(?<=",
    "[^",
    "\\p{L}",
    "[:alpha:]",
    "日",
    "👍",
  ];
  let compiled = 0;
  for (let i = 0; i < 20_000; i++) {
    const length = 1 + Math.floor(random() * 12);
    const pattern = Array.from({ length }, () => pieces[Math.floor(random() * pieces.length)]).join("");
    for (const rust of [false, true]) {
      try {
        matchPattern(pattern, "ab1 日👍-a\n", rust);
        compiled++;
      } catch (error) {
        if (!(error instanceof TokenizerError)) throw new Error(`${pattern}: ${String(error)}`);
      }
    }
  }
  expect(compiled).toBeGreaterThan(5_000);
});

it.each([
  `a${"*".repeat(1000)}`,
  "(?:){100000}{100000}",
  "(?:abc){100000}{100000}",
  "(?<=a{100000}{100000})b",
  `${"(?:a|".repeat(150)}b${")".repeat(150)}{9}{9}{9}{9}`,
  Array.from({ length: 5000 }, (_, i) => `[${String.fromCodePoint(0x4e00 + i)}a]`).join(""),
])("a pattern that would need too much memory or time: %.30s", (pattern) => {
  expect(() => matchPattern(pattern, "a")).toThrow(TokenizerError);
});

it("a class of many thousand characters in any order", () => {
  const members = Array.from({ length: 20_000 }, (_, i) =>
    String.fromCodePoint(0x4e00 + ((i * 7919) % 20_000)),
  ).join("");
  expect(matches(`[${members}]+`, "日本語abc")).toEqual(["日本語"]);
});

it("backtracks through a million repetitions without exhausting a stack", () => {
  const text = `${"ab".repeat(500_000)}c`;
  expect(matches("(?:ab|c)*d|(?:a|b)+c", text)).toEqual([text]);
  expect(matches("(?:a(?=b)|b)*?c", text)).toEqual([text]);
});
