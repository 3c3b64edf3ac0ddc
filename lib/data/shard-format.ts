/**
 * The file format of a token shard. All numbers are little-endian.
 *
 *   0  8 bytes  magic "ANNEALTK"
 *   8  u32      version (1)
 *  12  u32      bytes per token: 2 or 4 (unsigned)
 *  16  u64      number of tokens
 *  24  u64      number of documents
 *  32  u64      bytes of UTF-8 text that the tokens stand for
 *  40  u32      bytes of text of the first token (it is never a target)
 *  44  u32      length of the provenance JSON in bytes
 *  48  32 bytes SHA-256 of the payload
 *  80  32 bytes fingerprint of the tokenizer
 * 112  32 bytes SHA-256 of bytes 0–111 and the provenance JSON
 * 144  provenance JSON, then zeros up to a multiple of 64: the payload begins
 *      tokens, zeros up to a multiple of 8, then for each document the u64 index of its first token, increasing
 */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.js";

export const FIXED_BYTES = 144;
const MAGIC = Buffer.from("ANNEALTK", "latin1");
const VERSION = 1;
const CHECKED_BYTES = 112;

/** What a shard says about itself. */
export interface ShardHeader {
  /** 2: ids below 65,536; 4: all others. */
  bytesPerToken: 2 | 4;
  tokens: number;
  documents: number;
  /** Bytes of UTF-8 text that the tokens stand for; special tokens count nothing. */
  textBytes: number;
  /** Bytes of text of the first token. */
  firstTokenBytes: number;
  /** SHA-256 of the payload, hexadecimal. */
  payloadSha256: string;
  /** Fingerprint of the tokenizer that made the tokens. */
  tokenizerFingerprint: string;
  /** Where the tokens come from: any JSON value. */
  provenance: unknown;
}

const alignTo = (value: number, unit: number) => Math.ceil(value / unit) * unit;

/** Where the payload begins, for a provenance of so many bytes. */
export function payloadOffset(provenanceBytes: number): number {
  return alignTo(FIXED_BYTES + provenanceBytes, 64);
}

/** Bytes that the tokens take in the payload, padding included. */
export function tokenSectionBytes(tokens: number, bytesPerToken: number): number {
  return alignTo(tokens * bytesPerToken, 8);
}

/** Length of a whole shard file. */
export function fileBytes(header: ShardHeader, provenanceBytes: number): number {
  return (
    payloadOffset(provenanceBytes) +
    tokenSectionBytes(header.tokens, header.bytesPerToken) +
    header.documents * 8
  );
}

/** Everything before the payload. */
export function encodeHeader(header: ShardHeader): Buffer {
  const provenance = Buffer.from(JSON.stringify(header.provenance ?? null));
  const bytes = Buffer.alloc(payloadOffset(provenance.length));
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeUInt32LE(header.bytesPerToken, 12);
  bytes.writeBigUInt64LE(BigInt(header.tokens), 16);
  bytes.writeBigUInt64LE(BigInt(header.documents), 24);
  bytes.writeBigUInt64LE(BigInt(header.textBytes), 32);
  bytes.writeUInt32LE(header.firstTokenBytes, 40);
  bytes.writeUInt32LE(provenance.length, 44);
  bytes.write(header.payloadSha256, 48, 32, "hex");
  bytes.write(header.tokenizerFingerprint, 80, 32, "hex");
  provenance.copy(bytes, FIXED_BYTES);
  headerDigest(bytes, provenance).copy(bytes, CHECKED_BYTES);
  return bytes;
}

function headerDigest(fixed: Buffer, provenance: Buffer): Buffer {
  return createHash("sha256").update(fixed.subarray(0, CHECKED_BYTES)).update(provenance).digest();
}

/**
 * Length of the provenance JSON that a shard's first bytes announce.
 * @throws FormatError when the bytes are not the beginning of a shard of this version.
 */
export function provenanceLength(fixed: Buffer, path: string, fileSize: number): number {
  if (fixed.length < 8 || !fixed.subarray(0, 8).equals(MAGIC)) {
    throw new FormatError(
      `${path} is not a token shard: its first bytes are not "ANNEALTK". Prepare the data again.`,
      {
        path,
      },
    );
  }
  if (fixed.length < FIXED_BYTES) {
    throw new FormatError(
      `${path} is truncated: ${fixed.length} bytes, a header has ${FIXED_BYTES}. Prepare the data again.`,
      { path, bytes: fixed.length },
    );
  }
  const version = fixed.readUInt32LE(8);
  if (version !== VERSION) {
    throw new FormatError(
      `${path} has version ${version} of the shard format, this program reads version ${VERSION}. Prepare the data again.`,
      { path, version },
    );
  }
  const length = fixed.readUInt32LE(44);
  if (payloadOffset(length) > fileSize) {
    throw new FormatError(
      `${path} is truncated: its header alone takes ${payloadOffset(length)} bytes, the file has ${fileSize}. ` +
        "Prepare the data again.",
      { path, bytes: fileSize },
    );
  }
  return length;
}

/**
 * Reads a header and holds it to the file's size.
 * @param bytes at least the fixed part and the provenance
 * @throws FormatError when the header is damaged or the file is shorter or longer than it says.
 */
export function decodeHeader(bytes: Buffer, path: string, fileSize: number): ShardHeader {
  const length = provenanceLength(bytes, path, fileSize);
  const provenance = bytes.subarray(FIXED_BYTES, FIXED_BYTES + length);
  if (!headerDigest(bytes, provenance).equals(bytes.subarray(CHECKED_BYTES, FIXED_BYTES))) {
    throw new FormatError(`${path} has a damaged header: its checksum differs. Prepare the data again.`, {
      path,
    });
  }
  const bytesPerToken = bytes.readUInt32LE(12);
  if (bytesPerToken !== 2 && bytesPerToken !== 4) {
    throw new FormatError(`${path} has tokens of ${bytesPerToken} bytes; 2 and 4 are known.`, {
      path,
      bytesPerToken,
    });
  }
  const header: ShardHeader = {
    bytesPerToken,
    tokens: Number(bytes.readBigUInt64LE(16)),
    documents: Number(bytes.readBigUInt64LE(24)),
    textBytes: Number(bytes.readBigUInt64LE(32)),
    firstTokenBytes: bytes.readUInt32LE(40),
    payloadSha256: bytes.toString("hex", 48, 80),
    tokenizerFingerprint: bytes.toString("hex", 80, 112),
    provenance: JSON.parse(provenance.toString()),
  };
  const expected = fileBytes(header, length);
  if (expected !== fileSize) {
    throw new FormatError(
      `${path} is ${fileSize < expected ? "truncated" : "too long"}: ${header.tokens} tokens and ${header.documents} ` +
        `documents take ${expected} bytes, the file has ${fileSize}. Prepare the data again.`,
      { path, expected, bytes: fileSize },
    );
  }
  return header;
}
