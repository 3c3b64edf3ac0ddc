/**
 * The pages of one parquet column chunk, found by walking their headers. This checks sizes, counts and checksums before
 * anything is decoded, so that a damaged file cannot make the decoder ask for absurd amounts of memory, and it lets a very
 * large row group be decoded a few pages at a time.
 */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { ColumnMetaData, CompressionCodec, PageHeader } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import type { DataError } from "../../errors.js";
import { readRange } from "./bytes.js";
import { type Nesting, unpackPage } from "./parquet-unpack.js";
import { damaged } from "./reader.js";

/** A page where it lies in the file. */
export interface Page {
  /** Byte of its header. */
  offset: number;
  /** Header and contents together. */
  length: number;
  headerLength: number;
  uncompressed: number;
  /** Values in it, those of dictionary pages left out. */
  values: number;
  /** Rows in it, where its header says so: always for columns without lists. */
  rows?: number;
  header: PageHeader;
}

/** A column chunk's pages. */
export interface PageList {
  dictionary?: Page;
  data: Page[];
  /** Whether all pages say how many rows they have. */
  counted: boolean;
}

/** Header bytes read at once. Statistics in a header make it longer; then more is read. */
const HEADER_BYTES = 2 ** 12;
const MAX_HEADER_BYTES = 2 ** 22;
/** Chunks up to this size are walked in memory. */
const WHOLE_BYTES = 2 ** 20;
/** Most values of one page. Writers put thousands in a page; long runs of nulls make more. */
const MAX_PAGE_VALUES = 2 ** 24;

/**
 * Finds all pages of a column chunk.
 * @param maxPageBytes largest page, unpacked
 * @param where file and column, for messages
 * @throws DataError (damage) when headers are broken, or sizes and counts do not fit the file's metadata.
 */
export async function listPages(
  handle: FileHandle,
  path: string,
  fileSize: number,
  column: ColumnMetaData,
  flat: boolean,
  maxPageBytes: number,
  where: string,
): Promise<PageList> {
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = start + Number(column.total_compressed_size);
  const fail = (offset: number, problem: string, cause?: unknown): DataError =>
    damaged(
      `${where}: ${problem}, at byte ${offset}. Fetch or write the file again.`,
      { path, offset },
      cause,
    );
  if (!(start >= 4 && end >= start && end <= fileSize - 8)) {
    throw fail(start, `the metadata places the column at bytes ${start} to ${end} of a file of ${fileSize}`);
  }
  const whole = end - start <= WHOLE_BYTES ? await readRange(handle, path, start, end - start) : undefined;
  const bytesAt = (offset: number, length: number) =>
    whole?.subarray(offset - start, offset - start + length) ?? readRange(handle, path, offset, length);
  const list: PageList = { data: [], counted: true };
  let values = 0;
  for (let offset = start; offset < end; ) {
    let header: ReturnType<typeof parquetHeader> | undefined;
    let headerLength = 0;
    for (let length = HEADER_BYTES; header === undefined; length *= 8) {
      const bytes = await bytesAt(offset, Math.min(length, end - offset));
      const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
      try {
        header = parquetHeader(reader);
        headerLength = reader.offset;
      } catch (error) {
        if (length >= Math.min(MAX_HEADER_BYTES, end - offset)) {
          throw fail(offset, `a page header is damaged (${(error as Error).message})`, error);
        }
      }
    }
    const size = header.compressed_page_size;
    const uncompressed = header.uncompressed_page_size;
    if (!(size >= 0 && offset + headerLength + size <= end) || !(uncompressed >= 0)) {
      throw fail(offset, `a page header is damaged: ${size} bytes, ${uncompressed} unpacked`);
    }
    if (uncompressed > maxPageBytes) {
      throw fail(offset, `a page has ${uncompressed} bytes, more than the ${maxPageBytes} that are taken`);
    }
    const page: Page = {
      offset,
      length: headerLength + size,
      headerLength,
      uncompressed,
      values: 0,
      header,
    };
    const counts = header.data_page_header ?? header.data_page_header_v2;
    if (header.type === "DICTIONARY_PAGE") {
      if (list.dictionary !== undefined || list.data.length > 0)
        throw fail(offset, "a dictionary follows other pages");
      const entries = header.dictionary_page_header?.num_values ?? -1;
      if (!(entries >= 0 && entries <= Math.min(MAX_PAGE_VALUES, 8 * uncompressed)))
        throw fail(offset, `a dictionary has ${entries} entries`);
      list.dictionary = page;
    } else if ((header.type === "DATA_PAGE" || header.type === "DATA_PAGE_V2") && counts !== undefined) {
      page.values = counts.num_values;
      page.rows = flat ? counts.num_values : header.data_page_header_v2?.num_rows;
      if (!(page.values >= 0 && page.values <= MAX_PAGE_VALUES))
        throw fail(offset, `a page has ${page.values} values`);
      if (page.rows === undefined) list.counted = false;
      values += page.values;
      list.data.push(page);
    } else if (header.type !== "INDEX_PAGE") {
      throw fail(offset, "a page is of a kind that does not exist");
    }
    offset += page.length;
  }
  if (values !== Number(column.num_values)) {
    throw fail(start, `the pages have ${values} values, the metadata says ${column.num_values}`);
  }
  return list;
}

/**
 * Some pages of a column without compression, one behind the other, checked.
 * @throws DataError (damage) naming the page.
 */
export async function readPages(
  handle: FileHandle,
  path: string,
  pages: readonly Page[],
  codec: CompressionCodec,
  nesting: Nesting,
  where: string,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let i = 0; i < pages.length; ) {
    // Pages that follow each other are read at once.
    let j = i + 1;
    while (j < pages.length && pages[j].offset === pages[j - 1].offset + pages[j - 1].length) j++;
    const begin = pages[i].offset;
    const bytes = await readRange(handle, path, begin, pages[j - 1].offset + pages[j - 1].length - begin);
    for (const page of pages.slice(i, j)) {
      const at = page.offset - begin;
      const body = bytes.subarray(at + page.headerLength, at + page.length);
      try {
        const { crc } = page.header;
        if (crc !== undefined && crc32(body) !== crc >>> 0) throw new Error("its checksum does not match");
        parts.push(unpackPage(page.header, body, codec, nesting));
      } catch (error) {
        throw damaged(
          `${where}: the page at byte ${page.offset} is damaged (${(error as Error).message}). Fetch or write the file again.`,
          { path, offset: page.offset },
          error,
        );
      }
    }
    i = j;
  }
  return parts.length === 1 ? parts[0] : Buffer.concat(parts);
}
