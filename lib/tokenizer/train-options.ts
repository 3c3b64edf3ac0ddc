/** Options of the training of tokenizers, with their defaults and checks. */

import { availableParallelism } from "node:os";
import { Template } from "@huggingface/jinja";
import { ConfigError, didYouMean, TokenizerError } from "../errors.js";
import type { FileSystem } from "../io/filesystem.js";
import { byteAlphabet } from "./byte-alphabet.js";
import { bertParts, byteLevelParts, type TokenizerParts, type TrainingPattern } from "./train-pipelines.js";

/** How far a training has come. */
export interface TokenizerTrainingProgress {
  /** `count`: reading texts and counting their words; `merge`: making tokens. */
  phase: "count" | "merge";
  /** Texts and bytes of UTF-8 that were counted. */
  texts: number;
  bytes: number;
  /** `totalBytes` of the options. */
  totalBytes?: number;
  /** Tokens made so far, special ones and alphabet included, and how many there will be. */
  tokens: number;
  vocabSize: number;
  /** Bytes or tokens per second in this phase. */
  rate: number;
  /** Seconds until the end of this phase at this rate; null while nothing can be said. */
  secondsLeft: number | null;
}

export interface TrainTokenizerOptions {
  /** The texts, as they are or in documents. They are read once. */
  texts: AsyncIterable<string | { text: string }> | Iterable<string | { text: string }>;
  /** `bpe`: byte-level byte-pair encoding; `wordpiece`: BERT's. Default `bpe`. */
  kind?: "bpe" | "wordpiece";
  /** How texts are cut before byte-pair encoding: as a family's tokenizers do, or by a regular expression. Default `deepseek-v3`. */
  pattern?: TrainingPattern | { regex: string };
  /** Tokens in all, special tokens and alphabet included. */
  vocabSize: number;
  /** Pairs seen fewer times make no token. Default 0. */
  minFrequency?: number;
  /**
   * Special tokens in the order of their ids, which begin at 0. Those named below follow, unless they are among them.
   * Default: none besides those named below; where none is named, `<|endoftext|>` (BPE) or BERT's `[PAD]`, `[UNK]`, `[CLS]`,
   * `[SEP]`, `[MASK]`.
   */
  specialTokens?: readonly string[];
  bosToken?: string;
  eosToken?: string;
  padToken?: string;
  /** WordPiece: the token of words that cannot be spelled. Default `[UNK]`. */
  unkToken?: string;
  /** Whether texts encoded with special tokens begin with `bosToken`. Default: as the pattern's family has it. */
  addBosToken?: boolean;
  /** Whether they end with `eosToken`. Default false. */
  addEosToken?: boolean;
  /**
   * Characters that are in the alphabet whether seen or not; for BPE characters of the byte alphabet. Default for BPE: all
   * 256, so that every text can be encoded; for WordPiece none.
   */
  initialAlphabet?: readonly string[];
  /** Most characters in the alphabet; the rarest are left out. Default no limit. */
  limitAlphabet?: number;
  /** Tokens have fewer characters (BPE: bytes) than this; two characters always join. Default no limit. */
  maxTokenLength?: number;
  /** WordPiece: lower case, and without accents. Default true. */
  lowercase?: boolean;
  /** Jinja template of conversations, for tokenizer_config.json. */
  chatTemplate?: string;
  /** Longest text of the model in tokens, for tokenizer_config.json. */
  modelMaxLength?: number;
  /** Threads. Default: the usable cores. */
  threads?: number;
  /** Characters of text per batch of counting. Default 1 Mi. */
  batchCharacters?: number;
  /**
   * Forget words seen fewer than this many times whenever the counts take more than `pruneBytes`: bounds the memory, but
   * counts of rare words are then too low. Default 0: keep all.
   */
  pruneBelow?: number;
  /** Memory of the counts in bytes above which `pruneBelow` acts. Default 2 GiB. */
  pruneBytes?: number;
  /**
   * File for the counts of words: written after counting, so that a training that was stopped later, or another one on
   * the same texts, need not count again. Where it exists `texts` are not read.
   */
  countsFile?: string;
  /** What the texts are, for `countsFile`: counts of other texts are refused. Default "". */
  countsKey?: string;
  /** Bytes of all texts, for the time left. */
  totalBytes?: number;
  signal?: AbortSignal;
  onProgress?: (progress: TokenizerTrainingProgress) => void;
  /** File system for `countsFile`; for tests. */
  fs?: FileSystem;
}

