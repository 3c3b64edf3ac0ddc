/**
 * Folder readers: files in, documents out, one file per format. A reader takes the unpacked bytes of one file (parquet: the
 * file itself) and gives arrays of documents, so that no more than a few megabytes and the largest document are in memory.
 * What every reader is given, and what becomes of damaged records, is decided here.
 */
import { setImmediate } from "node:timers/promises";
import { DataError, type ErrorDetails } from "../../errors.js";
import type { PagePool } from "./page-pool.js";

/** One text with the place it came from. */
export interface TextDocument {
  text: string;
  /**
   * Path of the file, with `:n` for the record that begins on line n (JSON lines, CSV) or is number n from 1 (parquet,
   * WARC), and `#part` for a piece of a very large text file.
   */
  source: string;
  /** The record's own name: its id field, or a WARC record's id without angle brackets. */
  id?: string;
  /** Where the text was published. */
  url?: string;
  /** Whatever else the record says; page titles and front matter too. Absent when there is nothing. */
  metadata?: Record<string, unknown>;
}

/** A record that was passed over because it is damaged. */
export interface SkippedRecord {
  /** File and record, as in `TextDocument.source`. */
  source: string;
  /** Byte of the unpacked file at which the record begins; for damage of the compressed file itself, the byte of that file. */
  offset: number;
  /** What is wrong, as the error would have said. */
  reason: string;
  /** Records passed over so far in this file, this one included. */
  skipped: number;
}

/** What every reader obeys; the defaults are filled in. */
export interface ReaderSettings {
  /** Field with the text; several are joined by a blank line, those that are missing or empty are left out. */
  textFields: readonly string[];
  idField: string;
  urlField: string;
  /** Whether fields other than text, id and url are kept. */
  metadata: boolean;
  maxDocumentBytes: number;
  maxRecordBytes: number;
  /** Whether Markdown keeps its markup. */
  markdown: "keep" | "strip";
  /** Whether HTML gives its main text or all its text. */
  html: "main" | "all";
}

/** One file as a reader sees it. */
export interface ReaderInput {
  path: string;
  /** The unpacked bytes from the beginning, in pieces that nobody else uses. */
  chunks: AsyncIterable<Buffer>;
  settings: ReaderSettings;
  damage: DamagePolicy;
  /** Threads for web pages; without them their text is taken on this one. */
  pages?: PagePool;
}

/** Gives the documents of one file, several at a time; empty texts may be among them. */
export type Reader = (input: ReaderInput) => AsyncGenerator<TextDocument[]>;

/** Longest time that a reader keeps the event loop busy at a stretch, in milliseconds. */
const SLICE_MILLISECONDS = 10;

/** Lets other work run in between. */
export class Pace {
  private began = performance.now();

  /** To be awaited between two pieces of work of a few milliseconds. */
  async step(): Promise<void> {
    if (performance.now() - this.began < SLICE_MILLISECONDS) return;
    await setImmediate();
    this.began = performance.now();
  }
}

/** Errors that lie in the data, not in the machine: only these may be passed over. */
const damages = new WeakSet<Error>();

/**
 * The error for damaged data.
 * @param details must hold `path` and `offset`; `source` when one record is meant
 */
export function damaged(
  message: string,
  details: ErrorDetails & { path: string; offset: number; source?: string },
  cause?: unknown,
): DataError {
  const error = new DataError(message, details, cause === undefined ? undefined : { cause });
  damages.add(error);
  return error;
}

/** Marks an error of a shared function, such as that of a UTF-8 decoder, as damage. */
export function asDamage<E extends Error>(error: E): E {
  damages.add(error);
  return error;
}

/** Throws damage, or reports it and lets the reader go on. */
export class DamagePolicy {
  private skipped = 0;

  constructor(
    private readonly mode: "throw" | "skip",
    private readonly onSkip?: (record: SkippedRecord) => void,
  ) {}

  /**
   * Returns when the damaged record is to be passed over.
   * @param source the record, when the error's details do not name it
   * @param offset where it begins, when they name another byte
   * @throws the error itself in mode `throw`, and always when it is not damage
   */
  pass(error: unknown, source?: string, offset?: number): void {
    if (this.mode === "throw" || !(error instanceof DataError) || !damages.has(error)) throw error;
    const details = error.details as { path: string; offset: number; source?: string };
    const skipped = ++this.skipped;
    this.onSkip?.({
      source: source ?? details.source ?? details.path,
      offset: offset ?? details.offset,
      reason: error.message,
      skipped,
    });
  }
}
