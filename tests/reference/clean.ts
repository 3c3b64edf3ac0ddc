/**
 * The oracle of cleaning: Gopher's, C4's and FineWeb's rules and the masking of addresses, in plain TypeScript, written for
 * reading. Lengths are code points. Texts are taken apart as Python does it (str.split, str.splitlines, str.strip).
 */
import { countSentences, type SplitOptions, splitWords, whiteSpace } from "./clean-words.js";

/** What FineWeb asks; thresholds of rules by name, missing: not asked. */
export interface OracleOptions extends SplitOptions {
  thresholds: Record<string, number>;
  stopWords: readonly string[];
  terminal: RegExp;
  lines: boolean;
  maxWordLength: number;
  terminalPunctuation: boolean;
  minWords: number;
  policyPhrases: readonly string[];
}

export interface OracleResult {
  /** The first rule that removes the document. */
  rule: string | undefined;
  /** What the rules looked at, up to that one. */
  values: Record<string, number>;
  /** The text after C4's edits. */
  text: string;
}

const SPACES = `[${whiteSpace}]`;
const length = (text: string) => [...text].length;
const stripLeft = (text: string) => text.replace(new RegExp(`^${SPACES}+`), "");
const stripRight = (text: string) => {
  let end = text.length;
  while (end > 0 && new RegExp(SPACES).test(text[end - 1])) end--;
  return text.slice(0, end);
};
const strip = (text: string) => stripRight(stripLeft(text));
const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0);
const occurrences = (text: string, part: string) => text.split(part).length - 1;

const LINE_ENDS = "\\n\\v\\f\\r\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINE_END = new RegExp(`\\r\\n|[${LINE_ENDS}]`);

/** str.splitlines: no empty line behind the last line end. */
export function splitLines(text: string): string[] {
  const lines = text.split(LINE_END);
  if (lines[lines.length - 1] === "") lines.pop();
  return lines;
}

/** Pieces that came before: how many, and their characters. */
function duplicates(pieces: readonly string[]): { count: number; characters: number } {
  const seen = new Set<string>();
  let count = 0;
  let characters = 0;
  for (const piece of pieces) {
    if (seen.has(piece)) {
      count++;
      characters += length(piece);
    }
    seen.add(piece);
  }
  return { count, characters };
}

/** (length of the most frequent sequence of n words, with spaces) · (its occurrences); the first one of equals. */
function mostFrequent(words: readonly string[], n: number): number | undefined {
  const counts = new Map<string, number>();
  for (let at = 0; at + n <= words.length; at++) {
    const sequence = words.slice(at, at + n).join(" ");
    counts.set(sequence, (counts.get(sequence) ?? 0) + 1);
  }
  if (counts.size === 0) return undefined;
  const most = Math.max(...counts.values());
  const [first] = [...counts].find(([, count]) => count === most) as [string, number];
  return length(first) * most;
}

/** Characters in sequences of n words that came before; a repeated sequence is skipped as a whole. */
function duplicated(words: readonly string[], n: number): number {
  const seen = new Set<string>();
  let characters = 0;
  for (let at = 0; at + n <= words.length; ) {
    const sequence = words.slice(at, at + n).join("");
    if (seen.has(sequence)) {
      characters += length(sequence);
      at += n;
    } else {
      seen.add(sequence);
      at++;
    }
  }
  return characters;
}

/** What does not make a word: datatrove's punctuation. */
const CONTROLS = "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f";
const NO_WORD = new RegExp(
  `^[${CONTROLS}!-/:-@[-\`{-~«´»–—’“”„…∶━►、〈〉《》「」【】％（），１：；～]$`,
  "u",
);

