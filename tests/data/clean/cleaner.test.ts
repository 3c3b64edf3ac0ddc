/** Cleaning of batches and streams: order of rules, report, resuming, cancelling. */
import { describe, expect, it } from "vitest";
import {
  CLEAN_RULES,
  Cleaner,
  type CleanOptions,
  CleanReport,
  cleanDocuments,
  stopWordsOf,
  UrlFilter,
} from "../../../lib/data/clean/index.js";
import type { TextDocument } from "../../../lib/data/sources.js";
import { ConfigError, DataError, FormatError } from "../../../lib/errors.js";
import { Random } from "../../native/clean-texts.js";

const GOOD = [
  "In the autumn our village held a market along the river, and people came from every valley to look at it.",
  "My grandmother would sell honey that she had gathered with great care during the warm weeks of the summer.",
  "Some visitors have asked how old the stone bridge might be, but nobody could give them a certain answer.",
  "A young teacher wrote down the stories that she heard, because she wanted them to be kept for her pupils.",
  "When evening fell, lanterns were lit above the water and a small band began playing near the old mill.",
  "Most families walked home before midnight, carrying baskets, sleepy children and one or two new puppies.",
].join("\n");

const named = (texts: readonly string[]): TextDocument[] =>
  texts.map((text, i) => ({ text, source: `docs.jsonl:${i + 1}` }));

/** A corpus with something for many rules. */
function corpus(count: number): TextDocument[] {
  const random = new Random(5);
  return Array.from({ length: count }, (_, i) => {
    const kind = random.below(6);
    let text = `${GOOD}\nLetter ${random.below(1e6)} was found that morning.`;
    if (kind === 0) text = "Too short.";
    if (kind === 1) text = random.prose();
    if (kind === 2)
      text += `\nWrite to me${i}@example.net or 8.8.4.${i % 250}.\nWe use cookies on this page, yes we do.`;
    if (kind === 3) text = text.replace("Letter", "{ Letter");
    return { text, source: `docs.jsonl:${i + 1}`, url: `https://host${i % 7}.example/page/${i}` };
  });
}

async function collect(documents: AsyncIterable<TextDocument>): Promise<TextDocument[]> {
  const all: TextDocument[] = [];
  for await (const document of documents) all.push(document);
  return all;
}

