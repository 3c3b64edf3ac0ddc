/** The cleaning report on the disk: JSON that can be read back, and a page that stands by itself. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  Cleaner,
  CleanReport,
  cleanReportPage,
  UrlFilter,
  writeCleanReport,
} from "../../../lib/data/clean/index.js";
import { DataError } from "../../../lib/errors.js";

const SCRIPT = `<script>alert("x")</script> & 'quotes'`;

describe("the report", () => {
  let dir: string;
  let report: CleanReport;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "anneal-report-"));
    const cleaner = new Cleaner({ url: new UrlFilter({ bannedWords: ["casino"] }) });
    const long = "The words of this text have to be read with that care, and it goes on. ";
    await cleaner.clean([
      {
        text: `${SCRIPT} is what this short text has, and not much else is to be read.`,
        source: `a<b>.jsonl:1`,
      },
      { text: long.repeat(20), source: "b", url: `http://x.example/<casino>?a="b"` },
      { text: `${long.repeat(3)}\nmail <b>jo@example.net</b> now please`, source: "c" },
    ]);
    report = cleaner.report;
    await writeCleanReport(report, join(dir, "out"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it("can be read back", async () => {
    const json = JSON.parse(await readFile(join(dir, "out", "report.json"), "utf8"));
    expect(CleanReport.fromJSON(json).toJSON()).toEqual(report.toJSON());
  });

  it("is a page without scripts, links or anything unescaped", async () => {
    const page = await readFile(join(dir, "out", "report.html"), "utf8");
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/<script|<link|<img|src=|@import|url\(/i);
    expect(page).not.toContain("a<b>.jsonl");
    expect(page).not.toContain("<casino>");
    expect(page).not.toContain("<b>");
    expect(page).toContain("&#60;script&#62;alert(&#34;x&#34;)");
    expect(page).toContain("<mark>casino</mark>");
    const open = page.match(/<(table|tr|td|details|section|svg|pre|mark|p|div|span)\b/g) ?? [];
    const close = page.match(/<\/(table|tr|td|details|section|svg|pre|mark|p|div|span)>/g) ?? [];
    expect(open.length).toBe(close.length);
  });

  it("names each rule with threshold, count and distribution", () => {
    const page = cleanReportPage(report.toJSON());
    for (const name of ["url.banned-words", "gopher-repetition.top-2-gram"]) {
      expect(page).toContain(`<code>${name}</code>`);
    }
    expect(page).toContain("<td>&#62; 0.2</td>");
    expect(page).toMatch(/<svg class="chart"[^>]*>.*<line x1="/);
  });

  it("of nothing is a page too", () => {
    const page = cleanReportPage(new CleanReport(new Cleaner().report.settings).toJSON());
    expect(page).toContain("0 of 0 documents kept");
    expect(page).not.toContain("NaN");
  });

  it("says where it could not be written", async () => {
    await writeFile(join(dir, "file"), "");
    await expect(writeCleanReport(report, join(dir, "file"))).rejects.toThrow(DataError);
  });
});
