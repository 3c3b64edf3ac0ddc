/** The stage `repeats`: documents in, the same documents without passages that occurred before out. */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { readInto } from "../dedup/first-pass.js";
import {
  type DedupProgress,
  RepeatRemover,
  SubstringDeduplicator,
  type SubstringOptions,
  type SubstringReport,
  substringPage,
} from "../dedup/index.js";
import { keyOf } from "../documents/folder.js";
import { runStage, type StageCommon, type StageResult } from "../documents/stage.js";
import { writeReport } from "../report-page.js";
import { documents, listSources, type TextDocument } from "../sources.js";

export type RepeatsStageOptions = StageCommon & {
  /** What counts as a passage. */
  repeats?: Omit<SubstringOptions, "workDir" | "fingerprint" | "signal" | "onProgress" | "fs">;
  /** Called while passages are searched, `totalBytes` being those of the files; `onProgress` is called while documents are written. */
  onSearch?: (progress: DedupProgress & { totalBytes: number }) => void;
};

export interface RepeatsStageResult extends StageResult {
  /** Null when the folder was complete already. */
  report: SubstringReport | null;
}

const WORK = ".anchors";

/**
 * Cuts out of every document the passages that occurred before. Reads the input twice; a stage that was stopped goes on.
 * @throws DataError as for reading and writing.
 */
export async function removeRepeatedPassages(options: RepeatsStageOptions): Promise<RepeatsStageResult> {
  const { repeats = {}, onSearch, ...common } = options;
  const { inputs, source, out, signal, force } = common;
  const workDir = join(out, WORK);
  if (force) await rm(workDir, { recursive: true, force: true });
  const files = await listSources(inputs, source);
  const fingerprint = keyOf(files.map(({ path, size, modified }) => [resolve(path), size, modified]));
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  const paths = files.map((file) => file.path);

  let saved: SubstringReport | undefined;
  let remover: RepeatRemover | undefined;
  const search = async () => {
    const deduplicator = await SubstringDeduplicator.open({
      ...repeats,
      ...{
        workDir,
        fingerprint,
        signal,
        onProgress: (progress: DedupProgress) => onSearch?.({ ...progress, totalBytes }),
      },
    });
    try {
      await readInto(() => documents(paths, { ...source, metadata: false }), deduplicator);
      remover = new RepeatRemover(await deduplicator.finish());
      if (saved !== undefined) Object.assign(remover.report, saved);
      return remover;
    } finally {
      await deduplicator.close();
    }
  };
  const result = await runStage({
    ...common,
    name: "repeats",
    settings: repeats,
    async process(batch, first) {
      // Not before the first batch: a folder that is complete needs no search.
      const found = remover ?? (await search());
      return batch
        .map((document, i) => found.cut(first + i, document))
        .filter((left): left is TextDocument => left !== undefined);
    },
    saveState: () => remover?.report,
    restoreState: (state) => {
      saved = state as SubstringReport;
    },
    async finish() {
      const { report } = remover ?? (await search());
      await writeReport(out, report, substringPage(report));
    },
  });
  await rm(workDir, { recursive: true, force: true });
  return { ...result, report: remover?.report ?? null };
}
