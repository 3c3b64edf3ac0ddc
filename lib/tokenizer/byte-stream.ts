/** Streaming decoding of tokens that stand for bytes, and the checks on ids that all tokenizers share. */
import { TokenizerError } from "../errors.js";
import type { StreamDecoder } from "./tokenizer.js";

/** What a token contributes to the text: bytes of UTF-8, a literal string (special tokens), or nothing. */
export type TokenPart = Uint8Array | string | undefined;

/** Checks that an id from outside is a non-negative integer. */
export function checkId(id: number): number {
  if (!Number.isInteger(id) || id < 0) {
    throw new TokenizerError(`Token ids must be non-negative integers, got ${String(id)}.`, { id });
  }
  return id;
}

/** Ids for the native tokenizer: those at or above `end` stand for no text, which it knows as −1. */
export function checkedIds(ids: ArrayLike<number>, end: number): Int32Array {
  const checked = new Int32Array(ids.length);
  for (let i = 0; i < ids.length; i++) checked[i] = checkId(ids[i]) < end ? ids[i] : -1;
  return checked;
}

/** Builds a stream decoder from what each token contributes; incomplete UTF-8 characters wait for their last byte. */
export function byteStreamDecoder(partOf: (id: number) => TokenPart): StreamDecoder {
  // A byte order mark is a character of the text like any other here: ignoreBOM keeps it.
  const fresh = () => new TextDecoder("utf-8", { ignoreBOM: true });
  let decoder = fresh();
  const flush = () => {
    const rest = decoder.decode();
    decoder = fresh();
    return rest;
  };
  return {
    push(id) {
      const part = partOf(checkId(id));
      if (part === undefined) return "";
      if (typeof part === "string") return flush() + part;
      return decoder.decode(part, { stream: true });
    },
    flush,
  };
}

/** Decodes all ids at once; the same text as pushing them one by one through `byteStreamDecoder`. */
export function decodeParts(ids: ArrayLike<number>, partOf: (id: number) => TokenPart): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  let bytes = new Uint8Array(Math.max(64, ids.length * 4));
  let used = 0;
  const flush = () => {
    if (used > 0) text += decoder.decode(bytes.subarray(0, used));
    used = 0;
  };
  for (let i = 0; i < ids.length; i++) {
    const part = partOf(checkId(ids[i]));
    if (part === undefined) continue;
    if (typeof part === "string") {
      flush();
      text += part;
      continue;
    }
    if (used + part.length > bytes.length) {
      const larger = new Uint8Array(Math.max(bytes.length * 2, used + part.length));
      larger.set(bytes.subarray(0, used));
      bytes = larger;
    }
    bytes.set(part, used);
    used += part.length;
  }
  flush();
  return text;
}
