/** What generation takes and gives: option types with their defaults, results, and the checks of both. */

import { checkInteger, checkOptions } from "../data/options.js";
import { philox4x32 } from "../data/philox.js";
import { ConfigError, TokenizerError } from "../errors.js";
import { nextDraw } from "../tensor/random.js";
import type { Tokenizer } from "../tokenizer/index.js";

/**
 * Why a sequence ended: `stop` a stop token or text, `length` as many tokens as were asked for, `context` no position is left
 * in the model.
 */
export type FinishReason = "stop" | "length" | "context";

/** Options of `generate`. */
export interface GenerateOptions {
  /** Turns text into ids and ids into text. Needed for prompts, stops and results that are text. */
  tokenizer?: Tokenizer;
  /** Most tokens to generate. Default 256. */
  maxTokens?: number;
  /** Logits are divided by it; 0 always takes the most probable token. Default 1. */
  temperature?: number;
  /** Draw from the k most probable tokens; 0 from all. Default 0. */
  topK?: number;
  /** Draw from the most probable tokens that together reach this probability (Holtzman et al. 2019); 1 from all. Default 1. */
  topP?: number;
  /** Draw from tokens with at least this share of the largest probability; 0 from all. Default 0. */
  minP?: number;
  /**
   * Logits of tokens that the sequence holds already are divided by it when positive, multiplied when negative (Keskar et al.
   * 2019); 1 turns it off. Default 1. Other values read the logits to the host in every step.
   */
  repetitionPenalty?: number;
  /** Decides all draws: an integer in [0, 2⁵³). Default: one draw from the library's random state (`manualSeed`). */
  seed?: number;
  /** Tokens that end a sequence; they are its last id and have no text. Default: the tokenizer's end token, if it has one. */
  stopIds?: readonly number[];
  /** Texts that end a sequence; they and what follows are left out of its text. Default none. Needs a tokenizer. */
  stop?: string | readonly string[];
  /**
   * When the model's positions are used up: `stop`, or `slide`: read the last half of them again and go on. Default `stop`; a
   * prompt that is too long is then an error.
   */
  onContextLimit?: "stop" | "slide";
  /**
   * Keeps keys and values in pages of so many tokens, a power of two: sequences take pages as they grow and give them back when they end. 0 sets room for
   * the longest sequence aside for each. The results are the same. Default 0.
   */
  pageSize?: number;
  /** With `pageSize`: pages to set aside; generation ends with a CacheFullError when they do not suffice. Default: enough for all sequences at their longest. */
  pages?: number;
  /** Ends generation; what is being iterated or awaited rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Options of `generateBatch`. */
export interface BatchOptions extends GenerateOptions {
  /** Called after every step with the number of tokens generated so far and of sequences that still go on. */
  onStep?: (state: { tokens: number; active: number }) => void;
}

/** One token as `generate` yields it. */
export interface GeneratedToken {
  id: number;
  /**
   * Text that is certain now: never half a character, and nothing that may become a stop text. It may be empty, or hold more
   * than this token's. All joined are the text of the sequence.
   */
  text: string;
  /** ln of the token's probability under softmax(logits/temperature) over the whole vocabulary (temperature 0: of the logits). */
  logProb: number;
  /** Set on the last token. */
  finishReason?: FinishReason;
}

/** One finished sequence of `generateBatch`. */
export interface GeneratedSequence {
  /** Generated ids, the stop token included. */
  ids: Int32Array;
  /** As `GeneratedToken.logProb`, per id. */
  logProbs: Float32Array;
  finishReason: FinishReason;
  /** Text without stops; empty without a tokenizer. */
  text: string;
}

/** Options with defaults filled in. */
export interface ResolvedOptions {
  tokenizer: Tokenizer | undefined;
  maxTokens: number;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  seed: number;
  stopIds: ReadonlySet<number>;
  stopTexts: readonly string[];
  slide: boolean;
  pageSize: number;
  pages: number | undefined;
  signal: AbortSignal | undefined;
}

const NAMES = [
  "tokenizer",
  "maxTokens",
  "temperature",
  "topK",
  "topP",
  "minP",
  "repetitionPenalty",
  "seed",
  "stopIds",
  "stop",
  "onContextLimit",
  "pageSize",
  "pages",
  "signal",
] as const;

function checkRange(name: string, value: number, fits: boolean, expected: string): number {
  if (typeof value !== "number" || !fits) {
    throw new ConfigError(`${name} must be ${expected}, got ${String(value)}.`, { [name]: value });
  }
  return value;
}

/**
 * Checks options and fills in defaults.
 * @param where the function's name, for messages
 * @throws ConfigError naming the option; TokenizerError when text is asked for without a tokenizer
 */
export function resolveOptions(where: string, options: BatchOptions): ResolvedOptions {
  checkOptions(where, options, where === "generate" ? NAMES : [...NAMES, "onStep"]);
  const {
    tokenizer,
    temperature = 1,
    topP = 1,
    minP = 0,
    repetitionPenalty = 1,
    onContextLimit = "stop",
  } = options;
  const stopTexts = typeof options.stop === "string" ? [options.stop] : [...(options.stop ?? [])];
  if (stopTexts.includes("")) throw new ConfigError("stop must not be an empty text.", { stop: stopTexts });
  if (stopTexts.length > 0 && tokenizer === undefined) {
    throw new TokenizerError(`${where}: stop texts need the option tokenizer.`, { stop: stopTexts });
  }
  if (onContextLimit !== "stop" && onContextLimit !== "slide") {
    throw new ConfigError(`onContextLimit must be "stop" or "slide", got "${String(onContextLimit)}".`, {
      onContextLimit,
    });
  }
  const eos = tokenizer?.eosId;
  const stopIds = options.stopIds ?? (eos === undefined ? [] : [eos]);
  for (const id of stopIds) checkInteger("stopIds", id, 0);
  return {
    tokenizer,
    maxTokens: checkInteger("maxTokens", options.maxTokens ?? 256, 0),
    temperature: checkRange(
      "temperature",
      temperature,
      temperature >= 0 && temperature < Infinity,
      "a number from 0",
    ),
    topK: checkInteger("topK", options.topK ?? 0, 0),
    topP: checkRange("topP", topP, topP > 0 && topP <= 1, "above 0 and at most 1"),
    minP: checkRange("minP", minP, minP >= 0 && minP <= 1, "between 0 and 1"),
    repetitionPenalty: checkRange(
      "repetitionPenalty",
      repetitionPenalty,
      repetitionPenalty > 0 && repetitionPenalty < Infinity,
      "a number above 0",
    ),
    seed: options.seed === undefined ? drawnSeed() : checkInteger("seed", options.seed, 0),
    stopIds: new Set(stopIds),
    stopTexts,
    slide: onContextLimit === "slide",
    pageSize: checkPageSize(options.pageSize ?? 0),
    pages: checkPages(options.pages, options.pageSize ?? 0),
    signal: options.signal,
  };
}

function checkPageSize(value: number): number {
  const size = checkInteger("pageSize", value, 0);
  return checkRange("pageSize", size, size === 0 || Number.isInteger(Math.log2(size)), "0 or a power of two");
}

function checkPages(pages: number | undefined, pageSize: number): number | undefined {
  if (pages === undefined) return undefined;
  if (pageSize === 0) {
    throw new ConfigError("pages has a meaning only with pageSize; set it too, for example to 16.", {
      pages,
    });
  }
  return checkInteger("pages", pages, 1);
}

/** A seed of 53 bits that belongs to the next draw of the library's random state. */
function drawnSeed(): number {
  const { seed, offset } = nextDraw();
  const high = (value: number): number => Math.floor(value / 0x100000000);
  const [a, b] = philox4x32(offset >>> 0, high(offset), 0, 0, seed >>> 0, high(seed), new Uint32Array(4));
  return (a >>> 11) * 0x100000000 + b;
}
