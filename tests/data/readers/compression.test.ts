/** gzip, zstd and brotli around every format, and streams that end early, are damaged, or are something else. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { SkippedRecord } from "../../../lib/data/index.js";
import { unpack } from "../../../lib/data/readers/compression.js";
import { XxHash64 } from "../../../lib/data/readers/xxh64.js";
import { DataError } from "../../../lib/errors.js";
import { changed, failure, GOLDEN, put, read, temporaryFiles, texts } from "./reading.js";

temporaryFiles();

const golden = JSON.parse(readFileSync(join(GOLDEN, "streams.json"), "utf8")) as {
  text: string;
  streams: Record<string, string>;
};
const stream = (name: string) => Buffer.from(golden.streams[name], "base64");
const ending = (name: string) => (name.startsWith("zstd") ? "zst" : "gz");

/** Unpacks bytes that come in pieces of an odd size. */
async function unpacked(bytes: Buffer, name: string): Promise<Buffer> {
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += 1777) yield bytes.subarray(at, at + 1777);
  }
  const found: Buffer[] = [];
  const compression = name.startsWith("zstd") ? "zstd" : "gzip";
  for await (const chunk of unpack(pieces(), compression, `cut.txt.${ending(name)}`)) found.push(chunk);
  return Buffer.concat(found);
}

describe("streams that other tools wrote", () => {
  it.each(Object.keys(golden.streams))("unpacks %s", async (name) => {
    const path = await put(`${name}.txt.${ending(name)}`, stream(name));
    expect(await read(path)).toEqual([{ text: golden.text, source: path }]);
  });

  it("goes with every other format", async () => {
    const record = '{"text":"one"}\n{"text":"two"}\n';
    expect(await texts(await put("a.jsonl.gz", gzipSync(record)))).toEqual(["one", "two"]);
    expect(await texts(await put("a.csv.gz", gzipSync("text\none\ntwo\n")))).toEqual(["one", "two"]);
    expect(await texts(await put("a.JSONL.BR", brotliCompressSync(record)))).toEqual(["one", "two"]);
    expect(
      await texts(await put("a.bin", gzipSync(record)), { format: "jsonl", compression: "gzip" }),
    ).toEqual(["one", "two"]);
    expect(await texts(await put("lies.jsonl.gz", record), { compression: "none" })).toEqual(["one", "two"]);
  });

  it("finds compressed files in folders", async () => {
    const dir = join(await put("tree/a.md.gz", gzipSync("a")), "..");
    await put("tree/b.txt.zst", stream("zstd"));
    await put("tree/c.bin.gz", gzipSync("c"));
    expect(await texts(dir)).toEqual(["a", golden.text]);
    expect(await texts(dir, { extensions: [".md"] })).toEqual(["a"]);
    expect(await texts(dir, { extensions: [".bin.gz"] })).toEqual(["c"]);
  });
});

describe("streams that are not whole", () => {
  it.each(["gzip", "gzip-members", "zstd", "zstd-frames", "zstd-stream"])(
    "notices the end of %s at any byte",
    async (name) => {
      const bytes = stream(name);
      const ends = wholeEnds(name, bytes);
      for (let length = 0; length < bytes.length; length += length < 64 ? 1 : 7) {
        if (ends.has(length)) continue;
        const error = await unpacked(bytes.subarray(0, length), name).then(
          () => new Error("whole"),
          (caught: DataError) => caught,
        );
        expect(error.message, `after ${length} bytes`).toMatch(/cut\.txt.*(truncated|empty)/);
        expect((error as DataError).details.offset).toBe(length);
      }
    },
  );

  it("gives what was whole when told to skip damage", async () => {
    const lines = Array.from({ length: 5000 }, (_, i) => JSON.stringify({ text: `number ${i * 7919}` })).join(
      "\n",
    );
    const packed = gzipSync(lines);
    const path = await put("part.jsonl.gz", packed.subarray(0, packed.length / 2));
    const skipped: SkippedRecord[] = [];
    const found = await texts(path, { onError: "skip", onSkip: (record) => skipped.push(record) });
    expect(found.length).toBeGreaterThan(100);
    expect(found.every((text, i) => text === `number ${i * 7919}`)).toBe(true);
    expect(skipped).toEqual([
      {
        source: path,
        offset: Math.floor(packed.length / 2),
        reason: expect.stringMatching(/truncated/),
        skipped: 1,
      },
    ]);
    // A text would be torn in the middle: it is left out altogether.
    const text = await put("part.txt.gz", packed.subarray(0, packed.length / 2));
    const other = await put("whole.txt", "whole");
    expect(await texts([text, other], { onError: "skip" })).toEqual(["whole"]);
  });
});

