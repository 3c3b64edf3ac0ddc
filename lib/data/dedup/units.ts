/**
 * Exact deduplication below documents: lines, paragraphs, or spans of three sentences (C4) that occurred anywhere before are
 * removed from the corpus, the first occurrence stays. Each unit counts as a document of the exact search: 20 bytes of memory
 * or disk.
 */
import { DataError } from "../../errors.js";
import { checkInteger } from "../options.js";
import type { TextDocument } from "../sources.js";
import { ExactDeduplicator } from "./exact.js";
import { readInto } from "./first-pass.js";
import { checkChoice, checkNames, type ExactOptions } from "./options.js";
import type { DedupResult } from "./result.js";

/** Options of deduplication by lines, paragraphs or sentences. */
export interface UnitOptions extends ExactOptions {
  /**
   * `line`; `paragraph`, lines without an empty one between them; `sentences`, every span of `sentences` sentences: where it
   * occurred before, all its sentences are removed. Default `line`.
   */
  unit?: "line" | "paragraph" | "sentences";
  /** With `sentences`: sentences of a span. Default 3, as in C4. */
  sentences?: number;
  /** Units of fewer characters (UTF-16 code units, without white space around them) are left alone. Default 1. */
  minUnit?: number;
  /** A document that lost something and has fewer words left, cut at white space, is dropped. Default 1. */
  minWords?: number;
}

export interface UnitReport {
  settings: Record<string, unknown>;
  documents: number;
  kept: number;
  /** Documents of which too little was left. */
  dropped: number;
  /** Documents that were kept without some units. */
  changed: number;
  /** Lines, paragraphs or spans that were compared. */
  units: number;
  /** Those of them that occurred before. */
  repeated: number;
  /** UTF-16 code units of text that were read, and that were removed from documents that were kept. */
  characters: number;
  removedCharacters: number;
}

interface UnitSettings {
  unit: "line" | "paragraph" | "sentences";
  sentences: number;
  minUnit: number;
  minWords: number;
}

/** A piece of a text with what stands behind it up to the next one. */
interface Piece {
  /** The piece with all that belongs to it, so that all pieces together are the text. */
  whole: string;
  /** Without white space around it. */
  trimmed: string;
}

