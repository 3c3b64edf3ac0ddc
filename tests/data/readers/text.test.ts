/** Plain text, Markdown and JSON lines: what they give, and records that are damaged. */
import { describe, expect, it } from "vitest";
import type { SkippedRecord } from "../../../lib/data/index.js";
import { splitFrontMatter, stripMarkdown } from "../../../lib/data/readers/markdown.js";
import { failure, put, read, temporaryFiles, texts } from "./reading.js";

temporaryFiles();

describe("plain text", () => {
  it("keeps line ends as they are and drops the mark at the beginning", async () => {
    expect(await texts(await put("crlf.txt", "\ufeffone\r\ntwo\r\n"))).toEqual(["one\r\ntwo\r\n"]);
  });

  it("cuts large files at line ends into parts that make up the whole", async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => `line ${i}, é 👍\n`).join("");
    const path = await put("large.txt", lines);
    const parts = await read(path, { maxDocumentBytes: 100_000 });
    expect(parts.length).toBe(Math.ceil(Buffer.byteLength(lines) / 99_990));
    expect(parts.map(({ text }) => text).join("")).toBe(lines);
    expect(parts[1].source).toBe(`${path}#1`);
    expect(parts.every(({ text }) => Buffer.byteLength(text) <= 100_000 && text.endsWith("\n"))).toBe(true);
    const exact = await put("exact.txt", "0123456789");
    expect((await read(exact, { maxDocumentBytes: 10 }))[0].source).toBe(exact);
  });

  it("decodes a long text in steps without tearing a character", async () => {
    const long = `${"é👍".repeat(1_000_000)}a${"日本".repeat(800_000)}`;
    expect((await texts(await put("long.txt", long)))[0] === long).toBe(true);
    const bytes = Buffer.from(long);
    bytes[9_000_001] = 0xff;
    const error = await failure(await put("torn.txt", bytes));
    expect(error.message).toMatch(/torn\.txt is not valid UTF-8: byte 0x/);
    expect(Math.abs((error.details.offset as number) - 9_000_001)).toBeLessThan(4);
  });

  it("leaves a file out that is not UTF-8 when told to skip damage", async () => {
    const bad = await put("bad.txt", Buffer.from([0x41, 0xc3, 0x28]));
    const skipped: SkippedRecord[] = [];
    const good = await put("good.txt", "good");
    expect(await texts([bad, good], { onError: "skip", onSkip: (r) => skipped.push(r) })).toEqual(["good"]);
    expect(skipped).toMatchObject([{ source: bad, offset: 1, skipped: 1 }]);
    expect(skipped[0].reason).toMatch(/bad\.txt is not valid UTF-8: byte 0xC3 at offset 1/);
  });
});

describe("Markdown", () => {
  it("is text, with its front matter as metadata", async () => {
    const text = "# Title\n\nSome *text* with [a link](x).\n";
    const path = await put(
      "a.md",
      `---\ntitle: "The: title"\ndate: 2024-05-01\ndraft: false\nweight: 3\ntags: [one, 'two']\nauthors:\n  - Ann\n  - Bob\nempty:\n# note\n---\n\n${text}`,
    );
    expect(await read(path)).toEqual([
      {
        text,
        source: path,
        metadata: {
          title: "The: title",
          date: "2024-05-01",
          draft: false,
          weight: 3,
          tags: ["one", "two"],
          authors: ["Ann", "Bob"],
          empty: null,
        },
      },
    ]);
    expect(await texts(path, { markdown: "strip" })).toEqual(["Title\n\nSome text with a link."]);
  });

  it("keeps front matter that needs a real YAML reader as it stands", () => {
    const raw = "title: x\nnested:\n  a: 1\nlong: |\n  text";
    expect(splitFrontMatter(`---\r\n${raw.replaceAll("\n", "\r\n")}\r\n---\r\nbody`)).toEqual({
      text: "body",
      metadata: { title: "x", nested: null, frontMatter: raw.replaceAll("\n", "\r\n") },
    });
  });

  it.each([
    "--- \n\nnot front matter\n---\n",
    "---\ntext without keys\n---\nmore",
    "---\ntitle: never closed\n",
    " ---\na: b\n---\n",
    "----\na: b\n---\n",
  ])("leaves %j alone", (text) => {
    expect(splitFrontMatter(text)).toEqual({ text });
  });

  it.each([
    ["## Heading ##", "Heading"],
    ["Heading\n=======\ntext", "Heading\n\ntext"],
    [
      "**bold**, *italic*, ***both***, ~~gone~~ and __more__ of _it_",
      "bold, italic, both, gone and more of it",
    ],
    ["snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"],
    ["![picture](a.png) and [link][1]\n\n[1]: https://example.org", "picture and link"],
    ["[wiki](https://en.org/a_(b)) end", "wiki end"],
    ["<https://example.org> and <b>tag</b><!-- no -->", "https://example.org and tag"],
    ["> quote\n> > deeper", "quote\ndeeper"],
    ["- one\n- two\n  1. three", "- one\n- two\n  1. three"],
    ["a `*code*` b ``x ` y``", "a *code* b x ` y"],
    ["```js\nlet *a* = `b`;\n\n# not a heading\n```\nafter", "let *a* = `b`;\n\n# not a heading\nafter"],
    ["~~~\nopen to the end\n**x**", "open to the end\n**x**"],
    ["| a | b |\n|---|:-:|\n| 1 | 2 |", "| a | b |\n\n| 1 | 2 |"],
    ["a\n\n***\n\nb", "a\n\nb"],
    ["\\*not italic\\* and 1\\. no list", "*not italic* and 1. no list"],
  ])("strips %j", (markdown, plain) => {
    expect(stripMarkdown(markdown)).toBe(plain);
  });
});

