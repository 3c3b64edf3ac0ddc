/**
 * The file of a packing plan. All numbers are little-endian.
 *
 *   0  8 bytes  magic "ANNEALPK"
 *   8  u32      version (1)
 *  12  u32      length of the JSON in bytes
 *  16  32 bytes SHA-256 of the payload
 *  48  32 bytes SHA-256 of bytes 0–47 and the JSON
 *  80  JSON: key, options, counts; then zeros up to a multiple of 64: the payload begins
 *      for each piece the u64 start · 2^24 + length, row after row; then for each row the u64 index of the piece after it
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { FormatError } from "../../errors.js";
import { atomically } from "../../io/atomic.js";
import { type FileSystem, type FileSystemHandle, nodeFileSystem, writeFully } from "../../io/filesystem.js";
import type { PackingReport } from "./options.js";

const MAGIC = Buffer.from("ANNEALPK", "latin1");
const VERSION = 1;
const FIXED_BYTES = 80;
const CHECKED_BYTES = 48;
/** Room for the JSON, which is written at the end. */
const HEADER_BYTES = 1024;
const HASH_BYTES = 4 * 2 ** 20;

/** What a plan says about itself. */
export interface PlanHeader {
  /** SHA-256 of all that decides the plan: shards and options. */
  key: string;
  sequenceLength: number;
  aligned: boolean;
  crop: boolean;
  pieces: number;
  report: PackingReport;
}

/** Where the two lists of the payload begin. */
export const PIECES_OFFSET = HEADER_BYTES;
export const endsOffset = (header: PlanHeader) => HEADER_BYTES + header.pieces * 8;

function encodeHeader(header: PlanHeader, payloadSha256: Buffer): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeUInt32LE(json.length, 12);
  payloadSha256.copy(bytes, 16);
  json.copy(bytes, FIXED_BYTES);
  digest(bytes, json).copy(bytes, CHECKED_BYTES);
  return bytes;
}

const digest = (fixed: Buffer, json: Buffer) =>
  createHash("sha256").update(fixed.subarray(0, CHECKED_BYTES)).update(json).digest();

/** Receives a plan stretch by stretch. */
export interface PlanSink {
  /** Pieces of further rows, and the index of the piece after each row within them. */
  add(pieces: BigUint64Array, ends: Uint32Array): Promise<void>;
}

/**
 * Writes a plan, whole or not at all.
 * @param fill hands all pieces to the sink and returns what the header says but for the number of pieces
 */
export async function writePlan(
  path: string,
  fill: (sink: PlanSink) => Promise<Omit<PlanHeader, "pieces">>,
  fs: FileSystem = nodeFileSystem,
): Promise<PlanHeader> {
  return atomically(fs, path, async (temporary) => {
    const file = await fs.open(temporary, "wx");
    try {
      return await writePayload(file, fill);
    } finally {
      await file.close();
    }
  });
}

async function writePayload(
  file: FileSystemHandle,
  fill: (sink: PlanSink) => Promise<Omit<PlanHeader, "pieces">>,
): Promise<PlanHeader> {
  const hash: Hash = createHash("sha256");
  let position = HEADER_BYTES;
  let pieces = 0;
  // 8 bytes a row until the end, when it is known where they go.
  const ends: BigUint64Array[] = [];
  const append = async (words: BigUint64Array) => {
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    await writeFully(file, bytes, position, hash);
    position += bytes.length;
  };
  const header = await fill({
    async add(words, rowEnds) {
      const before = BigInt(pieces);
      ends.push(BigUint64Array.from(rowEnds, (end) => before + BigInt(end)));
      pieces += words.length;
      await append(words);
    },
  });
  for (const words of ends) await append(words);
  const whole = { ...header, pieces };
  await writeFully(file, encodeHeader(whole, hash.digest()), 0);
  await file.sync();
  return whole;
}

/**
 * Reads and checks a plan's file.
 * @throws FormatError when it is no plan, truncated or damaged; the system's error when it cannot be read
 */
export async function readPlanHeader(path: string): Promise<PlanHeader> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const bytes = await readBytes(file, 0, Math.min(size, HEADER_BYTES), path);
    if (bytes.length < HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) {
      throw new FormatError(`${path} is not a packing plan: its first bytes are not "ANNEALPK".`, { path });
    }
    const version = bytes.readUInt32LE(8);
    const length = bytes.readUInt32LE(12);
    if (version !== VERSION || length > HEADER_BYTES - FIXED_BYTES) {
      throw new FormatError(
        `${path} has version ${version} of the plan format, this program reads version ${VERSION}.`,
        { path, version },
      );
    }
    const json = bytes.subarray(FIXED_BYTES, FIXED_BYTES + length);
    if (!digest(bytes, json).equals(bytes.subarray(CHECKED_BYTES, FIXED_BYTES))) {
      throw new FormatError(`${path} has a damaged header: its checksum differs.`, { path });
    }
    const header = JSON.parse(json.toString()) as PlanHeader;
    const expected = endsOffset(header) + header.report.rows * 8;
    if (size !== expected) {
      throw new FormatError(
        `${path} is ${size < expected ? "truncated" : "too long"}: ${expected} bytes were expected, it has ${size}.`,
        { path, expected, bytes: size },
      );
    }
    const hash = createHash("sha256");
    for (let at = HEADER_BYTES; at < size; at += HASH_BYTES) {
      hash.update(await readBytes(file, at, Math.min(HASH_BYTES, size - at), path));
    }
    if (!hash.digest().equals(bytes.subarray(16, 48))) {
      throw new FormatError(`${path} is damaged: its rows do not match their checksum.`, { path });
    }
    return header;
  } finally {
    await file.close();
  }
}

async function readBytes(file: FileHandle, position: number, length: number, path: string): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new FormatError(`${path} ended while it was read.`, { path });
    filled += bytesRead;
  }
  return bytes;
}
