/**
 * Decontamination: training documents that contain runs of words of evaluation items are dropped, or the runs are cut out of
 * them. Words are folded as for near-duplicate search, so that case, punctuation, numbers and accents do not hide a copy.
 */
import { ConfigError } from "../../errors.js";
import { TextBatch } from "../../native/text/batch.js";
import type { WordKind } from "../../native/text/dedup.js";
import {
  addToRunIndex,
  findOverlaps,
  makeRunIndex,
  type Overlap,
  type RunIndex,
} from "../../native/text/overlap.js";
import { checkInteger, checkOptions } from "../options.js";
import { formatShare, htmlExcerpt, htmlPage, htmlTable } from "../report-page.js";
import type { TextDocument } from "../sources.js";
import { borderAfter, borderBefore, withoutSpans } from "./cut.js";
import { checkChoice } from "./options.js";

export interface DecontaminateOptions {
  /** Words of a run. Default 13, as GPT-3 has it; DeepSeek-R1 took 10. */
  words?: number;
  /**
   * An evaluation item shorter than a run counts as one run if it has at least this many words; shorter ones are left out
   * and counted. Default: `words`, so that all shorter ones are left out.
   */
  shortest?: number;
  /**
   * `drop`: a document with a run is dropped; `cut`: the run goes with `margin` bytes on both sides, and pieces of fewer than
   * `minPiece` bytes with it. Default `drop`.
   */
  action?: "drop" | "cut";
  /** With `cut`: bytes on each side of a run. Default 200. */
  margin?: number;
  /** With `cut`: bytes that a piece between two cuts, or what is left of a document, needs to be kept. Default 200. */
  minPiece?: number;
  /** What is a word; see MinHashOptions. Default `scripts`. */
  wordKind?: WordKind;
  /** Hits that the report names in full. Default 1000; all are counted. */
  hitsKept?: number;
  threads?: number;
  signal?: AbortSignal;
}

/** A document that contains words of an evaluation item. */
export interface ContaminationHit {
  /** Number of the document in the input, and where it came from. */
  document: number;
  source: string;
  /** Name of the evaluation set and number of its item. */
  set: string;
  item: number;
  /** Runs of the stretch. */
  runs: number;
  /** The beginning of the stretch. */
  text: string;
}

/** Counts of one evaluation set. */
export interface ContaminationSet {
  name: string;
  items: number;
  /** Items left out because they have too few words. */
  tooShort: number;
  /** Documents with words of an item of this set (of those that have several sets, the first stretch's). */
  documents: number;
  /** Stretches. */
  overlaps: number;
  /** Items that were found. */
  found: number;
}

export interface DecontaminationReport {
  settings: Record<string, unknown>;
  /** Runs in the index. */
  runs: number;
  documents: number;
  kept: number;
  dropped: number;
  /** Documents that were kept without some pieces. */
  cut: number;
  /** Bytes that were cut out of documents that were kept. */
  cutBytes: number;
  sets: ContaminationSet[];
  /** The first hits. */
  hits: ContaminationHit[];
}

const OPTIONS = [
  "words",
  "shortest",
  "action",
  "margin",
  "minPiece",
  "wordKind",
  "hitsKept",
  "threads",
  "signal",
];
const TEXT_SHOWN = 300;

interface EvaluationSet extends ContaminationSet {
  /** Number of its first item in the index. */
  first: number;
  foundItems: Set<number>;
}

/** The counters between two calls, as JSON. */
interface SavedState {
  documents: number;
  dropped: number;
  cut: number;
  cutBytes: number;
  sets: { documents: number; overlaps: number; found: number[] }[];
  hits: ContaminationHit[];
}

/** Holds the runs of evaluation sets and looks for them in documents. */
export class Decontaminator {
  private readonly index: RunIndex;
  private readonly sets: EvaluationSet[] = [];
  private items = 0;
  private runs = 0;
  private counts = { documents: 0, dropped: 0, cut: 0, cutBytes: 0 };
  private hits: ContaminationHit[] = [];
  private readonly options: Required<Omit<DecontaminateOptions, "threads" | "signal">> &
    Pick<DecontaminateOptions, "threads" | "signal">;

