/** JSON lines: one record a line, blank lines left out. */
import { isUtf8 } from "node:buffer";
import { damaged, type ReaderInput, type ReaderSettings, type TextDocument } from "./reader.js";
import { documentOf } from "./record.js";
import { decodeStrict } from "./text.js";

const LINE_FEED = 0x0a;

/** Reads JSON lines. */
export async function* readJsonl(input: ReaderInput): AsyncGenerator<TextDocument[]> {
  const { chunks, settings, damage } = input;
  const lines = new Lines(input);
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** Where the held bytes begin. */
  let offset = 0;
  /** Set while the rest of a line that is too long is passed over. */
  let overlong = false;
  for await (const piece of chunks) {
    let chunk = piece;
    if (overlong) {
      const end = chunk.indexOf(LINE_FEED) + 1;
      offset += end === 0 ? chunk.length : end;
      if (end === 0) continue;
      overlong = false;
      chunk = chunk.subarray(end);
    }
    const end = chunk.lastIndexOf(LINE_FEED) + 1;
    if (end > 0) {
      const region =
        held.length === 0 ? chunk.subarray(0, end) : Buffer.concat([...held, chunk.subarray(0, end)]);
      yield lines.documents(region, offset);
      offset += region.length;
      held = [];
      heldBytes = 0;
    }
    if (end < chunk.length) {
      held.push(chunk.subarray(end));
      heldBytes += chunk.length - end;
    }
    if (heldBytes > settings.maxRecordBytes) {
      damage.pass(lines.tooLong(++lines.line, offset));
      overlong = true;
      offset += heldBytes;
      held = [];
      heldBytes = 0;
    }
  }
  if (heldBytes > 0) yield lines.documents(held.length === 1 ? held[0] : Buffer.concat(held), offset);
}

/** Turns whole lines into documents and counts them. */
class Lines {
  /** Lines so far. */
  line = 0;
  private readonly path: string;
  private readonly settings: ReaderSettings;

  constructor(private readonly input: ReaderInput) {
    this.path = input.path;
    this.settings = input.settings;
  }

  documents(region: Buffer, regionStart: number): TextDocument[] {
    const found: TextDocument[] = [];
    // One check for all lines; only when it fails is the broken line looked for.
    const valid = isUtf8(region);
    let start = regionStart === 0 && region.length >= 3 && region.readUIntBE(0, 3) === 0xefbbbf ? 3 : 0;
    while (start < region.length) {
      let end = region.indexOf(LINE_FEED, start);
      if (end === -1) end = region.length;
      const source = `${this.path}:${++this.line}`;
      try {
        if (end - start > this.settings.maxRecordBytes) throw this.tooLong(this.line, regionStart + start);
        const bytes = region.subarray(start, end);
        const json = valid ? bytes.toString("utf8") : decodeStrict(bytes, this.path, regionStart + start);
        const document = this.document(json, source, regionStart + start);
        if (document !== undefined) found.push(document);
      } catch (error) {
        this.input.damage.pass(error, source, regionStart + start);
      }
      start = end + 1;
    }
    return found;
  }

  /** The error for a line beyond the limit. */
  tooLong(line: number, offset: number): Error {
    const { path, settings } = this;
    return damaged(
      `${path}, line ${line}: the record has more than ${settings.maxRecordBytes} bytes. ` +
        "Raise maxRecordBytes, or break the record up; every line must be one JSON object.",
      { path, source: `${path}:${line}`, offset, limit: settings.maxRecordBytes },
    );
  }

  /** The document of one line; undefined for a blank line. */
  private document(json: string, source: string, offset: number): TextDocument | undefined {
    const { path } = this;
    const where = `${path}, line ${this.line}`;
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch (error) {
      if (json.trim() === "") return undefined;
      throw damaged(
        `${where}: not valid JSON (${(error as Error).message}). Every line must be one JSON object.`,
        { path, source, line: this.line, offset },
        error,
      );
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const field = this.settings.textFields[0];
      const wanted = field === undefined ? "" : ` with the field "${field}"`;
      throw damaged(`${where}: expected a JSON object${wanted}.`, {
        path,
        source,
        line: this.line,
        offset,
      });
    }
    return documentOf(value as Record<string, unknown>, this.settings, { path, source, offset, where });
  }
}
