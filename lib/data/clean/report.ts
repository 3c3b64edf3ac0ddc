/** What cleaning did to a corpus: counts, distributions and examples for every rule; kept as JSON, added up over parts. */
import { DataError, FormatError } from "../../errors.js";
import { Distribution, type DistributionJson } from "./distribution.js";
import { type CleanExample, ExampleSet } from "./examples.js";
import type { CleanSettings } from "./options.js";
import { CLEAN_RULES, type CleanRule, LINE_RULES, MASKS } from "./rules.js";

/** What a rule that removes documents did. */
export interface RuleReport {
  name: string;
  comparison: CleanRule["comparison"];
  /** False: the rule was not asked. */
  threshold: number | false;
  statistic: string;
  /** Documents that it was asked about, and how its statistic is distributed over them. */
  tested: number;
  removed: number;
  /** Bytes of UTF-8 text of the documents that it removed. */
  removedBytes: number;
  distribution: DistributionJson;
  examples: CleanExample[];
}

/** What a line rule did. */
export interface LineRuleReport {
  name: string;
  effect: string;
  /** Lines dropped; marks for citations. */
  count: number;
  bytes: number;
  /** Documents that it changed, those that were removed later included. */
  documents: number;
  examples: CleanExample[];
}

/** What was masked; the examples show the text as it is now. */
export interface MaskReport {
  name: string;
  effect: string;
  count: number;
  documents: number;
  examples: CleanExample[];
}

/** The whole report as JSON. */
export interface CleanReportJson {
  version: 1;
  settings: CleanSettings;
  documents: number;
  /** Bytes of UTF-8 text that came in. */
  bytes: number;
  kept: number;
  /** Bytes of UTF-8 text that went out. */
  keptBytes: number;
  /** Documents that are kept with another text than they came with. */
  edited: number;
  /** Documents that the steps before the rules changed. */
  repaired: number;
  /** Documents without a URL, where URLs were asked about. */
  withoutUrl: number;
  /** Lines that the line rules saw. */
  lines: number;
  /** Documents by language, where it was identified; most frequent first. */
  languages: Record<string, number>;
  rules: RuleReport[];
  lineRules: LineRuleReport[];
  masks: MaskReport[];
}

const REPORT_VERSION = 1;

/** Counts of one rule while they grow. */
export class RuleCounts {
  removed = 0;
  removedBytes = 0;
  readonly distribution: Distribution;
  readonly examples: ExampleSet;

  constructor(
    readonly rule: CleanRule,
    limit: number,
  ) {
    this.distribution = new Distribution(rule);
    this.examples = new ExampleSet(limit);
  }
}

/** Counts of a line rule or mask while they grow. */
export class EditCounts {
  count = 0;
  bytes = 0;
  documents = 0;
  readonly examples: ExampleSet;

  constructor(limit: number) {
    this.examples = new ExampleSet(limit);
  }
}

/** Everything that is counted. The order of documents decides nothing but which of equal texts is named in an example. */
export class CleanReport {
  documents = 0;
  bytes = 0;
  kept = 0;
  keptBytes = 0;
  edited = 0;
  repaired = 0;
  withoutUrl = 0;
  lines = 0;
  readonly languages = new Map<string, number>();
  /** In the order in which they are asked. */
  readonly rules: readonly RuleCounts[];
  readonly lineRules: readonly EditCounts[];
  readonly masks: readonly EditCounts[];
  private readonly byName: ReadonlyMap<string, RuleCounts>;

  constructor(readonly settings: CleanSettings) {
    const { examples } = settings;
    this.rules = CLEAN_RULES.map((rule) => new RuleCounts(rule, examples));
    this.lineRules = LINE_RULES.map(() => new EditCounts(examples));
    this.masks = MASKS.map(() => new EditCounts(examples));
    this.byName = new Map(this.rules.map((counts) => [counts.rule.name, counts]));
  }

  /** Counts of a rule by its name; every name of CLEAN_RULES has some. */
  rule(name: string): RuleCounts {
    const counts = this.byName.get(name);
    if (counts === undefined) throw new DataError(`Cleaning has no rule "${name}".`, { rule: name });
    return counts;
  }

