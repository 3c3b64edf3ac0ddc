/** Both passes of a deduplication over a source that can be read twice. */
import { ConfigError, DataError } from "../../errors.js";
import type { TextDocument } from "../sources.js";
import { ExactDeduplicator } from "./exact.js";
import { readInto } from "./first-pass.js";
import type { KeyDeduplicator } from "./key-deduplicator.js";
import { MinHashDeduplicator } from "./minhash.js";
import type { ExactOptions, MinHashOptions } from "./options.js";
import { type DedupReport, DedupReporter } from "./report.js";
import type { DedupResult } from "./result.js";

export type DeduplicateOptions =
  | ({ method: "exact" } & ExactOptions)
  | ({ method?: "minhash" } & MinHashOptions);

/** Opens the deduplicator of a method. */
export function openDeduplicator(options: DeduplicateOptions): Promise<KeyDeduplicator> {
  if (options.method === "exact") {
    const { method: _, ...exact } = options;
    return ExactDeduplicator.open(exact);
  }
  const { method = "minhash", ...minhash } = options;
  if (method !== "minhash") {
    throw new ConfigError(`method must be minhash or exact, got ${String(method)}.`, { method });
  }
  return MinHashDeduplicator.open(minhash);
}

/**
 * The first pass: reads all documents and finds the clusters. With a work folder, documents that an earlier process got
 * through are read but not worked on again.
 * @param open begins reading; the documents must be the same, in the same order, every time
 */
export async function findDuplicates(
  open: () => AsyncIterable<TextDocument>,
  deduplicator: KeyDeduplicator,
): Promise<DedupResult> {
  await readInto(open, deduplicator);
  return deduplicator.finish();
}

/**
 * The documents without duplicates, in order: of each cluster the first. The source is read twice. A work folder is removed
 * at the end; when the work was stopped before, the same call goes on.
 * @param open begins reading; the documents must be the same, in the same order, both times
 * @param onReport receives the report, with texts of the largest clusters, after the last document
 * @throws DataError when the source changes between the passes
 */
export async function* deduplicate(
  open: () => AsyncIterable<TextDocument>,
  options: DeduplicateOptions = {},
  onReport?: (report: DedupReport) => void,
): AsyncGenerator<TextDocument> {
  const deduplicator = await openDeduplicator(options);
  let complete = false;
  try {
    const result = await findDuplicates(open, deduplicator);
    const reporter = new DedupReporter(result);
    let number = 0;
    for await (const document of open()) {
      if (number++ >= result.documents) break;
      reporter.see(number - 1, document);
      if (!result.isRemoved(number - 1)) yield document;
    }
    if (number !== result.documents) {
      throw new DataError(
        `The first pass read ${result.documents} documents, the second ${number > result.documents ? "more" : number}: the input has changed.`,
        { first: result.documents, second: number },
      );
    }
    complete = true;
    onReport?.(reporter.report);
  } finally {
    if (complete) await deduplicator.discard();
    else await deduplicator.close();
  }
}
