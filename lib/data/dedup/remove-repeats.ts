/** Both passes of substring deduplication over a source that can be read twice, and its report. */
import { DataError } from "../../errors.js";
import { formatBytes } from "../../io/filesystem.js";
import { formatNumber, formatShare, htmlExcerpt, htmlPage, htmlTable } from "../report-page.js";
import type { TextDocument } from "../sources.js";
import { readInto } from "./first-pass.js";
import { SubstringDeduplicator, type SubstringOptions } from "./substring.js";
import type { SubstringFacts, SubstringResult } from "./substring-result.js";

/** A passage that was cut out. */
export interface RepeatExample {
  document: number;
  source: string;
  bytes: number;
  /** Its beginning. */
  text: string;
}

export interface SubstringReport extends SubstringFacts {
  documents: number;
  kept: number;
  /** Documents of which too little was left. */
  dropped: number;
  /** Documents that were kept without some passages. */
  changed: number;
  /** Passages that were cut out. */
  spans: number;
  /** Bytes that were cut out; those left of dropped documents are not counted. */
  removedBytes: number;
  /** The longest passages. */
  longest: RepeatExample[];
}

const LONGEST = 20;
const TEXT_SHOWN = 600;

/** Cuts documents and counts what happens to them. */
export class RepeatRemover {
  readonly report: SubstringReport;

  constructor(private readonly result: SubstringResult) {
    const { facts, documents } = result;
    this.report = {
      ...facts,
      documents,
      kept: 0,
      dropped: 0,
      changed: 0,
      spans: 0,
      removedBytes: 0,
      longest: [],
    };
  }

  /**
   * The document without its repeated passages; undefined when too little is left.
   * @param number its number in the input
   * @throws DataError when it is not the document that was searched
   */
  cut(number: number, document: TextDocument): TextDocument | undefined {
    const { text, removed, spans } = this.result.cut(number, document.text);
    const { report } = this;
    report.spans += spans;
    report.removedBytes += removed;
    if (spans > 0) this.note(number, document);
    if (text === undefined) {
      report.dropped++;
      return undefined;
    }
    report.kept++;
    if (spans === 0) return document;
    report.changed++;
    return { ...document, text };
  }

  /** Keeps the longest passages as examples. */
  private note(number: number, document: TextDocument): void {
    const { longest } = this.report;
    const bytes = Buffer.from(document.text);
    for (const [begin, end] of this.result.spansOf(number)) {
      if (longest.length >= LONGEST && end - begin <= (longest.at(-1) as RepeatExample).bytes) continue;
      const text = bytes.subarray(begin, Math.min(end, begin + TEXT_SHOWN)).toString("utf8");
      longest.push({ document: number, source: document.source, bytes: end - begin, text });
      longest.sort((a, b) => b.bytes - a.bytes || a.document - b.document);
      if (longest.length > LONGEST) longest.pop();
    }
  }
}

/**
 * The documents without passages that occurred before, in order. The source is read twice. A work folder is removed at the
 * end; when the work was stopped before, the same call goes on.
 * @param open begins reading; the documents must be the same, in the same order, both times
 * @param onReport receives the report after the last document
 * @throws DataError when the source changes between the passes
 */
export async function* removeRepeats(
  open: () => AsyncIterable<TextDocument>,
  options: SubstringOptions = {},
  onReport?: (report: SubstringReport) => void,
): AsyncGenerator<TextDocument> {
  const deduplicator = await SubstringDeduplicator.open(options);
  let complete = false;
  try {
    await readInto(open, deduplicator);
    const result = await deduplicator.finish();
    const remover = new RepeatRemover(result);
    let number = 0;
    for await (const document of open()) {
      if (number++ >= result.documents) break;
      const left = remover.cut(number - 1, document);
      if (left !== undefined) yield left;
    }
    if (number !== result.documents) {
      throw new DataError(
        `The first pass read ${result.documents} documents, the second ${number > result.documents ? "more" : number}: the input has changed.`,
        { first: result.documents, second: number },
      );
    }
    complete = true;
    onReport?.(remover.report);
  } finally {
    if (complete) await deduplicator.discard();
    else await deduplicator.close();
  }
}

/** The report as a page. */
export function substringPage(report: SubstringReport): string {
  const { documents, kept, dropped, changed, removedBytes, bytes, spans, seconds, sortedBytes } = report;
  return htmlPage(
    `Repeated passages: ${formatBytes(removedBytes)} of ${formatBytes(bytes)}`,
    `${seconds.keys.toFixed(1)} s for anchors, ${seconds.merge.toFixed(1)} s for suffix arrays of ` +
      `${formatBytes(sortedBytes)} on ${report.threads} threads.`,
    [
      {
        title: "Documents",
        html: htmlTable(
          ["", "count", "share"],
          [
            ["read", documents, ""],
            ["kept", kept, formatShare(kept, documents)],
            ["changed", changed, formatShare(changed, documents)],
            ["dropped, too little left", dropped, formatShare(dropped, documents)],
            ["passages cut out", spans, ""],
            ["bytes cut out", removedBytes, formatShare(removedBytes, bytes)],
          ],
        ),
      },
      {
        title: "Settings",
        html: htmlTable(
          ["setting", "value"],
          Object.entries(report.settings).map(([name, value]) => [name, String(value)]),
        ),
      },
      {
        title: "Longest passages",
        html:
          report.longest
            .map(
              (example) =>
                htmlTable(
                  [`document ${example.document}`, "bytes"],
                  [[example.source, formatNumber(example.bytes)]],
                ) + htmlExcerpt(example.text),
            )
            .join("\n") || "<p>None.</p>",
      },
    ],
  );
}
