/**
 * The oracle's word splitter: the steps of spaCy's blank pipelines as regular expressions over strings. Exceptions (which
 * strings are split in which way) are handed in; the tests take them from what spaCy itself says.
 */

export interface SplitOptions {
  /** Strings that are split in a certain way, or not at all, by the string. */
  exceptions: ReadonlyMap<string, readonly string[]>;
  /** Hyphens after digits split as well; English. */
  english: boolean;
}

/** Python's white space, for a character class. */
export const whiteSpace =
  "\\t-\\r\\x1c-\\x20\\x85\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const CASED =
  "A-Za-z\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u01bf\\u01c4-\\u02af\\u0386\\u0388-\\u038a\\u038c\\u038e\\u038f\\u0391-\\u03a9" +
  "\\u03ac-\\u03af\\u03b1-\\u03c9\\u03cc-\\u03ce\\u0400\\u0401\\u0403-\\u040a\\u040c\\u040d\\u0410-\\u0451\\u0453-\\u045a\\u045c" +
  "\\u045d\\u0490\\u0491\\u0496\\u0497\\u04a2\\u04a3\\u04ae\\u04af\\u04ba\\u04bb\\u04d8\\u04d9\\u04e8\\u04e9\\u1e00-\\u1eff";
const UNCASED =
  "\\u0591-\\u05f4\\u0620-\\u064a\\u066e-\\u06d5\\u06e5-\\u06ff\\u0750-\\u077f\\u08a0-\\u08bd\\u0900-\\u09ff\\u0b80-\\u0cff" +
  "\\u0d80-\\u0dff\\u1100-\\u137f\\u2e80-\\u2fdf\\u2ff0-\\u30ff\\u31c0-\\u31ef\\u3200-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7af" +
  "\\uf900-\\ufaff\\ufb1d-\\ufbb1\\ufe30-\\ufe4f\\ufe70-\\ufefc\\u{1f200}-\\u{1f2ff}\\u{20000}-\\u{2a6df}";
const ALPHA = `[${CASED}${UNCASED}]`;
const LOWER = `(?:(?=[${CASED}])\\p{Ll}|[${UNCASED}])`;
const UPPER = `(?:(?=[${CASED}])\\p{Lu}|[${UNCASED}])`;
const PUNCTUATION = "…,:;!?¿؟¡()\\[\\]{}<>_#*&。？！，、；：～·।،۔؛٪";
const QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉\\u2329\\u232a⟦⟧";
// Younger symbols are no icons; these tests use none of them.
const ICON = "\\p{So}";
const CURRENCY = "(?:US\\$|C\\$|A\\$|[$£€¥฿₽﷼₠-₵₸-₿])";
const UNITS =
  "km²|km³|km|m²|m³|m|dm²|dm³|dm|cm²|cm³|cm|mm²|mm³|mm|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|m/s|km/h|kmh|mph|hPa|Pa|mbar|" +
  "mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%|км|м|кг|г";

const PREFIX = new RegExp(
  `^(?:[§%=—–]|\\+(?![0-9])|[${PUNCTUATION}]|\\.\\.+|[${QUOTES}]|${CURRENCY}|${ICON})`,
  "u",
);
const SUFFIX = new RegExp(
  `(?:……|[${PUNCTUATION}]|\\.\\.+|[${QUOTES}]|${ICON}|['’][sS]|[—–]|(?<=[0-9])\\+|(?<=°[FfCcKk])\\.|` +
    `(?<=[0-9])${CURRENCY}|(?<=[0-9])(?:${UNITS})|(?<=[0-9%²\\-+|${PUNCTUATION}${QUOTES}]|${LOWER})\\.|` +
    `(?<=${UPPER}${UPPER})\\.)$`,
  "u",
);
const infixes = (beforeHyphen: string) =>
  new RegExp(
    `\\.\\.+|…|${ICON}|(?<=[0-9])[+\\-*^](?=[0-9-])|(?<=${LOWER}|[${QUOTES}])\\.(?=${UPPER}|[${QUOTES}])|` +
      `(?<=${ALPHA}),(?=${ALPHA})|(?<=${beforeHyphen})(?:-|–|—|--|---|——|~)(?=${ALPHA})|` +
      `(?<=${ALPHA}|[0-9])[:<>=/](?=${ALPHA})`,
    "gu",
  );
const ENGLISH_INFIX = infixes(`(?:${ALPHA}|[0-9])`);
const GENERAL_INFIX = infixes(ALPHA);

const HOST = "[A-Za-z0-9\\u00a1-\\uffff]";
const NUMBER = "(?:[1-9]?\\d|1\\d\\d|2[0-4]\\d|25[0-5]|0\\d{1,2})";
const ADDRESS = new RegExp(
  `^(?:[\\p{L}\\p{N}_+\\-.]{2,}://)?(?:\\S+@)?(?:` +
    `(?!(?:10|127)(?:\\.\\d{1,3}){3})(?!(?:169\\.254|192\\.168)(?:\\.\\d{1,3}){2})(?!172\\.(?:1[6-9]|2\\d|3[01])(?:\\.\\d{1,3}){2})` +
    `(?:[1-9]\\d?|1\\d\\d|2[01]\\d|22[0-3])(?:\\.${NUMBER}){2}\\.(?:[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-4])|` +
    `(?:(?:${HOST}(?:${HOST}|[_-]){0,62})?${HOST}\\.)+${LOWER}{2,63})(?::\\d{2,5})?(?:[/?#]\\S*)?$`,
  "u",
);

