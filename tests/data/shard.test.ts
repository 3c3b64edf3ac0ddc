/** Token shards: written whole or not at all, read from memory and from disk, and refused when damaged. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openShards, ShardWriter, TokenShard, TokenStream } from "../../lib/data/index.js";
import { DataError, FormatError, TokenizerError } from "../../lib/errors.js";
import { ByteTokenizer } from "../../lib/tokenizer/index.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-shard-"));
});
afterEach(() => rm(dir, { recursive: true }));

const tokenizer = new ByteTokenizer();

async function write(name: string, documents: number[][], vocabSize = 257): Promise<string> {
  const path = join(dir, name);
  const writer = await ShardWriter.create(path, {
    vocabSize,
    tokenizerFingerprint: tokenizer.fingerprint,
    provenance: { made: "by a test", name },
  });
  try {
    for (const ids of documents) {
      writer.beginDocument();
      await writer.write(ids, ids.length, 1);
    }
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return path;
}

async function readAll(shard: TokenShard): Promise<number[]> {
  const out = new Int32Array(shard.length);
  await shard.read(0, shard.length, out);
  return [...out];
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => (from + i) % 257);

describe("round trip", () => {
  it.each([
    [257, 2],
    [65536, 2],
    [65537, 4],
    [200000, 4],
  ])("vocabulary of %i in %i bytes per token", async (vocabSize, bytes) => {
    const ids = [0, 1, vocabSize - 1, 77];
    const path = await write("a.tokens", [ids, [5]], vocabSize);
    const shard = await TokenShard.open(path);
    expect(shard.header).toMatchObject({
      bytesPerToken: bytes,
      tokens: 5,
      documents: 2,
      textBytes: 5,
      firstTokenBytes: 1,
    });
    expect(shard.header.provenance).toEqual({ made: "by a test", name: "a.tokens" });
    expect(await readAll(shard)).toEqual([...ids, 5]);
    expect([...shard.documentStarts]).toEqual([0, 4]);
    expect(await readdir(dir)).toEqual(["a.tokens"]);
  });

  it("holds no token and no document too", async () => {
    const shard = await TokenShard.open(await write("empty.tokens", []));
    expect([shard.length, shard.documentStarts.length]).toEqual([0, 0]);
  });

  it("is the same file for the same tokens", async () => {
    const one = await readFile(await write("a.tokens", [range(0, 5000)]));
    await rm(join(dir, "a.tokens"));
    expect((await readFile(await write("a.tokens", [range(0, 5000)]))).equals(one)).toBe(true);
  });

  it("reads the same tokens from disk as from memory", async () => {
    // More tokens than one read-ahead, read in order, backwards and at random places.
    const path = await write("big.tokens", [range(0, 700_000), range(3, 600_000)]);
    const memory = await TokenShard.open(path);
    const disk = await TokenShard.open(path, { memoryLimit: 0 });
    expect([memory.inMemory, disk.inMemory]).toEqual([true, false]);
    const a = new Int32Array(1001);
    const b = new Int32Array(1001);
    const starts = [0, 1000, 2000, 1_298_000, 5, 600_000, 601_000, 524_200, 1_298_996, 0];
    for (const start of starts) {
      await memory.read(start, 1001, a);
      await disk.read(start, 1001, b);
      expect(b).toEqual(a);
    }
    await Promise.all(starts.map((start) => disk.read(start, 1001, new Int32Array(1001))));
    await expect(disk.read(1_299_000, 1001, a)).rejects.toThrow(/lie outside/);
    await disk.close();
    await expect(disk.read(0, 1, a)).rejects.toThrow(/closed/);
    await memory.close();
    await memory.read(0, 3, a);
  });
});

describe("damage", () => {
  const broken = async (change: (bytes: Buffer) => Buffer) => {
    const path = await write("a.tokens", [range(0, 100), range(9, 60)]);
    await writeFile(path, change(await readFile(path)));
    return path;
  };
  const flip = (at: number) => (bytes: Buffer) => {
    bytes[at < 0 ? bytes.length + at : at] ^= 1;
    return bytes;
  };

  it.each([
    ["another magic", flip(0), /not a token shard/],
    ["an empty file", () => Buffer.alloc(0), /not a token shard/],
    ["another version", flip(8), /version 0 of the shard format/],
    ["a truncated header", (bytes: Buffer) => bytes.subarray(0, 100), /truncated/],
    ["a header without its end", (bytes: Buffer) => bytes.subarray(0, 150), /truncated/],
    ["truncated tokens", (bytes: Buffer) => bytes.subarray(0, bytes.length - 1), /truncated/],
    ["bytes too many", (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)]), /too long/],
    ["a changed count", flip(16), /damaged header/],
    ["a changed fingerprint", flip(90), /damaged header/],
    ["changed provenance", flip(150), /damaged header/],
    ["changed tokens", flip(200), /do not match their checksum/],
    ["changed documents", flip(-1), /do not match their checksum/],
  ])("refuses %s", async (_, change, message) => {
    const path = await broken(change);
    await expect(TokenShard.open(path)).rejects.toThrow(message);
    await expect(TokenShard.open(path)).rejects.toBeInstanceOf(FormatError);
    await expect(TokenShard.open(path, { memoryLimit: 0, checksum: true })).rejects.toThrow(message);
  });

  it("can leave the checksum out, yet never accepts impossible documents", async () => {
    await expect(TokenShard.open(await broken(flip(200)), { checksum: false })).resolves.toBeInstanceOf(
      TokenShard,
    );
    await rm(join(dir, "a.tokens"));
    await expect(TokenShard.open(await broken(flip(-1)), { checksum: false })).rejects.toThrow(
      /document 1 begins/,
    );
  });

  it("names a missing shard, a wrong tokenizer, and a wrong id", async () => {
    await expect(TokenShard.open(join(dir, "none.tokens"))).rejects.toThrow(DataError);
    const path = await write("a.tokens", [[1]]);
    await expect(openShards([path, join(dir, "none.tokens")])).rejects.toThrow(/Cannot open/);
    const shard = await TokenShard.open(path);
    shard.requireTokenizer(tokenizer);
    expect(() => shard.requireTokenizer(new ByteTokenizer({ eosToken: null }))).toThrow(TokenizerError);
    await expect(write("b.tokens", [[257]])).rejects.toThrow(/outside the vocabulary/);
  });

  it("leaves nothing behind when given up", async () => {
    const writer = await ShardWriter.create(join(dir, "x.tokens"), {
      vocabSize: 10,
      tokenizerFingerprint: tokenizer.fingerprint,
    });
    await writer.write([1, 2, 3], 3);
    expect((await readdir(dir))[0]).toMatch(/^x\.tokens\.tmp-/);
    await writer.abort();
    expect(await readdir(dir)).toEqual([]);
  });
});

describe("TokenStream", () => {
  it("joins shards, with documents at their places", async () => {
    const paths = [
      await write("a.tokens", [[1, 2], [3]]),
      await write("b.tokens", [[4, 5, 6, 7]]),
      await write("c.tokens", [[8], [9, 10]]),
    ];
    const stream = new TokenStream(await openShards(paths));
    expect(stream.length).toBe(10);
    const out = new Int32Array(10);
    await stream.read(0, 10, out);
    expect([...out]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const part = new Int32Array(8).fill(-1);
    await stream.read(2, 6, part, 1);
    expect([...part]).toEqual([-1, 3, 4, 5, 6, 7, 8, -1]);
    expect(stream.documentStarts(0, 10)).toEqual([2, 3, 7, 8]);
    expect(stream.documentStarts(2, 6)).toEqual([1, 5]);
    expect(stream.documentStarts(3, 4)).toEqual([]);
  });

  it("refuses no shards and mixed tokenizers", async () => {
    expect(() => new TokenStream([])).toThrow(DataError);
    const path = join(dir, "other.tokens");
    const writer = await ShardWriter.create(path, { vocabSize: 9, tokenizerFingerprint: "ab".repeat(32) });
    await writer.write([1], 1);
    await writer.close();
    const shards = await openShards([await write("a.tokens", [[1]]), path]);
    expect(() => new TokenStream(shards)).toThrow(/different tokenizers/);
  });
});