describe("a cleaner", () => {
  it("keeps a good document as it is and says why it removes others", async () => {
    const cleaner = new Cleaner();
    const documents = named([GOOD, "Too short.", `${GOOD}\nconst x = { a: 1 };`]);
    const kept = await cleaner.clean(documents);
    expect(kept).toEqual([documents[0]]);
    expect(kept[0]).toBe(documents[0]);
    const { report } = cleaner;
    expect([report.documents, report.kept, report.edited]).toEqual([3, 1, 0]);
    expect(report.rule("gopher-repetition.top-2-gram").removed).toBe(1);
    expect(report.rule("c4.curly-bracket").removed).toBe(1);
    const [example] = report.rule("c4.curly-bracket").examples.toJSON();
    expect(example).toMatchObject({ source: "docs.jsonl:3", value: 1, passage: "{", after: " a: 1 };" });
    expect(example.before).toMatch(/const x = $/);
    expect(report.rule("gopher-repetition.top-2-gram").removedBytes).toBe(Buffer.byteLength("Too short."));
  });

  it("edits: drops lines, cuts citations, masks addresses; the other fields stay", async () => {
    const cleaner = new Cleaner();
    const text = `${GOOD}[12]\nPlease enable JavaScript to go on.\nOk.\nMail ann.lee@example.net, host 8.8.8.8, please.`;
    const [kept] = await cleaner.clean([{ text, source: "a", id: "7", metadata: { x: 1 } }]);
    expect(kept).toEqual({
      text: `${GOOD}\nMail email@example.com, host 22.214.171.124, please.`,
      source: "a",
      id: "7",
      metadata: { x: 1 },
    });
    const { lineRules, masks, edited, keptBytes } = cleaner.report;
    expect(lineRules.map(({ count }) => count)).toEqual([0, 0, 1, 1, 0, 1]);
    expect(masks.map(({ count }) => count)).toEqual([1, 1, 0, 0]);
    expect([edited, keptBytes]).toEqual([1, Buffer.byteLength(kept.text)]);
    // What was masked does not come back in the report.
    expect(JSON.stringify(cleaner.report)).not.toMatch(/ann\.lee|8\.8\.8\.8/);
    const [citation] = cleaner.report.lineRules[5].examples.toJSON();
    expect(citation.passage).toBe("[12]");
    expect(citation.after).toContain("Mail email@example.com, host 22.214.171.124, please.");
  });

  it("asks URLs first, then languages, then texts", async () => {
    const identifier = {
      name: "test",
      identify: async (batch: readonly string[]) =>
        batch.map((text) => ({
          language: text.startsWith("Der") ? "de" : "en",
          score: text.includes("unsure") ? 0.65 : 0.9,
        })),
    };
    const cleaner = new Cleaner({ url: new UrlFilter({ domains: ["bad.example"] }), identifier });
    const kept = await cleaner.clean([
      { text: GOOD, source: "1", url: "http://sub.bad.example/x" },
      { text: `Der Anfang. ${GOOD}`, source: "2", url: "http://good.example/" },
      { text: `unsure me@mail.example ${GOOD}`, source: "3" },
      { text: "Too short.", source: "4" },
      { text: GOOD, source: "5" },
    ]);
    expect(kept.map(({ source }) => source)).toEqual(["5"]);
    const removed = cleaner.report.rules.filter((counts) => counts.removed > 0);
    expect(removed.map(({ rule }) => rule.name)).toEqual([
      "url.domain",
      "language.wanted",
      "language.score",
      "gopher-repetition.top-2-gram",
    ]);
    const [unsure] = cleaner.report.rule("language.score").examples.toJSON();
    expect(unsure).toMatchObject({ before: "en: ", value: 0.65, source: "3" });
    expect(unsure.passage).toMatch(/^unsure email@example.com In the autumn/);
    expect(cleaner.report.withoutUrl).toBe(3);
    expect(Object.fromEntries(cleaner.report.languages)).toEqual({ en: 3, de: 1 });
  });

  it("makes texts uniform where asked to, before the rules", async () => {
    const messy = `\ufeff${GOOD.replaceAll("\n", "\r\n")}\r\nIt\u00e2\u20ac\u2122s a cafe\u0301\u00a0\u200bhere\u0007, that is to be read.   \n\n\n\nThe end of it is here.`;
    const all = {
      mojibake: true,
      lineEnds: true,
      controls: true,
      invisible: true,
      spaces: true,
      compose: true,
      blankLines: true,
    };
    const rules = { "gopher-repetition": false, "gopher-quality": false, fineweb: false };
    const cleaner = new Cleaner({ repair: all, rules, lines: false, mask: false });
    const [kept] = await cleaner.clean(named([messy]));
    expect(kept.text).toBe(`${GOOD}\nIt’s a café here, that is to be read.\n\nThe end of it is here.`);
    expect(cleaner.report.repaired).toBe(1);
    const cases: [CleanOptions["repair"], string, string][] = [
      [{ mojibake: true }, "cafÃ© Â© â‚¬ ðŸ˜€ Ã naïve é", "café © € 😀 Ã naïve é"],
      [{ lineEnds: true }, "a\r\nb\rc\n\rd\u0007", "a\nb\nc\n\nd\u0007"],
      [{ controls: true }, "a\u0000b\tc\nd\re\u007f\u0085f", "ab\tc\nd\ref"],
      [{ invisible: true }, "a\u00adb\u200b\u200e👩\u200d🚀\ufeff", "ab👩\u200d🚀"],
      [{ spaces: true }, "a\u00a0b\u2003c\u3000d", "a b c d"],
      [{ compose: true }, "e\u0301 \u1100\u1161 \u212b", "é 가 Å"],
      [{ blankLines: true }, "a  \n \n\t\n\nb \n", "a\n\nb\n"],
    ];
    for (const [repair, before, after] of cases) {
      const one = new Cleaner({
        repair,
        rules: { ...rules, "gopher-quality": false },
        lines: false,
        mask: false,
      });
      expect((await one.clean(named([before])))[0].text).toBe(after);
    }
  });

  it("gives nothing for nothing", async () => {
    const cleaner = new Cleaner();
    expect(await cleaner.clean([])).toEqual([]);
    expect(await collect(cleanDocuments([], cleaner))).toEqual([]);
    expect(cleaner.report.documents).toBe(0);
  });

  it("counts nothing of a batch that fails", async () => {
    const identifier = { name: "broken", identify: async () => [] };
    const cleaner = new Cleaner({ identifier });
    await expect(cleaner.clean(named([GOOD]))).rejects.toThrow(DataError);
    expect(cleaner.report.documents).toBe(0);
  });
});

