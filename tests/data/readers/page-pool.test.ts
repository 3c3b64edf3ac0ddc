/** Threads for web pages: the same documents for any number of them, damage in its place, and nothing left running. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import {
  documents,
  type SkippedRecord,
  type SourceOptions,
  type TextDocument,
} from "../../../lib/data/index.js";
import { InOrder } from "../../../lib/data/readers/in-order.js";
import { extractText } from "../../../lib/data/readers/main-text.js";
import { PagePool, type PagePoolOptions, type PageTask } from "../../../lib/data/readers/page-pool.js";
import { DamagePolicy, damaged } from "../../../lib/data/readers/reader.js";
import { ConfigError, DataError, NativeError } from "../../../lib/errors.js";
import { ARTICLE, prose } from "./pages.js";
import { failure, inFolder, put, read, temporaryFiles } from "./reading.js";

temporaryFiles();

const DIST = new URL("../../../dist/", import.meta.url);
beforeAll(() => {
  if (!existsSync(new URL("data/readers/page-worker.js", DIST))) {
    throw new Error("dist/ is not compiled: run `npm run build:ts`.");
  }
});

/** A page that differs from every other, in size too. */
const page = (n: number) =>
  `<html lang="en"><head><title>Page ${n}</title></head><body><nav><a href="/">Home</a></nav><p>Number ${n}. ${prose(n, 4 + (n % 9))}</p>` +
  `<script>${"x".repeat(1000 + ((n * 7919) % 20_000))}</script></body></html>`;

function record(n: number, body: string | Uint8Array, headers = ""): Buffer {
  const block = Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n${headers}\r\n`),
    Buffer.from(body),
  ]);
  const head =
    `WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:${n}>\r\n` +
    `Content-Type: application/http; msgtype=response\r\nContent-Length: ${block.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), block, Buffer.from("\r\n\r\n")]);
}

const count = 400;
const pages = Array.from({ length: count }, (_, n) => page(n));
/** Some three megabytes, of which most goes to the threads. */
const crawl = pages.map((html, n) => record(n, html));

/** A pool that is closed after the test's work. */
async function withPool<T>(options: PagePoolOptions, work: (pool: PagePool) => Promise<T>): Promise<T> {
  const pool = new PagePool("main", { few: 0, ...options });
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}

const add = (pool: PagePool, html: string, charset?: string) =>
  pool.add(Buffer.from(html), charset) as PageTask;

/** A program for threads, as a module of its own. */
const program = async (source: string) =>
  pathToFileURL(
    await put(`program-${source.length}.mjs`, `import { parentPort } from "node:worker_threads";\n${source}`),
  );

describe("a pool of threads for pages", () => {
  it("gives each page the text that it has on the main thread, whoever asks first", () =>
    withPool({ threads: 2 }, async (pool) => {
      const tasks = [ARTICLE, ...pages.slice(0, 80)].map((html) => add(pool, html));
      const last = await tasks[80].result();
      expect(last).toEqual(extractText(pages[79]));
      expect(await tasks[0].result()).toEqual(extractText(ARTICLE));
      expect(await Promise.all(tasks.slice(1).map((task) => task.result()))).toEqual(
        pages.slice(0, 80).map((html) => extractText(html)),
      );
    }));

  it("obeys the charset of the header and takes empty pages", () =>
    withPool({ threads: 1 }, async (pool) => {
      const bytes = Buffer.from(`<p>Stra\xdfe und Gl\xfcck. ${prose(1)}</p>`, "latin1");
      const found = [pool.add(bytes, "iso-8859-1"), pool.add(Buffer.alloc(0)), pool.add(bytes, "koi8-r")];
      const [latin, nothing, russian] = await Promise.all(found.map((task) => task?.result()));
      expect(latin?.text).toMatch(/^Straße und Glück/);
      expect(nothing).toEqual({ text: "" });
      expect(russian?.text).toMatch(/^StraъЪe|^Stra[\u0400-\u04ff]e/i);
    }));

  it("leaves the first pages to the caller", () =>
    withPool({ few: 100 }, async (pool) => {
      expect(pool.add(Buffer.alloc(60, 32))).toBeUndefined();
      expect(pool.add(Buffer.alloc(40, 32))).toBeUndefined();
      expect(pool.add(Buffer.alloc(1, 32))).toBeDefined();
    }));

  it("fails one page and goes on with the others", async () => {
    const failing = await program(`parentPort.on("message", ({ id, pages }) => parentPort.postMessage({ id,
      texts: pages.map(([length]) => length === 3 ? { problem: "no such page" } : { text: String(length) }) }));`);
    await withPool({ threads: 2, program: failing }, async (pool) => {
      const tasks = ["a", "bbb", "cc"].map((html) => add(pool, html));
      await expect(tasks[1].result()).rejects.toThrow("no such page");
      expect(await tasks[0].result()).toEqual({ text: "1" });
      expect(await tasks[2].result()).toEqual({ text: "2" });
    });
  });

  it.each([
    ["throws", `parentPort.on("message", () => { throw new Error("out of paper"); });`, /out of paper/],
    ["exits", `parentPort.on("message", () => process.exit(3));`, /ended with code 3/],
    ["does not start", `parentPort.nothing.such();`, /undefined/],
  ])("says so when a thread %s, then and later", async (_, source, message) => {
    const dying = await program(source);
    await withPool({ threads: 1, program: dying }, async (pool) => {
      const tasks = [add(pool, "one"), add(pool, "two")];
      for (const task of tasks) {
        const error = await task.result().catch((e) => e);
        expect(error).toBeInstanceOf(NativeError);
        expect(error.message).toMatch(message);
      }
      await expect(add(pool, "three").result()).rejects.toThrow(message);
    });
  });

  it("fails what is under way when it is closed, and what comes later", async () => {
    const silent = await program(`parentPort.on("message", () => undefined);`);
    const pool = new PagePool("main", { few: 0, threads: 1, program: silent });
    const sent = add(pool, "one").result();
    const held = add(pool, "two");
    await pool.close();
    await expect(sent).rejects.toThrow(/reading has ended/);
    await expect(held.result()).rejects.toThrow(/reading has ended/);
    await expect(add(pool, "three").result()).rejects.toThrow(/reading has ended/);
  });
});

