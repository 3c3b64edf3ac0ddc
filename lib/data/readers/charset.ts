/** Which characters the bytes of a web page stand for. */
import { isAscii, isUtf8 } from "node:buffer";
import { TextDecoder } from "node:util";

/** Bytes at the beginning of a page in which it may name its encoding. */
const PRESCAN_BYTES = 4096;

/** A decoder for a label as pages write it; undefined for one that does not exist. */
function decoder(label: string | undefined): TextDecoder | undefined {
  if (label === undefined) return undefined;
  try {
    return new TextDecoder(label.trim());
  } catch {
    return undefined;
  }
}

/**
 * Text of a page's bytes. A byte order mark decides; then bytes that are valid UTF-8 are taken for it, since text in another
 * encoding hardly ever is; then the label of the HTTP header, the page's own label, and windows-1252, which is what pages
 * without a label are. Bytes that the encoding does not have become U+FFFD, as in browsers.
 * @param declared the charset of the HTTP header, if there was one
 */
export function decodePage(bytes: Uint8Array, declared?: string): string {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return new TextDecoder().decode(bytes);
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  const labelled = decoder(declared) ?? decoder(ownLabel(bytes));
  const wide = labelled?.encoding.startsWith("utf-16") === true;
  if (wide && bytes.subarray(0, PRESCAN_BYTES).includes(0)) return (labelled as TextDecoder).decode(bytes);
  // Encodings that switch alphabets by escape sequences are ASCII to the eye.
  const escapes = labelled?.encoding === "iso-2022-jp" && bytes.includes(0x1b);
  if (isUtf8(bytes) && !escapes)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  if (labelled !== undefined && !wide) return labelled.decode(bytes);
  return new TextDecoder(isAscii(bytes) ? "utf-8" : "windows-1252").decode(bytes);
}

/** The charset that a page names in a meta element or an XML declaration. */
function ownLabel(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(
    bytes.buffer,
    bytes.byteOffset,
    Math.min(bytes.byteLength, PRESCAN_BYTES),
  ).toString("latin1");
  const meta = /<meta[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]{1,40})/i.exec(head);
  if (meta !== null) return meta[1];
  return /^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})/i.exec(head)?.[1];
}

/** The charset of a Content-Type header. */
export function headerCharset(contentType: string | undefined): string | undefined {
  return /;\s*charset\s*=\s*["']?([^\s"';]+)/i.exec(contentType ?? "")?.[1];
}
