/** Preparations that are killed, stopped, or meet a disk that refuses: they go on after what was completed, to the same bytes. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openPrepared, type PrepareOptions, prepareTokens, TokenShard } from "../../lib/data/index.js";
import { DataError } from "../../lib/errors.js";
import { ByteTokenizer, type Tokenizer } from "../../lib/tokenizer/index.js";
import { faultyFileSystem } from "../io/faults.js";
import { randomNumbers } from "./shards.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-resume-"));
});
afterEach(() => rm(dir, { recursive: true }));

/** Documents of very different lengths as JSON lines. */
async function corpus(documents: number, longest = 4000): Promise<string> {
  const random = randomNumbers(documents);
  const lines = Array.from({ length: documents }, (_, i) => {
    const text = `${i} `.repeat(1 + Math.floor((random() ** 3 * longest) / 4));
    return JSON.stringify({ text });
  });
  const path = join(dir, "corpus.jsonl");
  await writeFile(path, lines.join("\n"));
  return path;
}

/** Names and contents of all files of a folder. */
async function contents(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of (await readdir(folder)).sort()) {
    files[name] = createHash("sha256")
      .update(await readFile(join(folder, name)))
      .digest("hex");
  }
  return files;
}

const tokenizer = new ByteTokenizer();
const prepare = (options: Partial<PrepareOptions> & { paths: string; outDir: string }) =>
  prepareTokens({ tokenizer, shardTokens: 20_000, seed: 2, ...options });

/** A tokenizer that counts the texts it encodes. */
function counting(): { tokenizer: Tokenizer; count: () => number } {
  const counted = new ByteTokenizer();
  let texts = 0;
  const encodeBatch = counted.encodeBatch.bind(counted);
  counted.encodeBatch = (batch, options) => {
    texts += batch.length;
    return encodeBatch(batch, options);
  };
  return { tokenizer: counted, count: () => texts };
}

