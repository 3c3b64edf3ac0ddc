/** From files to shards and back: splits add up, results are reused, failures leave the earlier data. */
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  evaluationWindows,
  openShards,
  type PreparedSplit,
  type PrepareOptions,
  type PrepareProgress,
  prepareTokens,
  splitText,
  textBaselines,
  tokenByteTable,
} from "../../lib/data/index.js";
import { ConfigError, DataError, TokenizerError } from "../../lib/errors.js";
import { ByteTokenizer, CharTokenizer, loadTokenizer, type Tokenizer } from "../../lib/tokenizer/index.js";

const golden = fileURLToPath(new URL("../golden/tokenizers/", import.meta.url));
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-prepare-"));
});
afterEach(() => rm(dir, { recursive: true }));

const STORY = "Es war einmal – ein kleiner Text, der größer werden wollte. 👍\n".repeat(40);

async function put(name: string, text: string): Promise<string> {
  const path = join(dir, name);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, text);
  return path;
}

async function folder(count: number): Promise<string> {
  for (let i = 0; i < count; i++) {
    await put(
      `texts/${String(i).padStart(3, "0")}.txt`,
      `Text ${i}: ${"we will see what it is. ".repeat(2 + (i % 7))}\n`,
    );
  }
  return join(dir, "texts");
}

const prepare = (options: Partial<PrepareOptions> & { paths: string }) =>
  prepareTokens({ tokenizer: new ByteTokenizer(), outDir: join(dir, "out"), ...options });

async function tokensOf(split: PreparedSplit): Promise<number[]> {
  const ids: number[] = [];
  for (const shard of await openShards(split.shards)) {
    const out = new Int32Array(shard.length);
    await shard.read(0, shard.length, out);
    ids.push(...out);
  }
  return ids;
}

describe("one text", () => {
  it("keeps its end for validation", async () => {
    const tokenizer = CharTokenizer.fromText(STORY);
    const data = await prepare({ paths: await put("story.txt", STORY), tokenizer });
    const { train, validation } = splitText(STORY, 0.1);
    expect(data.splitMethod).toBe("contiguous");
    expect(tokenizer.decode(await tokensOf(data.train))).toBe(train);
    expect(tokenizer.decode(await tokensOf(data.validation))).toBe(validation);
    expect(data.train).toMatchObject({ bytes: Buffer.byteLength(train), documents: 1 });
    expect(data.train.bytes + data.validation.bytes).toBe(Buffer.byteLength(STORY));
    expect(data.baselines).toEqual(textBaselines(train, validation));
    expect(data.reused).toBe(false);
  });

  it("is the same stream in shards of any size", async () => {
    const paths = await put("story.txt", STORY);
    const whole = await tokensOf((await prepare({ paths })).train);
    // A shard ends with the document that fills it.
    const parts = await prepare({ paths, outDir: join(dir, "parts"), shardTokens: 100 });
    expect(await tokensOf(parts.train)).toEqual(whole);
    expect(parts.train.tokens).toBe(whole.length);
  });

  it("can keep nothing for validation", async () => {
    const data = await prepare({ paths: await put("story.txt", STORY), validationFraction: 0 });
    expect(data.validation).toEqual({ shards: [], tokens: 0, bytes: 0, documents: 0 });
    expect(data.baselines).toBeNull();
    expect(data.train.bytes).toBe(Buffer.byteLength(STORY));
  });
});

