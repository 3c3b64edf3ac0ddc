/** Which reader a file gets, by its endings or by the options that overrule them. */
import { ConfigError, didYouMean } from "../../errors.js";
import { COMPRESSION_ENDINGS, type Compression } from "./compression.js";

/** A file format. */
export type Format = "text" | "markdown" | "html" | "jsonl" | "csv" | "tsv" | "parquet" | "warc";

/** File endings of the formats; a compression's ending may follow. Files with other endings are read as plain text. */
export const FORMAT_ENDINGS: Readonly<Record<string, Format>> = {
  ".txt": "text",
  ".md": "markdown",
  ".markdown": "markdown",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  ".html": "html",
  ".htm": "html",
  ".xhtml": "html",
  ".csv": "csv",
  ".tsv": "tsv",
  ".parquet": "parquet",
  ".warc": "warc",
  ".wet": "warc",
};

/** All formats. */
export const FORMATS: readonly Format[] = [
  "text",
  "markdown",
  "html",
  "jsonl",
  "csv",
  "tsv",
  "parquet",
  "warc",
];
const COMPRESSIONS: readonly Compression[] = ["none", "gzip", "zstd", "brotli"];

/** The ending of a compression that a name carries, in lower case, or an empty string. */
export function compressionEnding(name: string): string {
  const lower = name.toLowerCase();
  return Object.keys(COMPRESSION_ENDINGS).find((ending) => lower.endsWith(ending)) ?? "";
}

/** Whether a name has one of the endings, which must be in lower case; a compression's ending may follow. */
export function hasEnding(name: string, endings: readonly string[]): boolean {
  const lower = name.toLowerCase();
  const inner = lower.slice(0, lower.length - compressionEnding(name).length);
  return endings.some((ending) => lower.endsWith(ending) || inner.endsWith(ending));
}

/**
 * Format and compression of a file.
 * @throws ConfigError when an option names one that does not exist.
 */
export function formatOf(
  name: string,
  options: { format?: Format; compression?: Compression },
): { format: Format; compression: Compression } {
  const check = <T extends string>(option: string, value: T | undefined, known: readonly T[]) => {
    if (value === undefined || known.includes(value)) return value;
    throw new ConfigError(
      `${option} must be one of ${known.join(", ")}, got "${value}".${didYouMean(String(value), known)}`,
      { [option]: value, known },
    );
  };
  const ending = compressionEnding(name);
  const inner = name.toLowerCase().slice(0, name.length - ending.length);
  const known = Object.keys(FORMAT_ENDINGS).find((candidate) => inner.endsWith(candidate));
  return {
    format:
      check("format", options.format, FORMATS) ?? (known === undefined ? "text" : FORMAT_ENDINGS[known]),
    compression:
      check("compression", options.compression, COMPRESSIONS) ?? COMPRESSION_ENDINGS[ending] ?? "none",
  };
}
