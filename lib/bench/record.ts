/** Results that are kept, by custom under bench/results/: a JSON file with everything, and the report as Markdown beside it. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { writeFileAtomic } from "../io/index.js";
import { type MachineFacts, type Versions, versions } from "./machine.js";

/** A kept result. */
export interface BenchRecord<Result> {
  /** "kernels", "dispatch" or "step". */
  benchmark: string;
  /** When it was measured, ISO 8601 in UTC. */
  date: string;
  versions: Versions;
  machine: MachineFacts;
  result: Result;
}

/** The Markdown file beside a JSON file: the same name with another ending. */
export function markdownPath(path: string): string {
  return path.endsWith(".json") ? `${path.slice(0, -".json".length)}.md` : `${path}.md`;
}

/**
 * Writes both files; their folder is made if needed.
 * @param report lines for people
 */
export async function keepRecord<Result>(
  path: string,
  benchmark: string,
  machine: MachineFacts,
  result: Result,
  report: readonly string[],
): Promise<BenchRecord<Result>> {
  const record = { benchmark, date: new Date().toISOString(), versions: await versions(), machine, result };
  const { anneal, commit = "unknown", modified, node } = record.versions;
  const source = `anneal ${anneal}, commit ${commit}${modified ? " with changes" : ""}, Node ${node.replace(/^v/, "")}`;
  const head = [
    `# anneal bench ${benchmark}, ${machine.device}, ${record.date.slice(0, 10)}`,
    "",
    source,
    "",
  ];
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, `${JSON.stringify(record, null, 2)}\n`);
  await writeFileAtomic(markdownPath(path), `${[...head, ...report].join("\n")}\n`);
  return record;
}
