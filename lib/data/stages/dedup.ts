/** The stage `dedup`: documents in, those that are not repeated out, with a report and all clusters beside them. */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  type DeduplicateOptions,
  type DedupProgress,
  type DedupReport,
  DedupReporter,
  dedupPage,
  type ExampleDocument,
  findDuplicates,
  openDeduplicator,
  writeClusters,
} from "../dedup/index.js";
import { keyOf } from "../documents/folder.js";
import { runStage, type StageCommon, type StageResult } from "../documents/stage.js";
import { writeReport } from "../report-page.js";
import { documents, listSources } from "../sources.js";

export type DedupStageOptions = StageCommon & {
  /** `minhash` (default): nearly equal documents; `exact`: equal ones. With their settings. */
  dedup?: Omit<DeduplicateOptions, "workDir" | "fingerprint" | "signal" | "onProgress" | "fs">;
  /** Called while duplicates are searched, `totalBytes` being those of the files; `onProgress` is called while documents are written. */
  onSearch?: (progress: DedupProgress & { totalBytes: number }) => void;
};

export interface DedupStageResult extends StageResult {
  /** Null when the folder was complete already. */
  report: DedupReport | null;
}

/** Name of the folder with keys, inside the output; it is gone when the stage is done. */
const WORK = ".keys";

/**
 * Removes duplicates: of documents that count as one the first stays. Reads the input twice; the documents themselves are
 * never all in memory. A stage that was stopped goes on.
 * @throws DataError as for reading and writing.
 */
export async function dedupDocuments(options: DedupStageOptions): Promise<DedupStageResult> {
  const { dedup = {}, onSearch, ...common } = options;
  const { inputs, source, out, signal, force } = common;
  const work = join(out, WORK);
  if (force) await rm(work, { recursive: true, force: true });
  const files = await listSources(inputs, source);
  const fingerprint = keyOf(files.map(({ path, size, modified }) => [resolve(path), size, modified]));
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  const paths = files.map((file) => file.path);
  const open = () => documents(paths, { ...source, metadata: false });

  let reporter: DedupReporter | undefined;
  let found: Awaited<ReturnType<typeof findDuplicates>> | undefined;
  /** Examples that an earlier run came by. */
  let seen: ExampleDocument[] = [];
  const search = async () => {
    const deduplicator = await openDeduplicator({
      ...dedup,
      workDir: work,
      fingerprint,
      signal,
      onProgress: (progress) => onSearch?.({ ...progress, totalBytes }),
    });
    try {
      found = await findDuplicates(open, deduplicator);
    } finally {
      await deduplicator.close();
    }
    reporter = new DedupReporter(found);
    for (const example of seen)
      reporter.see(example.document, { source: example.source ?? "", text: example.text ?? "" });
    return found;
  };
  const result = await runStage({
    ...common,
    name: "dedup",
    settings: dedup,
    async process(batch, first) {
      // Not before the first batch: a folder that is complete needs no search.
      const verdict = found ?? (await search());
      return batch.filter((document, i) => {
        reporter?.see(first + i, document);
        return !verdict.isRemoved(first + i);
      });
    },
    saveState: () =>
      reporter?.report.largest
        .flatMap(({ kept, removed }) => [kept, ...removed])
        .filter(({ text }) => text !== undefined),
    restoreState: (state) => {
      seen = state as ExampleDocument[];
    },
    async finish() {
      const verdict = found ?? (await search());
      const { report } = reporter as DedupReporter;
      await writeReport(out, report, dedupPage(report));
      await writeClusters(join(out, "clusters.jsonl"), verdict, { signal });
    },
  });
  await rm(work, { recursive: true, force: true });
  return { ...result, report: reporter?.report ?? null };
}
