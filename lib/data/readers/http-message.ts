/** HTTP responses as crawlers store them: head, transfer encoding, content encoding. */
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate, inflateRaw } from "node:zlib";

/** Head of a message: names in lower case; of several with one name the first counts. */
export type HeaderFields = ReadonlyMap<string, string>;

/** A response without its encodings. */
export interface HttpResponse {
  status: number;
  headers: HeaderFields;
  body: Buffer;
}

const unzip = {
  gzip: promisify(gunzip),
  br: promisify(brotliDecompress),
  inflate: promisify(inflate),
  raw: promisify(inflateRaw),
};

/** Fields of a head, one a line; a line that begins with white space goes on with the one before. */
export function parseFields(lines: Iterable<string>): Map<string, string> {
  const fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of lines) {
    if (/^[ \t]/.test(line)) {
      if (last !== undefined) fields.set(last, `${fields.get(last)} ${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    last = fields.has(name) ? undefined : name;
    if (last !== undefined) fields.set(last, line.slice(colon + 1).trim());
  }
  return fields;
}

/**
 * Reads a stored response. Crawlers often undo the encodings and keep the head as it was, so a body that does not have the
 * encoding that its head names is taken as it is.
 * @param limit most bytes of the body once unpacked
 * @returns undefined when the bytes do not begin like a response
 * @throws Error when the body has the encoding named, but is damaged or beyond the limit
 */
export async function readResponse(bytes: Buffer, limit: number): Promise<HttpResponse | undefined> {
  const status = /^HTTP\/\d(?:\.\d)? (\d{3})/.exec(bytes.toString("latin1", 0, 64))?.[1];
  if (status === undefined) return undefined;
  const { end, next } = headEnd(bytes);
  const headers = parseFields(bytes.toString("latin1", 0, end).split(/\r?\n/).slice(1));
  let body: Buffer = bytes.subarray(next);
  if (/\bchunked\b/i.test(headers.get("transfer-encoding") ?? "")) body = dechunk(body) ?? body;
  for (const coding of (headers.get("content-encoding") ?? "").toLowerCase().split(",").reverse()) {
    body = await decode(body, coding.trim(), limit);
  }
  return { status: Number(status), headers, body };
}

/** Where a head ends and the body begins: at the first empty line. */
function headEnd(bytes: Buffer): { end: number; next: number } {
  const plain = bytes.indexOf("\n\n");
  const usual = bytes.indexOf("\r\n\r\n");
  if (usual !== -1 && (plain === -1 || usual < plain)) return { end: usual, next: usual + 4 };
  if (plain !== -1) return { end: plain, next: plain + 2 };
  return { end: bytes.length, next: bytes.length };
}

/** The contents of a chunked body; undefined when it is not one. A last chunk that was cut off is kept as far as it goes. */
export function dechunk(body: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const lineEnd = body.indexOf(0x0a, at);
    if (lineEnd === -1 || lineEnd - at > 1024) return parts.length === 0 ? undefined : Buffer.concat(parts);
    const size = /^([0-9a-f]{1,8})[ \t]*(?:;.*)?\r?$/i.exec(body.toString("latin1", at, lineEnd))?.[1];
    if (size === undefined) return parts.length === 0 ? undefined : Buffer.concat(parts);
    const length = Number.parseInt(size, 16);
    if (length === 0) break;
    parts.push(body.subarray(lineEnd + 1, lineEnd + 1 + length));
    at = lineEnd + 1 + length;
    if (body[at] === 0x0d) at++;
    if (body[at] === 0x0a) at++;
  }
  return Buffer.concat(parts);
}

async function decode(body: Buffer, coding: string, limit: number): Promise<Buffer> {
  const options = { maxOutputLength: limit };
  if (body.length === 0) return body;
  if (coding === "gzip" || coding === "x-gzip") {
    return body[0] === 0x1f && body[1] === 0x8b ? unzip.gzip(body, options) : body;
  }
  if (coding === "deflate") {
    // By the standard with zlib's head, in practice often without.
    const head = body.length > 1 && (body[0] & 0x0f) === 8 && body.readUInt16BE(0) % 31 === 0;
    return head ? unzip.inflate(body, options) : unzip.raw(body, options).catch(() => body);
  }
  // Brotli has no mark to know it by: what does not decode was undone by the crawler.
  if (coding === "br") return unzip.br(body, options).catch(() => body);
  return body;
}
