/** Cleans batches and streams of documents. Decisions depend on a document alone, counts on the corpus. */
import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DataError } from "../../errors.js";
import { TextBatch } from "../../native/text/batch.js";
import {
  cleanTexts,
  createCleaner,
  maskText,
  type NativeCleaned,
  type NativeCleaner,
  repairTexts,
} from "../../native/text/clean.js";
import type { TextDocument } from "../sources.js";
import { baseLanguage } from "./languages.js";
import { type CleanOptions, cleanSettings, nativeOptions, repairBits } from "./options.js";
import { CleanReport, type CleanReportJson } from "./report.js";
import { LINE_RULES, MASKS, TEXT_RULES, URL_RULES } from "./rules.js";

/** How far a stream has come. */
export interface CleanProgress {
  documents: number;
  bytes: number;
  kept: number;
}

/** How work goes on while it runs. */
export interface CleanRun {
  signal?: AbortSignal;
  onProgress?: (progress: CleanProgress) => void;
}

/** Milliseconds of counting after which others have their turn. */
const TURN = 5;
/** Characters of a text shown where a rule is about the whole of it. */
const SHOWN = 320;

/** A document on its way, with its text as it is now. */
interface Candidate {
  document: TextDocument;
  text: string;
  /** UTF-8 bytes as it came. */
  bytes: number;
}

/** Lets others have their turn when counting takes long. */
class Turns {
  private since = performance.now();

  async take(): Promise<void> {
    if (performance.now() - this.since < TURN) return;
    await nextTurn();
    this.since = performance.now();
  }
}

const shortHash = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** The rules with their options, and the report on everything that went through them. */
export class Cleaner {
  /** Grows with every batch. */
  report: CleanReport;
  private readonly native: NativeCleaner;
  private readonly repairs: number;

  /** @throws ConfigError for options, rules or steps that do not exist, and values that make no sense. */
  constructor(private readonly options: CleanOptions = {}) {
    const settings = cleanSettings(options);
    this.report = new CleanReport(settings);
    this.native = createCleaner(nativeOptions(settings));
    this.repairs = repairBits(settings);
  }

  /**
   * Goes on from a report that was saved between two batches.
   * @throws FormatError or DataError when it belongs to another version or other settings.
   */
  restore(json: CleanReportJson): void {
    const fresh = new CleanReport(this.report.settings);
    fresh.merge(CleanReport.fromJSON(json));
    this.report = fresh;
  }

  /**
   * The documents of a batch that are kept, in their order; those that a rule edited are new objects. One call at a time.
   * When it throws, nothing of the batch is counted.
   */
  async clean(batch: readonly TextDocument[], run: CleanRun = {}): Promise<TextDocument[]> {
    const { signal } = run;
    const turns = new Turns();
    // Counted apart, so that a batch that fails leaves no trace.
    const report = new CleanReport(this.report.settings);
    let candidates: Candidate[] = [];
    for (const document of batch) {
      const bytes = Buffer.byteLength(document.text);
      report.documents++;
      report.bytes += bytes;
      if (this.passesUrl(report, document, bytes)) candidates.push({ document, text: document.text, bytes });
      await turns.take();
    }
    if (this.repairs !== 0) await this.repair(report, candidates, signal);
    if (this.options.identifier) candidates = await this.inLanguage(report, candidates, turns);
    signal?.throwIfAborted();
    const texts = TextBatch.from(candidates.map(({ text }) => text));
    const { threads } = this.options;
    const result = await cleanTexts(this.native, texts, { threads, signal });
    const kept = await this.settle(report, candidates, result, turns);
    this.report.merge(report);
    run.onProgress?.({
      documents: this.report.documents,
      bytes: this.report.bytes,
      kept: this.report.kept,
    });
    return kept;
  }