  /** @throws ConfigError for options that do not exist or are out of range. */
  constructor(options: DecontaminateOptions = {}) {
    checkOptions("Decontamination", options, OPTIONS);
    const {
      words = 13,
      action = "drop",
      margin = 200,
      minPiece = 200,
      wordKind = "scripts",
      hitsKept = 1000,
    } = options;
    const { shortest = words, threads, signal } = options;
    checkInteger("words", words, 1, 1000);
    checkInteger("shortest", shortest, 1, words);
    checkChoice("action", action, ["drop", "cut"]);
    checkInteger("margin", margin, 0);
    checkInteger("minPiece", minPiece, 0);
    checkChoice("wordKind", wordKind, ["scripts", "spaced"]);
    checkInteger("hitsKept", hitsKept, 0);
    if (threads !== undefined) checkInteger("threads", threads, 1, 1024);
    this.options = { words, shortest, action, margin, minPiece, wordKind, hitsKept, threads, signal };
    this.index = makeRunIndex(words, shortest, wordKind);
  }

  /** A decontaminator with one evaluation set. */
  static async fromTexts(
    name: string,
    texts: readonly string[],
    options: DecontaminateOptions = {},
  ): Promise<Decontaminator> {
    const decontaminator = new Decontaminator(options);
    await decontaminator.addTexts(name, texts);
    return decontaminator;
  }

  /**
   * Adds an evaluation set, item by item. All sets are added before the first document.
   * @throws ConfigError when a set of that name is there already.
   */
  async addTexts(name: string, texts: readonly string[]): Promise<void> {
    if (this.sets.some((set) => set.name === name)) {
      throw new ConfigError(
        `There is an evaluation set "${name}" already. Give each set a name of its own.`,
        { name },
      );
    }
    const set: EvaluationSet = {
      name,
      items: texts.length,
      tooShort: 0,
      documents: 0,
      overlaps: 0,
      found: 0,
      first: this.items,
      foundItems: new Set(),
    };
    this.sets.push(set);
    this.items += texts.length;
    const { runs, tooShort } = await addToRunIndex(this.index, TextBatch.from(texts), this.options);
    set.tooShort = tooShort;
    this.runs = runs;
  }

  /**
   * The documents of a batch that are kept, in order, those that were cut with their new text.
   * @param first number of the batch's first document
   */
  async process(documents: readonly TextDocument[], first = this.counts.documents): Promise<TextDocument[]> {
    const { threads, signal, action } = this.options;
    const batch = TextBatch.from(documents.map((document) => document.text));
    const overlaps = await findOverlaps(this.index, batch, { threads, signal });
    const kept: TextDocument[] = [];
    let at = 0;
    for (let i = 0; i < documents.length; i++) {
      const own: Overlap[] = [];
      while (at < overlaps.length && overlaps[at].document === i) own.push(overlaps[at++]);
      this.counts.documents++;
      if (own.length === 0) {
        kept.push(documents[i]);
        continue;
      }
      this.note(documents[i], first + i, batch.slice(i), own);
      const text = action === "cut" ? this.cutOut(batch.slice(i), own) : undefined;
      if (text === undefined) this.counts.dropped++;
      else kept.push({ ...documents[i], text });
    }
    return kept;
  }

  /** The counts so far. */
  report(): DecontaminationReport {
    const { words, shortest, action, margin, minPiece, wordKind } = this.options;
    const { documents, dropped } = this.counts;
    return {
      settings: { words, shortest, action, wordKind, ...(action === "cut" && { margin, minPiece }) },
      runs: this.runs,
      ...this.counts,
      kept: documents - dropped,
      sets: this.sets.map(({ first: _, foundItems, ...set }) => ({ ...set, found: foundItems.size })),
      hits: this.hits,
    };
  }

