/** Reading what TypeScript needs of a tokenizer.json and the files beside it; the native tokenizer checks the rest. */
import { TokenizerError } from "../errors.js";

// biome-ignore lint/suspicious/noExplicitAny: a parsed JSON file of many versions; every access is checked.
export type Json = Record<string, any>;

/** One entry of `added_tokens`. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
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

/** The content of a token named in tokenizer_config.json or special_tokens_map.json: a string or an object with one. */
export function tokenContent(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content = (value as Json | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}
