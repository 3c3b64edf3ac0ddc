/**
 * Unpacks zstd streams. The frame structure (RFC 8878) is walked here, so that a truncated or foreign stream is noticed at
 * its very byte whatever decoder is at work; the blocks are decoded by `node:zlib` where the running Node has zstd, and by
 * `fzstd` elsewhere, whose output is checked against the frame's size and checksum.
 */
import type { Transform } from "node:stream";
import * as zlib from "node:zlib";
import { Decompress } from "fzstd";
import { AnnealError } from "../../errors.js";
import { ByteQueue } from "./bytes.js";
import { decoded, NO_BACKPRESSURE } from "./decoder-stream.js";
import { damaged, Pace } from "./reader.js";
import { XxHash64 } from "./xxh64.js";

const MAGIC = 0xfd2fb528;
/** Frames with this magic number, whatever their last four bits, hold other things than data. */
const SKIPPABLE = 0x184d2a50;
/** Largest block content, and largest window that decoders take by default. */
const MAX_BLOCK_BYTES = 128 * 1024;
const MAX_WINDOW_BYTES = 128 * 2 ** 20;

/** A piece of a frame: its head, a block with the three bytes before it, or the checksum at the end. */
interface FramePiece {
  kind: "head" | "block" | "checksum";
  bytes: Buffer;
  /** Offset in the compressed file. */
  offset: number;
  /** Of a head: bytes of content when the frame says them, and whether a checksum follows. */
  contentBytes?: number;
  last?: boolean;
  checksum?: boolean;
}

type NativeZstd = { createZstdDecompress?: (options?: object) => Transform };

/** The unpacked bytes of a zstd file. */
export function unzstd(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  const pieces = framePieces(new ByteQueue(chunks), path);
  return (zlib as NativeZstd).createZstdDecompress === undefined
    ? decodeHere(pieces, path)
    : decodeNatively(pieces, path);
}

function broken(path: string, offset: number, what: string, cause?: unknown) {
  return damaged(
    `${path}: ${what}, at byte ${offset} of the compressed file. Fetch or compress the file again.`,
    { path, offset },
    cause,
  );
}

/** Walks frames and blocks without decoding them. */
async function* framePieces(queue: ByteQueue, path: string): AsyncGenerator<FramePiece> {
  const need = async (length: number, what: string) => {
    if (await queue.fill(length)) return;
    const end = queue.position + queue.available;
    throw broken(path, end, `the zstd stream is truncated: it ends inside ${what}`);
  };
  let frames = 0;
  try {
    while (await queue.fill(1)) {
      await need(4, "a frame's first bytes");
      const magic = queue.peek(4).readUInt32LE();
      const offset = queue.position;
      if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
        await need(8, "a skippable frame's head");
        const length = queue.take(8).readUInt32LE(4);
        if ((await queue.skip(length)) < length) await need(1, "a skippable frame");
      } else if (magic === MAGIC) {
        yield* frame(queue, path, need);
      } else {
        const start = queue.peek(4).toString("hex");
        throw frames === 0
          ? damaged(
              `${path} is not a zstd file: it begins with the bytes ${start}, not 28b52ffd. ` +
                'If it is not compressed, say so with the option compression: "none".',
              { path, offset },
            )
          : broken(path, offset, `bytes that are no zstd frame (${start}) follow the stream`);
      }
      frames++;
    }
    if (frames === 0) throw broken(path, 0, "the zstd stream is empty");
  } finally {
    await queue.close();
  }
}

