/** Unpacks gzip (also many members one after the other, as Common Crawl writes it), zstd and brotli while reading. */
import { createBrotliDecompress, createGunzip } from "node:zlib";
import { AnnealError } from "../../errors.js";
import { decoded, NO_BACKPRESSURE } from "./decoder-stream.js";
import { damaged } from "./reader.js";
import { unzstd } from "./zstd.js";

/** How a file is compressed. */
export type Compression = "none" | "gzip" | "zstd" | "brotli";

/** File endings of the compressions. */
export const COMPRESSION_ENDINGS: Readonly<Record<string, Compression>> = {
  ".gz": "gzip",
  ".zst": "zstd",
  ".zstd": "zstd",
  ".br": "brotli",
};

/** Compressed bytes given to the decoder at once: a data error is known to lie within so many bytes. */
const FEED_BYTES = 2 ** 15;
const OUTPUT_BYTES = 2 ** 18;

/**
 * The unpacked bytes of a compressed file.
 * @throws DataError (damage) naming file and compressed byte when the stream is truncated, corrupt, or of another kind.
 */
export function unpack(
  chunks: AsyncIterable<Buffer>,
  compression: Compression,
  path: string,
): AsyncIterable<Buffer> {
  if (compression === "none") return chunks;
  if (compression === "zstd") return unzstd(chunks, path);
  return inflate(chunks, compression, path);
}

/** Feeds a decoder of node:zlib and gives what comes out. */
async function* inflate(
  chunks: AsyncIterable<Buffer>,
  compression: "gzip" | "brotli",
  path: string,
): AsyncGenerator<Buffer> {
  let fed = 0;
  async function* feed() {
    let first: Buffer | undefined = Buffer.alloc(0);
    for await (const chunk of chunks) {
      if (first !== undefined && compression === "gzip") {
        first = Buffer.concat([first, chunk.subarray(0, 2)]);
        if (first.length >= 2) {
          checkMagic(first, path);
          first = undefined;
        }
      }
      for (let at = 0; at < chunk.length; at += FEED_BYTES) {
        const piece = chunk.subarray(at, at + FEED_BYTES);
        fed += piece.length;
        yield piece;
      }
    }
    if (fed === 0) throw truncated(path, 0, compression);
  }
  const decoder =
    compression === "gzip"
      ? createGunzip({ chunkSize: OUTPUT_BYTES, ...NO_BACKPRESSURE })
      : createBrotliDecompress({ chunkSize: OUTPUT_BYTES, ...NO_BACKPRESSURE });
  try {
    yield* decoded(decoder, feed());
  } catch (error) {
    if (error instanceof AnnealError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "Z_BUF_ERROR") throw truncated(path, fed, compression, error);
    const offset = Math.min(decoder.bytesWritten, fed);
    throw damaged(
      `${path}: the ${compression} stream is damaged (${message}), between bytes ${offset} and ${fed} of the compressed file. ` +
        "Fetch or compress the file again.",
      { path, offset, end: fed },
      error,
    );
  }
}

function checkMagic(bytes: Buffer, path: string): void {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return;
  throw damaged(
    `${path} is not a gzip file: it begins with the bytes ${bytes.toString("hex")}, not 1f8b. ` +
      'If it is not compressed, say so with the option compression: "none".',
    { path, offset: 0 },
  );
}

function truncated(path: string, offset: number, compression: string, cause?: unknown) {
  return damaged(
    offset === 0
      ? `${path} is empty, not a ${compression} file. Fetch or compress the file again.`
      : `${path}: the ${compression} stream is truncated: it ends at byte ${offset} of the compressed file before it is complete. ` +
          "Fetch or compress the file again.",
    { path, offset },
    cause,
  );
}