function middle(text: string, options: SplitOptions): readonly string[] {
  const exception = options.exceptions.get(text);
  if (exception !== undefined) return exception;
  if (text.includes(".") && ADDRESS.test(text)) return [text];
  const words: string[] = [];
  let from = 0;
  for (const match of text.matchAll(options.english ? ENGLISH_INFIX : GENERAL_INFIX)) {
    if (match.index === 0) continue;
    if (match.index > from) words.push(text.slice(from, match.index));
    words.push(match[0]);
    from = match.index + match[0].length;
  }
  if (from < text.length) words.push(text.slice(from));
  return words;
}

/** Without the last step, which joins exceptions that other characters touch. */
function affixes(chunk: string, options: SplitOptions): string[] {
  const { exceptions } = options;
  const before: string[] = [];
  const after: string[] = [];
  let text = chunk;
  while (text !== "" && !exceptions.has(text)) {
    const prefix = PREFIX.exec(text)?.[0] ?? "";
    if (prefix !== "" && exceptions.has(text.slice(prefix.length))) {
      before.push(prefix);
      text = text.slice(prefix.length);
      break;
    }
    const suffix = SUFFIX.exec(text.slice(prefix.length))?.[0] ?? "";
    if (suffix !== "" && exceptions.has(text.slice(0, text.length - suffix.length))) {
      after.unshift(suffix);
      text = text.slice(0, text.length - suffix.length);
      break;
    }
    if (prefix === "" && suffix === "") break;
    if (prefix !== "") before.push(prefix);
    if (suffix !== "") after.unshift(suffix);
    text = text.slice(prefix.length, text.length - suffix.length);
  }
  return [...before, ...(text === "" ? [] : middle(text, options)), ...after];
}

/** Joins words that are split as an exception would be: longest first, then leftmost. */
function rejoin(words: readonly string[], options: SplitOptions): string[] {
  const joins: { from: number; to: number; text: string }[] = [];
  for (let from = 0; from < words.length; from++) {
    for (let to = from + 2; to <= words.length && to - from < 12; to++) {
      const text = words.slice(from, to).join("");
      if (!options.exceptions.has(text)) continue;
      const plain = affixes(text, { ...options, exceptions: new Map() });
      if (plain.join(" ") === words.slice(from, to).join(" ")) joins.push({ from, to, text });
    }
  }
  joins.sort((a, b) => b.to - b.from - (a.to - a.from) || a.from - b.from);
  const taken = new Set<number>();
  const chosen = new Map<number, { to: number; text: string }>();
  for (const { from, to, text } of joins) {
    if (!taken.has(from) && !taken.has(to - 1)) chosen.set(from, { to, text });
    for (let at = from; at < to; at++) taken.add(at);
  }
  const joined: string[] = [];
  for (let at = 0; at < words.length; ) {
    const join = chosen.get(at);
    if (join === undefined) {
      joined.push(words[at++]);
    } else {
      joined.push(...(options.exceptions.get(join.text) as readonly string[]));
      at = join.to;
    }
  }
  return joined;
}

const cache = new WeakMap<SplitOptions["exceptions"], Map<string, string[]>>();

function chunkWords(chunk: string, options: SplitOptions): string[] {
  let known = cache.get(options.exceptions);
  if (known === undefined) cache.set(options.exceptions, (known = new Map()));
  const key = `${options.english}${chunk}`;
  let words = known.get(key);
  if (words === undefined) {
    const exception = options.exceptions.get(chunk);
    words = exception === undefined ? rejoin(affixes(chunk, options), options) : [...exception];
    known.set(key, words);
  }
  return words;
}

/** Words of a text. */
export function splitWords(text: string, options: SplitOptions): string[] {
  return text
    .split(new RegExp(`[${whiteSpace}]+`))
    .filter((chunk) => chunk !== "")
    .flatMap((chunk) => chunkWords(chunk, options));
}

/** Sentences of a line: a new one begins with what follows an end of sentence and is no punctuation. */
export function countSentences(line: string, options: SplitOptions): number {
  let sentences = 1;
  let ended = false;
  // White space of its own counts as a word, but for a single space, which belongs to the word before it.
  const parts = line.match(new RegExp(`[${whiteSpace}]+|[^${whiteSpace}]+`, "g")) ?? [];
  for (const part of parts) {
    const isSpace = new RegExp(`^[${whiteSpace}]`).test(part);
    if (part === " ") continue;
    for (const word of isSpace ? [part] : chunkWords(part, options)) {
      if (SENTENCE.test(word)) {
        ended = true;
      } else if (ended && !/^\p{P}+$/u.test(word)) {
        sentences++;
        ended = false;
      }
    }
  }
  return sentences;
}

/** Ends of sentences, as far as the tests use them. */
const SENTENCE = /^[!.?։؟۔।॥။።‼‽⁇⁈⁉⸮！．？｡。]$/u;
/** Ends of lines that count as ends of sentences, likewise. */
export const TERMINAL = /^[!.?։؟۔।॥။።‼‽⁇⁈⁉⸮！．？｡。]$/u;