/** Lengths at which a stream of several members or frames is whole. */
function wholeEnds(name: string, bytes: Buffer): Set<number> {
  const magic = name.startsWith("zstd") ? [0x28, 0xb5, 0x2f, 0xfd] : [0x1f, 0x8b, 0x08];
  const ends = new Set<number>();
  for (let at = 1; at < bytes.length; at++) {
    if (magic.every((byte, i) => bytes[at + i] === byte)) ends.add(at);
  }
  return ends;
}

describe("streams that are damaged", () => {
  it("notices changed bytes in gzip, and says between which bytes", async () => {
    const bytes = stream("gzip");
    for (let at = 12; at < bytes.length; at += 211) {
      const error = await failure(await put("bad.txt.gz", changed(bytes, { [at]: bytes[at] ^ 0x55 })));
      expect(error.message).toMatch(
        /bad\.txt\.gz: the gzip stream is (damaged.*between bytes 0 and \d+|truncated)/,
      );
    }
  });

  it("notices changed bytes in zstd with checksums", async () => {
    const bytes = withChecksum(golden.text);
    expect(await texts(await put("sum.txt.zst", bytes))).toEqual([golden.text]);
    for (let at = 0; at < bytes.length; at += 397) {
      const error = await failure(await put("bad.txt.zst", changed(bytes, { [at]: bytes[at] ^ 0x20 })));
      expect(error.message).toMatch(
        /bad\.txt\.zst.*(damaged|not a zstd file|truncated|follow the stream|window|bit that must be 0|dictionary)/,
      );
    }
  });

  it("ends in a typed error or in text whatever byte of zstd is changed", async () => {
    for (const name of ["zstd", "zstd-high", "zstd-frames"]) {
      const bytes = stream(name);
      for (let at = 0; at < bytes.length; at += at < 200 ? 1 : 23) {
        for (const value of [bytes[at] ^ 0xff, bytes[at] ^ 0x04]) {
          const error = await unpacked(changed(bytes, { [at]: value }), name).then(
            () => undefined,
            (caught) => caught,
          );
          if (error !== undefined) expect(error, `byte ${at}: ${error.stack}`).toBeInstanceOf(DataError);
        }
      }
    }
  });

  it("notices what follows a stream", async () => {
    expect(
      (await failure(await put("tail.txt.gz", Buffer.concat([stream("gzip"), Buffer.from("tail")])))).message,
    ).toMatch(/gzip stream is damaged/);
    const tail = await failure(
      await put("tail.txt.zst", Buffer.concat([stream("zstd"), Buffer.from("tail")])),
    );
    expect(tail.message).toMatch(/follow the stream/);
    expect(tail.details.offset).toBe(stream("zstd").length);
  });

  it("passes over skippable zstd frames", async () => {
    const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const bytes = Buffer.concat([skippable, stream("zstd"), skippable]);
    expect(await texts(await put("skip.txt.zst", bytes))).toEqual([golden.text]);
    expect((await failure(await put("skip2.txt.zst", bytes.subarray(0, bytes.length - 1)))).message).toMatch(
      /truncated/,
    );
  });

  it("refuses windows and dictionaries that it would need too much for", async () => {
    // A frame head with a window of 2^41 bytes, and one that names a dictionary.
    const wide = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 1, 0, 0]);
    expect((await failure(await put("wide.txt.zst", wide))).message).toMatch(
      /window of \d+ bytes.*--long=27/,
    );
    const dictionary = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 7, 1, 0, 0]);
    expect((await failure(await put("dict.txt.zst", dictionary))).message).toMatch(/zstd dictionary/);
  });

  it("names endings that lie", async () => {
    const plain = await failure(await put("plain.jsonl.gz", '{"text":"x"}\n'));
    expect(plain.message).toMatch(/plain\.jsonl\.gz is not a gzip file.*compression: "none"/);
    expect((await failure(await put("plain.txt.zst", "plain text"))).message).toMatch(/is not a zstd file/);
    expect((await failure(await put("packed.jsonl", gzipSync("x".repeat(50))))).message).toMatch(
      /compressed with gzip/,
    );
    expect((await failure(await put("packed.md", stream("zstd")))).message).toMatch(/compressed with zstd/);
    expect((await failure(await put("plain.txt.br", "no brotli at all, no no"))).message).toMatch(
      /brotli stream is/,
    );
  });
});

