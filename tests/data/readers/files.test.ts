/** Which files are read and as what: globs, endings and options; and files that cannot be read to their end. */
import { mkdir, open, symlink, truncate, writeFile } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { documentBatches, documents, listSources, type SourceOptions } from "../../../lib/data/index.js";
import { fileChunks } from "../../../lib/data/readers/bytes.js";
import { ConfigError, DataError } from "../../../lib/errors.js";
import { HubServer } from "../../io/hub-server.js";
import { failure, inFolder, put, read, temporaryFiles, texts } from "./reading.js";

temporaryFiles();

describe("globs", () => {
  const list = async (pattern: string, options?: SourceOptions) =>
    (await listSources(inFolder(pattern), options)).map(({ path }) => path.slice(inFolder("").length + 1));

  it("match names, folders and choices, in the order of names", async () => {
    for (const name of [
      "g/b.jsonl",
      "g/a.txt",
      "g/B.txt",
      "g/sub/a.txt",
      "g/sub/deep/c.txt",
      "g/sub.d/z.txt",
      "g/.hidden.txt",
      "g/.dir/x.txt",
      "g/a1.txt",
      "g/a2.csv",
      "g/notes.bin",
    ]) {
      await put(name, name);
    }
    expect(await list("g/*.txt")).toEqual(["g/B.txt", "g/a.txt", "g/a1.txt"]);
    expect(await list("g/**/*.txt")).toEqual(
      ["g/B.txt", "g/a.txt", "g/a1.txt", "g/sub/a.txt", "g/sub/deep/c.txt", "g/sub.d/z.txt"].sort(byFolders),
    );
    expect(await list("g/*/*.txt")).toEqual(["g/sub/a.txt", "g/sub.d/z.txt"]);
    expect(await list("g/{b,a}*.{txt,jsonl}")).toEqual(["g/a.txt", "g/a1.txt", "g/b.jsonl"]);
    expect(await list("g/a?.*")).toEqual(["g/a1.txt", "g/a2.csv"]);
    expect(await list("g/a[!2].*")).toEqual(["g/a1.txt"]);
    expect(await list("g/{sub,sub.d}/[x-z].txt")).toEqual(["g/sub.d/z.txt"]);
    expect(await list("g/{sub/deep,sub.d}/*.txt")).toEqual(["g/sub/deep/c.txt", "g/sub.d/z.txt"]);
    expect(await list("g/.*.txt")).toEqual(["g/.hidden.txt"]);
    expect(await list("g/*.bin")).toEqual(["g/notes.bin"]);
  });

  /** As a walk through sorted folders meets them. */
  function byFolders(a: string, b: string): number {
    const [left, right] = [a.split("/"), b.split("/")];
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      if (left[i] !== right[i]) return left[i] < right[i] ? -1 : 1;
    }
    return left.length - right.length;
  }

  it("that say nothing of endings take what is known, and folders with all below", async () => {
    expect(await list("g/*")).toEqual(
      [
        "g/B.txt",
        "g/a.txt",
        "g/a1.txt",
        "g/a2.csv",
        "g/b.jsonl",
        "g/sub/a.txt",
        "g/sub/deep/c.txt",
        "g/sub.d/z.txt",
      ].sort(byFolders),
    );
    expect(await list("g/s*")).toEqual(["g/sub/a.txt", "g/sub/deep/c.txt", "g/sub.d/z.txt"]);
    expect(await list("g/*", { extensions: [".csv"] })).toEqual(["g/a2.csv"]);
  });

  it("take a path as it is when there is such a file", async () => {
    await put("lit/a[1].txt", "x");
    await put("lit/a1.txt", "y");
    expect(await list("lit/a[1].txt")).toEqual(["lit/a[1].txt"]);
  });

  it("do not follow links to folders through **", async () => {
    await put("ln/real/x.txt", "x");
    await symlink(inFolder("ln"), inFolder("ln/loop")).catch(() => undefined);
    expect(await list("ln/**/*.txt")).toEqual(["ln/real/x.txt"]);
    expect(await list("ln/l*/real/*.txt")).toEqual(["ln/loop/real/x.txt"]);
  });

  it("that match nothing name what is there", async () => {
    await put("none/one.txt", "x");
    const message = async (pattern: string) => (await failure(inFolder(pattern))).message;
    expect(await message("none/*.jsonl")).toMatch(/Nothing matches .*\*\.jsonl.*has one\.txt/);
    expect(await message("none/*/x.txt")).toMatch(/has one\.txt; \*\* stands for any number of folders/);
    expect(await message("nowhere/*.txt")).toMatch(/There is no folder .*nowhere/);
    await mkdir(inFolder("void"));
    expect(await message("void/*")).toMatch(/void is empty/);
    await expect(listSources(inFolder("none/[a.txt"))).rejects.toThrow(ConfigError);
    await expect(listSources(inFolder("none/{a,b.txt"))).rejects.toThrow(ConfigError);
  });
});

