/** What can be set about cleaning, and what it means for the native rules. */
import { ConfigError, didYouMean } from "../../errors.js";
import { type NativeCleanOptions, REPAIR_STEPS } from "../../native/text/clean.js";
import type { LanguageIdentifier } from "../language/index.js";
import { checkInteger, checkOptions } from "../options.js";
import { baseLanguage, STOP_WORD_LANGUAGES, stopWordsOf, wordsOf } from "./languages.js";
import { CLEAN_RULES, type CleanRule, TEXT_RULES } from "./rules.js";
import type { UrlFilter } from "./url-filter.js";

/** Steps that make texts uniform, in the order in which they are done. FineWeb has none of them; all are off. */
export interface RepairOptions {
  /** UTF-8 that was read as Windows-1252: `â€™` becomes `’`. */
  mojibake?: boolean;
  /** CR LF and CR become LF. */
  lineEnds?: boolean;
  /** Control characters but tab and newline go. */
  controls?: boolean;
  /** Zero-width spaces, byte-order marks, soft hyphens and directional marks go; joiners stay. */
  invisible?: boolean;
  /** No-break and typographic spaces become plain ones. */
  spaces?: boolean;
  /** Unicode normalisation form C. */
  compose?: boolean;
  /** White space at ends of lines goes; of three or more newlines two are left. */
  blankLines?: boolean;
}

/** C4's rules over lines. */
export interface LineOptions {
  /** Lines with a longer word are dropped; characters. Default 1000; false: not asked. */
  maxWordLength?: number | false;
  /** Lines that do not end with `. ? ! " '` or end with `...` are dropped. Default false, as in FineWeb. */
  terminalPunctuation?: boolean;
  /** Lines of fewer words are dropped. Default 3; false: not asked. */
  minWords?: number | false;
  /** Lines that mention JavaScript are dropped. Default true. */
  javascript?: boolean;
  /** Lines with one of these phrases are dropped, whatever the case of A to Z. Default: six English ones; false: none. */
  policyPhrases?: readonly string[] | false;
  /** Marks such as `[12]`, `[edit]`, `[citation needed]` are cut out. Default true. */
  citations?: boolean;
}

/** What is masked, and by what: true for the default placeholders, a list to choose them, false for not at all. */
export interface MaskOptions {
  /** Mail addresses. Default: `email@example.com` and `firstname.lastname@example.org` in turn. */
  emails?: boolean | readonly string[];
  /** IPv4 addresses. Default: FineWeb's six, in turn. */
  ipv4?: boolean | readonly string[];
  /** IPv6 addresses. Default false; true: an address of the block for documentation. */
  ipv6?: boolean | readonly string[];
  /** Telephone numbers, international and North American. Default false; true: a fictitious number. */
  phones?: boolean | readonly string[];
  /** Only addresses that are reachable from everywhere are masked. Default true. */
  publicAddressesOnly?: boolean;
}

export interface CleanOptions {
  /**
   * Language of the texts (ISO 639-1): splits words, chooses stop words. Default `en`. For languages without known stop
   * words that rule is off; for Chinese and Japanese also the one about short words. FineWeb's thresholds are for English.
   */
  language?: string;
  /**
   * Thresholds by rule name: a number, `false` to switch a rule off, `true` to switch it on. Defaults: CLEAN_RULES, which
   * are FineWeb's. A step's name (`gopher-repetition`, `c4`, …) with `false` switches all of its rules off.
   */
  rules?: Readonly<Record<string, number | boolean>>;
  /** Asked first, of documents that have a URL. Default: none. */
  url?: UrlFilter | null;
  /** Asked second. Default: none. */
  identifier?: LanguageIdentifier | null;
  /** Languages that `identifier` is to find; default: `language`. */
  languages?: readonly string[];
  repair?: RepairOptions;
  /** C4's line rules; false: neither they nor the rules `c4.*`, which look at the lines that are kept. */
  lines?: LineOptions | false;
  /** Masking of what names a person or a computer; false: none. */
  mask?: MaskOptions | false;
  /** Words of which at least two must occur. Default: those of `language`. */
  stopWords?: readonly string[];
  /** Characters that end a line well for FineWeb's rule. Default: all ends of sentences that Unicode knows. */
  terminalPunctuation?: string;
  /** Characters of a line that counts as short. Default 30. */
  shortLine?: number;
  /** Examples per rule in the report. Default 5. */
  examples?: number;
  /** Threads; default: the usable cores. */
  threads?: number;
}