/** A zstd stream of raw blocks with a checksum, after RFC 8878. */
function withChecksum(text: string): Buffer {
  const content = Buffer.from(text);
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x84, 0x58, 0, 0, 0, 0]);
  head.writeUInt32LE(content.length, 6);
  const parts = [head];
  for (let at = 0; at < content.length; at += 5000) {
    const block = content.subarray(at, at + 5000);
    const blockHead = Buffer.alloc(3);
    blockHead.writeUIntLE((block.length << 3) | (at + 5000 >= content.length ? 1 : 0), 0, 3);
    parts.push(blockHead, block);
  }
  const hash = new XxHash64();
  hash.update(content);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(hash.low());
  return Buffer.concat([...parts, sum]);
}

describe("xxHash64", () => {
  /** The same in BigInt, straight from its description. */
  function reference(bytes: Uint8Array): number {
    const mask = (1n << 64n) - 1n;
    const [p1, p2, p3, p4, p5] = [
      0x9e3779b185ebca87n,
      0xc2b2ae3d27d4eb4fn,
      0x165667b19e3779f9n,
      0x85ebca77c2b2ae63n,
      0x27d4eb2f165667c5n,
    ];
    const rotate = (x: bigint, bits: bigint) => ((x << bits) | (x >> (64n - bits))) & mask;
    const round = (acc: bigint, input: bigint) => (rotate((acc + input * p2) & mask, 31n) * p1) & mask;
    const buffer = Buffer.from(bytes);
    let at = 0;
    let hash = p5;
    if (bytes.length >= 32) {
      const lanes = [(p1 + p2) & mask, p2, 0n, -p1 & mask];
      for (; at + 32 <= bytes.length; at += 32) {
        for (let lane = 0; lane < 4; lane++)
          lanes[lane] = round(lanes[lane], buffer.readBigUInt64LE(at + 8 * lane));
      }
      hash =
        (rotate(lanes[0], 1n) + rotate(lanes[1], 7n) + rotate(lanes[2], 12n) + rotate(lanes[3], 18n)) & mask;
      for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * p1 + p4) & mask;
    }
    hash = (hash + BigInt(bytes.length)) & mask;
    for (; at + 8 <= bytes.length; at += 8) {
      hash = (rotate(hash ^ round(0n, buffer.readBigUInt64LE(at)), 27n) * p1 + p4) & mask;
    }
    if (at + 4 <= bytes.length) {
      hash = (rotate(hash ^ ((BigInt(buffer.readUInt32LE(at)) * p1) & mask), 23n) * p2 + p3) & mask;
      at += 4;
    }
    for (; at < bytes.length; at++)
      hash = (rotate(hash ^ ((BigInt(bytes[at]) * p5) & mask), 11n) * p1) & mask;
    hash = ((hash ^ (hash >> 33n)) * p2) & mask;
    hash = ((hash ^ (hash >> 29n)) * p3) & mask;
    return Number((hash ^ (hash >> 32n)) & 0xffffffffn);
  }

  it("has the value of the empty string", () => {
    expect(new XxHash64().low()).toBe(0x51d8e999);
  });

  it("agrees with its description at all lengths, however the bytes are cut", () => {
    let state = 12345;
    const bytes = Uint8Array.from(
      { length: 300 },
      () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >>> 16,
    );
    for (let length = 0; length <= 300; length += length < 100 ? 1 : 17) {
      const whole = bytes.subarray(0, length);
      for (const step of [1, 7, 32, 33, 300]) {
        const hash = new XxHash64();
        for (let at = 0; at < length; at += step) hash.update(whole.subarray(at, at + step));
        expect(hash.low(), `length ${length}, step ${step}`).toBe(reference(whole));
      }
    }
  });
});
