import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  DedupReporter,
  dedupPage,
  ExactDeduplicator,
  MinHashDeduplicator,
  writeClusters,
} from "../../../lib/data/dedup/index.js";
import { escapeHtml, formatNumber, htmlExcerpt, htmlTable } from "../../../lib/data/report-page.js";
import { faultyFileSystem } from "../../io/faults.js";
import { rejection, temporaryFolder } from "../../io/temporary.js";

const texts = [
  "<script>alert(1)</script> b c d e",
  "x",
  "<SCRIPT>alert(1)</script> b, c d e",
  "other text of five words",
  "x",
];

async function result() {
  const deduplicator = await MinHashDeduplicator.open();
  await deduplicator.add(texts);
  return deduplicator.finish();
}

describe("the report", () => {
  it("counts documents, clusters and matches", async () => {
    const reporter = new DedupReporter(await result());
    expect(reporter.report).toMatchObject({
      method: "minhash",
      documents: 5,
      kept: 4,
      removed: 1,
      withoutKey: 2,
      clusters: 1,
      pairs: 14,
      rejected: 0,
      sizes: [[2, 1]],
      largest: [{ size: 2, kept: { document: 0 }, removed: [{ document: 2 }] }],
      settings: { shingle: 5, buckets: 14, rows: 8, seed: 1, words: "scripts", verify: 0 },
    });
    expect(JSON.parse(JSON.stringify(reporter.report))).toEqual(reporter.report);
  });

  it("is a page of its own with everything escaped", async () => {
    const reporter = new DedupReporter(await result());
    for (const [i, text] of texts.entries()) reporter.see(i, { text, source: `<b>${i}` });
    const page = dedupPage(reporter.report);
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/<script|<b>|https?:/);
    expect(page).toContain("&#60;script&#62;alert(1)&#60;/script&#62; b c d e");
    expect(page).toContain("prefers-color-scheme: dark");
    expect(page).toContain("0.9235");
  });

  it("has no curve for exact deduplication and no share of nothing", async () => {
    const deduplicator = await ExactDeduplicator.open();
    const page = dedupPage(new DedupReporter(await deduplicator.finish()).report);
    expect(page).not.toContain("Jaccard");
    expect(page).toContain("–");
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe("the list of clusters", () => {
  it("has one line for each", async () => {
    const path = join(await temporaryFolder(), "clusters.jsonl");
    await writeClusters(path, await result());
    expect(await readFile(path, "utf8")).toBe('{"size":2,"kept":0,"removed":[2]}\n');
  });

  it("stays as it was when the disk is full", async () => {
    const dir = await temporaryFolder();
    const path = join(dir, "clusters.jsonl");
    await writeFile(path, "before");
    const found = await result();
    const { fs, trace } = faultyFileSystem();
    await writeClusters(join(dir, "other.jsonl"), found, { fs });
    for (let at = 0; at < trace.length - 1; at++) {
      const faults = faultyFileSystem({ at, errno: "ENOSPC" });
      const failed = await rejection(writeClusters(path, found, { fs: faults.fs })).catch(() => undefined);
      if (failed === undefined) continue;
      expect(failed.message).toMatch(/list of clusters.*ENOSPC/);
      if ((await readFile(path, "utf8")) === "before") continue;
      // Only forcing the folder's entries to the disk comes after the new name.
      expect(trace.slice(at).some((name) => name.startsWith("rename"))).toBe(false);
    }
    expect((await readdir(dir)).filter((name) => name.includes(".tmp-"))).toEqual([]);
  });
});

describe("pieces of pages", () => {
  it("escape text and quotes", () => {
    expect(escapeHtml(`<a href="x" b='y'>&</a>`)).toBe(
      "&#60;a href=&#34;x&#34; b=&#39;y&#39;&#62;&#38;&#60;/a&#62;",
    );
    expect(htmlTable(["<"], [["<", 1234567, { html: "<i>" }]])).toMatch(
      /<th>&#60;<\/th>.*<td>&#60;<\/td>.*1,234,567.*<td><i><\/td>/s,
    );
    expect(htmlExcerpt("<".repeat(5), 3)).toBe("<pre>&#60;&#60;&#60; …</pre>");
  });

  it("write numbers for people", () => {
    expect([0, 12, 1234.5, 0.012345, 1e9, Number.NaN].map(formatNumber)).toEqual([
      "0",
      "12",
      "1,235",
      "0.0123",
      "1,000,000,000",
      "–",
    ]);
  });
});