async function* frame(
  queue: ByteQueue,
  path: string,
  need: (length: number, what: string) => Promise<void>,
): AsyncGenerator<FramePiece> {
  const offset = queue.position;
  await need(5, "a frame's head");
  const descriptor = queue.peek(5)[4];
  const single = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3];
  const sizeBytes = sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag;
  const headBytes = 5 + (single ? 0 : 1) + dictionaryBytes + sizeBytes;
  await need(headBytes, "a frame's head");
  const head = queue.take(headBytes);
  if ((descriptor & 0x08) !== 0) throw broken(path, offset + 4, "a zstd frame sets a bit that must be 0");
  const dictionary = head.subarray(headBytes - sizeBytes - dictionaryBytes, headBytes - sizeBytes);
  if (dictionary.some((byte) => byte !== 0)) {
    throw damaged(
      `${path} was compressed with a zstd dictionary (frame at byte ${offset}). Compress it again without one.`,
      { path, offset },
    );
  }
  const contentBytes = sizeBytes === 0 ? undefined : contentSize(head.subarray(headBytes - sizeBytes));
  const exponent = single ? 0 : 10 + (head[5] >> 3);
  const windowBytes = single ? (contentBytes as number) : 2 ** exponent * (1 + (head[5] & 7) / 8);
  // A frame of one piece needs no window beyond its content, which may be large only when it says so honestly.
  if (windowBytes > MAX_WINDOW_BYTES) {
    throw damaged(
      `${path} needs a zstd window of ${windowBytes} bytes (frame at byte ${offset}), more than the ${MAX_WINDOW_BYTES} that ` +
        "are taken. Compress it again without --long or with --long=27, and not from a memory buffer in one piece.",
      { path, offset, windowBytes },
    );
  }
  const checksum = (descriptor & 0x04) !== 0;
  yield { kind: "head", bytes: head, offset, contentBytes, checksum };
  for (let last = false; !last; ) {
    await need(3, "a block's head");
    const blockHead = queue.peek(3).readUIntLE(0, 3);
    last = (blockHead & 1) === 1;
    const type = (blockHead >> 1) & 3;
    const size = blockHead >> 3;
    if (type === 3 || size > MAX_BLOCK_BYTES) {
      throw broken(path, queue.position, "the zstd stream is damaged: a block's head makes no sense");
    }
    const length = 3 + (type === 1 ? 1 : size);
    await need(length, "a block");
    const blockOffset = queue.position;
    yield { kind: "block", bytes: queue.take(length), offset: blockOffset, last };
  }
  if (checksum) {
    await need(4, "a frame's checksum");
    const checksumOffset = queue.position;
    yield { kind: "checksum", bytes: queue.take(4), offset: checksumOffset };
  }
}

/** A frame's content size, little-endian; two bytes count from 256. */
function contentSize(bytes: Buffer): number {
  if (bytes.length === 8) return Number(bytes.readBigUInt64LE());
  return bytes.readUIntLE(0, bytes.length) + (bytes.length === 2 ? 256 : 0);
}

/** Decodes with fzstd, one block after the other. */
async function* decodeHere(pieces: AsyncGenerator<FramePiece>, path: string): AsyncGenerator<Buffer> {
  let decoder = new Decompress();
  let hash: XxHash64 | undefined;
  let expected: number | undefined;
  let got = 0;
  let output: Buffer[] = [];
  const pace = new Pace();
  for await (const piece of pieces) {
    if (piece.kind === "head") {
      decoder = new Decompress((data) => {
        if (data.length > 0) output.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      });
      hash = piece.checksum ? new XxHash64() : undefined;
      expected = piece.contentBytes;
      got = 0;
    }
    if (piece.kind === "checksum") {
      const stored = piece.bytes.readUInt32LE();
      if (hash !== undefined && hash.low() !== stored) {
        throw broken(
          path,
          piece.offset,
          "the zstd stream is damaged: a frame's checksum does not match its content",
        );
      }
      continue;
    }
    try {
      decoder.push(piece.bytes);
      // The decoder waits for 18 bytes before it looks at a frame; a short one is all there once its last block is.
      if (piece.last) decoder.push(hash === undefined ? new Uint8Array(0) : new Uint8Array(4), true);
    } catch (error) {
      throw broken(path, piece.offset, `the zstd stream is damaged (${(error as Error).message})`, error);
    }
    const unpacked = output;
    output = [];
    for (const bytes of unpacked) {
      hash?.update(bytes);
      got += bytes.length;
      yield bytes;
    }
    await pace.step();
    if (piece.last && expected !== undefined && got !== expected) {
      throw broken(
        path,
        piece.offset,
        `the zstd stream is damaged: a frame holds ${got} bytes and should hold ${expected}`,
      );
    }
  }
}

/** Decodes with Node's own zstd, which checks sizes and checksums itself. */
async function* decodeNatively(pieces: AsyncGenerator<FramePiece>, path: string): AsyncGenerator<Buffer> {
  let offset = 0;
  async function* compressed() {
    for await (const piece of pieces) {
      offset = piece.offset;
      yield piece.bytes;
    }
  }
  const parameters = { [(zlib.constants as Record<string, number>).ZSTD_d_windowLogMax]: 27 };
  const decoder = (zlib as NativeZstd).createZstdDecompress!({
    chunkSize: 2 ** 18,
    params: parameters,
    ...NO_BACKPRESSURE,
  });
  try {
    yield* decoded(decoder, compressed());
  } catch (error) {
    if (error instanceof AnnealError) throw error;
    throw broken(path, offset, `the zstd stream is damaged (${(error as Error).message})`, error);
  }
}
