/**
 * Checks a parsed tokenizer.json and prepares it for the encoder: parts that the encoder would read differently from
 * Hugging Face's own library are rewritten to an equal form, and parts that it cannot express are refused, so that ids
 * are never silently different.
 */
import { TokenizerError } from "../errors.js";

// biome-ignore lint/suspicious/noExplicitAny: a parsed JSON file of many versions; every access is checked.
export type Json = Record<string, any>;

/** One entry of `added_tokens`. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
}

const SPLIT_BEHAVIOURS = ["isolated", "removed"];
/** Word characters as the reference's regex engine has them: joiners count, unlike in most others. */
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\u200c\u200d";

/**
 * The tokenizer.json in the form the encoder takes; the input is not changed.
 * @throws TokenizerError when a part is missing, damaged or cannot be expressed.
 */
export function prepareJson(json: Json, path: string): Json {
  const { model } = json;
  if (typeof model !== "object" || model === null) {
    throw new TokenizerError(
      `${path} has no "model" field, so it is not a tokenizer.json. Save the tokenizer with ` +
        "transformers' save_pretrained (fast tokenizer) or tokenizers' Tokenizer.save.",
      { path },
    );
  }
  if (typeof model.vocab !== "object" || model.vocab === null) {
    throw new TokenizerError(`${path}: model.vocab must map tokens to ids, got ${typeof model.vocab}.`, {
      path,
    });
  }
  const pairs: [string, number][] = Array.isArray(model.vocab)
    ? model.vocab.map((entry: unknown, id: number) => [Array.isArray(entry) ? String(entry[0]) : "", id])
    : Object.entries(model.vocab);
  checkIds(pairs, path);
  if (model.type === "BPE" && !Array.isArray(model.merges)) {
    throw new TokenizerError(`${path}: a BPE model needs a "merges" list.`, { path });
  }
  const added = addedTokens(json, path);
  return {
    ...json,
    added_tokens: added.length === 0 ? [] : json.added_tokens,
    normalizer: json.normalizer ?? null,
    pre_tokenizer: preparePreTokenizer(json.pre_tokenizer ?? null, path),
    post_processor: json.post_processor ?? null,
    decoder: json.decoder ?? null,
  };
}

function checkIds(pairs: readonly [string, number][], path: string): void {
  const seen = new Map<number, string>();
  for (const [token, id] of pairs) {
    if (!Number.isInteger(id) || id < 0) {
      throw new TokenizerError(`${path}: token ${JSON.stringify(token)} has the id ${JSON.stringify(id)}.`, {
        path,
        token,
      });
    }
    const other = seen.get(id);
    if (other !== undefined) {
      throw new TokenizerError(
        `${path}: tokens ${JSON.stringify(other)} and ${JSON.stringify(token)} share the id ${id}.`,
        { path, id },
      );
    }
    seen.set(id, token);
  }
}

/** The added tokens of a tokenizer.json, checked. */
export function addedTokens(json: Json, path: string): AddedToken[] {
  const list = json.added_tokens ?? [];
  if (!Array.isArray(list)) throw new TokenizerError(`${path}: "added_tokens" must be a list.`, { path });
  return list.map((token: Json) => {
    if (typeof token?.content !== "string" || !Number.isInteger(token.id) || token.id < 0) {
      throw new TokenizerError(`${path}: an added token lacks its content or id: ${JSON.stringify(token)}.`, {
        path,
      });
    }
    return { id: token.id, content: token.content, special: token.special === true };
  });
}

function preparePreTokenizer(part: Json | null, path: string): Json | null {
  if (part === null) return null;
  if (part.type === "Sequence") {
    return {
      ...part,
      pretokenizers: (part.pretokenizers ?? []).map((p: Json) => preparePreTokenizer(p, path)),
    };
  }
  if (part.type === "Whitespace") {
    // The encoder's own version knows ASCII words only; the same rule as a Unicode-aware split is exact.
    const pattern = { Regex: `[${WORD}]+|[^${WORD}\\p{White_Space}]+` };
    return { type: "Split", pattern, behavior: "Removed", invert: true };
  }
  const behaviour = String(part.behavior ?? "isolated").toLowerCase();
  if ((part.type === "Split" || part.type === "Punctuation") && !SPLIT_BEHAVIOURS.includes(behaviour)) {
    throw new TokenizerError(
      `${path}: the pre-tokenizer ${part.type} with behavior "${part.behavior}" is not supported; ` +
        `supported are "Isolated" and "Removed".`,
      { path, behavior: part.behavior },
    );
  }
  if (part.type === "Split" && part.invert === true && behaviour !== "removed") {
    throw new TokenizerError(
      `${path}: an inverted Split pre-tokenizer is supported with behavior "Removed" only, got "${part.behavior}".`,
      { path, behavior: part.behavior },
    );
  }
  return part;
}

/** The content of a token named in tokenizer_config.json or special_tokens_map.json: a string or an object with one. */
export function tokenContent(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content = (value as Json | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

/**
 * The same tokenizer without the prefix that its normalizer puts before every text, for the later pieces of a text;
 * undefined when there is no such prefix.
 * @param json a tokenizer.json that went through `prepareJson`
 */
export function withoutPrefix(json: Json): Json | undefined {
  const { normalizer } = json;
  const parts: Json[] = normalizer?.type === "Sequence" ? (normalizer.normalizers ?? []) : [normalizer];
  if (!parts.some((part) => part?.type === "Prepend")) return undefined;
  const rest = parts.filter((part) => part?.type !== "Prepend");
  return { ...json, normalizer: rest.length === 0 ? null : { type: "Sequence", normalizers: rest } };
}