/** All rules on a text, in FineWeb's order. */
export function checkDocument(original: string, options: OracleOptions): OracleResult {
  const values: Record<string, number> = {};
  const result: OracleResult = { rule: undefined, values, text: original };
  const above = (name: string, value: number) => test(name, value, (limit) => value > limit);
  const below = (name: string, value: number) => test(name, value, (limit) => value < limit);
  const test = (name: string, value: number, breached: (limit: number) => boolean) => {
    const limit = options.thresholds[name];
    if (limit === undefined || result.rule !== undefined) return false;
    values[name] = value;
    if (!breached(limit)) return false;
    result.rule = name;
    return true;
  };

  const text = original;
  const characters = length(text);
  above("text.replacement-characters", share(occurrences(text, "\ufffd"), characters));

  const paragraphs = strip(text).split(/\n{2,}/);
  let found = duplicates(paragraphs);
  above("gopher-repetition.duplicate-paragraphs", found.count / paragraphs.length);
  above("gopher-repetition.duplicate-paragraph-characters", share(found.characters, characters));
  const pieces = text.split(/\n+/);
  found = duplicates(pieces);
  above("gopher-repetition.duplicate-lines", found.count / pieces.length);
  above("gopher-repetition.duplicate-line-characters", share(found.characters, characters));
  const words = splitWords(text, options);
  for (const n of [2, 3, 4]) {
    const most = mostFrequent(words, n);
    if (most !== undefined) above(`gopher-repetition.top-${n}-gram`, share(most, characters));
  }
  for (const n of [5, 6, 7, 8, 9, 10]) {
    above(`gopher-repetition.duplicate-${n}-grams`, share(duplicated(words, n), characters));
  }
  if (result.rule !== undefined) return result;

  const meaningful = words.filter((word) =>
    [...word].some((c) => !NO_WORD.test(c) && !options.terminal.test(c)),
  );
  below("gopher-quality.min-words", meaningful.length);
  above("gopher-quality.max-words", meaningful.length);
  if (meaningful.length > 0) {
    const mean = meaningful.reduce((sum, word) => sum + length(word), 0) / meaningful.length;
    below("gopher-quality.min-mean-word-length", mean);
    above("gopher-quality.max-mean-word-length", mean);
  }
  above("gopher-quality.hashes-per-word", share(occurrences(text, "#"), words.length));
  const ellipses = occurrences(text, "...") + occurrences(text, "…");
  above("gopher-quality.ellipses-per-word", share(ellipses, words.length));
  const lines = splitLines(text);
  const bullets = lines.filter((line) => /^[•-]/.test(stripLeft(line)));
  above("gopher-quality.bullet-lines", share(bullets.length, lines.length));
  const trailing = lines.filter((line) => /(\.\.\.|…)$/.test(stripRight(line)));
  above("gopher-quality.ellipsis-lines", share(trailing.length, lines.length));
  if (words.length > 0) {
    below(
      "gopher-quality.alphabetic-words",
      words.filter((word) => /\p{L}/u.test(word)).length / words.length,
    );
  }
  below("gopher-quality.stop-words", new Set(words.filter((word) => options.stopWords.includes(word))).size);
  if (result.rule !== undefined) return result;

  if (options.lines) {
    let lorem = 0;
    let bracket = 0;
    let sentences = 0;
    const kept: string[] = [];
    for (const whole of lines) {
      let line = strip(whole);
      const lineWords = line === "" ? [] : line.split(new RegExp(`${SPACES}+`));
      if (lineWords.some((word) => length(word) > options.maxWordLength)) continue;
      line = line.replace(/\[\d*\]|\[edit\]|\[citation needed\]/g, "");
      if (options.terminalPunctuation && (!/[.?!"']$/.test(line) || line.endsWith("..."))) continue;
      if (lineWords.length < options.minWords) continue;
      const small = line.replace(/[A-Z]/g, (c) => c.toLowerCase());
      if (small.includes("lorem ipsum") && ++lorem > options.thresholds["c4.lorem-ipsum"]) break;
      if (small.includes("javascript")) continue;
      if (line.includes("{") && ++bracket > options.thresholds["c4.curly-bracket"]) break;
      if (options.policyPhrases.some((phrase) => small.includes(phrase))) continue;
      sentences += countSentences(line, options);
      kept.push(line);
    }
    // Either ends the walk when it removes the document, and then the other is not looked at.
    if (!(bracket > options.thresholds["c4.curly-bracket"])) above("c4.lorem-ipsum", lorem);
    above("c4.curly-bracket", bracket);
    below("c4.min-sentences", sentences);
    if (result.rule !== undefined) return result;
    result.text = strip(kept.join("\n"));
    const long = result.text.split(/\n+/).filter((line) => length(line) >= 200);
    below("c4.long-paragraphs", long.length);
    if (result.rule !== undefined) return result;
  }
  fineWeb(result.text, options, above, below);
  return result;
}

type Test = (name: string, value: number) => boolean;

function fineWeb(text: string, options: OracleOptions, above: Test, below: Test): void {
  const lines = text.split("\n").filter((line) => strip(line) !== "");
  below("fineweb.empty", lines.length);
  if (lines.length === 0) return;
  const ending = lines.filter((line) => options.terminal.test([...line].at(-1) as string));
  below("fineweb.terminal-punctuation-lines", ending.length / lines.length);
  above("fineweb.short-lines", lines.filter((line) => length(line) <= 30).length / lines.length);
  const characters = length(text.replaceAll("\n", ""));
  above("fineweb.duplicate-line-characters", duplicates(lines).characters / characters);
  above("fineweb.newlines-per-word", share(occurrences(text, "\n"), splitWords(text, options).length));
}

const OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)";
const LOCAL = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
/** Boundaries of words are those of Unicode: letters, numbers and underscores make words. */
const BOUNDARY = "(?:(?<![\\p{L}\\p{N}_])(?=[\\p{L}\\p{N}_])|(?<=[\\p{L}\\p{N}_])(?![\\p{L}\\p{N}_]))";
const MAIL = new RegExp(
  `${BOUNDARY}${LOCAL}(?:\\.${LOCAL})*@(?:(?:${LABEL}\\.)+${LABEL}|` +
    `\\[(?:${OCTET}\\.){3}(?:${OCTET}|[A-Za-z0-9-]*[A-Za-z0-9]:)\\])`,
  "gu",
);
const IPV4 = new RegExp(`(?:${OCTET}\\.){3}${OCTET}`, "g");

/** Networks whose addresses are not reachable from everywhere: IANA's registry of special-purpose addresses. */
const SPECIAL = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "240.0.0.0/4",
];

const toNumber = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

function isPublic(address: string): boolean {
  if (address.split(".").some((part) => /^0\d/.test(part))) return false;
  if (address === "192.0.0.9" || address === "192.0.0.10") return true;
  return !SPECIAL.some((network) => {
    const [base, bits] = network.split("/");
    const size = 2 ** (32 - Number(bits));
    return Math.floor(toNumber(address) / size) === Math.floor(toNumber(base) / size);
  });
}

/** Mail addresses and public IPv4 addresses replaced. */
export function maskAddresses(text: string, mail: string, ip: string): string {
  return text.replace(MAIL, mail).replace(IPV4, (address) => (isPublic(address) ? ip : address));
}