/** Options with all defaults filled in. */
export interface TrainingPlan {
  kind: "bpe" | "wordpiece";
  parts: TokenizerParts;
  specialTokens: string[];
  /** `bos_token`, `eos_token`, … of tokenizer_config.json. */
  roles: Record<string, string>;
  addBos: boolean;
  addEos: boolean;
  vocabSize: number;
  minFrequency: number;
  initialAlphabet: readonly string[];
  limitAlphabet?: number;
  maxTokenLength?: number;
  threads: number;
  batchCharacters: number;
  pruneBelow: number;
  pruneBytes: number;
}

const NAMES: readonly (keyof TrainTokenizerOptions)[] = [
  "texts",
  "kind",
  "pattern",
  "vocabSize",
  "minFrequency",
  "specialTokens",
  "bosToken",
  "eosToken",
  "padToken",
  "unkToken",
  "addBosToken",
  "addEosToken",
  "initialAlphabet",
  "limitAlphabet",
  "maxTokenLength",
  "lowercase",
  "chatTemplate",
  "modelMaxLength",
  "threads",
  "batchCharacters",
  "pruneBelow",
  "pruneBytes",
  "countsFile",
  "countsKey",
  "totalBytes",
  "signal",
  "onProgress",
  "fs",
];
const BERT_ROLES = {
  pad_token: "[PAD]",
  unk_token: "[UNK]",
  cls_token: "[CLS]",
  sep_token: "[SEP]",
  mask_token: "[MASK]",
};
/** A vocabulary beyond this is a mistake; the largest published ones have a quarter million tokens. */
const MOST_TOKENS = 2 ** 24;

function integer(name: string, value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `from ${least} to ${most}`;
    throw new ConfigError(`${name} must be an integer ${range}, got ${String(value)}.`, { [name]: value });
  }
  return value as number;
}

const optional = (name: string, value: unknown, least: number) =>
  value === undefined ? undefined : integer(name, value, least);

function token(name: string, value: unknown): string {
  if (typeof value !== "string" || value === "" || /\p{Cs}/u.test(value)) {
    throw new ConfigError(
      `${name} must be a token of at least one character, got ${JSON.stringify(value)}.`,
      {
        [name]: value,
      },
    );
  }
  return value;
}

/**
 * Checks options and fills in defaults.
 * @throws ConfigError naming the option, what was expected and what was given; TokenizerError for a chat template that
 * does not parse.
 */