  /** Whether no rule over URLs removes the document. */
  private passesUrl(report: CleanReport, document: TextDocument, bytes: number): boolean {
    const { url: filter } = this.options;
    if (!filter) return true;
    const { url } = document;
    if (url === undefined || url === "") {
      report.withoutUrl++;
      return true;
    }
    const { found, ...values } = filter.check(url);
    const fields = ["domain", "address", "bannedWords", "softBannedWords", "bannedSubstrings"] as const;
    for (const [at, field] of fields.entries()) {
      const { name } = URL_RULES[at];
      if (!this.breaches(report, name, values[field], bytes)) continue;
      const counts = report.rule(name);
      const hash = shortHash(`${url}\n${document.text}`);
      if (counts.examples.wants(hash)) {
        // What is in the URL as it was found is marked, otherwise all of it.
        const part = found[field] ?? url;
        const start = url.toLowerCase().indexOf(part);
        const [from, to] = start === -1 ? [0, url.length] : [start, start + part.length];
        counts.examples.add({
          ...this.origin(document),
          hash,
          value: values[field],
          before: url.slice(0, from),
          passage: url.slice(from, to),
          after: url.slice(to),
        });
      }
      return false;
    }
    return true;
  }

  /** Notes a value that a rule looked at; true where it removes the document. */
  private breaches(report: CleanReport, name: string, value: number, bytes: number): boolean {
    const threshold = report.settings.thresholds[name];
    if (threshold === false) return false;
    const counts = report.rule(name);
    counts.distribution.add(value);
    const { comparison } = counts.rule;
    const breached =
      comparison === ">" ? value > threshold : comparison === "<" ? value < threshold : value <= threshold;
    if (breached) {
      counts.removed++;
      counts.removedBytes += bytes;
    }
    return breached;
  }

  private origin({ source, url }: TextDocument): { source: string; url?: string } {
    return { source, ...(url !== undefined && { url }) };
  }

  private async repair(report: CleanReport, candidates: Candidate[], signal?: AbortSignal): Promise<void> {
    const texts = TextBatch.from(candidates.map(({ text }) => text));
    const { threads } = this.options;
    const { indices, bytes, ends } = await repairTexts(texts, this.repairs, { threads, signal });
    const repaired = new TextBatch(bytes, ends);
    indices.forEach((index, at) => {
      candidates[index].text = repaired.text(at);
    });
    report.repaired += indices.length;
  }

  private async inLanguage(report: CleanReport, candidates: Candidate[], turns: Turns): Promise<Candidate[]> {
    const { identifier } = this.options;
    if (!identifier || candidates.length === 0) return candidates;
    const found = await identifier.identify(candidates.map(({ text }) => text));
    if (found.length !== candidates.length) {
      throw new DataError(
        `The language identifier ${identifier.name} gave ${found.length} languages for ${candidates.length} texts.`,
        { identifier: identifier.name, given: found.length, expected: candidates.length },
      );
    }
    const wanted = report.settings.languages;
    const passing: Candidate[] = [];
    for (const [at, candidate] of candidates.entries()) {
      const { language, score } = found[at];
      report.countLanguage(language);
      const isWanted = wanted.includes(baseLanguage(language));
      const name = this.breaches(report, "language.wanted", isWanted ? 1 : 0, candidate.bytes)
        ? "language.wanted"
        : this.breaches(report, "language.score", score, candidate.bytes)
          ? "language.score"
          : undefined;
      if (name === undefined) {
        passing.push(candidate);
      } else {
        const hash = shortHash(candidate.text);
        // A cut may not leave a part of an address that would not be known for one.
        const shown = candidate.text.slice(0, SHOWN);
        const whole = candidate.text.length > SHOWN ? shown.replace(/\S+$/, "") : shown;
        const passage = maskText(this.native, whole);
        report.rule(name).examples.add({
          ...this.origin(candidate.document),
          hash,
          value: score,
          before: `${language}: `,
          passage,
          after: candidate.text.length > SHOWN ? " …" : "",
        });
      }
      await turns.take();
    }
    return passing;
  }

