/** Token shards: written whole or not at all, read from anywhere, and refused when damaged or cut short. */
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openShards, ShardWriter, TokenShard, TokenStream } from "../../lib/data/index.js";
import { DataError, FormatError, TokenizerError } from "../../lib/errors.js";
import { MappedFile } from "../../lib/native/text/shards.js";
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

const readAt = (shard: TokenShard, start: number, out: Int32Array): Promise<void> =>
  new TokenStream([shard]).read(start, out.length, out);

async function readAll(shard: TokenShard): Promise<number[]> {
  const out = new Int32Array(shard.length);
  await readAt(shard, 0, out);
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

  it("reads tokens from anywhere, few here and now, many on a thread", async () => {
    const tokens = [...range(0, 700_000), ...range(3, 600_000)];
    const shard = await TokenShard.open(await write("big.tokens", [range(0, 700_000), range(3, 600_000)]));
    for (const length of [1, 1001, 20_000]) {
      const starts = [0, 1000, 2000, 1_270_000, 5, 600_000, 601_000, 524_200, shard.length - length, 0];
      const out = new Int32Array(length);
      for (const start of starts) {
        await readAt(shard, start, out);
        expect([...out]).toEqual(tokens.slice(start, start + length));
      }
    }
    await expect(readAt(shard, shard.length - 4, new Int32Array(5))).rejects.toThrow(/lie outside/);
    const later = readAt(shard, 0, new Int32Array(1_000_000));
    await shard.close();
    await later;
    await expect(readAt(shard, 0, new Int32Array(1))).rejects.toThrow(/closed/);
    expect(() => shard.documentStarts).toThrow(/closed/);
    await shard.close();
  });
});

describe("a file that changes while it is in use", () => {
  it("is an error when it is cut short, whatever is read, and the process lives on", async () => {
    const path = await write("a.tokens", [range(0, 300_000), range(0, 300_000)]);
    const shard = await TokenShard.open(path);
    await truncate(path, 8192);
    for (const length of [1, 100, 500_000]) {
      const error = await readAt(shard, 0, new Int32Array(length)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(DataError);
      expect((error as DataError).message).toMatch(
        /a\.tokens was cut short while it is in use: it had \d+ bytes, now 8192/,
      );
    }
    expect(() => shard.documentStarts).toThrow(/cut short/);
    await shard.close();
  });

  it("survives being cut short in the middle of copies", async () => {
    const path = await write("a.tokens", [range(0, 2_000_000)]);
    const whole = await readFile(path);
    const child = join(dir, "cut.mjs");
    // Another process cuts the file and mends it, so that some copies meet pages that are gone.
    await writeFile(
      child,
      `import { truncateSync, writeFileSync, readFileSync } from "node:fs";
       const bytes = readFileSync(process.argv[2]);
       for (let i = 0; i < 60; i++) { truncateSync(process.argv[2], 4096); writeFileSync(process.argv[2], bytes, { flag: "r+" }); }`,
    );
    const shard = await TokenShard.open(path);
    const out = new Int32Array(2_000_000);
    let ended = false;
    const cutting = spawn(process.execPath, [child, path]);
    cutting.on("close", () => {
      ended = true;
    });
    let failed = 0;
    while (!ended) {
      await readAt(shard, 0, out).catch((error: unknown) => {
        expect(error).toBeInstanceOf(DataError);
        failed++;
      });
    }
    expect(failed).toBeGreaterThan(0);
    await writeFile(path, whole, { flag: "r+" });
    await readAt(shard, 0, out);
    expect(out[1_999_999]).toBe(1_999_999 % 257);
    await shard.close();
  });
});

describe("files larger than what may be mapped in", () => {
  it("are read by system calls, the same tokens and the same errors", async () => {
    const large = join(dir, "large");
    await writeFile(large, "");
    // Nothing of it is on the disk.
    await truncate(large, 600 * 2 ** 20);
    for (const vocabSize of [257, 70_000]) {
      const path = await write("a.tokens", [range(0, 50_000), range(5, 40_000)], vocabSize);
      const shard = await TokenShard.open(path);
      const mapped = await readAll(shard);
      const part = new Int32Array(30_001);
      const starts = shard.documentStarts;
      const map = MappedFile.open(large);
      expect(await readAll(shard)).toEqual(mapped);
      await readAt(shard, 49_999, part);
      expect([...part]).toEqual(mapped.slice(49_999, 80_000));
      expect(shard.documentStarts).toEqual(starts);
      expect([...shard.startsBetween(1, 90_000)]).toEqual([49_999]);
      await truncate(path, 4096);
      await expect(readAt(shard, 0, part)).rejects.toThrow(/cut short while it is in use/);
      await shard.close();
      map.close();
      await rm(path);
    }
  });

  it("name what cannot be mapped", () => {
    for (const path of [join(dir, "none"), dir]) {
      expect(() => MappedFile.open(path)).toThrow(DataError);
      expect(() => MappedFile.open(path)).toThrow(`Cannot ${path === dir ? "map" : "open"} ${path}`);
    }
  });

  it("refuse what lies outside them", async () => {
    const path = join(dir, "few");
    await writeFile(path, "12345678");
    const map = MappedFile.open(path);
    expect(map.size).toBe(8);
    expect(() => map.words(8, 1)).toThrow(/Bytes 8 to 16 lie outside .*few of 8 bytes/);
    expect(() => map.read(2 ** 52, new Uint8Array(1))).toThrow(DataError);
    const bytes = new Uint8Array(3);
    map.read(5, bytes);
    expect(Buffer.from(bytes).toString()).toBe("678");
    map.close();
    expect(() => map.words(0, 1)).toThrow(/closed/);
    await writeFile(path, "");
    const none = MappedFile.open(path);
    expect([none.size, none.words(0, 0).length]).toEqual([0, 0]);
    none.close();
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
    expect((await readdir(dir))[0]).toMatch(/^\.x\.tokens\.tmp-/);
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
