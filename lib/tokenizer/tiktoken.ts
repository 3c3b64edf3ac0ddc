/**
 * Rank files, as OpenAI's tiktoken has them: a line per token with its bytes in base64 and its rank. The file knows
 * neither the pattern that cuts texts nor the special tokens; those of OpenAI's encodings are known here.
 */
import { basename } from "node:path";
import { ConfigError, didYouMean, TokenizerError } from "../errors.js";
import { NativeTokenizer } from "../native/text/tokenizer.js";
import { byteAlphabet } from "./byte-alphabet.js";
import { HfTokenizer, type HfTokenizerOptions } from "./hf.js";

/** What a rank file leaves open. */
interface RankEncoding {
  pattern: string;
  specialTokens: Readonly<Record<string, number>>;
}

const GPT2 = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/** cl100k_base as tiktoken has it now; unlike older forms it takes all white space at the end of a text as one piece. */
const GPT4 =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|" +
  "\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const GPT4O = [
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
  "\\p{N}{1,3}",
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
  "\\s*[\\r\\n]+",
  "\\s+(?!\\S)",
  "\\s+",
].join("|");

/** OpenAI's encodings by the names of their files. */
const ENCODINGS: Readonly<Record<string, RankEncoding>> = {
  r50k_base: { pattern: GPT2, specialTokens: { "<|endoftext|>": 50256 } },
  p50k_base: { pattern: GPT2, specialTokens: { "<|endoftext|>": 50256 } },
  cl100k_base: {
    pattern: GPT4,
    specialTokens: {
      "<|endoftext|>": 100257,
      "<|fim_prefix|>": 100258,
      "<|fim_middle|>": 100259,
      "<|fim_suffix|>": 100260,
      "<|endofprompt|>": 100276,
    },
  },
  o200k_base: {
    pattern: GPT4O,
    specialTokens: { "<|endoftext|>": 199999, "<|endofprompt|>": 200018 },
  },
};

/** Patterns that can be named. */
export const RANK_PATTERNS = { gpt2: GPT2, gpt4: GPT4, gpt4o: GPT4O } as const;

export interface RankFileOptions extends HfTokenizerOptions {
  /**
   * What cuts texts into pieces: `"gpt2"`, `"gpt4"`, `"gpt4o"`, or a regular expression of one's own. Default: by the
   * file's name, where it is one of OpenAI's (`cl100k_base.tiktoken`).
   */
  pattern?: keyof typeof RANK_PATTERNS | { regex: string };
  /** Special tokens and their ids. Default: by the file's name, else none. */
  specialTokens?: Readonly<Record<string, number>>;
}

/** Whether a path names a rank file. */
export function isRankFile(path: string): boolean {
  return path.endsWith(".tiktoken");
}

/**
 * Makes a tokenizer of a rank file. Its ids are those of tiktoken; `save` writes an equal tokenizer.json.
 * @param bytes the file
 * @param path its path, for its name and for messages
 * @throws TokenizerError when the file is damaged, ConfigError when its pattern is not known.
 */
export function rankTokenizer(bytes: Uint8Array, path: string, options: RankFileOptions = {}): HfTokenizer {
  const name = basename(path, ".tiktoken");
  const known = ENCODINGS[name];
  const pattern = options.pattern === undefined ? known?.pattern : patternOf(options.pattern);
  if (pattern === undefined) {
    throw new ConfigError(
      `${path} is a rank file, which does not say how texts are cut: pass { pattern: "gpt2", "gpt4", "gpt4o" or { regex } }.`,
      { path },
    );
  }
  const specialTokens = options.specialTokens ?? known?.specialTokens ?? {};
  const native = NativeTokenizer.fromRanks(bytes, pattern, specialTokens, path);
  const json = JSON.stringify(toTokenizerJson(bytes, pattern, specialTokens));
  const end = "<|endoftext|>" in specialTokens ? "<|endoftext|>" : undefined;
  const config = {
    ...(end !== undefined && { eos_token: end }),
    clean_up_tokenization_spaces: false,
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  const files = new Map([
    ["tokenizer.json", `${json}\n`],
    ["tokenizer_config.json", `${JSON.stringify(config, null, 2)}\n`],
  ]);
  return new HfTokenizer(name, files, path, options, native);
}

function patternOf(pattern: NonNullable<RankFileOptions["pattern"]>): string {
  if (typeof pattern === "object" && pattern !== null && typeof pattern.regex === "string")
    return pattern.regex;
  const names = Object.keys(RANK_PATTERNS);
  const found = typeof pattern === "string" && names.includes(pattern) ? RANK_PATTERNS[pattern] : undefined;
  if (found !== undefined) return found;
  throw new ConfigError(
    `pattern must be one of ${names.join(", ")} or { regex }, got ${JSON.stringify(pattern)}.` +
      didYouMean(String(pattern), names),
    { pattern },
  );
}

/**
 * The tokenizer.json with a rank file's ids. A rank file merges any two neighbours that together are a token, so each way
 * to write a token as two others becomes a merge; the token's rank decides their order.
 */
function toTokenizerJson(
  bytes: Uint8Array,
  pattern: string,
  specialTokens: Readonly<Record<string, number>>,
): object {
  // Tokens as strings with a character per byte.
  const ranks = new Map<string, number>();
  for (const line of Buffer.from(bytes).toString("latin1").split("\n")) {
    const [token, rank] = line.trim().split(" ");
    if (token) ranks.set(Buffer.from(token, "base64").toString("latin1"), Number(rank));
  }
  const alphabet = byteAlphabet();
  const spell = (token: string) => Array.from(token, (byte) => alphabet[byte.charCodeAt(0)]).join("");
  const vocab: Record<string, number> = {};
  const merges: [string, string][] = [];
  for (const [token, rank] of [...ranks].sort(([, a], [, b]) => a - b)) {
    vocab[spell(token)] = rank;
    const ways: { left: string; right: string; order: number[] }[] = [];
    for (let cut = 1; cut < token.length; cut++) {
      const left = token.slice(0, cut);
      const right = token.slice(cut);
      const order = [ranks.get(left), ranks.get(right)];
      if (order[0] !== undefined && order[1] !== undefined)
        ways.push({ left, right, order: order as number[] });
    }
    ways.sort((a, b) => a.order[0] - b.order[0] || a.order[1] - b.order[1]);
    for (const { left, right } of ways) merges.push([spell(left), spell(right)]);
  }
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: Object.entries(specialTokens).map(([content, id]) => {
      if (!Number.isInteger(id) || id < 0) {
        throw new TokenizerError(
          `The special token ${JSON.stringify(content)} has the id ${JSON.stringify(id)}.`,
        );
      }
      return {
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      };
    }),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        byteLevel,
      ],
    },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab,
      merges,
    },
  };
}