describe("documents in order", () => {
  const document = (text: string): TextDocument => ({ text, source: text });
  const later = (text: string, ms: number) => {
    const promise = new Promise<TextDocument>((resolve) => setTimeout(() => resolve(document(text)), ms));
    return () => promise;
  };

  it("holds back what is behind a document that is waited for, up to the window", async () => {
    const order = new InOrder(new DamagePolicy("throw"), 10);
    await order.add({ source: "1", bytes: 6, document: later("one", 30) });
    await order.add({ source: "2", bytes: 4, document: document("two") });
    expect([order.length, order.take()]).toEqual([0, []]);
    await order.add({ source: "3", bytes: 1, document: later("three", 1) });
    expect(order.length).toBe(6);
    expect(order.take().map(({ text }) => text)).toEqual(["one", "two"]);
    await order.finish();
    expect(order.take().map(({ text }) => text)).toEqual(["three"]);
  });

  it("throws damage when all before it is there, and drops the rest", async () => {
    const order = new InOrder(new DamagePolicy("throw"), 100);
    const error = damaged("broken", { path: "x", offset: 3 });
    await order.add({ source: "1", bytes: 6, document: later("one", 10) });
    await order.add({ source: "2", bytes: 6, error });
    await order.add({ source: "3", bytes: 6, document: later("three", 1) });
    await expect(order.finish()).rejects.toBe(error);
    await order.finish();
    expect(order.take().map(({ text }) => text)).toEqual(["one"]);
  });
});

