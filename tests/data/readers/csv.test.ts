/** CSV and TSV against Python's csv module, and tables that are not whole. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SkippedRecord } from "../../../lib/data/index.js";
import { failure, GOLDEN, put, read, temporaryFiles, texts } from "./reading.js";

temporaryFiles();

const { cases } = JSON.parse(readFileSync(join(GOLDEN, "csv.json"), "utf8")) as {
  cases: { text: string; delimiter: string; rows: string[][] }[];
};

/** All fields of a table, by way of documents. */
async function rows(text: string, delimiter: string): Promise<string[][]> {
  const path = await put(delimiter === "," ? "t.csv" : "t.tsv", text);
  const header = text.split(/[\r\n]/)[0].split(delimiter);
  const found = await read(path, {
    textField: header[0],
    idField: "none",
    urlField: "none",
    onError: "throw",
  }).catch(() => []);
  return [
    header,
    ...found.map((document) => [
      document.text,
      ...header.slice(1).map((h) => String(document.metadata?.[h])),
    ]),
  ];
}

describe("tables", () => {
  it.each(cases.map((entry) => [JSON.stringify(entry.text), entry] as const))(
    "reads %s as Python does",
    async (_, entry) => {
      // Rows without text give no documents.
      const expected = entry.rows.filter((row, i) => i === 0 || row[0] !== "");
      expect(await rows(entry.text, entry.delimiter)).toEqual(expected);
    },
  );

  it("gives the line of each row as its place", async () => {
    const path = await put("places.csv", 'text,note\r\n"one\r\nmore",x\r\n\r\nthree,y\r\n');
    expect(await read(path)).toEqual([
      { text: "one\r\nmore", source: `${path}:2`, metadata: { note: "x" } },
      { text: "three", source: `${path}:5`, metadata: { note: "y" } },
    ]);
  });

  it("drops a byte order mark and takes id and url", async () => {
    const path = await put("bom.csv", "\ufeffid,text,url\n7,seven,https://example.org/7\n");
    expect(await read(path)).toEqual([
      { text: "seven", source: `${path}:2`, id: "7", url: "https://example.org/7" },
    ]);
  });

  it("reads rows across the borders of its buffer, however long they are", async () => {
    const long = Array.from({ length: 3 }, (_, i) => `${i}"",\n`.repeat(700_000));
    const path = await put("wide.csv", `n,text\n${long.map((text, i) => `${i},"${text}"\n`).join("")}`);
    const found = await texts(path);
    expect(found.length).toBe(3);
    expect(found.every((text, i) => text === long[i].replaceAll('""', '"'))).toBe(true);
    const many = Array.from({ length: 120_000 }, (_, i) => `${i},"row ""${i}"", é"`);
    const all = await texts(await put("many.csv", `n,text\r\n${many.join("\r\n")}\r\n`));
    expect(all.length).toBe(many.length);
    expect(all.every((text, i) => text === `row "${i}", é`)).toBe(true);
  });
});

describe("tables that cannot be read", () => {
  it("names line and counts of a row that does not fit", async () => {
    const path = await put("odd.csv", "a,text\n1,one\n2,two,extra\n3,three\n");
    const error = await failure(path);
    expect(error.message).toMatch(/odd\.csv, line 3: the row has 3 fields, the first row names 2 columns/);
    expect(error.details).toMatchObject({ line: 3, offset: 13 });
    const skipped: SkippedRecord[] = [];
    expect(await texts(path, { onError: "skip", onSkip: (r) => skipped.push(r) })).toEqual(["one", "three"]);
    expect(skipped).toMatchObject([{ source: `${path}:3`, offset: 13, skipped: 1 }]);
  });

  it("names a quote that is never closed", async () => {
    const error = await failure(await put("open.csv", 'text,b\none,1\n"two,2\nthree,3\n'));
    expect(error.message).toMatch(/open\.csv, line 3: a quote is opened in this row and never closed/);
    expect(error.details.offset).toBe(13);
    const long = await failure(await put("far.csv", `text,b\n"two,2\n${"x,y\n".repeat(600_000)}`), {
      maxRecordBytes: 2 ** 20,
    });
    expect(long.message).toMatch(/far\.csv, line 2: the row has more than 1048576 bytes.*never closed/);
  });

  it("passes over a row beyond the limit", async () => {
    const path = await put("long.csv", `text,b\none,1\n${"x".repeat(500)},2\nthree,3\n`);
    expect((await failure(path, { maxRecordBytes: 100 })).message).toMatch(
      /line 3: the row has more than 100 bytes/,
    );
    expect(await texts(path, { maxRecordBytes: 100, onError: "skip" })).toEqual(["one", "three"]);
  });

  it("names missing and doubled columns", async () => {
    expect((await failure(await put("no.csv", "txt,b\n1,2\n"))).message).toMatch(
      /no\.csv, line 2: the record has no field "text", it has "txt", "b".*Did you mean "txt"/,
    );
    expect((await failure(await put("two.csv", "text,text\n1,2\n"))).message).toMatch(
      /names the column "text" twice/,
    );
  });

  it("names the byte of invalid UTF-8", async () => {
    const bytes = Buffer.concat([
      Buffer.from("text,b\nok,1\nno"),
      Buffer.from([0xff]),
      Buffer.from(",2\nend,3\n"),
    ]);
    const path = await put("latin.csv", bytes);
    const error = await failure(path);
    expect(error.message).toMatch(/latin\.csv is not valid UTF-8: byte 0xFF at offset 14/);
    const skipped: SkippedRecord[] = [];
    expect(await texts(path, { onError: "skip", onSkip: (r) => skipped.push(r) })).toEqual(["ok", "end"]);
    expect(skipped).toMatchObject([{ source: `${path}:3`, offset: 12 }]);
  });

  it("says that there is nothing in an empty table", async () => {
    for (const content of ["", "text,b\n", "\n\n"]) {
      expect((await failure(await put("none.csv", content))).message).toMatch(/The data is empty/);
    }
  });
});