describe("formats", () => {
  it("follow endings in any case, and options before endings", async () => {
    expect(await texts(await put("A.JSONL", '{"text":"a"}'))).toEqual(["a"]);
    expect(await texts(await put("b.data", "text\nb\n"), { format: "csv" })).toEqual(["b"]);
    expect(await texts(await put("c.jsonl", "not json"), { format: "text" })).toEqual(["not json"]);
    expect(await texts(await put("no-ending", "plain"))).toEqual(["plain"]);
  });

  it("refuse options that do not exist", async () => {
    const path = await put("x.txt", "x");
    const refused = (options: object) => read(path, options as SourceOptions);
    await expect(refused({ format: "jsnl" })).rejects.toThrow(/format must be one of .*Did you mean "jsonl"/);
    await expect(refused({ compression: "gz" })).rejects.toThrow(/compression must be one of none, gzip/);
    await expect(refused({ onError: "ignore" })).rejects.toThrow(/onError must be one of throw, skip/);
    await expect(refused({ markdown: "plain" })).rejects.toThrow(/markdown must be one of/);
    await expect(refused({ html: "most" })).rejects.toThrow(/html must be one of/);
    await expect(refused({ maxRecordBytes: 0 })).rejects.toThrow(/maxRecordBytes must be an integer from 1/);
    await expect(refused({ textField: [] })).rejects.toThrow(/textField must name at least one/);
    await expect(refused({ maxRecordByte: 1 })).rejects.toThrow(/Did you mean "maxRecordBytes"/);
  });

  it("give documents in batches, too", async () => {
    const lines = Array.from({ length: 50_000 }, (_, i) =>
      JSON.stringify({ text: `${i} ${"x".repeat(90)}` }),
    ).join("\n");
    const path = await put("many.jsonl", lines);
    let found = 0;
    let batches = 0;
    for await (const batch of documentBatches(path)) {
      for (const { text } of batch) expect(text.startsWith(`${found++} `)).toBe(true);
      batches++;
    }
    expect(found).toBe(50_000);
    expect(batches).toBe(3);
  });

  it("tell the bytes that were read", async () => {
    const paths = [await put("r1.jsonl", '{"text":"a"}\n'.repeat(1000)), await put("r2.txt", "abc")];
    let bytes = 0;
    await read(paths, { onRead: (count) => (bytes += count) });
    expect(bytes).toBe(13_003);
  });
});