describe("reading on several threads", () => {
  /** Documents and skips of a reading, in the order in which they came. */
  async function run(path: string, options: SourceOptions) {
    const skips: SkippedRecord[] = [];
    const found = await read(path, { ...options, onSkip: (skip) => skips.push(skip) });
    return { found, skips };
  }

  it("gives the same documents of a WARC file for 1, 2 and 3", async () => {
    const bytes = crawl.map((r) => gzipSync(r, { level: 1 }));
    const path = await put("crawl.warc.gz", Buffer.concat(bytes));
    const expected = pages.map((html, n) => {
      const { text, title, language } = extractText(html);
      return { text, source: `${path}:${n + 1}`, id: `urn:uuid:${n}`, metadata: { title, language } };
    });
    for (const threads of [1, 2, 3]) expect(await read(path, { threads })).toEqual(expected);
    const all = await read(path, { threads: 2, html: "all" });
    expect(all.map(({ text }) => text)).toEqual(pages.map((html) => extractText(html, "all").text));
  });

  it("gives the same documents of a folder of pages, and tells of damage in order", async () => {
    for (const [n, html] of pages.entries()) {
      const bad = n % 97 === 50;
      await put(`site/${String(n).padStart(4, "0")}.html`, bad ? "x".repeat(40_000) : html);
      if (n % 100 === 7) await put(`site/${String(n).padStart(4, "0")}b.txt`, `Text ${n}`);
    }
    const options = { onError: "skip", maxRecordBytes: 30_000 } as const;
    const first = await run(inFolder("site"), { ...options, threads: 1 });
    const good = pages.filter((_, n) => n % 97 !== 50);
    expect(first.found.filter(({ text }) => !text.startsWith("Text ")).map(({ text }) => text)).toEqual(
      good.map((html) => extractText(html).text),
    );
    expect(first.found).toHaveLength(good.length + 4);
    expect(first.found.map(({ source }) => source)).toEqual(first.found.map(({ source }) => source).sort());
    expect(first.skips.map(({ source }) => source.slice(-9))).toEqual([
      "0050.html",
      "0147.html",
      "0244.html",
      "0341.html",
    ]);
    for (const threads of [2, 3]) expect(await run(inFolder("site"), { ...options, threads })).toEqual(first);
    const error = await failure(inFolder("site"), { maxRecordBytes: 30_000 });
    expect(error.message).toMatch(/0050\.html has more than 30000 bytes/);
  });

  it("keeps damage in its place, for every number of threads", async () => {
    const unpackable = gzipSync(page(1)).subarray(0, 60);
    const records = crawl.map((r, n) =>
      n % 120 === 100 ? record(n, unpackable, "Content-Encoding: gzip\r\n") : r,
    );
    const path = await put("damaged.warc", Buffer.concat(records));
    const outcomes = await Promise.all(
      [1, 2, 3].map(async (threads) => {
        const skipped = await run(path, { threads, onError: "skip" });
        const found: TextDocument[] = [];
        let thrown: unknown;
        try {
          for await (const document of documents(path, { threads })) found.push(document);
        } catch (error) {
          thrown = error;
        }
        return { skipped, found, thrown };
      }),
    );
    for (const { skipped, found, thrown } of outcomes) {
      expect(skipped).toEqual(outcomes[0].skipped);
      expect(skipped.found).toHaveLength(count - 3);
      expect(skipped.skips.map(({ source }) => source)).toEqual([101, 221, 341].map((n) => `${path}:${n}`));
      expect(found).toEqual(skipped.found.slice(0, 100));
      expect(thrown).toBeInstanceOf(DataError);
      expect((thrown as Error).message).toMatch(/record 101: its page cannot be unpacked/);
    }
  });

  it("gives all pages before the place where a file is cut off", async () => {
    const whole = Buffer.concat(crawl);
    const path = await put("cut.warc", whole.subarray(0, whole.length - 100));
    const found: TextDocument[] = [];
    const reading = async () => {
      for await (const document of documents(path, { threads: 2 })) found.push(document);
    };
    await expect(reading()).rejects.toThrow(/record 400: the file ends at byte/);
    expect(found.map(({ text }) => text)).toEqual(pages.slice(0, -1).map((html) => extractText(html).text));
  });

  it("refuses numbers of threads that cannot be", async () => {
    const path = await put("one.html", page(1));
    for (const threads of [0, 1.5, -1]) {
      await expect(read(path, { threads })).rejects.toBeInstanceOf(ConfigError);
    }
  });

  it("closes its files when the consumer has enough", async () => {
    await put("some.warc", Buffer.concat(crawl));
    for (const path of [inFolder("some.warc"), inFolder("site")]) {
      let seen = 0;
      for await (const _ of documents(path, { threads: 2, maxRecordBytes: 50_000 }))
        if (++seen === 120) break;
      const open = process.platform === "linux" ? await openIn(inFolder("")) : [];
      expect([seen, open]).toEqual([120, []]);
    }
  });

  it.each([
    ["to the end", ""],
    ["until the consumer breaks off", "if (++seen === 150) break;"],
    ["until the consumer throws", "if (++seen === 150) throw new Error('enough');"],
    ["and then forgotten", "if (++seen === 150) await new Promise(() => setTimeout(() => {}, 1));"],
  ])("lets the process end when it is read %s", async (_, body) => {
    const path = await put("exit.warc", Buffer.concat(crawl));
    const source = `import { documents } from ${JSON.stringify(new URL("data/sources.js", DIST).href)};
      let seen = 0;
      const read = async () => { for await (const d of documents(${JSON.stringify(path)}, { threads: 2 })) { ${body} } };
      read().catch((error) => { if (error.message !== "enough") throw error; });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: "inherit" });
    const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
    const ended = await new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ?? code)));
    clearTimeout(late);
    expect(ended).toBe(0);
  });
});

/** Files below a folder that this process has open. */
async function openIn(folder: string): Promise<string[]> {
  const { readlink } = await import("node:fs/promises");
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((path) => path.startsWith(folder));
}
