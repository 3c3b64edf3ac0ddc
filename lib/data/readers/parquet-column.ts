/** One column of a parquet row group, decoded by hyparquet some pages at a time. */
import type { FileHandle } from "node:fs/promises";
import {
  type ColumnMetaData,
  type FileMetaData,
  parquetRead,
  type RowGroup,
  type SchemaTree,
} from "hyparquet";
import { DataError } from "../../errors.js";
import { listPages, type Page, type PageList, readPages } from "./parquet-pages.js";
import type { Nesting } from "./parquet-unpack.js";
import { type DamagePolicy, damaged, type ReaderSettings } from "./reader.js";

/** What the parquet reader is given: it reads from the end of the file, so it needs the file itself. */
export interface ParquetInput {
  path: string;
  handle: FileHandle;
  settings: ReaderSettings;
  damage: DamagePolicy;
  /** Called with the bytes of pages that were read. */
  onRead?: (bytes: number) => void;
}

/** Unpacked bytes and rows of the text's column that are decoded at a time, so that other work gets its turn between. */
const WINDOW_BYTES = 2 ** 20;
const WINDOW_ROWS = 2 ** 14;
/** Largest page, unpacked; a page has at least one value, so it must be able to hold the largest record. */
const MAX_PAGE_BYTES = 2 ** 30;
/** Virtual place of a column's bytes in the buffers that hyparquet is given. */
const BASE = 8;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const parsers = { stringFromBytes: (bytes: Uint8Array) => bytes && strict.decode(bytes) };

/** What a column belongs to. */
export interface ColumnContext {
  input: ParquetInput;
  metadata: FileMetaData;
  tree: SchemaTree;
  group: RowGroup;
  size: number;
  name: string;
  where: string;
}

/** A leaf of a column: its place, its nesting and its pages. */
interface Leaf {
  column: ColumnMetaData;
  nesting: Nesting;
  pages: PageList;
}

/** The values of one top-level column of a row group, decoded as they are asked for, in order. */
export class ColumnStream {
  readonly name: string;
  /** First byte of the column in the file. */
  readonly offset: number;
  private decoded: unknown[] = [];
  /** Row of the first decoded value that is kept. */
  private start = 0;
  private nextPage = 0;

  private constructor(
    private readonly context: ColumnContext,
    private readonly leaves: readonly Leaf[],
  ) {
    this.name = context.name;
    this.offset = leaves[0].pages.dictionary?.offset ?? leaves[0].pages.data[0]?.offset ?? 0;
  }

  static async open(context: ColumnContext): Promise<ColumnStream> {
    const { input, tree, group, size, name } = context;
    const { path, handle, settings } = input;
    const top = tree.children.find(({ element }) => element.name === name) as SchemaTree;
    const leaves: Leaf[] = [];
    for (const chunk of group.columns) {
      const column = chunk.meta_data;
      if (column === undefined || column.path_in_schema[0] !== name) continue;
      const where = `${context.where}, column "${column.path_in_schema.join(".")}"`;
      if (chunk.file_path !== undefined && chunk.file_path !== "") {
        throw damaged(`${where}: its data lies in another file, ${chunk.file_path}. Read that one.`, {
          path,
          offset: 0,
        });
      }
      const nesting = nestingOf(top, column.path_in_schema.slice(1));
      const limit = Math.max(MAX_PAGE_BYTES, settings.maxRecordBytes);
      const pages = await listPages(handle, path, size, column, nesting.lists === 0, limit, where);
      leaves.push({ column, nesting, pages });
    }
    if (leaves.length === 0) {
      throw damaged(`${context.where}: the column "${name}" is missing. Fetch or write the file again.`, {
        path,
        offset: size,
      });
    }
    const stream = new ColumnStream(context, leaves);
    const rows = Number(group.num_rows);
    for (const { pages } of leaves) {
      const counted = pages.data.reduce((sum, page) => sum + (page.rows ?? 0), 0);
      if (pages.counted && counted !== rows) {
        throw damaged(
          `${context.where}: the column "${name}" has ${counted} rows, the row group ${rows}. Fetch or write the file again.`,
          { path, offset: stream.offset },
        );
      }
    }
    return stream;
  }

  /** Whether this column can be decoded some pages at a time. */
  private get windowed(): boolean {
    return this.leaves.length === 1 && this.leaves[0].pages.counted;
  }

  /** The row before which a window that begins at `row` should end. */
  windowEnd(row: number): number {
    if (!this.windowed) return Number(this.context.group.num_rows);
    const pages = this.leaves[0].pages.data;
    let end = this.start + this.decoded.length;
    if (end > row) return end;
    let bytes = 0;
    for (
      let i = this.nextPage;
      i < pages.length &&
      (bytes === 0 || (bytes + pages[i].uncompressed <= WINDOW_BYTES && end - row < WINDOW_ROWS));
      i++
    ) {
      bytes += Math.max(1, pages[i].uncompressed);
      end += pages[i].rows as number;
    }
    // Pages without rows alone would make no progress.
    return end > row ? end : Number(this.context.group.num_rows);
  }