describe("many documents", () => {
  it.each(["byte", "gpt2", "char"])(
    "go whole to one side, each followed by the end token (%s)",
    async (name) => {
      const paths = await folder(60);
      const texts = await Promise.all(
        (await readdir(paths)).sort().map((file) => readFile(join(paths, file), "utf8")),
      );
      const tokenizer: Tokenizer =
        name === "char"
          ? CharTokenizer.fromText(texts.join(""), { eosToken: "<|endoftext|>" })
          : await loadTokenizer(join(golden, name));
      const data = await prepare({ paths, tokenizer, seed: 3, shardTokens: 700 });
      expect(data.splitMethod).toBe("documents");
      expect(data.sourceFiles).toBe(60);
      expect(data.train.documents + data.validation.documents).toBe(60);
      expect(data.train.shards.length).toBeGreaterThan(1);
      const total = texts.reduce((sum, text) => sum + text.length, 0);
      expect(data.train.bytes + data.validation.bytes).toBe(total);
      expect(data.validation.bytes / total).toBeGreaterThan(0.08);
      expect(data.validation.bytes / total).toBeLessThanOrEqual(0.1);

      const split = async (part: PreparedSplit) => {
        const ids = await tokensOf(part);
        expect(ids.length).toBe(part.tokens);
        expect(ids.at(-1)).toBe(tokenizer.eosId);
        return tokenizer.decode(ids).split("<|endoftext|>").slice(0, -1);
      };
      const [train, validation] = [await split(data.train), await split(data.validation)];
      expect([...train, ...validation].sort()).toEqual([...texts].sort());

      // Documents begin where the shards say, and the bytes that evaluation counts are those of the text.
      const shards = await openShards(data.validation.shards);
      const starts = shards.flatMap((shard) => [...shard.documentStarts]);
      expect(starts.length).toBe(data.validation.documents);
      let bytes = 0;
      const table = tokenByteTable(tokenizer);
      for await (const batch of evaluationWindows(shards, { sequenceLength: 16, tokenBytes: table }))
        bytes += batch.bytes;
      expect(bytes).toBe(data.validation.bytes - shards[0].header.firstTokenBytes);
    },
  );

  it("never puts equal documents on both sides", async () => {
    const paths = await folder(40);
    for (let i = 0; i < 40; i++)
      await put(
        `texts/copy${i}.txt`,
        await readFile(join(paths, `${String(i).padStart(3, "0")}.txt`), "utf8"),
      );
    const tokenizer = new ByteTokenizer();
    const data = await prepare({ paths, tokenizer, validationFraction: 0.3 });
    const texts = async (part: PreparedSplit) =>
      new Set(tokenizer.decode(await tokensOf(part)).split("<|endoftext|>"));
    const [train, validation] = [await texts(data.train), await texts(data.validation)];
    train.delete("");
    expect([...train].filter((text) => validation.has(text))).toEqual([]);
    expect(data.validation.documents % 2).toBe(0);
  });

  it("can put the begin token before documents", async () => {
    const tokenizer = new ByteTokenizer({ bosToken: "<s>" });
    const data = await prepare({
      paths: await put("a.txt", "abc"),
      tokenizer,
      validationFraction: 0,
      bos: true,
      eos: false,
    });
    expect(await tokensOf(data.train)).toEqual([tokenizer.bosId, 97, 98, 99]);
    expect(data.train.bytes).toBe(3);
  });
});