export function trainingPlan(options: TrainTokenizerOptions): TrainingPlan {
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name as keyof TrainTokenizerOptions)) {
      throw new ConfigError(
        `trainTokenizer has no option "${name}".${didYouMean(name, NAMES)} Its options are ${NAMES.join(", ")}.`,
        { option: name },
      );
    }
  }
  const { kind = "bpe", texts } = options;
  const iterable = Object(texts) as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
  if (typeof texts === "string" || !(iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator])) {
    throw new ConfigError(
      `texts must be an iterable of strings or documents, got ${texts === null ? "null" : typeof texts}.`,
    );
  }
  if (kind !== "bpe" && kind !== "wordpiece") {
    throw new ConfigError(`kind must be "bpe" or "wordpiece", got ${JSON.stringify(kind)}.`, { kind });
  }
  if (kind === "wordpiece" && options.pattern !== undefined) {
    throw new ConfigError('pattern is for kind "bpe"; WordPiece cuts texts as BERT does.', {
      pattern: options.pattern,
    });
  }
  if (kind === "bpe" && (options.lowercase !== undefined || options.unkToken !== undefined)) {
    throw new ConfigError(
      'lowercase and unkToken are for kind "wordpiece"; byte-level BPE knows every text.',
      {
        kind,
      },
    );
  }
  const parts =
    kind === "bpe" ? byteLevelParts(options.pattern ?? "deepseek-v3") : bertParts(options.lowercase ?? true);
  const roles = rolesOf(options, kind);
  const specialTokens = (options.specialTokens ?? []).map((content, i) =>
    token(`specialTokens[${i}]`, content),
  );
  for (const content of Object.values(roles)) {
    if (!specialTokens.includes(content)) specialTokens.push(content);
  }
  if (new Set(specialTokens).size < specialTokens.length) {
    throw new ConfigError("specialTokens has a token twice.", { specialTokens });
  }
  if (options.chatTemplate !== undefined) checkTemplate(options.chatTemplate);
  const addBos = options.addBosToken ?? (parts.addsBos && roles.bos_token !== undefined);
  const addEos = options.addEosToken ?? false;
  for (const [name, wanted, role] of [
    ["addBosToken", addBos, roles.bos_token],
    ["addEosToken", addEos, roles.eos_token],
  ] as const) {
    if (wanted && role === undefined) {
      throw new ConfigError(`${name} needs ${name === "addBosToken" ? "bosToken" : "eosToken"}.`, {
        [name]: wanted,
      });
    }
  }
  return {
    kind,
    parts,
    specialTokens,
    roles,
    addBos,
    addEos,
    vocabSize: integer("vocabSize", options.vocabSize, 1, MOST_TOKENS),
    minFrequency: integer("minFrequency", options.minFrequency ?? 0, 0),
    initialAlphabet: alphabet(options, kind),
    limitAlphabet: optional("limitAlphabet", options.limitAlphabet, 0),
    maxTokenLength: optional("maxTokenLength", options.maxTokenLength, 1),
    threads: integer("threads", options.threads ?? availableParallelism(), 1, 1024),
    batchCharacters: integer("batchCharacters", options.batchCharacters ?? 2 ** 20, 1, 2 ** 29),
    pruneBelow: integer("pruneBelow", options.pruneBelow ?? 0, 0),
    pruneBytes: integer("pruneBytes", options.pruneBytes ?? 2 ** 31, 0),
  };
}

/** Which special token plays which part. */
function rolesOf(options: TrainTokenizerOptions, kind: "bpe" | "wordpiece"): Record<string, string> {
  const roles: Record<string, string> = kind === "wordpiece" ? { ...BERT_ROLES } : {};
  for (const [role, name] of [
    ["bos_token", "bosToken"],
    ["eos_token", "eosToken"],
    ["pad_token", "padToken"],
    ["unk_token", "unkToken"],
  ] as const) {
    if (options[name] !== undefined) roles[role] = token(name, options[name]);
  }
  if (Object.keys(roles).length === 0 && options.specialTokens === undefined) {
    roles.eos_token = "<|endoftext|>";
  }
  return roles;
}

function alphabet(options: TrainTokenizerOptions, kind: "bpe" | "wordpiece"): readonly string[] {
  const { initialAlphabet } = options;
  if (initialAlphabet === undefined) return kind === "bpe" ? byteAlphabet() : [];
  for (const [i, character] of initialAlphabet.entries()) {
    const name = `initialAlphabet[${i}]`;
    const code = token(name, character).codePointAt(0) as number;
    if (String.fromCodePoint(code) !== character) {
      throw new ConfigError(`${name} must be one character, got ${JSON.stringify(character)}.`, {
        character,
      });
    }
    if (kind === "bpe" && !byteAlphabet().includes(character)) {
      throw new ConfigError(
        `${name} is ${JSON.stringify(character)}, which is not of the byte alphabet; byteAlphabet() gives its 256 characters.`,
        { character },
      );
    }
  }
  return initialAlphabet;
}

function checkTemplate(source: string): void {
  try {
    new Template(source);
  } catch (error) {
    throw new TokenizerError(
      `chatTemplate is not a valid Jinja template: ${(error as Error).message}`,
      {},
      { cause: error },
    );
  }
}
