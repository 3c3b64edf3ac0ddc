/**
 * CSV and TSV with a row of column names (RFC 4180, read as forgivingly as Python's `csv` does: a quote counts only at the
 * beginning of a field, whatever follows the closing quote is part of the field, and lines end with LF, CRLF or CR).
 */
import { isUtf8 } from "node:buffer";
import { damaged, type ReaderInput, type TextDocument } from "./reader.js";
import { documentOf } from "./record.js";
import { decodeStrict } from "./text.js";

const QUOTE = 0x22;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const NOT_QUOTED = -1;

/** Reads comma-separated values. */
export const readCsv = (input: ReaderInput): AsyncGenerator<TextDocument[]> => readTable(input, 0x2c);

/** Reads tab-separated values. */
export const readTsv = (input: ReaderInput): AsyncGenerator<TextDocument[]> => readTable(input, 0x09);

/** A field: where it begins, its closing quote or NOT_QUOTED, where it ends. */
type Border = readonly [begin: number, close: number, end: number];

/** A row of a table, not decoded yet. */
interface Row {
  /** The bytes that hold it, with where in them it begins. */
  bytes: Buffer;
  begin: number;
  borders: readonly Border[];
  /** Line on which it begins, from 1. */
  line: number;
  /** Byte at which it begins. */
  offset: number;
  /** Bytes that it has. */
  length: number;
}

async function* readTable(input: ReaderInput, delimiter: number): AsyncGenerator<TextDocument[]> {
  const { path, settings, damage } = input;
  let names: string[] | undefined;
  for await (const rows of tableRows(input, delimiter)) {
    const found: TextDocument[] = [];
    for (const row of rows) {
      if (names === undefined) {
        names = columnNames(row, path);
        continue;
      }
      const { line, offset } = row;
      const place = { path, source: `${path}:${line}`, offset, where: `${path}, line ${line}` };
      try {
        if (row.length > settings.maxRecordBytes) throw tooLong(path, line, offset, settings.maxRecordBytes);
        const fields = decodeRow(row, path);
        if (fields.length !== names.length) {
          throw damaged(
            `${place.where}: the row has ${fields.length} fields, the first row names ${names.length} columns. ` +
              "Put fields that hold the delimiter or line ends in quotes.",
            { path, source: place.source, line, offset },
          );
        }
        const record = Object.fromEntries(names.map((name, i) => [name, fields[i]]));
        found.push(documentOf(record, settings, place));
      } catch (error) {
        damage.pass(error, place.source, offset);
      }
    }
    if (found.length > 0) yield found;
  }
}

function columnNames(row: Row, path: string): string[] {
  const fields = decodeRow(row, path);
  const twice = fields.find((name, i) => fields.indexOf(name) !== i);
  if (twice === undefined) return fields;
  throw damaged(
    `${path} names the column "${twice}" twice. The first row must name each column once: ${fields.map((f) => `"${f}"`).join(", ")}.`,
    { path, offset: row.offset, fields },
  );
}

/** The rows of a file, those of a few hundred kilobytes at a time; blank lines are left out. */
async function* tableRows(input: ReaderInput, delimiter: number): AsyncGenerator<Row[]> {
  const { path, chunks, settings } = input;
  const scanner = new Scanner(path, delimiter);
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** A row that is not whole is tried again only when twice as much is there, lest very long ones cost their square. */
  let tryAt = 1;
  for await (const chunk of chunks) {
    held.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes < tryAt) continue;
    const buffer = held.length === 1 ? held[0] : Buffer.concat(held, heldBytes);
    const rows = scanner.rows(buffer, false);
    const rest = buffer.subarray(scanner.consumed);
    if (rest.length > settings.maxRecordBytes) {
      throw tooLong(path, scanner.line, scanner.offset, settings.maxRecordBytes);
    }
    held = rest.length > 0 ? [rest] : [];
    heldBytes = rest.length;
    tryAt = 2 * rest.length;
    if (rows.length > 0) yield rows;
  }
  if (heldBytes > 0) yield scanner.rows(Buffer.concat(held, heldBytes), true);
}

function tooLong(path: string, line: number, offset: number, limit: number): Error {
  return damaged(
    `${path}, line ${line}: the row has more than ${limit} bytes. Raise maxRecordBytes, ` +
      "or look for a quote that is opened on this line and never closed.",
    { path, source: `${path}:${line}`, offset, limit },
  );
}

