/** Reads documents, encodes them on all cores and writes them to their splits; the next batch is read while one is encoded. */
import { TokenizerError } from "../errors.js";
import { TextBatch } from "../native/text/batch.js";
import type { EncodedBatch, Tokenizer } from "../tokenizer/tokenizer.js";
import type { FillInMiddle } from "./middle.js";
import type { PrepareSettings } from "./prepare-options.js";
import type { PreparationProgress } from "./prepare-progress.js";
import type { SplitDecision } from "./prepare-split.js";
import { documentBatches, type SourceFile, type SourceOptions } from "./sources.js";
import { documentKey, splitText } from "./split.js";
import type { SplitWriter } from "./split-writer.js";

/** UTF-16 code units of the text that is encoded at once. */
const BATCH_LENGTH = 4 * 2 ** 20;

/** A document of a split, as texts of a batch. */
interface Entry {
  split: SplitWriter;
  source: string;
  /** Texts that it has in the batch: one, or the three of a cut document. */
  texts: number;
  /** Ids before each of the texts. */
  marks: readonly number[];
}

/** What is encoded at once. */
class Work {
  readonly texts: string[] = [];
  readonly entries: Entry[] = [];
  length = 0;

  add(entry: Omit<Entry, "texts">, texts: readonly string[]): void {
    this.entries.push({ ...entry, texts: texts.length });
    for (const text of texts) {
      this.texts.push(text);
      this.length += text.length;
    }
  }
}

export interface EncodeOptions {
  files: readonly SourceFile[];
  source: SourceOptions;
  settings: PrepareSettings;
  decision: SplitDecision;
  tokenizer: Tokenizer;
  middle: FillInMiddle | undefined;
  train: SplitWriter;
  validation: SplitWriter;
  progress: PreparationProgress;
  threads?: number;
  signal?: AbortSignal;
}

/**
 * Encodes all documents. Memory: two batches, whatever the size of the corpus, and the largest document.
 * @throws TokenizerError naming the source when a text cannot be encoded; DataError when it cannot be read or written.
 */
export async function encodeDocuments(options: EncodeOptions): Promise<void> {
  const { files, source, progress } = options;
  let work = new Work();
  let encoding: Promise<() => Promise<void>> | undefined;
  const hand = async () => {
    if (work.entries.length === 0) return;
    const next = encode(options, work);
    // It is awaited after what is being written; until then a failure must not count as unhandled.
    next.catch(() => undefined);
    work = new Work();
    const before = encoding;
    encoding = next;
    await (await before)?.();
  };
  try {
    for await (const documents of documentBatches(
      files.map((file) => file.path),
      source,
    )) {
      const raw = TextBatch.from(documents.map(({ text }) => text));
      progress.take(raw.bytes.length);
      for (const [i, { text, source: where }] of documents.entries()) {
        const skipped = place(options, work, text, raw.slice(i), where);
        if (skipped > 0) await progress.advance(1, skipped, true);
        else await progress.breathe();
        if (work.length >= BATCH_LENGTH) await hand();
      }
    }
    await hand();
    await (await encoding)?.();
  } finally {
    await encoding?.catch(() => undefined);
  }
}

/**
 * Puts a document into the work of its split.
 * @param bytes the text in UTF-8
 * @returns its bytes where an earlier run has written all of it; else 0
 */
function place(options: EncodeOptions, work: Work, text: string, bytes: Uint8Array, source: string): number {
  const { settings, decision, middle, train, validation } = options;
  const whole = (split: SplitWriter, part: string, partBytes: Uint8Array, key: string): boolean => {
    split.counts.add(partBytes);
    if (!split.wants()) return false;
    const parts = split === train ? middle?.cut(part, key) : undefined;
    if (parts === undefined) work.add({ split, source, marks: [] }, [part]);
    else work.add({ split, source, marks: middle?.ids ?? [] }, parts);
    return true;
  };
  if (decision.method === "contiguous") {
    const parts = splitText(text, settings.validationFraction);
    let taken = false;
    for (const [split, part] of [
      [train, parts.train],
      [validation, parts.validation],
    ] as const) {
      if (part.length === 0) continue;
      const partBytes = part.length === text.length ? bytes : Buffer.from(part);
      taken = whole(split, part, partBytes, middle === undefined ? "" : documentKey(partBytes)) || taken;
    }
    return taken ? 0 : bytes.length;
  }
  const key = decision.isValidation === null && middle === undefined ? "" : documentKey(bytes);
  const split = decision.isValidation?.(key) ? validation : train;
  return whole(split, text, bytes, key) ? 0 : bytes.length;
}

/** Encodes what was collected; the promise gives what then writes it. */
async function encode(options: EncodeOptions, work: Work): Promise<() => Promise<void>> {
  const { tokenizer, threads, signal } = options;
  const batch = TextBatch.from(work.texts);
  let encoded: EncodedBatch;
  try {
    encoded = await tokenizer.encodeBatch(batch, { threads, signal });
  } catch (error) {
    throw error instanceof TokenizerError ? await named(tokenizer, work, error) : error;
  }
  return () => write(options, work.entries, batch.ends, encoded);
}

async function write(
  { progress }: EncodeOptions,
  entries: readonly Entry[],
  textEnds: Uint32Array,
  { ids, ends }: EncodedBatch,
): Promise<void> {
  let text = 0;
  let byte = 0;
  let id = 0;
  for (const { split, texts, marks } of entries) {
    const parts: ArrayLike<number>[] = [];
    const firstByte = byte;
    for (let i = 0; i < texts; i++, text++) {
      if (marks.length > 0) parts.push([marks[i]]);
      parts.push(ids.subarray(id, ends[text]));
      id = ends[text];
      byte = textEnds[text];
    }
    await split.add(parts, byte - firstByte);
    await progress.advance(1, byte - firstByte);
  }
}

/** The error with the name of the document that it is about. */
async function named(tokenizer: Tokenizer, work: Work, error: TokenizerError): Promise<TokenizerError> {
  let text = 0;
  for (const { source, texts } of work.entries) {
    for (let i = 0; i < texts; i++, text++) {
      try {
        await tokenizer.encodeBatch([work.texts[text]]);
      } catch (cause) {
        if (!(cause instanceof TokenizerError)) continue;
        return new TokenizerError(`${source}: ${cause.message}`, { ...cause.details, source }, { cause });
      }
    }
  }
  return error;
}