describe("reuse", () => {
  it("finds the shards of last time, until something changes", async () => {
    const paths = await put("story.txt", STORY);
    const first = await prepare({ paths });
    const again = await prepare({ paths });
    expect(again).toEqual({ ...first, reused: true });

    expect((await prepare({ paths, seed: 1 })).reused).toBe(false);
    expect((await prepare({ paths, seed: 1 })).reused).toBe(true);
    expect((await prepare({ paths, seed: 1, force: true })).reused).toBe(false);
    expect((await prepare({ paths, seed: 1, tokenizer: new ByteTokenizer({ eosToken: null }) })).reused).toBe(
      false,
    );
    await utimes(paths, 1, 1);
    expect((await prepare({ paths, seed: 1 })).reused).toBe(false);
    // Shards of earlier preparations are gone.
    expect((await readdir(join(dir, "out"))).length).toBe(3);
  });

  it("makes shards again that were damaged or lost", async () => {
    const paths = await put("story.txt", STORY);
    const first = await prepare({ paths });
    await writeFile(first.train.shards[0], (await readFile(first.train.shards[0])).subarray(0, 200));
    expect((await prepare({ paths })).reused).toBe(false);
    await rm(first.validation.shards[0]);
    expect((await prepare({ paths })).reused).toBe(false);
    await writeFile(join(dir, "out", "prepared.json"), "{");
    expect((await prepare({ paths })).reused).toBe(false);
    expect((await prepare({ paths })).reused).toBe(true);
  });

  it("keeps the earlier data when it fails or is stopped", async () => {
    const paths = await put("story.txt", STORY);
    const tokenizer = CharTokenizer.fromText(STORY);
    const first = await prepare({ paths, tokenizer });
    const before = (await readdir(join(dir, "out"))).sort();
    await put("story.txt", `${STORY} ΩΩΩ`);
    await expect(prepare({ paths, tokenizer })).rejects.toThrow(/story\.txt: The character "Ω"/);
    await expect(prepare({ paths, tokenizer })).rejects.toBeInstanceOf(TokenizerError);
    await expect(prepare({ paths, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    expect((await readdir(join(dir, "out"))).sort()).toEqual(before);
    await expect(openShards(first.train.shards)).resolves.toHaveLength(1);
  });
});

it("reports progress through both phases", async () => {
  const seen: PrepareProgress[] = [];
  await prepare({ paths: await folder(30), onProgress: (progress) => seen.push({ ...progress }) });
  const scan = seen.filter((progress) => progress.phase === "scan");
  const tokenize = seen.filter((progress) => progress.phase === "tokenize");
  expect(scan.at(-1)).toMatchObject({ documents: 30 });
  expect(scan.at(-1)?.bytes).toBe(scan.at(-1)?.totalBytes);
  expect(tokenize.at(-1)?.bytes).toBe(tokenize.at(-1)?.totalBytes);
  expect(tokenize.at(-1)?.tokens).toBeGreaterThan(1000);
  expect(tokenize.at(-1)).toMatchObject({ documents: 30, secondsLeft: 0 });
  for (const { bytesPerSecond, bytes, totalBytes } of tokenize) {
    expect(bytesPerSecond).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(totalBytes);
  }
});

it("knows the size of packed text better the further it comes, and tells of what it skips once", async () => {
  const lines = Array.from({ length: 4000 }, (_, i) => JSON.stringify({ text: `line ${i} `.repeat(300) }));
  lines.splice(7, 0, "{ this is none");
  const paths = join(dir, "packed.jsonl.gz");
  await writeFile(paths, gzipSync(lines.join("\n")));
  const seen: PrepareProgress[] = [];
  const skipped: unknown[] = [];
  const data = await prepare({
    ...{ paths, onError: "skip", onSkip: (record) => skipped.push(record), split: "contiguous" },
    onProgress: (progress) => seen.push({ ...progress }),
  });
  const bytes = data.train.bytes + data.validation.bytes;
  expect(bytes).toBeGreaterThan(20 * data.sourceBytes);
  const half = seen.find((progress) => progress.bytes > bytes / 2);
  expect(half?.totalBytes).toBeGreaterThan(bytes * 0.6);
  expect(seen.at(-1)).toMatchObject({ bytes, totalBytes: bytes });
  expect(skipped.length).toBe(1);
});

describe("what cannot be prepared", () => {
  it("has a typed error with the fix", async () => {
    await expect(prepare({ paths: join(dir, "none") })).rejects.toThrow(DataError);
    await expect(prepare({ paths: await put("empty.txt", "") })).rejects.toThrow(/data is empty/);
    await expect(prepare({ paths: await put("one.txt", "x") })).rejects.toThrow(/too short to be split/);
    const paths = await put("story.txt", STORY);
    await expect(prepare({ paths, validationFraction: 1 })).rejects.toThrow(ConfigError);
    await expect(prepare({ paths, split: "document" as "documents" })).rejects.toThrow(
      /Did you mean "documents"/,
    );
    await expect(prepare({ paths, shardToken: 5 } as { paths: string })).rejects.toThrow(
      /Did you mean "shardTokens"/,
    );
  });
});
