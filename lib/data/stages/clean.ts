/** The stage `clean`: documents in, those worth training on out, with a report on every rule beside them. */
import { join } from "node:path";
import { Cleaner, type CleanOptions, type CleanReportJson, writeCleanReport } from "../clean/index.js";
import { type DecontaminationReport, type Decontaminator, decontaminationPage } from "../dedup/index.js";
import { runStage, type StageCommon, type StageResult } from "../documents/stage.js";
import { writeReport } from "../report-page.js";

export type CleanStageOptions = StageCommon & {
  /** Rules and their thresholds; default FineWeb's. */
  clean?: CleanOptions;
  /** Evaluation sets whose items must not be in the documents; asked last. */
  decontaminator?: Decontaminator;
};

export interface CleanStageResult extends StageResult {
  report: CleanReportJson;
  /** With `decontaminator`. */
  decontamination?: DecontaminationReport;
}

/** The counters between two parts. */
interface CleanState {
  report: CleanReportJson;
  decontamination?: unknown;
}

/**
 * Cleans documents by FineWeb's rules. A stage that was stopped goes on, its report included.
 * @throws ConfigError for rules that do not exist; DataError as for reading and writing.
 */
export async function cleanCorpus(options: CleanStageOptions): Promise<CleanStageResult> {
  const { clean = {}, decontaminator, ...common } = options;
  const { signal, out } = common;
  const cleaner = new Cleaner(clean);
  const sets = decontaminator?.report();
  const result = await runStage({
    ...common,
    name: "clean",
    settings: {
      ...cleaner.report.settings,
      ...(sets !== undefined && {
        decontamination: { settings: sets.settings, sets: sets.sets, runs: sets.runs },
      }),
    },
    async process(batch) {
      const kept = await cleaner.clean(batch, { signal });
      return decontaminator === undefined ? kept : decontaminator.process(kept);
    },
    saveState: (): CleanState => ({
      report: cleaner.report.toJSON(),
      ...(decontaminator !== undefined && { decontamination: decontaminator.saveState() }),
    }),
    restoreState: (state) => {
      const { report, decontamination } = state as CleanState;
      cleaner.restore(report);
      decontaminator?.restoreState(decontamination as never);
    },
    async finish() {
      await writeCleanReport(cleaner.report, out);
      if (decontaminator === undefined) return;
      const report = decontaminator.report();
      await writeReport(join(out, "decontamination"), report, decontaminationPage(report));
    },
  });
  const report = cleaner.report.toJSON();
  return {
    ...result,
    report,
    ...(decontaminator !== undefined && { decontamination: decontaminator.report() }),
  };
}
