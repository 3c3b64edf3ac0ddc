/** How documents are read: the options, their names and their defaults. */
import { ConfigError, didYouMean } from "../errors.js";
import type { SnapshotOptions } from "../io/hub.js";
import { checkInteger } from "./options.js";
import type { Compression } from "./readers/compression.js";
import type { Format } from "./readers/formats.js";
import type { ReaderSettings, SkippedRecord } from "./readers/reader.js";

export interface SourceOptions {
  /**
   * Endings of the files that are taken from folders, for example `[".md", ".d.ts"]`; each also stands for itself with the
   * ending of a compression behind it. Files named directly are always taken. Default: all formats that are known.
   */
  extensions?: readonly string[];
  /**
   * Field of a JSON-lines, CSV or parquet record that holds the text, or several, which are joined by a blank line.
   * Default `text`.
   */
  textField?: string | readonly string[];
  /** Field of a record that holds its name. Default `id`. */
  idField?: string;
  /** Field of a record that says where it was published. Default `url`. */
  urlField?: string;
  /** Keep the other fields of records, front matter and page titles as `metadata`. Default true; false is faster. */
  metadata?: boolean;
  /**
   * Format of all files, whatever their endings say. Default: by the ending (`.txt`, `.md`, `.html`, `.jsonl`, `.csv`,
   * `.tsv`, `.parquet`, `.warc`, `.wet` and others), without a known one plain text.
   */
  format?: Format;
  /** Compression of all files, whatever their endings say. Default: by the ending (`.gz`, `.zst`, `.br`). */
  compression?: Compression;
  /** Plain text files above this many unpacked bytes become several documents, cut at line ends. Default 256 MiB. */
  maxDocumentBytes?: number;
  /**
   * Largest record (a line, a row, a web page) in unpacked bytes; a larger one counts as damaged. Default 64 MiB.
   */
  maxRecordBytes?: number;
  /** What happens at a damaged record or file: `throw` (default) an error, or `skip` it and tell `onSkip`. */
  onError?: "throw" | "skip";
  /**
   * Called for everything that is skipped. What follows the damage of a compressed stream is lost and counts once, with up
   * to 32 KiB of the stream before it.
   */
  onSkip?: (record: SkippedRecord) => void;
  /** Called with the bytes of files, as they lie on the disk, that were read since the last call. */
  onRead?: (bytes: number) => void;
  /** `keep` (default) leaves Markdown as it is, `strip` takes the markup off. */
  markdown?: "keep" | "strip";
  /** `main` (default) takes the main text of web pages and leaves navigation and the like out; `all` takes all text. */
  html?: "main" | "all";
  /** Threads that take the text from web pages. Default: the usable cores, up to 8. */
  threads?: number;
  /** For `hf://` paths: token, address, cache folder, retries and progress of the download. */
  hub?: SnapshotOptions;
}

/** Names of all options, for functions that take them beside their own. */
export const SOURCE_OPTIONS = [
  "extensions",
  "textField",
  "idField",
  "urlField",
  "metadata",
  "format",
  "compression",
  "maxDocumentBytes",
  "maxRecordBytes",
  "onError",
  "onSkip",
  "markdown",
  "html",
  "onRead",
  "threads",
  "hub",
] as const satisfies readonly (keyof SourceOptions)[];

const DEFAULT_MAX_DOCUMENT_BYTES = 256 * 2 ** 20;
const DEFAULT_MAX_RECORD_BYTES = 64 * 2 ** 20;
/** Longest string that the engine makes, in UTF-16 units. */
const MAX_STRING = 2 ** 29 - 25;

/**
 * Options with their defaults.
 * @throws ConfigError when one has a value that it cannot have.
 */
export function settingsOf(options: SourceOptions): ReaderSettings {
  const { textField = "text", idField = "id", urlField = "url", markdown = "keep", html = "main" } = options;
  const textFields = typeof textField === "string" ? [textField] : textField;
  if (textFields.length === 0) {
    throw new ConfigError("textField must name at least one field.", { textField });
  }
  const oneOf = <T extends string>(name: string, value: T, known: readonly T[]) => {
    if (known.includes(value)) return value;
    throw new ConfigError(
      `${name} must be one of ${known.join(", ")}, got "${value}".${didYouMean(value, known)}`,
      {
        [name]: value,
      },
    );
  };
  oneOf("onError", options.onError ?? "throw", ["throw", "skip"]);
  if (options.threads !== undefined) checkInteger("threads", options.threads, 1, 1024);
  return {
    textFields,
    idField,
    urlField,
    metadata: options.metadata ?? true,
    maxDocumentBytes: checkInteger(
      "maxDocumentBytes",
      options.maxDocumentBytes ?? DEFAULT_MAX_DOCUMENT_BYTES,
      1,
      MAX_STRING,
    ),
    maxRecordBytes: checkInteger(
      "maxRecordBytes",
      options.maxRecordBytes ?? DEFAULT_MAX_RECORD_BYTES,
      1,
      MAX_STRING,
    ),
    markdown: oneOf("markdown", markdown, ["keep", "strip"]),
    html: oneOf("html", html, ["main", "all"]),
  };
}
