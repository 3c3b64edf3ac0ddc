/**
 * The byte-level alphabet of GPT-2 and its successors: a printable character for each of the 256 bytes, so that
 * vocabularies of byte strings can be written as text.
 */

const KEPT: ReadonlyArray<readonly [number, number]> = [
  [33, 126],
  [161, 172],
  [174, 255],
];

function build(): string[] {
  const alphabet = new Array<string>(256);
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const kept = KEPT.some(([first, last]) => byte >= first && byte <= last);
    alphabet[byte] = String.fromCharCode(kept ? byte : next++);
  }
  return alphabet;
}

const ALPHABET: readonly string[] = build();
const BYTE_OF = new Map(ALPHABET.map((character, byte) => [character, byte]));

/** The 256 characters, in the order of the bytes they stand for. */
export function byteAlphabet(): readonly string[] {
  return ALPHABET;
}

/** The bytes of a token written in the byte-level alphabet, or undefined when it has any other character. */
export function alphabetBytes(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF.get(token[i]);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