describe("JSON lines", () => {
  it("takes id, url and everything else", async () => {
    const path = await put(
      "a.jsonl",
      [
        { text: "one", id: 7, url: "https://example.org", lang: "en", n: { deep: [1] } },
        { text: "two", id: null, url: null, metadata: { url: "https://inner.org", lang: "de" }, score: 0.5 },
        { text: "three", metadata: "a string", id: ["odd"], __proto__x: 1 },
      ]
        .map((record) => JSON.stringify(record))
        .join("\r\n"),
    );
    expect(await read(path)).toEqual([
      {
        text: "one",
        source: `${path}:1`,
        id: "7",
        url: "https://example.org",
        metadata: { lang: "en", n: { deep: [1] } },
      },
      { text: "two", source: `${path}:2`, url: "https://inner.org", metadata: { lang: "de", score: 0.5 } },
      { text: "three", source: `${path}:3`, metadata: { metadata: "a string", id: ["odd"], __proto__x: 1 } },
    ]);
    expect((await read(path, { metadata: false }))[1]).toEqual({
      text: "two",
      source: `${path}:2`,
      url: "https://inner.org",
    });
  });

  it("reads back what a document is written as", async () => {
    const document = { text: "x", id: "a", url: "u", metadata: { metadata: { k: 1 }, lang: "en" } };
    const [back] = await read(await put("back.jsonl", JSON.stringify(document)));
    expect({ ...back, source: undefined }).toEqual({ ...document, source: undefined });
  });

  it("keeps a field named __proto__ as data", async () => {
    const [document] = await read(await put("proto.jsonl", '{"text":"x","__proto__":{"polluted":true}}'));
    expect(Object.keys(document.metadata ?? {})).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect((document.metadata as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("joins several fields by a blank line", async () => {
    const path = await put(
      "two.jsonl",
      '{"instruction":"Do it.","output":"Done."}\n{"instruction":"Only.","output":""}\n{"instruction":null,"output":"Last."}\n',
    );
    expect(await texts(path, { textField: ["instruction", "output"] })).toEqual([
      "Do it.\n\nDone.",
      "Only.",
      "Last.",
    ]);
    expect((await failure(path, { textField: ["a", "b"] })).message).toMatch(
      /no field "a", "b", it has "instruction"/,
    );
    expect((await failure(path, { textField: "instruction" })).message).toMatch(
      /line 3.*must be a string, got null/,
    );
  });

  it("takes a mark at the beginning, blank lines and a last line without an end", async () => {
    expect(await texts(await put("bom.jsonl", '\ufeff{"text":"a"}\n \r\n\n{"text":"b"}'))).toEqual([
      "a",
      "b",
    ]);
  });

  it("passes over damaged records and counts them", async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"text":"a"}\n{"text":\n'),
      Buffer.from([0x7b, 0xff, 0x7d, 0x0a]),
      Buffer.from('{"other":1}\n{"text":"b"}\n[1]\n"x"\n{"text":"c"}\n{"text":"cut'),
    ]);
    const path = await put("mixed.jsonl", bytes);
    const skipped: SkippedRecord[] = [];
    expect(await texts(path, { onError: "skip", onSkip: (r) => skipped.push(r) })).toEqual(["a", "b", "c"]);
    expect(skipped.map(({ source, offset, skipped }) => [source, offset, skipped])).toEqual([
      [`${path}:2`, 13, 1],
      [`${path}:3`, 22, 2],
      [`${path}:4`, 26, 3],
      [`${path}:6`, 51, 4],
      [`${path}:7`, 55, 5],
      [`${path}:9`, 72, 6],
    ]);
    expect(skipped[1].reason).toMatch(/not valid UTF-8: byte 0xFF at offset 23/);
  });

  it("refuses a record beyond the limit, or passes over it", async () => {
    const long = JSON.stringify({ text: "x".repeat(3_000_000) });
    const path = await put("long.jsonl", `{"text":"a"}\n${long}\n{"text":"b"}\n${long}`);
    const error = await failure(path, { maxRecordBytes: 2 ** 21 });
    expect(error.message).toMatch(
      /long\.jsonl, line 2: the record has more than 2097152 bytes.*maxRecordBytes/,
    );
    expect(error.details.offset).toBe(13);
    const skipped: SkippedRecord[] = [];
    const found = await read(path, {
      maxRecordBytes: 2 ** 21,
      onError: "skip",
      onSkip: (r) => skipped.push(r),
    });
    expect(found.map(({ text, source }) => [text, source])).toEqual([
      ["a", `${path}:1`],
      ["b", `${path}:3`],
    ]);
    expect(skipped.map(({ source }) => source)).toEqual([`${path}:2`, `${path}:4`]);
    expect((await texts(path)).length).toBe(4);
  });
});