const OPTIONS = [
  "language",
  "rules",
  "url",
  "identifier",
  "languages",
  "repair",
  "lines",
  "mask",
  "stopWords",
  "terminalPunctuation",
  "shortLine",
  "examples",
  "threads",
] as const;
const LINE_OPTIONS = [
  "maxWordLength",
  "terminalPunctuation",
  "minWords",
  "javascript",
  "policyPhrases",
  "citations",
] as const;
const MASK_OPTIONS = ["emails", "ipv4", "ipv6", "phones", "publicAddressesOnly"] as const;

const POLICY_PHRASES = [
  "terms of use",
  "privacy policy",
  "cookie policy",
  "uses cookies",
  "use of cookies",
  "use cookies",
];
// Addresses of mail and IPv4 are datatrove's; the others belong to blocks that are kept free for examples.
const PLACEHOLDERS = {
  emails: ["email@example.com", "firstname.lastname@example.org"],
  ipv4: [
    "22.214.171.124",
    "126.96.36.199",
    "188.8.131.52",
    "184.108.40.206",
    "220.127.116.11",
    "18.104.22.168",
  ],
  ipv6: ["2001:db8::1"],
  phones: ["+1 202-555-0143"],
};

/** Everything about cleaning, with all defaults filled in, as JSON: what decides the result. */
export interface CleanSettings {
  language: string;
  /** By rule name; false: not asked. */
  thresholds: Record<string, number | false>;
  /** What the URL filter looks for: its lists by name and length; null: no filter. */
  url: Record<string, number> | null;
  /** Name of the language identifier; null: none. */
  identifier: string | null;
  languages: string[];
  repair: string[];
  lines: Required<LineOptions> | false;
  mask: { emails: string[]; ipv4: string[]; ipv6: string[]; phones: string[]; publicAddressesOnly: boolean };
  stopWords: string[];
  terminalPunctuation: string;
  shortLine: number;
  examples: number;
}

/**
 * Options with defaults.
 * @throws ConfigError for options, rules or steps that do not exist, and values that make no sense.
 */
export function cleanSettings(options: CleanOptions): CleanSettings {
  checkOptions("cleaning", options, OPTIONS);
  const { language = "en", repair = {}, lines = {}, mask = {}, url, identifier } = options;
  const stopWords = options.stopWords ?? stopWordsOf(language) ?? [];
  checkOptions("cleaning's repair", repair, REPAIR_STEPS);
  if (typeof options.shortLine !== "undefined") checkInteger("shortLine", options.shortLine, 0, 2 ** 31);
  const settings: CleanSettings = {
    language,
    thresholds: thresholdsOf(options, stopWords.length > 0),
    url: url?.describe() ?? null,
    identifier: identifier?.name ?? null,
    languages: [...(options.languages ?? [language])].map(baseLanguage),
    repair: REPAIR_STEPS.filter((step) => repair[step]),
    lines: lines === false ? false : lineSettings(lines),
    mask: maskSettings(mask === false ? { emails: false, ipv4: false } : mask),
    stopWords: [...stopWords],
    terminalPunctuation: options.terminalPunctuation ?? "",
    shortLine: options.shortLine ?? 30,
    examples: checkInteger("examples", options.examples ?? 5, 0, 1000),
  };
  if (identifier == null && options.languages !== undefined) {
    throw new ConfigError(
      "languages needs an identifier that says which language a text is in. Give one with the option identifier, " +
        "for example builtInIdentifier().",
      { languages: options.languages },
    );
  }
  return settings;
}

function lineSettings(lines: LineOptions): Required<LineOptions> {
  checkOptions("cleaning's lines", lines, LINE_OPTIONS);
  const {
    maxWordLength = 1000,
    terminalPunctuation = false,
    minWords = 3,
    javascript = true,
    policyPhrases = POLICY_PHRASES,
    citations = true,
  } = lines;
  for (const [name, value] of Object.entries({ maxWordLength, minWords })) {
    if (value !== false) checkInteger(`lines.${name}`, value, 0, 2 ** 31);
  }
  const small = policyPhrases === false ? false : policyPhrases.map((phrase) => phrase.toLowerCase());
  return { maxWordLength, terminalPunctuation, minWords, javascript, policyPhrases: small, citations };
}

