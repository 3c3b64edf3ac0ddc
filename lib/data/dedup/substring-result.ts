/** What substring deduplication found: stretches to cut out of documents. */
import { DataError } from "../../errors.js";
import { borderAfter, borderBefore, withoutSpans } from "./cut.js";

/** How the passages were found. */
export interface SubstringFacts {
  method: string;
  settings: Record<string, unknown>;
  /** Bytes of UTF-8 text. */
  bytes: number;
  /** Anchors that share a hash with others. */
  hotAnchors: number;
  /** Bytes of text that went into suffix arrays. */
  sortedBytes: number;
  /**
   * Stretches that occur in more different surroundings than memory holds: copies of passages around these may stay. 0 means
   * that the result is exact; a larger memoryLimit makes it so.
   */
  incomplete: number;
  runs: number;
  /** Bytes of runs on the disk, texts included. */
  runBytes: number;
  threads: number;
  seconds: { keys: number; merge: number };
}

/** A document after its repeated passages were cut out. */
export interface CutText {
  /** What is left; undefined when that is too short and the document is dropped. */
  text: string | undefined;
  /** Bytes that were cut out. */
  removed: number;
  /** Passages that were cut out. */
  spans: number;
}

/** The verdict on every document. 8 bytes per document and 16 per passage. */
export class SubstringResult {
  /** Documents in all. */
  readonly documents: number;
  /** Passages to cut out. */
  readonly spans: number;
  /** Bytes in them, before borders of characters are minded. */
  readonly repeatedBytes: number;

  constructor(
    private readonly ends: Float64Array,
    private readonly bounds: Float64Array,
    private readonly minDocument: number,
    readonly facts: SubstringFacts,
  ) {
    this.documents = ends.length;
    this.spans = bounds.length / 2;
    let bytes = 0;
    for (let i = 0; i < bounds.length; i += 2) bytes += bounds[i + 1] - bounds[i];
    this.repeatedBytes = bytes;
  }

  /** Repeated passages of a document, as begin and end in bytes of its UTF-8, in order. */
  spansOf(document: number): [begin: number, end: number][] {
    const first = document === 0 ? 0 : this.ends[document - 1];
    const last = this.ends[document];
    const spans: [number, number][] = [];
    for (let i = this.firstFrom(first); i < this.spans && this.bounds[2 * i] < last; i++) {
      spans.push([this.bounds[2 * i] - first, this.bounds[2 * i + 1] - first]);
    }
    return spans;
  }

  /**
   * Cuts a document. Passages are narrowed to whole characters.
   * @throws DataError when the text is not the one that was searched.
   */
  cut(document: number, text: string): CutText {
    const spans = this.spansOf(document);
    if (spans.length === 0) return { text, removed: 0, spans: 0 };
    const bytes = Buffer.from(text);
    const length = this.ends[document] - (document === 0 ? 0 : this.ends[document - 1]);
    if (bytes.length !== length) {
      throw new DataError(
        `Document ${document} has ${bytes.length} bytes; it had ${length} in the first pass: the input has changed.`,
        { document, bytes: bytes.length, expected: length },
      );
    }
    const whole = spans
      .map(([begin, end]): [number, number] => [borderAfter(bytes, begin), borderBefore(bytes, end)])
      .filter(([begin, end]) => end > begin);
    const removed = whole.reduce((sum, [begin, end]) => sum + end - begin, 0);
    const left = bytes.length - removed < this.minDocument ? undefined : withoutSpans(bytes, whole).join("");
    return { text: left, removed, spans: whole.length };
  }

  /** Index of the first span that begins at or after a byte of the corpus. */
  private firstFrom(at: number): number {
    let low = 0;
    let high = this.spans;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.bounds[2 * middle] < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
