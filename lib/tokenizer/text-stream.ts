/** Streaming decoding for vocabularies whose tokens change with their neighbours (word pieces, byte fallback). */
import type { StreamDecoder } from "./tokenizer.js";

/** Tokens kept as left context: their text is already out, but it decides the spacing of the next token. */
const CONTEXT = 8;
/** Tokens held back at most while the text ends in an incomplete character: one has at most four bytes. */
const HELD = 4;

/**
 * Emits what decoding more tokens adds to the text. Text that ends in U+FFFD may be the start of a character whose
 * remaining bytes come with the next tokens, so it waits.
 * @param decode text of several ids
 * @param byteOf the byte of a byte-fallback token, undefined for all other tokens
 */
export function textStreamDecoder(
  decode: (ids: number[]) => string,
  byteOf: (id: number) => number | undefined,
): StreamDecoder {
  let ids: number[] = [];
  /** How many of `ids` are already out. */
  let out = 0;
  let bytes = new TextDecoder("utf-8", { ignoreBOM: true });
  const flushBytes = () => {
    const rest = bytes.decode();
    bytes = new TextDecoder("utf-8", { ignoreBOM: true });
    return rest;
  };
  const advance = (final: boolean): string => {
    const text = decode(ids);
    if (text.endsWith("\uFFFD") && !final && ids.length - out < HELD) return "";
    const before = decode(ids.slice(0, out));
    out = ids.length;
    return text.slice(before.length);
  };
  const forget = () => {
    if (out === ids.length && out > 2 * CONTEXT) {
      ids = ids.slice(-CONTEXT);
      out = ids.length;
    }
  };
  return {
    push(id) {
      const byte = byteOf(id);
      let text: string;
      if (byte === undefined) {
        text = flushBytes();
        ids.push(id);
        text += advance(false);
      } else {
        text = out < ids.length ? advance(true) : "";
        ids.push(id);
        out = ids.length;
        text += bytes.decode(Uint8Array.of(byte), { stream: true });
      }
      forget();
      return text;
    },
    flush() {
      const rest = flushBytes() + (out < ids.length ? advance(true) : "");
      ids = [];
      out = 0;
      return rest;
    },
  };
}