  /**
   * Adds what another part of the corpus gave.
   * @throws DataError when it was cleaned with other settings.
   */
  merge(other: CleanReport): void {
    const same =
      other.settings === this.settings || JSON.stringify(other.settings) === JSON.stringify(this.settings);
    if (!same) {
      throw new DataError(
        "These cleaning reports cannot be added up: they were made with different settings. Clean all parts the same way.",
        { settings: [this.settings, other.settings] },
      );
    }
    for (const field of SUMS) this[field] += other[field];
    for (const [language, count] of other.languages) this.countLanguage(language, count);
    this.rules.forEach((counts, at) => {
      const more = other.rules[at];
      counts.removed += more.removed;
      counts.removedBytes += more.removedBytes;
      counts.distribution.merge(more.distribution);
      for (const example of more.examples.toJSON()) counts.examples.add(example);
    });
    for (const kind of ["lineRules", "masks"] as const) {
      this[kind].forEach((counts, at) => {
        const more = other[kind][at];
        counts.count += more.count;
        counts.bytes += more.bytes;
        counts.documents += more.documents;
        for (const example of more.examples.toJSON()) counts.examples.add(example);
      });
    }
  }

  countLanguage(language: string, documents = 1): void {
    this.languages.set(language, (this.languages.get(language) ?? 0) + documents);
  }

  toJSON(): CleanReportJson {
    const { settings } = this;
    const languages = [...this.languages].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    return {
      version: REPORT_VERSION,
      settings,
      documents: this.documents,
      bytes: this.bytes,
      kept: this.kept,
      keptBytes: this.keptBytes,
      edited: this.edited,
      repaired: this.repaired,
      withoutUrl: this.withoutUrl,
      lines: this.lines,
      languages: Object.fromEntries(languages),
      rules: this.rules.map(({ rule, removed, removedBytes, distribution, examples }) => ({
        name: rule.name,
        comparison: rule.comparison,
        threshold: settings.thresholds[rule.name],
        statistic: rule.statistic,
        tested: distribution.count,
        removed,
        removedBytes,
        distribution: distribution.toJSON(),
        examples: examples.toJSON(),
      })),
      lineRules: this.lineRules.map(({ count, bytes, documents, examples }, at) => ({
        ...LINE_RULES[at],
        count,
        bytes,
        documents,
        examples: examples.toJSON(),
      })),
      masks: this.masks.map(({ count, documents, examples }, at) => ({
        ...MASKS[at],
        count,
        documents,
        examples: examples.toJSON(),
      })),
    };
  }

  /**
   * Goes on from a saved report.
   * @throws FormatError when it is of another version or its rules are others.
   */
  static fromJSON(json: CleanReportJson): CleanReport {
    const names = (list: readonly { name: string }[] | undefined) => list?.map(({ name }) => name).join();
    if (
      json?.version !== REPORT_VERSION ||
      names(json.rules) !== names(CLEAN_RULES) ||
      names(json.lineRules) !== names(LINE_RULES) ||
      names(json.masks) !== names(MASKS)
    ) {
      throw new FormatError(
        "This is no cleaning report of this version: its version or its rules are others. Clean the data again.",
        { version: json?.version },
      );
    }
    const report = new CleanReport(json.settings);
    for (const field of SUMS) report[field] = json[field];
    for (const [language, count] of Object.entries(json.languages)) report.languages.set(language, count);
    json.rules.forEach((saved, at) => {
      const counts = report.rules[at];
      counts.removed = saved.removed;
      counts.removedBytes = saved.removedBytes;
      counts.distribution.merge(Distribution.fromJSON(counts.rule, saved.distribution));
      for (const example of saved.examples) counts.examples.add(example);
    });
    json.lineRules.forEach((saved, at) => {
      Object.assign(report.lineRules[at], {
        count: saved.count,
        bytes: saved.bytes,
        documents: saved.documents,
      });
      for (const example of saved.examples) report.lineRules[at].examples.add(example);
    });
    json.masks.forEach((saved, at) => {
      Object.assign(report.masks[at], { count: saved.count, documents: saved.documents });
      for (const example of saved.examples) report.masks[at].examples.add(example);
    });
    return report;
  }
}

const SUMS = [
  "documents",
  "bytes",
  "kept",
  "keptBytes",
  "edited",
  "repaired",
  "withoutUrl",
  "lines",
] as const;
