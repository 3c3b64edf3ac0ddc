/** Strict UTF-8 decoding that says where a file is broken. */
import { isUtf8 } from "node:buffer";
import { DataError } from "../errors.js";

/** First bytes of files that people take for text by mistake. */
const SIGNATURES: readonly [readonly number[], string][] = [
  [
    [0x1f, 0x8b],
    'It is compressed with gzip: give it the ending .gz, or set the option compression to "gzip".',
  ],
  [[0x50, 0x4b, 0x03, 0x04], "It is a zip archive: unpack it first."],
  [
    [0x28, 0xb5, 0x2f, 0xfd],
    'It is compressed with zstd: give it the ending .zst, or set the option compression to "zstd".',
  ],
  [[0xff, 0xfe], "It looks like UTF-16: convert it to UTF-8."],
  [[0xfe, 0xff], "It looks like UTF-16: convert it to UTF-8."],
];

/** Length of the UTF-8 character that begins at `at`, or 0 when none does. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at];
  if (first < 0x80) return 1;
  const length =
    first >= 0xc2 && first <= 0xdf
      ? 2
      : first >= 0xe0 && first <= 0xef
        ? 3
        : first >= 0xf0 && first <= 0xf4
          ? 4
          : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  // Second bytes that would be overlong, a surrogate, or above U+10FFFF.
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (bytes[at + 1] < least || bytes[at + 1] > most) return 0;
  for (let i = 2; i < length; i++) {
    if ((bytes[at + i] & 0xc0) !== 0x80) return 0;
  }
  return length;
}

/** Offset of the first byte that is not part of valid UTF-8, or −1 when all is valid. */
export function invalidUtf8Offset(bytes: Uint8Array): number {
  if (isUtf8(bytes)) return -1;
  let at = 0;
  while (at < bytes.length) {
    const length = characterLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return -1;
}

/**
 * Text of UTF-8 bytes. A byte order mark at the very start of a file is dropped.
 * @param path the file, for the message
 * @param offset where in the file the bytes begin
 * @throws DataError naming file and byte offset when the bytes are not valid UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array, path: string, offset = 0): string {
  const invalid = invalidUtf8Offset(bytes);
  if (invalid !== -1) {
    const known =
      offset === 0 && SIGNATURES.find(([signature]) => signature.every((byte, i) => bytes[i] === byte));
    const hex = bytes[invalid].toString(16).toUpperCase().padStart(2, "0");
    throw new DataError(
      `${path} is not valid UTF-8: byte 0x${hex} at offset ${offset + invalid}. ` +
        (known ? known[1] : "Convert the file to UTF-8, or leave it out."),
      { path, offset: offset + invalid },
    );
  }
  return new TextDecoder("utf-8", { ignoreBOM: offset !== 0 }).decode(bytes);
}
