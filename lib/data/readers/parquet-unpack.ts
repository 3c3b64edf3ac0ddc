/**
 * Unpacks one parquet page and checks what is in it before it is decoded: the run lengths of levels and dictionary indices
 * say how much memory and time their decoding takes, and in a damaged page they may say anything. The result is the same
 * page without compression under a header of its own.
 */
import * as zlib from "node:zlib";
import type { CompressionCodec, Compressors, Encoding, PageHeader } from "hyparquet";
import { Encodings } from "hyparquet/src/constants.js";
import { compressors as javascriptCompressors } from "hyparquet-compressors";

/** How a column's values are nested. */
export interface Nesting {
  /** Repetition level of the innermost list: 0 when every value is a row. */
  lists: number;
  /** Definition level of a value that is there. */
  levels: number;
}

type SyncZstd = { zstdDecompressSync?: (input: Uint8Array, options?: object) => Uint8Array };
const nativeZstd = (zlib as SyncZstd).zstdDecompressSync;

/** Node's own decoders where it has them: they are several times as fast. */
const compressors: Compressors = {
  ...javascriptCompressors,
  GZIP: (input, length) => zlib.unzipSync(input, { maxOutputLength: length }),
  BROTLI: (input, length) => zlib.brotliDecompressSync(input, { maxOutputLength: length }),
  ...(nativeZstd && {
    ZSTD: (input: Uint8Array, length: number) => nativeZstd(input, { maxOutputLength: length }),
  }),
};

/**
 * A page without compression: header and contents.
 * @param body the page's contents as they lie in the file
 * @throws Error when the contents are damaged
 */
export function unpackPage(
  header: PageHeader,
  body: Uint8Array,
  codec: CompressionCodec,
  nesting: Nesting,
): Buffer {
  if (header.data_page_header_v2 !== undefined) return unpackV2(header, body, codec, nesting);
  const bytes = decompress(body, codec, header.uncompressed_page_size);
  const { length } = bytes;
  if (header.dictionary_page_header !== undefined) {
    // A page header of type 2; its field 7 says how many entries there are and that they are plain.
    return Buffer.concat([
      compactHeader([2, length, length], 0x4c, [header.dictionary_page_header.num_values, 0]),
      bytes,
    ]);
  }
  const counts = header.data_page_header;
  if (counts === undefined) throw new Error("a page has no counts");
  const { num_values: values, encoding } = counts;
  let at = 0;
  let there = values;
  for (const [level, most] of [
    ["repetition", nesting.lists],
    ["definition", nesting.levels],
  ] as const) {
    if (most === 0) continue;
    const length = bytes.length >= at + 4 ? bytes.readUInt32LE(at) : -1;
    if (length < 0 || at + 4 + length > bytes.length) throw new Error(`its ${level} levels are cut off`);
    const full = countRuns(bytes, at + 4, at + 4 + length, bitWidth(most), values, most);
    if (level === "definition") there = full;
    at += 4 + length;
  }
  checkValues(bytes, at, encoding, there);
  const fields = [values, encodingNumber(encoding), RLE, RLE];
  return Buffer.concat([compactHeader([0, length, length], 0x2c, fields), bytes]);
}

/** A page of version 2, whose levels are not compressed and say their lengths in the header. */
function unpackV2(header: PageHeader, body: Uint8Array, codec: CompressionCodec, nesting: Nesting): Buffer {
  const counts = header.data_page_header_v2 as NonNullable<PageHeader["data_page_header_v2"]>;
  const { num_values: values, num_rows: rows, encoding } = counts;
  const lists = counts.repetition_levels_byte_length ?? 0;
  const defined = counts.definition_levels_byte_length ?? 0;
  if (!(lists >= 0 && defined >= 0 && lists + defined <= body.length))
    throw new Error("its levels are cut off");
  const levels = Buffer.from(body.buffer, body.byteOffset, lists + defined);
  if (nesting.lists > 0) countRuns(levels, 0, lists, bitWidth(nesting.lists), values, nesting.lists);
  const there =
    nesting.levels === 0
      ? values
      : countRuns(levels, lists, lists + defined, bitWidth(nesting.levels), values, nesting.levels);
  const packed = body.subarray(lists + defined);
  const length = header.uncompressed_page_size - lists - defined;
  const bytes =
    counts.is_compressed === false
      ? decompress(packed, "UNCOMPRESSED", length)
      : decompress(packed, codec, length);
  checkValues(bytes, 0, encoding, there);
  // Arrow leaves values out of the count of nulls whose list is empty; a decoder that believes it reads beyond the page.
  const fields = [values, values - there, rows, encodingNumber(encoding), defined, lists];
  const total = header.uncompressed_page_size;
  return Buffer.concat([compactHeader([3, total, total], 0x5c, fields, [0x12]), levels, bytes]);
}