it("goes on after a kill at any moment, to the same bytes", { timeout: 120_000 }, async () => {
  const script = await bundle(join(dir, "bundle"));
  const paths = await corpus(2000);
  const whole = join(dir, "whole");
  const cut = join(dir, "cut");
  expect(await run([script, paths, whole, "150000"])).toMatch(/done\n$/);
  const random = randomNumbers(5);
  let kills = 0;
  let resumed = 0;
  for (let life = 0; life < 8; life++) {
    const complete = (await readdir(cut).catch(() => [])).filter((name) => name.endsWith(".tokens")).length;
    // After some shards of this life, and a little.
    const out = await run([script, paths, cut, "150000"], 2 + (life % 4), Math.floor(random() * 8));
    if (complete > 0) resumed++;
    if (/done\n$/.test(out)) break;
    kills++;
    // What is there under its name is whole.
    for (const name of await readdir(cut)) {
      if (name.endsWith(".tokens") && !name.startsWith("."))
        await (await TokenShard.open(join(cut, name))).close();
    }
  }
  expect(kills).toBeGreaterThan(1);
  expect(resumed).toBeGreaterThan(1);
  await run([script, paths, cut, "150000"]);
  expect(await run([script, paths, cut, "150000"])).toMatch(/reused\n$/);
  expect(await contents(cut)).toEqual(await contents(whole));

  async function run(args: string[], lines = Number.POSITIVE_INFINITY, delay = 0): Promise<string> {
    const addon = fileURLToPath(new URL("../../build/Release/anneal.node", import.meta.url));
    const child = spawn(process.execPath, args, { env: { ANNEAL_ADDON: addon, ...process.env } });
    let [out, err] = ["", ""];
    child.stdout.on("data", async (text) => {
      out += text;
      if (out.split("\n").length - 1 < lines) return;
      await sleep(delay);
      child.kill("SIGKILL");
    });
    child.stderr.on("data", (text) => {
      err += text;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code === 0 || code === null, err).toBe(true);
    return out;
  }
});

async function bundle(outDir: string): Promise<string> {
  const entry = fileURLToPath(new URL("prepare-child.ts", import.meta.url));
  const output = { entryFileNames: "child.mjs" };
  const options = { ssr: entry, outDir, target: "node20", rollupOptions: { output } };
  await build({ configFile: false, logLevel: "silent", build: options, ssr: { noExternal: true } });
  return join(outDir, "child.mjs");
}

describe("a run that is stopped", () => {
  it.each<[string, Partial<PrepareOptions>]>([
    ["whole documents", {}],
    ["the end of each document", { split: "contiguous", validationFraction: 0.3 }],
    ["nothing", { validationFraction: 0 }],
  ])("encodes only what no complete shard has (validation: %s)", async (_, split) => {
    const paths = await corpus(800);
    const whole = join(dir, "whole");
    const all = counting();
    await prepare({ ...split, paths, outDir: whole, tokenizer: all.tokenizer });
    expect(all.count()).toBeGreaterThanOrEqual(800);
    const cut = join(dir, "cut");
    const controller = new AbortController();
    const first = prepare({
      ...split,
      ...{ paths, outDir: cut, signal: controller.signal },
      onProgress: ({ phase, tokens }) => {
        if (phase === "tokenize" && tokens > 100_000) controller.abort();
      },
    });
    await expect(first).rejects.toThrow(/abort/i);
    expect(await openPrepared(cut)).toBeUndefined();
    const names = await readdir(cut);
    expect(names).toContain("preparing.json");
    expect(names.filter((name) => name.startsWith("train-")).length).toBeGreaterThan(2);
    const rest = counting();
    const { reused } = await prepare({ ...split, paths, outDir: cut, tokenizer: rest.tokenizer });
    expect(reused).toBe(false);
    expect(rest.count()).toBeLessThan(all.count() * 0.9);
    expect(await contents(cut)).toEqual(await contents(whole));
  });

  it("begins anew where a shard of it was lost or the source has changed", async () => {
    const paths = await corpus(300);
    const cut = join(dir, "cut");
    const stop = async () => {
      const controller = new AbortController();
      await expect(
        prepare({
          ...{ paths, outDir: cut, signal: controller.signal },
          onProgress: ({ phase, tokens }) => {
            if (phase === "tokenize" && tokens > 50_000) controller.abort();
          },
        }),
      ).rejects.toThrow(/abort/i);
    };
    await stop();
    const [lost] = (await readdir(cut)).filter((name) => name.startsWith("train-"));
    await rm(join(cut, lost));
    await prepare({ paths, outDir: cut });
    const whole = join(dir, "whole");
    await prepare({ paths, outDir: whole });
    expect(await contents(cut)).toEqual(await contents(whole));
    await rm(cut, { recursive: true });
    await stop();
    await corpus(301);
    await prepare({ paths, outDir: cut });
    await prepare({ paths, outDir: whole });
    // Nothing is left of what was begun with the other text.
    expect(await contents(cut)).toEqual(await contents(whole));
  });
});

describe("a disk that refuses", () => {
  it.each([
    ["ENOSPC", 1],
    ["EIO", 5],
  ])("is a clear error at every operation, and nothing is lost (%s)", async (errno, stride) => {
    const paths = await corpus(40, 2000);
    const whole = join(dir, "whole");
    const small = { paths, shardTokens: 10_000 };
    const { trace } = await attempt(whole);
    const expected = await contents(whole);
    expect(trace.length).toBeGreaterThan(20);
    const last = trace.findIndex((line) => /^rename .*prepared\.json/.test(line));
    for (let at = 0; at < trace.length; at += stride) {
      const outDir = join(dir, "cut");
      await rm(outDir, { recursive: true, force: true });
      const { error } = await attempt(outDir, at);
      if (error !== undefined) {
        expect(error, trace[at]).toBeInstanceOf(DataError);
        expect(error.message).toMatch(
          /^Could not write the (token shard|record) .*(Free space|reports a fault)/,
        );
        expect(error.message).toContain("run the same command again to go on");
        // The record of the whole comes last; only to make it durable may still fail.
        if (at <= last) expect(await openPrepared(outDir), trace[at]).toBeUndefined();
      }
      for (const name of await readdir(outDir)) {
        if (/^[tv].*tokens$/.test(name)) await (await TokenShard.open(join(outDir, name))).close();
      }
      await attempt(outDir);
      expect(await contents(outDir)).toEqual(expected);
    }

    async function attempt(outDir: string, at = -1) {
      const faults = faultyFileSystem({ at, errno });
      const error = await prepare({ ...small, outDir, fs: faults.fs }).then(
        () => undefined,
        (reason: Error) => reason,
      );
      return { trace: faults.trace, error };
    }
  });
});