describe("a stream", () => {
  const options = (): CleanOptions => ({ url: new UrlFilter({ domains: ["host3.example"] }), examples: 3 });

  it("gives the same for any batch size and number of threads", async () => {
    const documents = corpus(300);
    const results = [];
    for (const [batchCharacters, threads] of [
      [1, 1],
      [5000, 3],
      [1e9, 2],
    ]) {
      const cleaner = new Cleaner({ ...options(), threads });
      const kept = await collect(cleanDocuments(documents, cleaner, { batchCharacters }));
      results.push({ kept, report: cleaner.report.toJSON() });
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    const { report, kept } = results[0];
    expect(report.rules.reduce((sum, rule) => sum + rule.removed, report.kept)).toBe(300);
    expect(kept).toHaveLength(report.kept);
    for (const rule of report.rules) {
      expect(rule.distribution.bins.reduce((a, b) => a + b)).toBe(rule.tested);
      expect(rule.examples.length).toBeLessThanOrEqual(3);
    }
    expect(report.rules.find((rule) => rule.name === "url.domain")?.examples).toHaveLength(3);
  });

  it("goes on from a saved report, and reports of parts add up", async () => {
    const documents = corpus(200);
    const whole = new Cleaner(options());
    await collect(cleanDocuments(documents, whole));
    const first = new Cleaner(options());
    await collect(cleanDocuments(documents.slice(0, 90), first));
    const saved = JSON.parse(JSON.stringify(first.report));
    const second = new Cleaner(options());
    second.restore(saved);
    await collect(cleanDocuments(documents.slice(90), second));
    expect(second.report.toJSON()).toEqual(whole.report.toJSON());
    const rest = new Cleaner(options());
    await collect(cleanDocuments(documents.slice(90), rest));
    first.report.merge(rest.report);
    expect(first.report.toJSON()).toEqual(whole.report.toJSON());
  });

  it("stops when it is told to", async () => {
    const abort = new AbortController();
    const cleaner = new Cleaner();
    const stream = cleanDocuments(corpus(500), cleaner, { batchCharacters: 20_000, signal: abort.signal });
    await stream.next();
    abort.abort(new Error("enough"));
    await expect(collect(stream)).rejects.toThrow("enough");
  });

  it("passes an error of its input on", async () => {
    async function* broken() {
      yield* corpus(3);
      throw new DataError("the disk is gone");
    }
    await expect(collect(cleanDocuments(broken(), new Cleaner()))).rejects.toThrow("the disk is gone");
  });

  it("leaves the event loop free", async () => {
    const documents = Array.from({ length: 40_000 }, (_, i) => ({
      text: `${i} words of the text to be`,
      source: "s",
    }));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await new Cleaner().clean(documents);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(10);
  });

  it("says how far it is", async () => {
    const seen: number[] = [];
    const cleaner = new Cleaner();
    await collect(
      cleanDocuments(corpus(100), cleaner, {
        batchCharacters: 20_000,
        onProgress: ({ documents }) => seen.push(documents),
      }),
    );
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toBe(100);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  });
});

describe("options", () => {
  it.each<[CleanOptions, RegExp]>([
    [
      { rules: { "gopher-quality.min-word": 3 } },
      /no rule "gopher-quality.min-word".*Did you mean "gopher-quality.min-words"/,
    ],
    [{ rules: { c4: 5 } }, /step c4 can be true or false/],
    [{ rules: { "c4.min-sentences": Number.NaN } }, /must be a finite number/],
    [{ rules: { "c4.min-sentences": 3 }, lines: false }, /lines is false/],
    [{ lang: "en" } as CleanOptions, /no option "lang".*language/],
    [{ repair: { nfc: true } as never }, /no option "nfc"/],
    [{ lines: { minWords: -1 } }, /lines.minWords must be an integer/],
    [{ mask: { emails: [] } }, /empty list of placeholders/],
    [{ languages: ["en"] }, /needs an identifier/],
    [
      { language: "xx", rules: { "gopher-quality.stop-words": 2 } },
      /No stop words are known of the language "xx"/,
    ],
    [{ examples: -1 }, /examples must be an integer/],
  ])("are checked: %o", (options, message) => {
    expect(() => new Cleaner(options)).toThrow(ConfigError);
    expect(() => new Cleaner(options)).toThrow(message);
  });

  it("have FineWeb's thresholds unless told otherwise", () => {
    const { thresholds } = new Cleaner({ rules: { "c4.min-sentences": 2, fineweb: false } }).report.settings;
    expect(thresholds["gopher-repetition.top-2-gram"]).toBe(0.2);
    expect(thresholds["c4.min-sentences"]).toBe(2);
    expect(thresholds["fineweb.short-lines"]).toBe(false);
    expect(thresholds["text.replacement-characters"]).toBe(false);
    const on = new Cleaner({ rules: { "text.replacement-characters": true } }).report.settings;
    expect(on.thresholds["text.replacement-characters"]).toBe(0.001);
    expect(Object.keys(thresholds)).toEqual(CLEAN_RULES.map(({ name }) => name));
  });

  it("follow the language", async () => {
    expect(stopWordsOf("de-AT")).toContain("nicht");
    const off = new Cleaner({ language: "xx" }).report.settings.thresholds;
    expect(off["gopher-quality.stop-words"]).toBe(false);
    const japanese = new Cleaner({ language: "ja", rules: { "gopher-repetition": false } });
    const text = Array.from({ length: 20 }, (_, i) => `これは${i}番目の文で、日本語で書かれています。`).join(
      "",
    );
    await japanese.clean(named([text]));
    expect(japanese.report.rule("gopher-quality.min-words").distribution.least).toBeGreaterThan(300);
  });
});

describe("a saved report", () => {
  it("must be one", () => {
    const json = new CleanReport(new Cleaner().report.settings).toJSON();
    expect(() => CleanReport.fromJSON({ ...json, version: 2 as 1 })).toThrow(FormatError);
    expect(() => CleanReport.fromJSON({ ...json, rules: json.rules.slice(1) })).toThrow(FormatError);
    const broken = structuredClone(json);
    broken.rules[3].distribution.bins[0] = -1;
    expect(() => CleanReport.fromJSON(broken)).toThrow(FormatError);
    expect(() => new Cleaner({ examples: 1 }).restore(json)).toThrow(DataError);
  });
});
