/** Parquet: files that pyarrow wrote against the rows that it reads back, and every way in which they can be damaged. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SkippedRecord } from "../../../lib/data/index.js";
import { records } from "../../../lib/data/sources.js";
import { DataError } from "../../../lib/errors.js";
import { changed, failure, GOLDEN, put, read, temporaryFiles, texts } from "./reading.js";

temporaryFiles();

type Row = Record<string, unknown> & { text: string };
const { versions, command, ...files } = JSON.parse(
  readFileSync(join(GOLDEN, "parquet.json"), "utf8"),
) as Record<string, Row[]>;
const golden = (name: string) => join(GOLDEN, `${name}.parquet`);

describe("parquet as pyarrow writes it", () => {
  const whole = Object.keys(files).filter(
    (name) => name !== "empty.parquet" && name !== "nulls.parquet" && name !== "binary-text.parquet",
  );
  it.each(whole)("reads %s", async (name) => {
    const found = await read(join(GOLDEN, name));
    const rows = files[name];
    expect(found.length).toBe(rows.length);
    for (const [i, document] of found.entries()) {
      const { text, id, url, ...rest } = rows[i];
      expect(document.text).toBe(text);
      expect(document.source).toBe(`${join(GOLDEN, name)}:${i + 1}`);
      expect(document.id).toBe(id);
      expect(document.url).toBe(url ?? undefined);
      expect(document.metadata ?? {}).toEqual(rest);
    }
  });

  it("covers every codec and encoding that it means to", () => {
    expect(versions).toBeDefined();
    expect(command).toBeDefined();
    expect(whole.length).toBe(16);
  });

  it("takes text that is stored as plain bytes", async () => {
    expect(await texts(golden("binary-text"))).toEqual(files["groups.parquet"].map((row) => row.text));
  });

  it("leaves other columns unread when they are not wanted", async () => {
    const found = await read(golden("nested"), { metadata: false });
    expect(found[1]).toEqual({
      text: files["nested.parquet"][1].text,
      source: `${golden("nested")}:2`,
      id: "doc-1",
      url: "https://example.org/1",
    });
  });

  it("gives whole records to those who want no text", async () => {
    const found = [];
    for await (const { record } of records(golden("nested"))) found.push(record);
    expect(found).toEqual(files["nested.parquet"]);
  });

  it("takes text, id and url from the columns that are named", async () => {
    const found = await read(golden("nested"), {
      textField: ["id", "text"],
      idField: "small",
      urlField: "none",
    });
    expect(found[2].text).toBe(`doc-2\n\n${files["nested.parquet"][2].text}`);
    expect(found[2].id).toBe("-18");
    expect(found[2].url).toBeUndefined();
    expect(found[2].metadata).toMatchObject({ url: "https://example.org/2" });
  });

  it("tells how many bytes it has read, which is all of them in the end", async () => {
    for (const name of ["groups", "pages-dictionary"]) {
      let bytes = 0;
      await read(golden(name), { onRead: (count) => (bytes += count) });
      expect(bytes).toBe((await readFile(golden(name))).length);
    }
  });
});

describe("parquet that cannot be read", () => {
  it("says that an empty table is empty", async () => {
    expect((await failure(golden("empty"))).message).toMatch(/The data is empty/);
  });

  it("names the columns when the text's is missing", async () => {
    const error = await failure(golden("groups"), { textField: "txt" });
    expect(error.message).toMatch(/no column "txt", it has "id", "text".*textField.*Did you mean "text"/);
  });

  it("names the row of a missing text, or passes over it", async () => {
    const error = await failure(golden("nulls"));
    expect(error.message).toMatch(/nulls\.parquet, row 2: the field "text" must be a string, got null/);
    const skipped: SkippedRecord[] = [];
    const found = await texts(golden("nulls"), { onError: "skip", onSkip: (record) => skipped.push(record) });
    expect(found).toEqual(["first", "third"]);
    expect(skipped).toMatchObject([{ source: `${golden("nulls")}:2`, skipped: 1 }]);
  });

  it("refuses a text beyond the limit, or passes over it", async () => {
    const all = files["groups.parquet"].map((row) => row.text);
    const short = all.filter((text) => Buffer.byteLength(text) <= 40);
    expect((await failure(golden("groups"), { maxRecordBytes: 40 })).message).toMatch(
      /groups\.parquet, row \d+: the text has \d+ bytes, more than 40/,
    );
    expect(await texts(golden("groups"), { maxRecordBytes: 40, onError: "skip" })).toEqual(short);
    expect(short.length).toBeLessThan(all.length);
  });

  it("refuses strings that are not UTF-8", async () => {
    const error = await failure(golden("invalid-utf8"));
    expect(error.message).toMatch(/invalid-utf8\.parquet.*not valid UTF-8/);
  });

  it("refuses other files under its name", async () => {
    expect((await failure(await put("no.parquet", "text,but\nno,parquet\n"))).message).toMatch(
      /not a whole parquet file: it does not begin with PAR1/,
    );
    expect((await failure(await put("tiny.parquet", "PAR1"))).message).toMatch(/it has 4 bytes/);
    expect((await failure(await put("none.parquet", ""))).message).toMatch(/it has 0 bytes/);
    expect((await failure(await put("secret.parquet", `PARE${"x".repeat(20)}PARE`))).message).toMatch(
      /encrypted/,
    );
    expect((await failure(await put("x.parquet.gz", "x"))).message).toMatch(
      /unpack it to .*x\.parquet first/,
    );
  });

  it("notices a file that is truncated anywhere", async () => {
    const bytes = await readFile(golden("groups"));
    for (let length = 0; length < bytes.length; length += 41) {
      const error = await failure(await put("cut.parquet", bytes.subarray(0, length)));
      expect(error.message).toMatch(/cut\.parquet is not a whole parquet file/);
    }
  });

  it("notices changed bytes where pages have checksums", async () => {
    const bytes = await readFile(golden("checksums"));
    const clean = await texts(golden("checksums"));
    const place = bytes.indexOf("jumps");
    const error = await failure(await put("flip.parquet", changed(bytes, { [place]: bytes[place] ^ 1 })));
    expect(error.message).toMatch(
      /column "text": the page at byte \d+ is damaged \(its checksum does not match/,
    );
    expect(error.details.offset).toBeLessThan(place);
    expect(clean.join("\n")).toContain("jumps");
  });

  it("ends in a typed error or in text whatever byte is changed", async () => {
    for (const name of [
      "groups",
      "nested-pages-v2",
      "codec-gzip",
      "codec-brotli",
      "codec-zstd",
      "codec-lz4",
      "pages-dictionary",
    ]) {
      const bytes = await readFile(golden(name));
      for (let at = 0; at < bytes.length; at += name.startsWith("nested") ? 211 : 31) {
        for (const value of [bytes[at] ^ 0xff, bytes[at] ^ 0x40]) {
          const path = await put("changed.parquet", changed(bytes, { [at]: value }));
          try {
            await read(path);
          } catch (error) {
            expect(error, `${name}, byte ${at}: ${(error as Error).stack}`).toBeInstanceOf(DataError);
            expect((error as Error).message).toContain("changed.parquet");
          }
        }
      }
    }
  });

  it("goes on with the next row group when told to skip damage", async () => {
    const bytes = await readFile(golden("groups"));
    const rows = files["groups.parquet"];
    // The first data page of the third row group: find it by the damage that it does.
    for (let at = 600; at < 1800; at += 3) {
      const path = await put("skip.parquet", changed(bytes, { [at]: bytes[at] ^ 0xff }));
      const skipped: SkippedRecord[] = [];
      const found = await read(path, { onError: "skip", onSkip: (record) => skipped.push(record) }).catch(
        () => [],
      );
      if (skipped.length === 0 || found.length === 0) continue;
      expect(found.length).toBeLessThan(rows.length);
      expect(found[found.length - 1].text).toBe(rows[rows.length - 1].text);
      expect(skipped[0].source).toMatch(/skip\.parquet:\d+$/);
      expect(skipped[0].offset).toBeGreaterThan(0);
      return;
    }
    throw new Error("no damaged byte was noticed");
  });
});
