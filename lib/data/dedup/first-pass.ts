/** The first pass of every deduplication: all documents are read and handed on in batches. */
import { DataError } from "../../errors.js";
import type { TextDocument } from "../sources.js";

/** What takes documents in batches and knows how many it has. */
export interface DocumentSink {
  readonly documents: number;
  add(texts: readonly string[]): Promise<void>;
}

/** UTF-16 code units of text, at the least, that are handed on at once. */
const BATCH_CODE_UNITS = 4 * 2 ** 20;
const BATCH_DOCUMENTS = 8192;

/**
 * Reads all documents. Those that the sink counted before (in an earlier process) are read but not handed on.
 * @param open begins reading
 * @throws DataError when there are fewer documents than the sink has
 */
export async function readInto(open: () => AsyncIterable<TextDocument>, sink: DocumentSink): Promise<void> {
  const before = sink.documents;
  let number = 0;
  let batch: string[] = [];
  let size = 0;
  let working: Promise<void> = Promise.resolve();
  const send = async () => {
    const texts = batch;
    batch = [];
    size = 0;
    // One batch is worked on while the next one is read.
    await working;
    working = sink.add(texts);
    working.catch(() => undefined);
  };
  for await (const { text } of open()) {
    if (number++ < before) continue;
    batch.push(text);
    size += text.length;
    if (size >= BATCH_CODE_UNITS || batch.length >= BATCH_DOCUMENTS) await send();
  }
  if (batch.length > 0) await send();
  await working;
  if (number < before) {
    throw new DataError(
      `The work folder has ${before} documents, but only ${number} were read: the input has changed. ` +
        "Remove the work folder to start again.",
      { expected: before, found: number },
    );
  }
}
