/** Documents from files, folders and JSON lines, with every way in which they can be broken. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { documents, listSources, type SourceOptions } from "../../lib/data/index.js";
import { invalidUtf8Offset } from "../../lib/data/utf8.js";
import { AnnealError, ConfigError, DataError } from "../../lib/errors.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-sources-"));
});
afterAll(() => rm(dir, { recursive: true }));

const file = async (name: string, content: string | Uint8Array) => {
  const path = join(dir, name);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, content);
  return path;
};

async function collect(paths: string | string[], options?: SourceOptions) {
  const found: { text: string; source: string }[] = [];
  for await (const document of documents(paths, options)) found.push(document);
  return found;
}

async function failure(paths: string | string[], options?: SourceOptions): Promise<AnnealError> {
  try {
    await collect(paths, options);
  } catch (error) {
    expect(error).toBeInstanceOf(AnnealError);
    return error as AnnealError;
  }
  throw new Error("expected a failure");
}

describe("files and folders", () => {
  it("reads files as they are named and folders in the order of names", async () => {
    for (const name of [
      "tree/b.txt",
      "tree/a/z.md",
      "tree/a/B.md",
      "tree/a.txt",
      "tree/skip.bin",
      "tree/.hidden/x.txt",
    ]) {
      await file(name, name);
    }
    await symlink(join(dir, "tree"), join(dir, "tree", "loop"));
    const tree = join(dir, "tree");
    const names = (await collect(tree)).map((document) => document.text);
    expect(names).toEqual(["tree/a/B.md", "tree/a/z.md", "tree/a.txt", "tree/b.txt"]);
    expect((await collect(tree, { extensions: [".MD"] })).map((d) => d.text)).toEqual([
      "tree/a/B.md",
      "tree/a/z.md",
    ]);
    expect((await collect([join(tree, "skip.bin"), join(tree, "b.txt")])).map((d) => d.source)).toEqual([
      join(tree, "skip.bin"),
      join(tree, "b.txt"),
    ]);
    expect((await listSources(tree)).map((source) => source.size)).toEqual([11, 11, 10, 10]);
  });

  it("drops a byte order mark at the start only", async () => {
    const path = await file("bom.txt", "\ufeffa\ufeffb");
    expect((await collect(path))[0].text).toBe("a\ufeffb");
  });

  it("cuts very large files at line ends", async () => {
    const lines = Array.from({ length: 40 }, (_, i) => `line é ${i}\n`).join("");
    const path = await file("large.txt", lines);
    const parts = await collect(path, { maxDocumentBytes: 64 });
    expect(parts.length).toBeGreaterThan(5);
    expect(parts.map((part) => part.text).join("")).toBe(lines);
    expect(parts.every((part) => part.text.endsWith("\n"))).toBe(true);
    expect(parts[1].source).toBe(`${path}#1`);
    expect(
      (await failure(await file("long.txt", "x".repeat(200)), { maxDocumentBytes: 64 })).message,
    ).toMatch(/line of more than 64 bytes/);
  });
});

describe("JSON lines", () => {
  it("takes one document per record", async () => {
    const path = await file("records.jsonl", '{"text":"one\\n"}\n\n{"text":"","n":1}\n{"text":"zwei é"}');
    expect(await collect(path)).toEqual([
      { text: "one\n", source: `${path}:1` },
      { text: "zwei é", source: `${path}:4` },
    ]);
    const other = await file("other.ndjson", '{"content":"c"}\r\n{"content":"d"}\r\n');
    expect((await collect(other, { textField: "content" })).map((d) => d.text)).toEqual(["c", "d"]);
  });

  it("reads records across the borders of its buffer", async () => {
    const texts = Array.from({ length: 3 }, (_, i) => String(i).repeat(3_000_000));
    const path = await file("wide.jsonl", texts.map((text) => JSON.stringify({ text })).join("\n"));
    expect((await collect(path)).map((document) => document.text)).toEqual(texts);
  });

  it("says which record is broken and how", async () => {
    expect((await failure(await file("a.jsonl", '{"text":"a"}\n{"text":'))).message).toMatch(
      /line 2: not valid JSON/,
    );
    expect((await failure(await file("b.jsonl", "[1]"))).message).toMatch(/expected a JSON object/);
    expect((await failure(await file("c.jsonl", '{"txt":"a"}'))).message).toMatch(
      /no field "text".*Did you mean "txt"/,
    );
    expect((await failure(await file("d.jsonl", '{"text":["a"]}'))).message).toMatch(
      /must be a string, got a list/,
    );
    const error = await failure(
      await file("e.jsonl", Buffer.from('{"text":"a"}\n{"text":"\xff"}', "latin1")),
    );
    expect(error.details).toMatchObject({ offset: 22 });
  });
});

describe("what cannot be read", () => {
  it("names missing files, and the one that was probably meant", async () => {
    await file("novel.txt", "x");
    const error = await failure(join(dir, "nowel.txt"));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(/There is no file or folder .*nowel\.txt.*Did you mean "novel\.txt"/);
  });

  it("names file and byte of invalid UTF-8", async () => {
    const bytes = Buffer.concat([Buffer.from("été 👍 "), Buffer.from([0xe2, 0x28, 0xa1])]);
    const error = await failure(await file("latin.txt", bytes));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(/latin\.txt is not valid UTF-8: byte 0xE2 at offset 11/);
    expect((await failure(await file("packed.txt", Buffer.from([0x1f, 0x8b, 8, 0])))).message).toMatch(
      /gzip/,
    );
    expect((await failure(await file("wide.txt", Buffer.from("\ufeffhello", "utf16le")))).message).toMatch(
      /UTF-16/,
    );
    const lines = Buffer.concat([Buffer.from("ab\n".repeat(30)), Buffer.from([0xff, 0x0a])]);
    expect((await failure(await file("late.txt", lines), { maxDocumentBytes: 32 })).details).toMatchObject({
      offset: 90,
    });
  });

  it("finds the first invalid byte, as a decoder does", () => {
    for (const [bytes, offset] of [
      [[0x41, 0x80], 1],
      [[0xc0, 0x80], 0],
      [[0x41, 0xe0, 0x9f, 0x80], 1],
      [[0xed, 0xa0, 0x80], 0],
      [[0xf4, 0x90, 0x80, 0x80], 0],
      [[0x41, 0xf0, 0x9f, 0x91], 1],
      [[0xf5, 0x80, 0x80, 0x80], 0],
      [[0xf0, 0x9f, 0x91, 0x8d], -1],
    ] as [number[], number][]) {
      expect(invalidUtf8Offset(Uint8Array.from(bytes))).toBe(offset);
    }
  });

  it("refuses empty data", async () => {
    expect((await failure(await file("empty.txt", ""))).message).toMatch(/The data is empty: .*empty\.txt/);
    await mkdir(join(dir, "bare"));
    expect((await failure(join(dir, "bare"))).message).toMatch(/No text files in .*\.txt, \.md/);
    expect((await failure([])).message).toMatch(/name at least one/);
  });

  it("refuses misspelt options", async () => {
    const error = await failure(dir, { textFeild: "x" } as SourceOptions);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/Did you mean "textField"/);
  });
});