function maskSettings(mask: MaskOptions): CleanSettings["mask"] {
  checkOptions("cleaning's mask", mask, MASK_OPTIONS);
  const chosen = (name: keyof typeof PLACEHOLDERS, on: boolean) => {
    const value = mask[name] ?? on;
    if (typeof value === "boolean") return value ? PLACEHOLDERS[name] : [];
    if (value.length === 0) {
      throw new ConfigError(`mask.${name} is an empty list of placeholders. Use false to mask nothing.`, {
        option: `mask.${name}`,
      });
    }
    return [...value];
  };
  return {
    emails: chosen("emails", true),
    ipv4: chosen("ipv4", true),
    ipv6: chosen("ipv6", false),
    phones: chosen("phones", false),
    publicAddressesOnly: mask.publicAddressesOnly ?? true,
  };
}

/** Thresholds of all rules: defaults, then steps, then single rules. */
function thresholdsOf(options: CleanOptions, stopWords: boolean): Record<string, number | false> {
  const { language = "en", rules = {} } = options;
  const names = CLEAN_RULES.map((rule) => rule.name);
  const steps = [...new Set(names.map((name) => name.split(".")[0]))];
  for (const [name, value] of Object.entries(rules)) {
    if (!names.includes(name) && !steps.includes(name)) {
      throw new ConfigError(
        `Cleaning has no rule "${name}".${didYouMean(name, [...names, ...steps])} Its steps are ${steps.join(", ")}; ` +
          "CLEAN_RULES lists all rules.",
        { rule: name, rules: names },
      );
    }
    if (
      typeof value === "number" ? !Number.isFinite(value) || steps.includes(name) : typeof value !== "boolean"
    ) {
      throw new ConfigError(
        steps.includes(name)
          ? `The step ${name} can be true or false, got ${String(value)}. Thresholds belong to its rules.`
          : `The threshold of ${name} must be a finite number, true or false, got ${String(value)}.`,
        { rule: name, value },
      );
    }
  }
  const off = new Set<string>();
  if (!stopWords) off.add("gopher-quality.stop-words");
  if (wordsOf(language).ideographs) off.add("gopher-quality.min-mean-word-length");
  const thresholds: Record<string, number | false> = {};
  for (const rule of CLEAN_RULES) {
    const [step] = rule.name.split(".");
    // `true` for a step means its defaults; for a rule it switches on what is off by default.
    const value = rules[rule.name] ?? (rules[step] === false ? false : undefined);
    const without = step === "c4" && options.lines === false;
    if (without && (typeof value === "number" || value === true)) {
      throw new ConfigError(
        `The rule ${rule.name} looks at the lines that C4's line rules keep, but lines is false. Leave lines out, or ` +
          "switch single line rules off.",
        { rule: rule.name },
      );
    }
    thresholds[rule.name] = thresholdOf(rule, value, without || off.has(rule.name));
  }
  if (thresholds["gopher-quality.stop-words"] !== false && !stopWords) {
    throw new ConfigError(
      `No stop words are known of the language "${language}" (known: ${STOP_WORD_LANGUAGES.join(", ")}). Give some ` +
        "with the option stopWords, or leave the rule gopher-quality.stop-words off.",
      { language },
    );
  }
  return thresholds;
}

function thresholdOf(rule: CleanRule, value: number | boolean | undefined, off: boolean): number | false {
  if (typeof value === "number" || value === false) return value;
  if (off) return value === true && rule.threshold !== false ? rule.threshold : false;
  if (value === true) return rule.threshold === false ? (rule.suggested ?? false) : rule.threshold;
  return rule.threshold;
}

/** The settings as the native rules take them. */
export function nativeOptions(settings: CleanSettings): NativeCleanOptions {
  const { thresholds, lines, mask } = settings;
  const { english, ideographs } = wordsOf(settings.language);
  const orNever = (value: number | false) => (value === false ? Number.NaN : value);
  const line = lines || lineSettings({});
  return {
    thresholds: Float64Array.from(TEXT_RULES, (rule) => orNever(thresholds[rule.name])),
    english,
    ideographs,
    stopWords: settings.stopWords,
    lines: lines !== false,
    maxWordLength: orNever(line.maxWordLength),
    terminalPunctuation: line.terminalPunctuation,
    minWordsPerLine: orNever(line.minWords),
    javascript: line.javascript,
    policyPhrases: line.policyPhrases || [],
    citations: line.citations,
    shortLine: settings.shortLine,
    longParagraph: 200,
    terminalMarks: settings.terminalPunctuation,
    placeholders: [mask.emails, mask.ipv4, mask.ipv6, mask.phones],
    publicAddressesOnly: mask.publicAddressesOnly,
    examples: settings.examples,
  };
}

/** The repair steps as bits. */
export function repairBits(settings: CleanSettings): number {
  return REPAIR_STEPS.reduce((bits, step, at) => bits | (settings.repair.includes(step) ? 1 << at : 0), 0);
}