  /** The values of a range of rows; those before it are forgotten. */
  async rows(begin: number, end: number): Promise<unknown[]> {
    this.decoded = this.decoded.slice(begin - this.start);
    this.start = begin;
    while (this.start + this.decoded.length < end) {
      const before = this.decoded.length;
      this.decoded = this.decoded.concat(await this.decodeMore(end));
      if (this.decoded.length === before && this.nextPage >= this.leaves[0].pages.data.length) break;
    }
    if (this.start + this.decoded.length < end) {
      throw damaged(
        `${this.context.where}: the column "${this.name}" ends after ${this.start + this.decoded.length} of ` +
          `${this.context.group.num_rows} rows. Fetch or write the file again.`,
        { path: this.context.input.path, offset: this.offset },
      );
    }
    return this.decoded.slice(0, end - begin);
  }

  /** Decodes the next pages, about a window of them but not beyond `end`; or all, when pages do not count their rows. */
  private async decodeMore(end: number): Promise<unknown[]> {
    const { group } = this.context;
    if (!this.windowed) {
      this.nextPage = this.leaves[0].pages.data.length;
      return this.decode(
        this.leaves.map((leaf) => ({ ...leaf, data: leaf.pages.data })),
        Number(group.num_rows),
      );
    }
    const [leaf] = this.leaves;
    const { pages } = leaf;
    const data: Page[] = [];
    let rows = 0;
    let bytes = 0;
    const have = this.start + this.decoded.length;
    while (
      this.nextPage < pages.data.length &&
      have + rows < end &&
      (data.length === 0 || bytes < WINDOW_BYTES)
    ) {
      const page = pages.data[this.nextPage++];
      data.push(page);
      rows += page.rows as number;
      bytes += page.uncompressed;
    }
    return rows === 0 ? [] : this.decode([{ ...leaf, data }], rows);
  }

  /** Decodes some pages of this column's leaves as if they were a row group of their own. */
  private async decode(
    parts: readonly (Leaf & { data: readonly Page[] })[],
    rows: number,
  ): Promise<unknown[]> {
    const { input, metadata, name, where } = this.context;
    const buffers: Buffer[] = [];
    const columns = [];
    let position = BASE;
    for (const { column, nesting, pages, data } of parts) {
      const where = `${this.context.where}, column "${name}"`;
      const read = (list: readonly Page[]) =>
        readPages(input.handle, input.path, list, column.codec, nesting, where);
      // Writers give a dictionary up when it grows too large: the pages after that do not need it.
      const needed = pages.dictionary !== undefined && data.some(usesDictionary);
      const dictionary = needed ? await read([pages.dictionary as Page]) : Buffer.alloc(0);
      const bytes = Buffer.concat([dictionary, await read(data)]);
      columns.push({
        file_offset: 0n,
        meta_data: {
          ...column,
          codec: "UNCOMPRESSED" as const,
          dictionary_page_offset: dictionary.length === 0 ? undefined : BigInt(position),
          data_page_offset: BigInt(position + dictionary.length),
          total_compressed_size: BigInt(bytes.length),
          num_values: BigInt(data.reduce((sum, page) => sum + page.values, 0)),
        },
      });
      // A dictionary is read again for each window, but counts once.
      const first = data[0] === pages.data[0] ? (pages.dictionary?.length ?? 0) : 0;
      input.onRead?.(data.reduce((sum, page) => sum + page.length, first));
      buffers.push(bytes);
      position += bytes.length;
    }
    const contents = Buffer.concat([Buffer.alloc(BASE), ...buffers]);
    const file = {
      byteLength: contents.length,
      slice: (begin: number, finish = contents.length) =>
        contents.buffer.slice(contents.byteOffset + begin, contents.byteOffset + finish) as ArrayBuffer,
    };
    const count = BigInt(rows);
    const part = {
      ...metadata,
      num_rows: count,
      row_groups: [{ columns, num_rows: count, total_byte_size: 0n }],
    };
    try {
      let found: unknown[][] = [];
      await parquetRead({
        file,
        metadata: part,
        columns: [name],
        parsers,
        utf8: false,
        onComplete: (decoded: unknown[][]) => {
          found = decoded;
        },
      });
      return found.map(([value]) => value);
    } catch (error) {
      if (error instanceof DataError) throw error;
      const offset = parts[0].data[0]?.offset ?? this.offset;
      const message = (error as Error).message;
      const problem = /encoded data was not valid/.test(message)
        ? "a string is not valid UTF-8"
        : `the data is damaged (${message})`;
      throw damaged(
        `${where}, column "${name}": ${problem}, in the pages from byte ${offset}. Fetch or write the file again.`,
        { path: input.path, offset },
        error,
      );
    }
  }
}

/** Whether a page's values are places in the dictionary. */
function usesDictionary({ header }: Page): boolean {
  const encoding = (header.data_page_header ?? header.data_page_header_v2)?.encoding;
  return encoding === "RLE_DICTIONARY" || encoding === "PLAIN_DICTIONARY";
}

/** How the values of a leaf are nested, from a top-level column down. */
function nestingOf(top: SchemaTree, path: readonly string[]): Nesting {
  const nesting: Nesting = { lists: 0, levels: 0 };
  let node: SchemaTree | undefined = top;
  for (let i = 0; node !== undefined; i++) {
    if (node.element.repetition_type === "REPEATED") nesting.lists++;
    if (node.element.repetition_type !== "REQUIRED") nesting.levels++;
    node = node.children.find(({ element }) => element.name === path[i]);
  }
  return nesting;
}
