/** The report on a deduplication: JSON for programs, a page for people, and all clusters as JSON lines. */
import { atomically } from "../../io/atomic.js";
import { type FileSystem, formatBytes, nodeFileSystem, writeFully } from "../../io/filesystem.js";
import { diskError } from "../disk-error.js";
import { formatNumber, formatShare, htmlBar, htmlExcerpt, htmlPage, htmlTable } from "../report-page.js";
import type { TextDocument } from "../sources.js";
import { matchProbability } from "./options.js";
import type { DedupFacts, DedupResult } from "./result.js";

/** A document of a cluster, as far as it was seen again. */
export interface ExampleDocument {
  /** Its number in the input. */
  document: number;
  source?: string;
  /** The beginning of its text. */
  text?: string;
}

export interface ExampleCluster {
  /** Documents of the cluster. */
  size: number;
  kept: ExampleDocument;
  /** Some of those that were removed. */
  removed: ExampleDocument[];
}

/** What `anneal` writes down about a deduplication. */
export interface DedupReport extends DedupFacts {
  documents: number;
  kept: number;
  removed: number;
  /** Documents without a key: they have fewer words than a shingle and are kept. */
  withoutKey: number;
  clusters: number;
  /** Documents that share a key with an earlier one, counted in every bucket. */
  pairs: number;
  /** Those of them that their signatures did not confirm. */
  rejected: number;
  /** [documents of a cluster, clusters of that size], smallest first. */
  sizes: [size: number, clusters: number][];
  /** The largest clusters. */
  largest: ExampleCluster[];
}

const LARGEST = 10;
const REMOVED_SHOWN = 3;
const TEXT_SHOWN = 600;

/** Makes the report, and fills in the examples' texts while the documents pass by a second time. */
export class DedupReporter {
  readonly report: DedupReport;
  private readonly wanted = new Map<number, ExampleDocument>();

  constructor(result: DedupResult) {
    const { documents, removedCount, facts, clusters, pairs, rejected } = result;
    const example = (document: number): ExampleDocument => {
      const shown: ExampleDocument = { document };
      this.wanted.set(document, shown);
      return shown;
    };
    const largest = result.largest(LARGEST).map((index) => {
      const { members } = result.cluster(index);
      return {
        size: members.length,
        kept: example(members[0]),
        removed: Array.from(members.subarray(1, 1 + REMOVED_SHOWN), example),
      };
    });
    this.report = {
      ...facts,
      documents,
      kept: documents - removedCount,
      removed: removedCount,
      withoutKey: documents - facts.keyed,
      clusters,
      pairs,
      rejected,
      sizes: result.sizes(),
      largest,
    };
  }

  /** Shows the reporter a document. Only those of examples are looked at. */
  see(number: number, document: TextDocument): void {
    const example = this.wanted.get(number);
    if (example === undefined) return;
    example.source = document.source;
    example.text = document.text.slice(0, TEXT_SHOWN);
  }
}

/** The report as a page. */
export function dedupPage(report: DedupReport): string {
  const { method, settings, documents, removed, kept, clusters, seconds, bytes, threads } = report;
  const rate = seconds.keys > 0 ? `, ${formatBytes(bytes / seconds.keys)} of text a second` : "";
  const summary = htmlTable(
    ["", "documents", "share"],
    [
      ["read", documents, ""],
      ["kept", kept, formatShare(kept, documents)],
      ["removed", removed, formatShare(removed, documents)],
      ["clusters", clusters, ""],
      ["without a key (kept)", report.withoutKey, formatShare(report.withoutKey, documents)],
      ["matches, counted in every bucket", report.pairs, ""],
      ["matches not confirmed", report.rejected, ""],
    ],
  );
  const most = Math.max(0, ...report.sizes.map(([, count]) => count));
  const sizes = htmlTable(
    ["documents", "clusters", ""],
    report.sizes
      .slice(0, 60)
      .map(([size, count]) => [size, count, htmlBar(Math.log1p(count), Math.log1p(most))]),
  );
  const sections = [
    { title: "Documents", html: summary },
    {
      title: "Settings",
      html: htmlTable(
        ["setting", "value"],
        Object.entries(settings).map(([name, value]) => [name, String(value)]),
      ),
    },
    { title: "Sizes of clusters (bars: logarithm)", html: sizes },
    { title: "Largest clusters", html: report.largest.map(clusterHtml).join("\n") || "<p>None.</p>" },
  ];
  const { buckets, rows } = settings;
  if (typeof buckets === "number" && typeof rows === "number") {
    const similarities = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
    sections.splice(2, 0, {
      title: "Probability that two documents are found, by their Jaccard similarity",
      html: htmlTable(
        ["similarity", "probability", ""],
        similarities.map((s) => {
          const p = matchProbability(s, buckets, rows);
          return [s.toFixed(2), p.toFixed(4), htmlBar(p, 1)];
        }),
      ),
    });
  }
  return htmlPage(
    `Duplicates: ${formatNumber(removed)} of ${formatNumber(documents)} documents`,
    `Method ${method}; ${seconds.keys.toFixed(1)} s for keys on ${threads} threads${rate}; ` +
      `${seconds.merge.toFixed(1)} s for clusters from ${report.runs} runs.`,
    sections,
  );
}

function clusterHtml({ size, kept, removed }: ExampleCluster): string {
  const shown = ({ document, source, text }: ExampleDocument, what: string) =>
    htmlTable([`${what}: document ${document}`], [[source ?? ""]]) +
    (text === undefined ? "" : htmlExcerpt(text));
  const rest = size - 1 - removed.length;
  return (
    `<details><summary>${formatNumber(size)} documents</summary>${shown(kept, "kept")}` +
    `${removed.map((document) => shown(document, "removed")).join("")}` +
    `${rest > 0 ? `<p>and ${formatNumber(rest)} more.</p>` : ""}</details>`
  );
}

/**
 * Writes all clusters as JSON lines, `{"size", "kept", "removed"}` with numbers of documents, in one step.
 * @throws DataError when the disk refuses; a file of that name then stays as it was.
 */
export async function writeClusters(
  path: string,
  result: DedupResult,
  options: { fs?: FileSystem; signal?: AbortSignal } = {},
): Promise<void> {
  const { fs = nodeFileSystem, signal } = options;
  try {
    await atomically(fs, path, async (temporary) => {
      const handle = await fs.open(temporary, "wx");
      try {
        let at = 0;
        let text = "";
        const flush = async () => {
          const bytes = Buffer.from(text);
          await writeFully(handle, bytes, at, undefined, signal);
          at += bytes.length;
          text = "";
        };
        for (let index = 0; index < result.clusters; index++) {
          const { kept, members } = result.cluster(index);
          text += `${JSON.stringify({ size: members.length, kept, removed: Array.from(members.subarray(1)) })}\n`;
          if (text.length > 1 << 18) await flush();
        }
        await flush();
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  } catch (error) {
    throw await diskError(error, "list of clusters", path);
  }
}