function decompress(body: Uint8Array, codec: CompressionCodec, length: number): Buffer {
  const view = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let bytes = body;
  if (codec !== "UNCOMPRESSED") {
    const decoder = compressors[codec];
    if (decoder === undefined) throw new Error(`there is no decoder for the compression ${codec}`);
    bytes = length === 0 ? new Uint8Array(0) : decoder(body, length);
  }
  if (bytes.length !== length)
    throw new Error(`it unpacks to ${bytes.length} bytes, its header says ${length}`);
  return view(bytes);
}

const RLE = 3;
const encodingNumber = (encoding: Encoding) => Encodings.indexOf(encoding);
const bitWidth = (most: number) => 32 - Math.clz32(most);

/** Checks what decoding of values relies on: dictionary indices come in runs, too. */
function checkValues(bytes: Buffer, at: number, encoding: string | undefined, values: number): void {
  if ((encoding === "RLE_DICTIONARY" || encoding === "PLAIN_DICTIONARY") && values > 0) {
    if (at >= bytes.length) throw new Error("its indices are cut off");
    const width = bytes[at];
    if (width > 32) throw new Error(`its indices have ${width} bits`);
    if (width > 0) countRuns(bytes, at + 1, bytes.length, width, values);
  } else if (encoding === "RLE" && values > 0) {
    countRuns(bytes, at + 4, bytes.length, 1, values);
  }
}

/**
 * Walks the runs of the RLE and bit-packing hybrid.
 * @param wanted a value to count
 * @returns how many of the values are the wanted one
 * @throws Error when a run is longer than the values that are left, or than the bytes
 */
function countRuns(
  bytes: Buffer,
  begin: number,
  end: number,
  width: number,
  values: number,
  wanted?: number,
): number {
  const valueBytes = (width + 7) >> 3;
  let at = begin;
  let seen = 0;
  let found = 0;
  while (seen < values) {
    let head = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= end || shift > 28) throw new Error("its runs are cut off");
      const byte = bytes[at++];
      head += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const left = values - seen;
    const count = Math.floor(head / 2);
    if (head % 2 === 0) {
      if (count > left || at + valueBytes > end)
        throw new Error(`it has a run of ${count} where ${left} values are left`);
      if (wanted !== undefined && bytes.readUIntLE(at, valueBytes || 1) === wanted) found += count;
      at += valueBytes;
      seen += count;
      continue;
    }
    // The last group is padded to eight values, and some writers leave out bytes that are padding only.
    const needed = Math.min(count * 8, left);
    if (count * 8 >= left + 8 || at + ((needed * width + 7) >> 3) > end) {
      throw new Error(`it has ${count * 8} packed values where ${left} are left`);
    }
    if (wanted !== undefined) {
      for (let i = 0; i < needed; i++) if (packedValue(bytes, at, i * width, width) === wanted) found++;
    }
    at += count * width;
    seen += needed;
  }
  return found;
}

/** A value of at most 16 bits, counted from the lowest bit of each byte. */
function packedValue(bytes: Buffer, at: number, bit: number, width: number): number {
  const first = at + (bit >> 3);
  const word = bytes[first] | ((bytes[first + 1] ?? 0) << 8) | ((bytes[first + 2] ?? 0) << 16);
  return (word >> (bit & 7)) & ((1 << width) - 1);
}

/**
 * A page header in Thrift's compact form: fields 1 to 3, then a struct whose fields are integers.
 * @param struct the byte that opens the struct: how many fields are left out before it, and the type
 * @param rest further bytes of the struct
 */
function compactHeader(
  outer: readonly number[],
  struct: number,
  inner: readonly number[],
  rest: readonly number[] = [],
): Buffer {
  const bytes: number[] = [];
  const integers = (values: readonly number[]) => {
    for (const value of values) {
      bytes.push(0x15); // the next field, a 32-bit integer in zigzag form
      let left = value * 2;
      for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
      bytes.push(left);
    }
  };
  integers(outer);
  bytes.push(struct);
  integers(inner);
  bytes.push(...rest, 0, 0);
  return Buffer.from(bytes);
}