/** Cuts bytes into rows. Works on bytes, because no byte of a longer UTF-8 character is a quote, delimiter or line end. */
class Scanner {
  /** Bytes of the last buffer that whole rows took. */
  consumed = 0;
  /** Line and byte of the next row. */
  line = 1;
  offset = 0;

  constructor(
    private readonly path: string,
    private readonly delimiter: number,
  ) {}

  rows(buffer: Buffer, end: boolean): Row[] {
    const rows: Row[] = [];
    this.consumed = 0;
    if (this.offset === 0 && buffer.length >= 3 && buffer.readUIntBE(0, 3) === 0xefbbbf) this.advance(3);
    while (this.consumed < buffer.length) {
      const ends = this.fieldEnds(buffer, end);
      if (ends === undefined) break;
      const { line, offset, consumed: begin } = this;
      if (ends.borders.length > 0)
        rows.push({ bytes: buffer, begin, borders: ends.borders, line, offset, length: ends.next - begin });
      this.line += ends.lines;
      this.advance(ends.next - begin);
    }
    return rows;
  }

  private advance(length: number): void {
    this.consumed += length;
    this.offset += length;
  }

  /**
   * The borders of the next row's fields, where the row ends and how many lines it takes; undefined when the buffer ends
   * before the row does.
   */
  private fieldEnds(
    buffer: Buffer,
    end: boolean,
  ): { borders: Border[]; next: number; lines: number } | undefined {
    const { delimiter } = this;
    const borders: Border[] = [];
    let at = this.consumed;
    let lines = 0;
    for (;;) {
      let begin = at;
      let close = NOT_QUOTED;
      if (buffer[at] === QUOTE) {
        begin = at + 1;
        close = buffer.indexOf(QUOTE, begin);
        while (close !== -1 && buffer[close + 1] === QUOTE) close = buffer.indexOf(QUOTE, close + 2);
        if (close === -1) {
          if (!end) return undefined;
          throw damaged(
            `${this.path}, line ${this.line}: a quote is opened in this row and never closed. ` +
              "Close it, or write quotes inside a field twice.",
            { path: this.path, offset: this.offset + (at - this.consumed) },
          );
        }
        // The byte behind a closing quote at the buffer's very end may be the second of a pair.
        if (close + 1 >= buffer.length && !end) return undefined;
        lines += lineEnds(buffer, begin, close);
        at = close + 1;
      }
      while (at < buffer.length) {
        const byte = buffer[at];
        if (byte === delimiter || byte === LINE_FEED || byte === RETURN) break;
        at++;
      }
      if (at >= buffer.length && !end) return undefined;
      const blank = borders.length === 0 && at === this.consumed && buffer[at] !== delimiter;
      if (!blank) borders.push([begin, close, at]);
      if (at >= buffer.length) return { borders, next: at, lines };
      if (buffer[at] === delimiter) {
        at++;
        if (at >= buffer.length && !end) return undefined;
        continue;
      }
      if (buffer[at] === RETURN) {
        if (at + 1 >= buffer.length && !end) return undefined;
        if (buffer[at + 1] === LINE_FEED) at++;
      }
      return { borders, next: at + 1, lines: lines + 1 };
    }
  }
}

/** The texts of a row's fields. */
function decodeRow({ bytes, begin: rowBegin, borders, offset }: Row, path: string): string[] {
  const valid = isUtf8(bytes.subarray(rowBegin, borders[borders.length - 1][2]));
  const text = (begin: number, end: number): string =>
    valid
      ? bytes.toString("utf8", begin, end)
      : decodeStrict(bytes.subarray(begin, end), path, offset + begin - rowBegin);
  return borders.map(([begin, close, end]) =>
    close === NOT_QUOTED ? text(begin, end) : text(begin, close).replaceAll('""', '"') + text(close + 1, end),
  );
}

/** How many lines end between two bytes; CRLF counts once. */
function lineEnds(buffer: Buffer, begin: number, end: number): number {
  let count = 0;
  for (
    let at = buffer.indexOf(LINE_FEED, begin);
    at !== -1 && at < end;
    at = buffer.indexOf(LINE_FEED, at + 1)
  ) {
    count++;
  }
  return count;
}
