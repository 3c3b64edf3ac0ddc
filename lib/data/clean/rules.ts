/** The rules that remove or edit documents, in their order, with defaults as FineWeb ships them. */

/** A rule that removes documents. */
export interface CleanRule {
  /** Step and statistic, for example `gopher-quality.min-words`. */
  readonly name: string;
  /** A document is removed when its value is on this side of the threshold. */
  readonly comparison: ">" | "<" | "<=";
  /** Default threshold; false: the rule is off unless a threshold is given. */
  readonly threshold: number | false;
  /** The threshold that `true` stands for where the rule is off by default. */
  readonly suggested?: number;
  /** What the value is, for people. */
  readonly statistic: string;
  /** Values between which the report's distribution is drawn. */
  readonly range: readonly [number, number];
  readonly scale: "linear" | "log";
}

type Row = [
  name: string,
  comparison: ">" | "<" | "<=",
  threshold: number | false,
  statistic: string,
  range: readonly [number, number],
  scale?: "linear" | "log",
  suggested?: number,
];

const SHARE: readonly [number, number] = [0, 1];

const gram = (n: number, threshold: number): Row => [
  `gopher-repetition.top-${n}-gram`,
  ">",
  threshold,
  `share of characters in the most frequent sequence of ${n} words`,
  [0, 0.5],
];
const grams = (n: number, threshold: number): Row => [
  `gopher-repetition.duplicate-${n}-grams`,
  ">",
  threshold,
  `share of characters in sequences of ${n} words that came before`,
  SHARE,
];

// In the order of native/text/clean/rules.h.
const TEXT_ROWS: readonly Row[] = [
  [
    "text.replacement-characters",
    ">",
    false,
    "share of characters that are U+FFFD",
    [0, 0.1],
    "linear",
    0.001,
  ],
  ["gopher-repetition.duplicate-paragraphs", ">", 0.3, "share of paragraphs that came before", SHARE],
  [
    "gopher-repetition.duplicate-paragraph-characters",
    ">",
    0.2,
    "share of characters in paragraphs that came before",
    SHARE,
  ],
  ["gopher-repetition.duplicate-lines", ">", 0.3, "share of lines that came before", SHARE],
  [
    "gopher-repetition.duplicate-line-characters",
    ">",
    0.2,
    "share of characters in lines that came before",
    SHARE,
  ],
  gram(2, 0.2),
  gram(3, 0.18),
  gram(4, 0.16),
  grams(5, 0.15),
  grams(6, 0.14),
  grams(7, 0.13),
  grams(8, 0.12),
  grams(9, 0.11),
  grams(10, 0.1),
  ["gopher-quality.min-words", "<", 50, "words that are not punctuation", [1, 1e6], "log"],
  ["gopher-quality.max-words", ">", 100_000, "words that are not punctuation", [1, 1e6], "log"],
  ["gopher-quality.min-mean-word-length", "<", 3, "mean length of words in characters", [0, 15]],
  ["gopher-quality.max-mean-word-length", ">", 10, "mean length of words in characters", [0, 15]],
  ["gopher-quality.hashes-per-word", ">", 0.1, "number signs per word", [0, 0.5]],
  ["gopher-quality.ellipses-per-word", ">", 0.1, "ellipses per word", [0, 0.5]],
  ["gopher-quality.bullet-lines", ">", 0.9, "share of lines that begin with a bullet or a hyphen", SHARE],
  ["gopher-quality.ellipsis-lines", ">", 0.3, "share of lines that end with an ellipsis", SHARE],
  ["gopher-quality.alphabetic-words", "<", 0.8, "share of words with a letter", SHARE],
  ["gopher-quality.stop-words", "<", 2, "distinct stop words", [0, 10]],
  ["c4.lorem-ipsum", ">", 0, "lines with “lorem ipsum”", [0, 1]],
  ["c4.curly-bracket", ">", 0, "lines with a curly bracket", [0, 1]],
  ["c4.min-sentences", "<", 5, "sentences in the lines that are kept", [1, 1e4], "log"],
  ["c4.long-paragraphs", "<", false, "lines of at least 200 characters", [0, 20], "linear", 3],
  ["fineweb.empty", "<", 1, "lines that are not blank", [1, 1e4], "log"],
  ["fineweb.terminal-punctuation-lines", "<", 0.12, "share of lines that end a sentence", SHARE],
  ["fineweb.short-lines", ">", 0.67, "share of lines of at most 30 characters", SHARE],
  ["fineweb.duplicate-line-characters", ">", 0.01, "share of characters in lines that came before", [0, 0.1]],
  ["fineweb.newlines-per-word", ">", 0.3, "newlines per word", SHARE],
];

const URL_ROWS: readonly Row[] = [
  ["url.domain", ">", 0, "listed domains that the host belongs to", [0, 1]],
  ["url.address", ">", 0, "listed addresses that the URL is", [0, 1]],
  ["url.banned-words", ">", 0, "banned words in the URL", [0, 5]],
  ["url.soft-banned-words", ">", 1, "distinct words of the soft list in the URL", [0, 5]],
  ["url.banned-substrings", ">", 0, "banned strings in the URL, whatever stands between letters", [0, 1]],
];

const LANGUAGE_ROWS: readonly Row[] = [
  ["language.wanted", "<", 1, "whether the language is a wanted one", [0, 1]],
  ["language.score", "<=", 0.65, "score of the language", SHARE],
];

const rule = ([
  name,
  comparison,
  threshold,
  statistic,
  range,
  scale = "linear",
  suggested,
]: Row): CleanRule => ({
  name,
  comparison,
  threshold,
  statistic,
  range,
  scale,
  ...(suggested !== undefined && { suggested }),
});

/** Rules over URLs, asked first. */
export const URL_RULES: readonly CleanRule[] = URL_ROWS.map(rule);
/** Rules over languages, asked after URLs. */
export const LANGUAGE_RULES: readonly CleanRule[] = LANGUAGE_ROWS.map(rule);
/** Rules over texts, asked last, in the order of the native code's results. */
export const TEXT_RULES: readonly CleanRule[] = TEXT_ROWS.map(rule);
/** All rules in the order in which they are asked. */
export const CLEAN_RULES: readonly CleanRule[] = [...URL_RULES, ...LANGUAGE_RULES, ...TEXT_RULES];

/** Rules that drop lines or cut parts out of them, in the order of the native code's results. */
export const LINE_RULES = [
  { name: "c4-lines.max-word-length", effect: "lines with a word of more characters than the limit" },
  { name: "c4-lines.terminal-punctuation", effect: "lines that do not end with . ? ! or a quote" },
  { name: "c4-lines.min-words", effect: "lines of fewer words than the limit" },
  { name: "c4-lines.javascript", effect: "lines that mention JavaScript" },
  { name: "c4-lines.policy", effect: "lines about terms of use, privacy and cookies" },
  { name: "c4-lines.citations", effect: "marks such as [12] and [edit]; the line stays" },
] as const;

/** What is masked, in the order of the native code's results. */
export const MASKS = [
  { name: "mask.emails", effect: "mail addresses" },
  { name: "mask.ipv4", effect: "IPv4 addresses" },
  { name: "mask.ipv6", effect: "IPv6 addresses" },
  { name: "mask.phones", effect: "telephone numbers" },
] as const;