describe("files that cannot be read", () => {
  it("names a file that becomes shorter meanwhile, and where it ends now", async () => {
    const path = await put("shrinks.txt", "x".repeat(5_000_000));
    const handle = await open(path);
    try {
      const chunks = fileChunks(handle, path);
      await chunks.next();
      await truncate(path, 1_500_000);
      const rest = (async () => {
        for await (const _ of chunks) await setImmediate();
      })();
      await expect(rest).rejects.toThrow(
        /shrinks\.txt became shorter while it was read: it had 5000000 bytes and ends at byte 1500000/,
      );
      await expect(rest).rejects.toBeInstanceOf(DataError);
    } finally {
      await handle.close();
    }
  });

  it("never passes over what is the machine's fault", async () => {
    const lines = `${JSON.stringify({ text: "x".repeat(100) })}\n`.repeat(100_000);
    const path = await put("shrinks.jsonl", lines);
    const reading = documents(path, { onError: "skip" });
    await reading.next();
    await truncate(path, 2_000_000);
    await expect(
      (async () => {
        for await (const _ of reading);
      })(),
    ).rejects.toThrow(/became shorter/);
  });

  it("reads to the length that a file had when it was opened", async () => {
    const path = await put("grows.jsonl", '{"text":"one"}\n'.repeat(200_000));
    const reading = documents(path);
    await reading.next();
    await writeFile(path, '{"text":"two"}\n{"torn', { flag: "a" });
    let found = 1;
    for await (const { text } of reading) {
      expect(text).toBe("one");
      found++;
    }
    expect(found).toBe(200_000);
  });

  it("names folders and links that lead nowhere", async () => {
    await mkdir(inFolder("folder.jsonl"));
    const handle = await open(inFolder("folder.jsonl"));
    try {
      const read = fileChunks(handle, "folder.jsonl").next();
      await expect(read).rejects.toThrow(/Cannot read folder\.jsonl at byte|Cannot read folder\.jsonl:/);
      await expect(read).rejects.toBeInstanceOf(DataError);
    } finally {
      await handle.close();
    }
    await symlink("round.txt", inFolder("round.txt"));
    expect((await failure(inFolder("round.txt"))).message).toMatch(/Cannot read .*round\.txt: ELOOP/);
    await symlink("gone", inFolder("dangling.txt"));
    expect((await failure(inFolder("dangling.txt"))).message).toMatch(
      /There is no file or folder .*dangling\.txt/,
    );
    expect((await failure(`${await put("file.txt", "x")}/below.txt`)).message).toMatch(
      /There is no file or folder/,
    );
  });

  it("gives back the file when reading is stopped early", async () => {
    const path = await put("early.jsonl", '{"text":"one"}\n'.repeat(10_000));
    for (let i = 0; i < 50; i++) {
      for await (const _ of documents(path)) break;
    }
    for (const name of ["early.txt.gz", "early.jsonl.zst"]) {
      const bad = await put(name, "not packed");
      for (let i = 0; i < 20; i++) await failure(bad);
    }
  });
});

describe("data sets of the hub", () => {
  const contents = (value: string) => ({ contents: new TextEncoder().encode(value) });
  const files = {
    "README.md": contents("# About\n"),
    LICENSE: contents("Do what you want."),
    "data/train.jsonl": contents('{"text":"one"}\n'),
    "data/test.jsonl": contents('{"text":"two"}\n'),
    "notes/a.md": contents("note"),
    "picture.png": contents("png"),
  };

  it("are read like folders, without what is about them", async () => {
    const server = await HubServer.start(files);
    const hub = {
      token: false as const,
      retryDelay: 1,
      timeout: 2000,
      endpoint: server.endpoint,
      cacheDir: inFolder("hub"),
    };
    const path = "hf://datasets/owner/name";
    expect(await texts(path, { hub })).toEqual(["two", "one", "note"]);
    expect(await texts(path, { hub, extensions: [".md"] })).toEqual(["note"]);
    expect(await texts(`${path}@main/data/train*.jsonl`, { hub })).toEqual(["one"]);
    expect(await texts([`${path}/README.md`, `${path}/notes`], { hub })).toEqual(["# About\n", "note"]);
    await expect(read(`${path}/*.parquet`, { hub })).rejects.toThrow(/parquet/);
  });

  it("names hub paths that are none", async () => {
    await expect(listSources("hf://")).rejects.toThrow(ConfigError);
    await expect(listSources("hf://datasets/")).rejects.toThrow(/Expected hf:\/\/datasets\/owner\/name/);
  });
});
