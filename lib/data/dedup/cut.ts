/** Cutting stretches of bytes out of a text, at borders of characters. */

const isContinuation = (byte: number | undefined) => byte !== undefined && (byte & 0xc0) === 0x80;

/** The first border of a character at or after a byte. */
export function borderAfter(bytes: Uint8Array, at: number): number {
  while (at < bytes.length && isContinuation(bytes[at])) at++;
  return at;
}

/** The last border of a character at or before a byte. */
export function borderBefore(bytes: Uint8Array, at: number): number {
  while (at > 0 && isContinuation(bytes[at])) at--;
  return at;
}

/**
 * What is left of UTF-8 without some stretches.
 * @param spans begin and end of each in bytes, in order, at borders of characters
 */
export function withoutSpans(
  bytes: Uint8Array,
  spans: readonly (readonly [begin: number, end: number])[],
): string[] {
  const decode = (begin: number, end: number) =>
    Buffer.from(bytes.buffer, bytes.byteOffset + begin, end - begin).toString("utf8");
  const pieces: string[] = [];
  let at = 0;
  for (const [begin, end] of spans) {
    if (begin > at) pieces.push(decode(at, begin));
    at = Math.max(at, end);
  }
  if (at < bytes.length) pieces.push(decode(at, bytes.length));
  return pieces;
}
