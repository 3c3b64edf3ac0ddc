/** `anneal data dedup`: removes documents that repeat others. */
import { join } from "node:path";
import { type DedupProgress, matchProbability } from "../../data/dedup/options.js";
import { formatBytes } from "../../io/filesystem.js";
import type { Command } from "../command.js";
import { INPUT_OPTIONS, INPUT_PATHS, inputPaths, sourceOptions } from "./input-options.js";
import { ByteProgress, STAGE_OPTIONS, stageLines, stageProgress } from "./stage-options.js";

const METHODS = ["minhash", "exact", "substring"] as const;

export const command: Command = {
  name: "data dedup",
  summary: "Remove documents that are equal or nearly equal to earlier ones, with a report and all clusters",
  usage: "data dedup PATH… --out DIR [options]",
  options: {
    ...STAGE_OPTIONS,
    ...INPUT_OPTIONS,
    method: {
      type: "string",
      choices: METHODS,
      default: "minhash",
      summary:
        "minhash: nearly equal documents, as FineWeb does; exact: equal ones; substring: passages that occurred before are cut out",
    },
    sameness: {
      type: "string",
      choices: ["bytes", "canonical", "folded"],
      summary:
        "For exact: compare bytes, or text without regard to white space, or words alone; default canonical",
    },
    shingle: { type: "integer", summary: "For minhash: words of a shingle; default 5" },
    buckets: { type: "integer", summary: "For minhash: buckets; default 14" },
    rows: { type: "integer", summary: "For minhash: hash functions of a bucket; default 8" },
    verify: {
      type: "number",
      summary:
        "For minhash: least estimated similarity of two documents of a bucket, 0 to 1; default 0, none",
    },
    seed: { type: "integer", summary: "For minhash: decides the hash functions; default 1" },
    "min-length": { type: "integer", summary: "For substring: bytes of a passage; default 200" },
    "min-document": {
      type: "integer",
      summary: "For substring: bytes that must be left of a document; default 100",
    },
    "memory-limit": {
      type: "integer",
      placeholder: "MB",
      summary: "Memory for keys, in megabytes; the rest goes to the disk; default 1074",
    },
  },
  positionals: INPUT_PATHS,
  examples: [
    "anneal data dedup clean/ --out deduplicated/",
    "anneal data dedup unique/ --method substring --out shorter/",
    "anneal data dedup 'crawl/*.jsonl.gz' --method exact --sameness folded --out unique/",
  ],
  async run(context) {
    const { options, out, progress, signal } = context;
    const paths = inputPaths(context, "data dedup clean/ --out deduplicated/");
    const [{ dedupDocuments }, { removeRepeatedPassages }] = await Promise.all([
      import("../../data/stages/dedup.js"),
      import("../../data/stages/repeats.js"),
    ]);
    const { method, sameness, shingle, buckets, rows, verify, seed, memoryLimit, threads } = options;
    const given = <T extends object>(values: T) =>
      Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
    const bytes = new ByteProgress();
    const common = {
      inputs: paths,
      source: sourceOptions(context),
      out: options.out,
      force: options.force,
      signal,
      onSearch: ({
        phase,
        documents,
        bytes: done,
        share,
        totalBytes,
      }: DedupProgress & { totalBytes: number }) =>
        progress(
          phase === "merge"
            ? `Comparing ${Math.floor(100 * share)} %`
            : `Reading ${bytes.line(done, totalBytes, `${documents.toLocaleString("en")} documents`)}`,
        ),
      onProgress: stageProgress(context, "Writing"),
    };
    const limits = given({ threads, ...(memoryLimit !== undefined && { memoryLimit: memoryLimit * 1e6 }) });
    if (method === "substring") {
      const { minLength, minDocument } = options;
      const result = await removeRepeatedPassages({
        ...common,
        repeats: { ...given({ minLength, minDocument }), ...limits },
      });
      for (const line of stageLines(result)) out(line);
      if (result.report !== null) {
        const { spans, removedBytes } = result.report;
        out(`passages   ${spans.toLocaleString("en")} cut out, ${formatBytes(removedBytes)}`);
        out(`Report: ${join(options.out, "report.html")}`);
      }
      return result;
    }
    const result = await dedupDocuments({
      ...common,
      dedup: { method, ...given({ sameness, shingle, buckets, rows, verify, seed }), ...limits },
    });
    for (const line of stageLines(result)) out(line);
    if (result.report !== null) {
      const { clusters, withoutKey } = result.report;
      out(
        `clusters   ${clusters.toLocaleString("en")}; ${withoutKey.toLocaleString("en")} documents too short to compare`,
      );
      if (method === "minhash") {
        const p = matchProbability(0.8, buckets ?? 14, rows ?? 8);
        out(`           Two documents of Jaccard similarity 0.8 are found with probability ${p.toFixed(3)}.`);
      }
      out(`Report: ${join(options.out, "report.html")}, clusters.jsonl`);
    }
    return result;
  },
};