// A sentence ends with terminal punctuation, closing quotes and brackets included, before white space; a CJK full stop
// ends one by itself.
const SENTENCE_END = /[.!?…。！？]+["'”’»」』)\]]*/gu;
const PARAGRAPH_END = /\n[^\S\n]*\n\s*/g;
const LINE_END = /\n/g;
const SPACE = /\s*/y;

/** Cuts a text into pieces; joined they give the text again. */
export function cutUnits(text: string, unit: UnitSettings["unit"]): Piece[] {
  const ends =
    unit === "sentences"
      ? sentenceEnds(text)
      : Array.from(
          text.matchAll(unit === "line" ? LINE_END : PARAGRAPH_END),
          (end) => end.index + end[0].length,
        );
  const pieces: Piece[] = [];
  let at = 0;
  for (const end of [...ends, text.length]) {
    if (end > at) pieces.push({ whole: text.slice(at, end), trimmed: text.slice(at, end).trim() });
    at = Math.max(at, end);
  }
  return pieces;
}

/** Where sentences end, the white space behind them included. */
function sentenceEnds(text: string): number[] {
  const ends: number[] = [];
  for (const { 0: stop, index } of text.matchAll(SENTENCE_END)) {
    const end = index + stop.length;
    SPACE.lastIndex = end;
    const after = end + (SPACE.exec(text)?.[0].length ?? 0);
    // What goes on without a space ("3.5", "example.org") is no end.
    if (after > end || after === text.length || /[。！？]/.test(stop)) ends.push(after);
  }
  return ends;
}

/** The units of a text that are compared: each covers pieces [first, last]. */
function unitsOf(
  pieces: readonly Piece[],
  settings: UnitSettings,
): { text: string; first: number; last: number }[] {
  const span = settings.unit === "sentences" ? settings.sentences : 1;
  const units: { text: string; first: number; last: number }[] = [];
  for (let first = 0; first + span <= pieces.length; first++) {
    const text = pieces
      .slice(first, first + span)
      .map((piece) => piece.trimmed)
      .join(" ");
    if (text.length >= settings.minUnit && text.trim() !== "")
      units.push({ text, first, last: first + span - 1 });
  }
  return units;
}

/**
 * The documents without units that occurred before, in order. The source is read twice. A work folder is removed at the end; when
 * the work was stopped before, the same call goes on.
 * @param open begins reading; the documents must be the same, in the same order, both times
 * @param onReport receives the report after the last document
 * @throws DataError when the source changes between the passes
 */
export async function* removeRepeatedUnits(
  open: () => AsyncIterable<TextDocument>,
  options: UnitOptions = {},
  onReport?: (report: UnitReport) => void,
): AsyncGenerator<TextDocument> {
  checkNames("Deduplication of units", options, ["sameness", "unit", "sentences", "minUnit", "minWords"]);
  const { unit = "line", sentences = 3, minUnit = 1, minWords = 1, ...exact } = options;
  checkChoice("unit", unit, ["line", "paragraph", "sentences"]);
  checkInteger("sentences", sentences, 1, 100);
  checkInteger("minUnit", minUnit, 1);
  checkInteger("minWords", minWords, 0);
  const settings: UnitSettings = { unit, sentences, minUnit, minWords };
  const fingerprint = JSON.stringify({ unit, sentences, minUnit, of: exact.fingerprint ?? "" });
  const deduplicator = await ExactDeduplicator.open({ ...exact, fingerprint });
  let complete = false;
  try {
    // Units of all documents in a row take the place of documents.
    const units = async function* (): AsyncGenerator<TextDocument> {
      for await (const { text, source } of open()) {
        for (const { text: piece } of unitsOf(cutUnits(text, unit), settings)) yield { text: piece, source };
      }
    };
    await readInto(units, deduplicator);
    const result = await deduplicator.finish();
    const { sameness = "canonical" } = exact;
    const remover = new UnitRemover(result, settings, { sameness });
    for await (const document of open()) {
      const left = remover.next(document);
      if (left !== undefined) yield left;
    }
    const report = remover.finish();
    complete = true;
    onReport?.(report);
  } finally {
    if (complete) await deduplicator.discard();
    else await deduplicator.close();
  }
}

/** Removes units from documents in the order in which they were searched. */
class UnitRemover {
  private unit = 0;
  private readonly report: UnitReport;

  constructor(
    private readonly result: DedupResult,
    private readonly settings: UnitSettings,
    more: Record<string, unknown>,
  ) {
    this.report = {
      settings: { ...settings, ...more },
      documents: 0,
      kept: 0,
      dropped: 0,
      changed: 0,
      units: result.documents,
      repeated: result.removedCount,
      characters: 0,
      removedCharacters: 0,
    };
  }

  next(document: TextDocument): TextDocument | undefined {
    const { report, result, settings } = this;
    const pieces = cutUnits(document.text, settings.unit);
    const gone = new Uint8Array(pieces.length);
    for (const { first, last } of unitsOf(pieces, settings)) {
      if (this.unit >= result.documents) throw changed(result.documents);
      if (result.isRemoved(this.unit++)) gone.fill(1, first, last + 1);
    }
    report.documents++;
    report.characters += document.text.length;
    if (!gone.includes(1)) {
      report.kept++;
      return document;
    }
    const text = pieces
      .filter((_, i) => gone[i] === 0)
      .map((piece) => piece.whole)
      .join("")
      .trimEnd();
    if (text.trim() === "" || text.split(/\s+/).filter(Boolean).length < settings.minWords) {
      report.dropped++;
      return undefined;
    }
    report.kept++;
    report.changed++;
    report.removedCharacters += document.text.length - text.length;
    return { ...document, text };
  }

  finish(): UnitReport {
    if (this.unit !== this.result.documents) throw changed(this.result.documents);
    return this.report;
  }
}

function changed(units: number): DataError {
  return new DataError(
    `The second pass found other units than the ${units} of the first: the input has changed.`,
    {
      units,
    },
  );
}
