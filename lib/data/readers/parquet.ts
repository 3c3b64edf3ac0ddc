/**
 * Parquet files, decoded by hyparquet. A row group is read in windows of a few megabytes, so that memory depends on the
 * largest page and not on how large the writer made its row groups; only columns with lists in old-style pages, which do
 * not say how many rows a page has, are decoded a whole row group at a time.
 */
import type { FileHandle } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { type FileMetaData, parquetMetadataAsync, parquetSchema, type SchemaTree } from "hyparquet";
import { AnnealError, didYouMean } from "../../errors.js";
import { readRange } from "./bytes.js";
import { ColumnStream, type ParquetInput } from "./parquet-column.js";
import { damaged, type ReaderSettings, type TextDocument } from "./reader.js";
import { documentOf } from "./record.js";
import { decodeStrict } from "./text.js";

const MAX_FOOTER_BYTES = 2 ** 28;

/** Reads the rows of a parquet file. */
export async function* readParquet(input: ParquetInput): AsyncGenerator<TextDocument[]> {
  const { path, handle, settings, damage } = input;
  const { size } = await handle.stat();
  const metadata = await readMetadata(handle, path, size);
  const { tree, columns } = schemaOf(metadata, settings, path, size);
  // Old writers store text as plain bytes.
  const texts = [...settings.textFields, settings.idField, settings.urlField];
  let row = 0;
  for (const [index, group] of metadata.row_groups.entries()) {
    const rows = Number(group.num_rows);
    const where = `${path}, row group ${index}`;
    let done = 0;
    try {
      if (!(rows >= 0 && rows <= Number(metadata.num_rows))) {
        throw damaged(`${where}: the metadata says ${rows} rows. Fetch or write the file again.`, {
          path,
          offset: size,
        });
      }
      if (rows === 0) continue;
      const streams = await Promise.all(
        columns.map((name) => ColumnStream.open({ input, metadata, tree, group, size, name, where })),
      );
      const text = streams.find(({ name }) => settings.textFields.includes(name)) ?? streams[0];
      while (done < rows) {
        const end = text.windowEnd(done);
        const values = [];
        for (const stream of streams) values.push(await stream.rows(done, end));
        const found: TextDocument[] = [];
        for (let i = done; i < end; i++) {
          const source = `${path}:${row + i + 1}`;
          const record: Record<string, unknown> = {};
          try {
            for (const [c, { name, offset }] of streams.entries()) {
              const value = values[c][i - done];
              record[name] =
                value instanceof Uint8Array && texts.includes(name)
                  ? decodeStrict(value, path, offset)
                  : plain(value);
            }
            const where = `${path}, row ${row + i + 1}`;
            const document = documentOf(record, settings, { path, source, offset: text.offset, where });
            const bytes = Buffer.byteLength(document.text);
            if (bytes > settings.maxRecordBytes) {
              throw damaged(
                `${where}: the text has ${bytes} bytes, more than ${settings.maxRecordBytes}. Raise maxRecordBytes.`,
                { path, source, offset: text.offset, limit: settings.maxRecordBytes },
              );
            }
            found.push(document);
          } catch (error) {
            damage.pass(error, source);
          }
        }
        yield found;
        done = end;
        // Decoding is work of this thread: others get their turn between two windows.
        await setImmediate();
      }
    } catch (error) {
      damage.pass(typed(error, where, path, size), `${path}:${row + done + 1}`);
    }
    row += rows;
  }
}

/** The metadata at a file's end, checked before and after it is parsed. */
async function readMetadata(handle: FileHandle, path: string, size: number): Promise<FileMetaData> {
  const fail = (offset: number, problem: string, cause?: unknown) =>
    damaged(
      `${path} is not a whole parquet file: ${problem}. Fetch or write the file again.`,
      { path, offset },
      cause,
    );
  if (size < 12) throw fail(size, `it has ${size} bytes`);
  const head = (await readRange(handle, path, 0, 4)).toString("latin1");
  if (head !== "PAR1") {
    throw fail(0, head === "PARE" ? "it is encrypted" : "it does not begin with PAR1, the mark of parquet");
  }
  const tail = await readRange(handle, path, size - 8, 8);
  if (tail.toString("latin1", 4) !== "PAR1")
    throw fail(size, `it does not end with PAR1, at byte ${size}: it is truncated`);
  const length = tail.readUInt32LE();
  if (length > size - 12 || length > MAX_FOOTER_BYTES) {
    throw fail(size - 8, `its metadata is said to have ${length} of the file's ${size} bytes`);
  }
  const file = {
    byteLength: size,
    slice: async (start: number, end = size) => {
      const bytes = await readRange(handle, path, start, end - start);
      return bytes.buffer as ArrayBuffer;
    },
  };
  try {
    const metadata = await parquetMetadataAsync(file, { geoparquet: false, initialFetchSize: length + 8 });
    const groups = metadata.row_groups.reduce((sum, group) => sum + group.num_rows, 0n);
    if (groups !== metadata.num_rows)
      throw new Error(`${groups} rows in row groups, ${metadata.num_rows} in all`);
    return metadata;
  } catch (error) {
    if (error instanceof AnnealError) throw error;
    throw fail(
      size - 8 - length,
      `its metadata at byte ${size - 8 - length} is damaged (${(error as Error).message})`,
      error,
    );
  }
}

/** What the parser of a damaged file's metadata ran into, as damage of the data; other errors as they are. */
function typed(error: unknown, where: string, path: string, offset: number): unknown {
  if (error instanceof AnnealError || (error as NodeJS.ErrnoException).syscall !== undefined) return error;
  return damaged(
    `${where}: the metadata makes no sense (${(error as Error).message}). Fetch or write the file again.`,
    { path, offset },
    error,
  );
}

/** The columns of a file, and those that are read. */
function schemaOf(
  metadata: FileMetaData,
  settings: ReaderSettings,
  path: string,
  size: number,
): { tree: SchemaTree; columns: string[] } {
  try {
    if (!metadata.schema.every(({ name }) => typeof name === "string"))
      throw new Error("a column has no name");
    const tree = parquetSchema(metadata);
    return { tree, columns: chooseColumns(tree, settings, path) };
  } catch (error) {
    throw typed(error, path, path, size);
  }
}

/** Names of the top-level columns that are read. */
function chooseColumns(tree: SchemaTree, settings: ReaderSettings, path: string): string[] {
  const names = tree.children.map(({ element }) => element.name);
  const { textFields } = settings;
  if (textFields.length > 0 && !textFields.some((field) => names.includes(field))) {
    throw damaged(
      `${path} has no column ${textFields.map((field) => `"${field}"`).join(", ")}, it has ${names.map((name) => `"${name}"`).join(", ") || "none"}. ` +
        `Name the text's column with the option textField.${didYouMean(textFields[0], names)}`,
      { path, offset: 0, field: textFields[0], fields: names },
    );
  }
  const needed = [...textFields, settings.idField, settings.urlField];
  return settings.metadata ? names : names.filter((name) => needed.includes(name));
}

/** A value as JSON has it: integers as numbers while they are exact, times as ISO strings, bytes in base64. */
function plain(value: unknown): unknown {
  if (value === undefined || value === null || typeof value === "string") return value ?? null;
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
      ? Number(value)
      : String(value);
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value) || ArrayBuffer.isView(value))
    return Array.from(value as ArrayLike<unknown>, plain);
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}