  /** Counts what the native rules found, and gives the documents that are left. */
  private async settle(
    report: CleanReport,
    candidates: readonly Candidate[],
    result: NativeCleaned,
    turns: Turns,
  ): Promise<TextDocument[]> {
    const ruleCount = TEXT_RULES.length;
    const rules = TEXT_RULES.map((rule) => report.rule(rule.name));
    const edited = new TextBatch(result.bytes, result.ends);
    const kept: TextDocument[] = [];
    let nextEdit = 0;
    for (const [at, { document, text, bytes }] of candidates.entries()) {
      for (let rule = 0; rule < ruleCount; rule++) {
        const value = result.values[at * ruleCount + rule];
        if (!Number.isNaN(value)) rules[rule].distribution.add(value);
      }
      report.lines += result.lines[at];
      this.countEdits(report, result, at);
      const rule = result.rules[at];
      if (rule >= 0) {
        rules[rule].removed++;
        rules[rule].removedBytes += bytes;
      } else {
        const isEdited = nextEdit < result.edited.length && result.edited[nextEdit] === at;
        const now = isEdited ? edited.text(nextEdit++) : text;
        report.kept++;
        const same = now === document.text;
        report.keptBytes += same ? bytes : Buffer.byteLength(now);
        if (!same) report.edited++;
        kept.push(same ? document : { ...document, text: now });
      }
      if ((at & 63) === 0) await turns.take();
    }
    for (const { subject, document: at, ...example } of result.examples) {
      const { document } = candidates[at];
      const isRule = subject < ruleCount;
      const counts = isRule
        ? rules[subject]
        : subject < ruleCount + LINE_RULES.length
          ? report.lineRules[subject - ruleCount]
          : report.masks[subject - ruleCount - LINE_RULES.length];
      const value = isRule ? { value: result.values[at * ruleCount + subject] } : {};
      counts.examples.add({ ...this.origin(document), ...value, ...example });
    }
    return kept;
  }

  private countEdits(report: CleanReport, result: NativeCleaned, at: number): void {
    for (let rule = 0; rule < LINE_RULES.length; rule++) {
      const count = result.lineCounts[at * LINE_RULES.length + rule];
      if (count === 0) continue;
      report.lineRules[rule].count += count;
      report.lineRules[rule].bytes += result.lineBytes[at * LINE_RULES.length + rule];
      report.lineRules[rule].documents++;
    }
    for (let mask = 0; mask < MASKS.length; mask++) {
      const count = result.masked[at * MASKS.length + mask];
      if (count === 0) continue;
      report.masks[mask].count += count;
      report.masks[mask].documents++;
    }
  }
}

/** What a stream of documents needs besides the rules. */
export interface CleanStream extends CleanRun {
  /** Characters of text that are worked on at a time. Default 4 Mi. Decides nothing but speed and memory. */
  batchCharacters?: number;
}

/**
 * The documents of a stream that are kept, in their order. While a batch is worked on the next is read.
 * @param cleaner rules and report; its report is complete when the stream has ended
 */
export async function* cleanDocuments(
  documents: AsyncIterable<TextDocument> | Iterable<TextDocument>,
  cleaner: Cleaner,
  stream: CleanStream = {},
): AsyncGenerator<TextDocument> {
  const { batchCharacters = 4 * 2 ** 20, ...run } = stream;
  let working: Promise<TextDocument[]> = Promise.resolve([]);
  let batch: TextDocument[] = [];
  let size = 0;
  const next = async () => {
    const done = await working;
    working = cleaner.clean(batch, run);
    // It is awaited with the next batch; until then a failure must not count as unhandled.
    working.catch(() => undefined);
    batch = [];
    size = 0;
    return done;
  };
  try {
    for await (const document of documents) {
      run.signal?.throwIfAborted();
      batch.push(document);
      size += document.text.length;
      if (size >= batchCharacters) yield* await next();
    }
    if (batch.length > 0) yield* await next();
    yield* await working;
  } finally {
    await working.catch(() => undefined);
  }
}
