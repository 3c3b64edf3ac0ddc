/**
 * WARC files (ISO 28500, versions 1.0 and 1.1, and the drafts before) as Common Crawl ships them: web pages of `response`
 * and `resource` records, and the text of WET files' `conversion` records. Compressed files have one gzip member a record,
 * which the unpacking before this reader joins.
 */
import { ByteQueue } from "./bytes.js";
import { decodePage, headerCharset } from "./charset.js";
import { pageDamage, pageMetadata, pageText } from "./html.js";
import { type HeaderFields, parseFields, readResponse } from "./http-message.js";
import { InOrder, type Upcoming } from "./in-order.js";
import type { PageText } from "./main-text.js";
import { damaged, Pace, type ReaderInput, type TextDocument } from "./reader.js";
import { decodeStrict } from "./text.js";

/** Longest line and longest head of a record, in bytes. */
const MAX_LINE_BYTES = 2 ** 16;
const MAX_HEAD_BYTES = 2 ** 20;
/** Text gathered before it is handed on, in characters. */
const BATCH_LENGTH = 2 ** 18;
/** Empty lines that may stand between records; the standard has two. */
const MAX_BLANK_LINES = 16;

const PAGE = /^(?:text\/html|application\/xhtml\+xml)\b/i;
const PLAIN = /^text\/plain\b/i;

/** Head of a record and where its block is. */
interface RecordHead {
  fields: HeaderFields;
  type: string;
  /** Bytes of the block. */
  length: number;
  /** Number of the record, from 1, and its first byte. */
  number: number;
  offset: number;
}

/** Reads the texts of a WARC or WET file. */
export async function* readWarc(input: ReaderInput): AsyncGenerator<TextDocument[]> {
  const { damage, pages } = input;
  const queue = new ByteQueue(input.chunks);
  const pace = new Pace();
  const found = new InOrder(damage, pages?.window ?? 0);
  try {
    for await (const upcoming of recordsOf(input, queue)) {
      await found.add(upcoming);
      await pace.step();
      if (found.length >= BATCH_LENGTH) yield found.take();
    }
    await found.finish();
  } catch (error) {
    let first = error;
    // What was read before the damage is whole, and may have damage of its own.
    await found.finish().catch((earlier) => {
      first = earlier;
    });
    if (found.length > 0) yield found.take();
    throw first;
  } finally {
    await queue.close();
  }
  if (found.length > 0) yield found.take();
}

/** What each record that may hold text comes to. */
async function* recordsOf(input: ReaderInput, queue: ByteQueue): AsyncGenerator<Upcoming> {
  const { path, settings } = input;
  for (let number = 1; ; number++) {
    const head = await readHead(queue, path, number);
    if (head === undefined) return;
    const source = `${path}:${number}`;
    const bytes = head.length;
    if (!["response", "resource", "conversion"].includes(head.type)) {
      await skipBlock(queue, head, path);
      continue;
    }
    if (bytes > settings.maxRecordBytes) {
      const error = damaged(
        `${path}, record ${number}: its block has ${bytes} bytes, more than ${settings.maxRecordBytes}. ` +
          "Raise maxRecordBytes.",
        { path, source, offset: head.offset, limit: settings.maxRecordBytes },
      );
      yield { source, bytes: 0, error };
      await skipBlock(queue, head, path);
      continue;
    }
    const blockOffset = queue.position;
    if (!(await queue.fill(bytes))) throw cutOff(path, head, blockOffset + queue.available);
    const block = queue.take(bytes);
    try {
      const document = await documentOfRecord(input, head, block, source, blockOffset);
      if (document !== undefined) yield { source, bytes, document };
    } catch (error) {
      yield { source, bytes: 0, error };
    }
  }
}

function cutOff(path: string, head: RecordHead, end: number) {
  return damaged(
    `${path}, record ${head.number}: the file ends at byte ${end}, inside a block of ${head.length} bytes. Fetch the file again.`,
    { path, source: `${path}:${head.number}`, offset: head.offset, end },
  );
}

async function skipBlock(queue: ByteQueue, head: RecordHead, path: string): Promise<void> {
  if ((await queue.skip(head.length)) < head.length) throw cutOff(path, head, queue.position);
}

