/** Plain text: one document a file, or several, cut at line ends, when it is larger than a string should be. */
import type { DataError } from "../../errors.js";
import { decodeUtf8 } from "../utf8.js";
import { asDamage, damaged, Pace, type ReaderInput, type TextDocument } from "./reader.js";

/** UTF-8 text whose errors count as damage of the data. */
export function decodeStrict(bytes: Uint8Array, path: string, offset: number): string {
  try {
    return decodeUtf8(bytes, path, offset);
  } catch (error) {
    throw asDamage(error as DataError);
  }
}

/** Reads plain text. */
export async function* readText(input: ReaderInput): AsyncGenerator<TextDocument[]> {
  for await (const { text, source } of textPieces(input)) yield [{ text, source }];
}

/** The text of a file, in pieces of at most `maxDocumentBytes` that end with lines. */
export async function* textPieces(input: ReaderInput): AsyncGenerator<{ text: string; source: string }> {
  const { path, chunks, settings } = input;
  const limit = settings.maxDocumentBytes;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let start = 0;
  let part = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    heldBytes += chunk.length;
    while (heldBytes > limit) {
      const bytes = Buffer.concat(held, heldBytes);
      const end = bytes.subarray(0, limit).lastIndexOf(0x0a) + 1;
      if (end === 0) {
        throw damaged(
          `${path} has a line of more than ${limit} bytes (at byte ${start}). Break the text into lines.`,
          { path, offset: start },
        );
      }
      yield { text: await decodeLong(bytes.subarray(0, end), path, start), source: `${path}#${part++}` };
      held = [bytes.subarray(end)];
      heldBytes -= end;
      start += end;
    }
  }
  if (heldBytes > 0 || part === 0) {
    const text = await decodeLong(held.length === 1 ? held[0] : Buffer.concat(held, heldBytes), path, start);
    yield { text, source: part === 0 ? path : `${path}#${part}` };
  }
}

/** Bytes that are decoded at a time. */
const STEP_BYTES = 2 ** 22;

/** The same for a text that may be long: other work gets its turn between its pieces. */
async function decodeLong(bytes: Buffer, path: string, offset: number): Promise<string> {
  if (bytes.length <= STEP_BYTES) return decodeStrict(bytes, path, offset);
  const pieces: string[] = [];
  const pace = new Pace();
  for (let at = 0; at < bytes.length; ) {
    let end = Math.min(at + STEP_BYTES, bytes.length);
    // Not within a character: bytes 10xxxxxx go on with one. A longer row of them is an error that decoding will name.
    for (let i = 0; i < 3 && end < bytes.length && (bytes[end] & 0xc0) === 0x80; i++) end--;
    pieces.push(decodeStrict(bytes.subarray(at, end), path, offset + at));
    at = end;
    await pace.step();
  }
  return pieces.join("");
}
