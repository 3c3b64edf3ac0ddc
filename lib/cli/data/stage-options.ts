/** Options of commands that write a folder of documents, and how they show what they do. */

import type { StageProgress, StageResult } from "../../data/documents/stage.js";
import { formatBytes } from "../../io/filesystem.js";
import { formatDuration, formatRate } from "../../train/progress.js";
import type { CommandContext, OptionSpec } from "../command.js";

/** Where documents go. */
export const STAGE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  out: {
    type: "string",
    short: "o",
    required: true,
    placeholder: "DIR",
    summary: "Folder for the documents",
  },
  force: { type: "boolean", summary: "Replace documents that the folder holds" },
  threads: { type: "integer", summary: "Threads; default: the usable cores" },
};

const count = (value: number): string => Math.round(value).toLocaleString("en");

/** Shows rate and time left, for work whose size is known in bytes. */
export class ByteProgress {
  private readonly startedAt = performance.now();
  /** Bytes that were done before the work began. */
  private before?: number;

  /** `34 % · 1,234 documents · 56.7 MB/s · 1m 02s left`. */
  line(done: number, total: number, ...parts: string[]): string {
    this.before ??= done;
    const seconds = (performance.now() - this.startedAt) / 1000;
    const rate = (done - this.before) / seconds;
    const percent = total > 0 ? [`${Math.floor((100 * done) / total)} %`] : [];
    const left = rate > 0 && total > done ? [`${formatDuration((total - done) / rate)} left`] : [];
    return [...percent, ...parts, ...(rate > 0 ? [`${formatRate(rate)}B/s`] : []), ...left].join(" · ");
  }
}

/** Shows the progress of a stage. */
export function stageProgress(
  { progress }: Pick<CommandContext, "progress">,
  verb: string,
): (state: StageProgress) => void {
  const bytes = new ByteProgress();
  return ({ readBytes, totalBytes, documents, kept }) =>
    progress(
      `${verb} ${bytes.line(readBytes, totalBytes, `${count(documents)} documents`, `${count(kept)} kept`)}`,
    );
}

/** What a stage did, as lines. */
export function stageLines({
  documentsIn,
  documentsOut,
  bytesIn,
  bytesOut,
  folder,
  reused,
}: StageResult): string[] {
  const share = (part: number, whole: number) =>
    whole === 0 ? "" : ` (${((100 * part) / whole).toFixed(1)} %)`;
  return [
    `documents  ${count(documentsOut)} of ${count(documentsIn)}${share(documentsOut, documentsIn)}`,
    `text       ${formatBytes(bytesOut)} of ${formatBytes(bytesIn)}${share(bytesOut, bytesIn)}`,
    reused ? `${folder} was complete already.` : `Written to ${folder}.`,
  ];
}