/** The head of the next record; undefined at the end of the file. */
async function readHead(queue: ByteQueue, path: string, number: number): Promise<RecordHead | undefined> {
  const source = `${path}:${number}`;
  const fail = (offset: number, problem: string) =>
    damaged(`${path}, record ${number}: ${problem}, at byte ${offset}. Fetch the file again.`, {
      path,
      source,
      offset,
    });
  const readLine = async (): Promise<string | undefined> => {
    const offset = queue.position;
    const line = await queue.line(MAX_LINE_BYTES);
    if (line === undefined) return undefined;
    if (line.length === MAX_LINE_BYTES && line[line.length - 1] !== 0x0a) {
      throw fail(offset, `a line of its head has more than ${MAX_LINE_BYTES} bytes`);
    }
    return line.toString("utf8").replace(/\r?\n$/, "");
  };
  let offset = queue.position;
  let version = await readLine();
  for (let blank = 0; version === ""; blank++) {
    if (blank === MAX_BLANK_LINES) throw fail(offset, "only empty lines where it should begin");
    offset = queue.position;
    version = await readLine();
  }
  if (version === undefined) return undefined;
  if (!/^WARC\/\d+\.\d+$/.test(version)) {
    const shown = JSON.stringify(version.slice(0, 40));
    throw fail(
      offset,
      number === 1 ? `the file is not WARC: it begins with ${shown}` : `expected "WARC/1.0", got ${shown}`,
    );
  }
  const lines: string[] = [];
  for (;;) {
    const line = await readLine();
    if (line === undefined) throw fail(queue.position, "the file ends inside its head");
    if (line === "") break;
    if (queue.position - offset > MAX_HEAD_BYTES)
      throw fail(offset, `its head has more than ${MAX_HEAD_BYTES} bytes`);
    lines.push(line);
  }
  const fields = parseFields(lines);
  const declared = fields.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(declared))
    throw fail(offset, `its Content-Length is ${declared === "" ? "missing" : JSON.stringify(declared)}`);
  return {
    fields,
    type: (fields.get("warc-type") ?? "").toLowerCase(),
    length: Number(declared),
    number,
    offset,
  };
}

/**
 * The document of a record, or what waits for it; undefined when the record holds no text (a picture, an error page).
 */
async function documentOfRecord(
  input: ReaderInput,
  { fields, type, number, offset }: RecordHead,
  block: Buffer,
  source: string,
  blockOffset: number,
): Promise<Upcoming["document"]> {
  const { path, settings, pages } = input;
  let body = block;
  let contentType = fields.get("content-type") ?? "";
  if (type === "response") {
    if (!/^application\/http\b/i.test(contentType)) return undefined;
    let response: Awaited<ReturnType<typeof readResponse>>;
    try {
      response = await readResponse(block, settings.maxRecordBytes);
    } catch (error) {
      throw damaged(
        `${path}, record ${number}: its page cannot be unpacked (${(error as Error).message}).`,
        { path, source, offset },
        error,
      );
    }
    if (response === undefined || response.status < 200 || response.status > 299) return undefined;
    body = response.body;
    contentType =
      response.headers.get("content-type") ?? fields.get("warc-identified-payload-type") ?? sniff(body);
  }
  const complete = (text: string, said?: Record<string, unknown>) =>
    described({ text, source }, fields, settings.metadata, said);
  if (type === "conversion") return complete(decodeStrict(body, path, blockOffset));
  const charset = headerCharset(contentType);
  if (PLAIN.test(contentType)) return complete(decodePage(body, charset));
  if (!PAGE.test(contentType)) return undefined;
  const finish = async (taken: Promise<PageText>) => {
    try {
      const page = await taken;
      return complete(page.text, pageMetadata(page));
    } catch (error) {
      throw pageDamage(error, `${path}, record ${number}`, { path, source, offset });
    }
  };
  const task = pages?.add(body, charset);
  if (task !== undefined) return () => finish(task.result());
  return finish(pageText(body, charset, settings));
}

/** A document with what the head of its record says. */
function described(
  document: TextDocument,
  fields: HeaderFields,
  metadata: boolean,
  said: Record<string, unknown> | undefined,
): TextDocument {
  const bare = (value: string | undefined) => value?.replace(/^<(.*)>$/, "$1");
  const id = bare(fields.get("warc-record-id"));
  const url = bare(fields.get("warc-target-uri"));
  if (id !== undefined) document.id = id;
  if (url !== undefined) document.url = url;
  if (!metadata) return document;
  const more: Record<string, unknown> = { ...said };
  for (const [key, field] of [
    ["date", "warc-date"],
    ["languages", "warc-identified-content-language"],
    ["truncated", "warc-truncated"],
  ]) {
    const value = fields.get(field);
    if (value !== undefined) more[key] = value;
  }
  if (Object.keys(more).length > 0) document.metadata = more;
  return document;
}

/** Content type of a body without one: pages are known by how they begin. */
function sniff(body: Buffer): string {
  return /^\s*(?:<!--[\s\S]*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b/i.test(
    body.toString("latin1", 0, 1024),
  )
    ? "text/html"
    : "";
}