  /** The counters as JSON, so that another process can go on counting. */
  saveState(): unknown {
    const state: SavedState = {
      ...this.counts,
      sets: this.sets.map(({ documents, overlaps, foundItems }) => ({
        documents,
        overlaps,
        found: [...foundItems],
      })),
      hits: this.hits,
    };
    return state;
  }

  /** Sets the counters to what `saveState` gave in a process with the same sets. */
  restoreState(saved: unknown): void {
    const { sets, hits, documents, dropped, cut, cutBytes } = saved as SavedState;
    this.counts = { documents, dropped, cut, cutBytes };
    this.hits = hits;
    for (const [i, { found, ...counts }] of sets.entries()) {
      Object.assign(this.sets[i], counts, { foundItems: new Set(found) });
    }
  }

  private setOf(item: number): EvaluationSet {
    // Later sets have greater first items.
    return this.sets.findLast((set) => set.first <= item && set.items > 0) as EvaluationSet;
  }

  private note(
    document: TextDocument,
    number: number,
    bytes: Uint8Array,
    overlaps: readonly Overlap[],
  ): void {
    this.setOf(overlaps[0].item).documents++;
    for (const { item, begin, end, runs } of overlaps) {
      const set = this.setOf(item);
      set.overlaps++;
      set.foundItems.add(item - set.first);
      if (this.hits.length >= this.options.hitsKept) continue;
      const shown = borderBefore(bytes, Math.min(end, begin + TEXT_SHOWN));
      const text = Buffer.from(bytes.subarray(begin, shown)).toString("utf8");
      this.hits.push({
        document: number,
        source: document.source,
        set: set.name,
        item: item - set.first,
        runs,
        text,
      });
    }
  }

  /** A document's text without the overlaps and their margins; undefined when nothing is left that may be kept. */
  private cutOut(bytes: Uint8Array, overlaps: readonly Overlap[]): string | undefined {
    const { margin, minPiece } = this.options;
    const spans: [number, number][] = [];
    for (const { begin, end } of overlaps) {
      const from = borderBefore(bytes, Math.max(0, begin - margin));
      const to = borderAfter(bytes, Math.min(bytes.length, end + margin));
      const last = spans.at(-1);
      // A piece that is too short goes with its neighbours.
      if (last !== undefined && from - last[1] < minPiece) last[1] = to;
      else spans.push([from < minPiece ? 0 : from, to]);
    }
    const last = spans.at(-1);
    if (last !== undefined && bytes.length - last[1] < minPiece) last[1] = bytes.length;
    const pieces = withoutSpans(bytes, spans);
    if (pieces.length === 0) return undefined;
    this.counts.cut++;
    this.counts.cutBytes += spans.reduce((sum, [begin, end]) => sum + end - begin, 0);
    // What stood apart stays apart.
    return pieces.join("\n\n");
  }
}

/** The report as a page. */
export function decontaminationPage(report: DecontaminationReport): string {
  const { documents, kept, dropped, cut, cutBytes, runs, settings, sets, hits } = report;
  return htmlPage(
    `Evaluation texts in ${documents} documents`,
    `${runs} runs of ${settings.words} words from ${sets.length} evaluation sets.`,
    [
      {
        title: "Documents",
        html: htmlTable(
          ["", "count", "share"],
          [
            ["read", documents, ""],
            ["kept", kept, formatShare(kept, documents)],
            ["dropped", dropped, formatShare(dropped, documents)],
            ["kept without some pieces", cut, formatShare(cut, documents)],
            ["bytes cut out of these", cutBytes, ""],
          ],
        ),
      },
      {
        title: "Evaluation sets",
        html: htmlTable(
          ["set", "items", "too short", "found", "documents", "stretches"],
          sets.map((set) => [set.name, set.items, set.tooShort, set.found, set.documents, set.overlaps]),
        ),
      },
      {
        title: "First hits",
        html: htmlTable(
          ["document", "set", "item", "runs", "text"],
          hits
            .slice(0, 100)
            .map((hit) => [hit.source, hit.set, hit.item, hit.runs, { html: htmlExcerpt(hit.text, 200) }]),
        ),
      },
    ],
  );
}
