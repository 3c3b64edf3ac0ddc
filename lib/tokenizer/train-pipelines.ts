/**
 * What surrounds the vocabulary of a trained tokenizer: normalizer, pre-tokenizer, post-processor and decoder, as the
 * published tokenizer.json files of each family have them.
 */
import { ConfigError, didYouMean } from "../errors.js";

/** The families of byte-level BPE whose pre-tokenizer can be named. */
export const TRAINING_PATTERNS = ["gpt2", "gpt4", "llama3", "gpt4o", "deepseek-v3"] as const;
export type TrainingPattern = (typeof TRAINING_PATTERNS)[number];

/** The parts of a tokenizer.json around its model, and the fields of a BPE model that a family sets. */
export interface TokenizerParts {
  normalizer: object | null;
  pre_tokenizer: object | null;
  post_processor: object | null;
  decoder: object | null;
  /** Whether a piece that is a token is taken whole, whatever the merges say. */
  ignoreMerges: boolean;
  /** Whether texts begin with the begin token unless something else is asked for. */
  addsBos: boolean;
}

/** OpenAI's cl100k_base in the form that Oniguruma reads, as Llama 3 and converted GPT-4 files have it. */
const CL100K =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** OpenAI's o200k_base. */
const O200K = [
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  "\\p{N}{1,3}",
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
  "\\s*[\\r\\n]+",
  "\\s+(?!\\S)",
  "\\s+",
].join("|");

/** DeepSeek-V3's three cuts, one after the other. */
const DEEPSEEK_V3 = [
  "\\p{N}{1,3}",
  "[一-龥\u3040-ゟ゠-ヿ]+",
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" +
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
];

const byteLevel = (addPrefixSpace: boolean, trimOffsets: boolean, useRegex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: addPrefixSpace,
  trim_offsets: trimOffsets,
  use_regex: useRegex,
});

const split = (regex: string) => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});

/** Cuts by regular expressions, each inside the pieces of the one before, then bytes. */
const splits = (regexes: readonly string[]) => ({
  type: "Sequence",
  pretokenizers: [...regexes.map(split), byteLevel(false, true, false)],
});

/**
 * The parts of a byte-level BPE tokenizer.
 * @throws ConfigError for a pattern that does not exist.
 */
export function byteLevelParts(pattern: TrainingPattern | { regex: string }): TokenizerParts {
  const parts = {
    normalizer: null,
    post_processor: byteLevel(true, false, true),
    decoder: byteLevel(true, true, true),
    ignoreMerges: false,
    addsBos: false,
  };
  if (typeof pattern === "object" && pattern !== null && typeof pattern.regex === "string") {
    return { ...parts, pre_tokenizer: splits([pattern.regex]) };
  }
  switch (pattern) {
    case "gpt2":
      return { ...parts, pre_tokenizer: byteLevel(false, true, true) };
    case "gpt4":
      return { ...parts, pre_tokenizer: splits([CL100K]), ignoreMerges: true };
    case "llama3":
      return { ...parts, pre_tokenizer: splits([CL100K]), ignoreMerges: true, addsBos: true };
    case "gpt4o":
      return { ...parts, pre_tokenizer: splits([O200K]), ignoreMerges: true };
    case "deepseek-v3":
      return {
        ...parts,
        normalizer: { type: "Sequence", normalizers: [] },
        pre_tokenizer: splits(DEEPSEEK_V3),
        addsBos: true,
      };
    default:
      throw new ConfigError(
        `pattern must be one of ${TRAINING_PATTERNS.join(", ")} or { regex }, got ${JSON.stringify(pattern)}.` +
          didYouMean(String(pattern), TRAINING_PATTERNS),
        { pattern },
      );
  }
}

/** The parts of a WordPiece tokenizer, as BERT has them; its post-processor comes from `framed`. */
export function bertParts(lowercase: boolean): TokenizerParts {
  return {
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: null,
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    ignoreMerges: false,
    addsBos: false,
  };
}

/** A special token with its id. */
export interface FrameToken {
  content: string;
  id: number;
}

/**
 * A post-processor that puts tokens around texts: `first A last`, and for pairs `first A last first B last` (without a
 * second `first` where `pairsShareFirst`, as BERT has it).
 */
export function framed(
  first: FrameToken | undefined,
  last: FrameToken | undefined,
  pairsShareFirst = false,
): object {
  const special = (token: FrameToken | undefined, type: number) =>
    token === undefined ? [] : [{ SpecialToken: { id: token.content, type_id: type } }];
  const around = (name: "A" | "B", type: number, begin: FrameToken | undefined) => [
    ...special(begin, type),
    { Sequence: { id: name, type_id: type } },
    ...special(last, type),
  ];
  const tokens = [first, last].filter((token) => token !== undefined);
  return {
    type: "TemplateProcessing",
    single: around("A", 0, first),
    pair: [...around("A", 0, first), ...around("B", 1, pairsShareFirst ? undefined : first)],
    special_tokens: Object.fromEntries(
      tokens.map(({ content, id }) => [content, { id: content, ids: [id], tokens: [content] }]),
    ),
  };
}
