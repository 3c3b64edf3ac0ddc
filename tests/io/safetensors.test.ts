import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  CheckpointError,
  ConfigError,
  DisposedError,
  DtypeError,
  FormatError,
  ShapeError,
} from "../../lib/errors.js";
import { type Dtype, type NamedArray, openSafetensors, toF32, writeSafetensors } from "../../lib/io/index.js";
import { faultyFileSystem } from "./faults.js";
import { bytesOf, f32, rejection, temporaryFolder } from "./temporary.js";

const golden = JSON.parse(readFileSync(new URL("../golden/safetensors.json", import.meta.url), "utf8")).cases;

/** A file with any header text and data. */
async function craft(header: string | object, data = new Uint8Array(0), claimed?: bigint): Promise<string> {
  const raw = typeof header === "string" || header instanceof Uint8Array;
  const json = Buffer.from(raw ? (header as string) : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(json.length));
  const path = join(await temporaryFolder(), "crafted.safetensors");
  await writeFile(path, Buffer.concat([length, json, data]));
  return path;
}

const entry = (dtype: unknown, shape: unknown, begin: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe("files of the safetensors library", () => {
  it("are read with all dtypes", async () => {
    const path = join(await temporaryFolder(), "golden.safetensors");
    await writeFile(path, Buffer.from(golden.mixed.file, "base64"));
    const file = await openSafetensors(path);
    expect(file.metadata).toEqual({ format: "pt" });
    expect(file.tensors.get("model.b.weight")).toMatchObject({ dtype: "f32", shape: [2, 3] });
    expect(file.tensors.get("steps")).toMatchObject({ dtype: "i64", shape: [] });
    expect([...file.tensors.keys()].sort()).toEqual(Object.keys(golden.mixed.f32).sort());
    for (const [name, values] of Object.entries<string[]>(golden.mixed.f32)) {
      const { dtype } = file.tensors.get(name) as { dtype: Dtype };
      const expected = Float32Array.from(values, (text) => Number(text.replace("inf", "Infinity")));
      expect([...toF32(dtype, await file.read(name))], name).toEqual([...expected]);
    }
    await file.close();
  });

  it("are reproduced byte for byte", async () => {
    for (const name of ["mixed", "none"]) {
      const dir = await temporaryFolder();
      const original = Buffer.from(golden[name].file, "base64");
      await writeFile(join(dir, "a"), original);
      const file = await openSafetensors(join(dir, "a"));
      const written = await writeSafetensors(join(dir, "b"), file.arrays().reverse());
      expect((await readFile(join(dir, "b"))).equals(original)).toBe(true);
      expect(written).toEqual({
        bytes: original.length,
        sha256: createHash("sha256").update(original).digest("hex"),
      });
      expect(await file.sha256()).toBe(written.sha256);
      await file.close();
    }
  });
});

describe("writeSafetensors", () => {
  it("round-trips lazy arrays, one at a time", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    let live = 0;
    const lazy = (array: NamedArray): NamedArray => ({
      ...array,
      data: async () => {
        expect(++live).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        live--;
        return array.data as Uint8Array;
      },
    });
    const arrays = [f32("b", [2, 2]), f32("a", [3]), f32("scalar", []), f32("none", [0, 4])];
    await writeSafetensors(path, arrays.map(lazy), { step: "12" });
    const file = await openSafetensors(path);
    expect(file.metadata).toEqual({ format: "pt", step: "12" });
    expect([...file.tensors.keys()]).toEqual(["a", "b", "none", "scalar"]);
    for (const array of arrays) expect(await file.read(array.name)).toEqual(array.data);
    await file.close();
  });

  it("aligns the data to 8 bytes", async () => {
    const dir = await temporaryFolder();
    for (let i = 1; i < 12; i++) {
      const path = join(dir, `${i}.safetensors`);
      await writeSafetensors(path, [f32("n".repeat(i), [1])]);
      const bytes = await readFile(path);
      expect(Number(bytes.readBigUInt64LE(0)) % 8).toBe(0);
    }
  });

  it("refuses arrays that cannot be stored", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    const ok = f32("a", [2]);
    const cases: Array<[NamedArray[], new (...args: never[]) => Error, string]> = [
      [[ok, ok], FormatError, 'Two arrays are called "a"'],
      [[{ ...ok, name: "__metadata__" }], FormatError, "__metadata__"],
      [[{ ...ok, dtype: "bf16x" as Dtype }], DtypeError, 'Did you mean "bf16"?'],
      [[{ ...ok, shape: [3] }], ShapeError, "needs 12 bytes, but its data has 8"],
      [[{ ...ok, shape: [-2] }], ShapeError, "non-negative integers"],
      [[{ ...ok, shape: [2 ** 40, 2 ** 40] }], ShapeError, "2^53"],
      [[{ ...ok, shape: [3], data: async () => new Uint8Array(8) }], ShapeError, "needs 12 bytes"],
    ];
    for (const [arrays, type, text] of cases) {
      const error = await rejection(writeSafetensors(path, arrays));
      expect(error).toBeInstanceOf(type);
      expect(error.message).toContain(text);
    }
    expect(await rejection(writeSafetensors(path, [ok], { n: 1 as unknown as string }))).toBeInstanceOf(
      ConfigError,
    );
    expect(await readdir(join(path, ".."))).toEqual([]);
  });

  it("leaves the old file or the new one at every failing operation", async () => {
    const dir = await temporaryFolder();
    const path = join(dir, "x.safetensors");
    for (const mode of ["once", "crash"] as const) {
      for (let at = 0, struck = true; struck; at++) {
        await writeSafetensors(path, [f32("a", [4], () => 1)]);
        const { fs, trace } = faultyFileSystem({ at, mode, errno: "ENOSPC" });
        const error = await writeSafetensors(path, [f32("a", [4], () => 2)], {}, { fs }).catch((e) => e);
        struck = trace.length > at;
        if (error instanceof Error) expect(error).toBeInstanceOf(CheckpointError);
        const file = await openSafetensors(path);
        const values = [...toF32("f32", await file.read("a"))];
        expect(values[0] === 1 || values[0] === 2).toBe(true);
        expect(new Set(values).size).toBe(1);
        await file.close();
        if (mode === "once") expect(await readdir(dir)).toEqual(["x.safetensors"]);
      }
    }
  });

  it("stops when it is aborted", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    const controller = new AbortController();
    const data = async () => {
      controller.abort();
      return new Uint8Array(4);
    };
    const first = { ...f32("a", [1]), data };
    const error = await rejection(
      writeSafetensors(path, [first, f32("b", [1])], {}, { signal: controller.signal }),
    );
    expect(error.name).toBe("AbortError");
    expect(await readdir(join(path, ".."))).toEqual([]);
  });
});

describe("openSafetensors", () => {
  it("reads parts of a tensor and refuses what lies outside", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    await writeSafetensors(path, [f32("weight", [8]), f32("other", [1])]);
    const file = await openSafetensors(path);
    const part = new Uint8Array(8);
    await file.readInto("weight", part, 16);
    expect([...toF32("f32", part)]).toEqual([4, 5]);
    expect(await rejection(file.readInto("weight", part, 28))).toBeInstanceOf(ShapeError);
    expect(await rejection(file.readInto("weight", part, -4))).toBeInstanceOf(ShapeError);
    expect((await rejection(file.read("wieght"))).message).toContain('Did you mean "weight"?');
    await truncate(path, (await stat(path)).size - 4);
    expect((await rejection(file.read("weight"))).message).toContain("became shorter");
    await file.close();
    await file.close();
    expect(await rejection(file.read("weight"))).toBeInstanceOf(DisposedError);
  });

  it("reads tensors at positions beyond 2 GiB", async () => {
    const bytes = 2 ** 31 + 2 ** 20;
    const header = { big: entry("U8", [bytes], 0, bytes), last: entry("F32", [1], bytes, bytes + 4) };
    const path = await craft(header);
    const start = (await stat(path)).size;
    // A sparse file: only the last tensor takes space on the disk.
    await truncate(path, start + bytes);
    await writeFile(path, bytesOf(Float32Array.of(42)), { flag: "a" });
    const file = await openSafetensors(path);
    expect([...toF32("f32", await file.read("last"))]).toEqual([42]);
    const tail = new Uint8Array(16).fill(9);
    await file.readInto("big", tail, bytes - 16);
    expect([...tail]).toEqual(new Array(16).fill(0));
    await file.close();
  });

  it("accepts a header whose length looks like the start of a pickle", async () => {
    // 640 = 0x0280, stored as the bytes 80 02 that pickles begin with.
    const file = await openSafetensors(await craft("{}".padEnd(640)));
    expect(file.tensors.size).toBe(0);
    await file.close();
  });

  const four = new Uint8Array(4);
  const eight = new Uint8Array(8);
  const damaged: Array<[string, () => Promise<string>, string]> = [
    [
      "a hole",
      () => craft({ a: entry("F32", [1], 0, 4), b: entry("F32", [1], 8, 12) }, new Uint8Array(12)),
      "hole after byte 4",
    ],
    ["a hole at the start", () => craft({ a: entry("F32", [1], 4, 8) }, eight), "hole after byte 0"],
    [
      "an overlap",
      () => craft({ a: entry("F32", [2], 0, 8), b: entry("F32", [1], 4, 8) }, eight),
      'overlap those of tensor "a"',
    ],
    [
      "twice the same bytes",
      () => craft({ a: entry("F32", [1], 0, 4), b: entry("F32", [1], 0, 4) }, four),
      "overlap",
    ],
    [
      "bytes of no tensor",
      () => craft({ a: entry("F32", [1], 0, 4) }, eight),
      "4 bytes after the last tensor",
    ],
    ["offsets out of range", () => craft({ a: entry("F32", [2], 0, 8) }, four), "holds only 4 bytes"],
    ["begin after end", () => craft({ a: entry("F32", [1], 4, 0) }, four), "begin at 4 after their end 0"],
    [
      "a size that does not fit",
      () => craft({ a: entry("F32", [3], 0, 8) }, eight),
      "[3] of F32 needs 12 bytes",
    ],
    ["a negative dimension", () => craft({ a: entry("F32", [-1], 0, 4) }, four), "got -1"],
    ["a fractional dimension", () => craft({ a: entry("F32", [1.5], 0, 4) }, four), "got 1.5"],
    [
      "a huge dimension",
      () => craft('{"a":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,4]}}', four),
      "2^53",
    ],
    [
      "a product beyond 2^53",
      () => craft({ a: entry("U8", [2 ** 30, 2 ** 30], 0, 4) }, four),
      "more than 2^53",
    ],
    [
      "huge offsets",
      () => craft('{"a":{"dtype":"U8","shape":[4],"data_offsets":[1e300,1e301]}}', four),
      "2^53",
    ],
    ["a string for a dimension", () => craft({ a: entry("F32", ["1"], 0, 4) }, four), 'got "1"'],
    ["an unknown dtype", () => craft({ a: entry("F33", [1], 0, 4) }, four), 'unknown dtype "F33"'],
    ["no dtype", () => craft({ a: { shape: [1], data_offsets: [0, 4] } }, four), "unknown dtype undefined"],
    ["no shape", () => craft({ a: { dtype: "F32", data_offsets: [0, 4] } }, four), "shape must be an array"],
    [
      "three offsets",
      () => craft({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4, 4] } }, four),
      "[begin, end]",
    ],
    ["an entry that is no object", () => craft({ a: 3 }), "got a number"],
    [
      "a duplicate name",
      () => craft('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'),
      "occurs twice",
    ],
    ["metadata that is no object", () => craft({ __metadata__: [] }), "__metadata__ must be an object"],
    ["metadata that is no text", () => craft({ __metadata__: { n: 1 } }), "__metadata__.n must be a string"],
    ["invalid JSON", () => craft('{"a":'), "invalid JSON at line 1, column 6"],
    ["a header that is no object", () => craft("[]"), 'must begin with "{"'],
    ["an empty header", () => craft(""), "an empty header"],
    ["invalid UTF-8", () => craft(Uint8Array.of(0x7b, 0xff, 0x7d)), "UTF-8"],
    [
      "a header longer than the file",
      () => craft("{}", undefined, 500n),
      "claims 500 bytes, but only 2 follow",
    ],
    ["a header above 100 MB", () => craft("{}", undefined, 100_000_001n), "100000000 that are allowed"],
    ["a header length of 2^64 - 1", () => craft("{}", undefined, 2n ** 64n - 1n), "18446744073709551615"],
  ];
  it.each(damaged)("refuses %s", async (_, make, text) => {
    const path = await make();
    const error = await rejection(openSafetensors(path));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(path);
    expect(error.message).toContain(text);
    expect(error.message).toMatch(/(Fetch|fetch|Convert|Correct|Save) /);
  });

  it("refuses a file cut off at any byte", async () => {
    const dir = await temporaryFolder();
    const whole = Buffer.from(golden.mixed.file, "base64");
    const path = join(dir, "cut");
    for (let length = 0; length < whole.length; length += length < 16 ? 1 : 37) {
      await writeFile(path, whole.subarray(0, length));
      expect(await rejection(openSafetensors(path)), `${length} bytes`).toBeInstanceOf(FormatError);
    }
    await writeFile(path, whole.subarray(0, whole.length - 1));
    expect((await rejection(openSafetensors(path))).message).toContain("truncated");
  });

  it("never throws anything but a FormatError for flipped bytes", async () => {
    const whole = Buffer.from(golden.mixed.file, "base64");
    const path = join(await temporaryFolder(), "flipped");
    const header = Number(whole.readBigUInt64LE(0)) + 8;
    for (let at = 0; at < header; at += 3) {
      const copy = Buffer.from(whole);
      copy[at] ^= 1 << (at % 8);
      await writeFile(path, copy);
      const outcome = await openSafetensors(path).catch((error) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(FormatError);
      else await outcome.close();
    }
  });

  it("names the real nature of other files", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    await writeFile(path, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n");
    expect((await rejection(openSafetensors(path))).message).toContain("git lfs pull");
    for (const start of ["PK\x03\x04\0\0\x08\x08", "\x80\x02}q\0X\x05\0"]) {
      await writeFile(path, Buffer.from(start, "latin1"));
      expect((await rejection(openSafetensors(path))).message).toContain("safe_serialization=True");
    }
    expect((await rejection(openSafetensors(join(path, "..", "absent")))).message).toContain(
      "Check the path",
    );
    expect(await rejection(openSafetensors(join(path, "..")))).toBeInstanceOf(FormatError);
  });

  it("reports a disk fault as a FormatError that keeps the cause", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    await writeSafetensors(path, [f32("a", [1])]);
    const { fs } = faultyFileSystem({ at: 2 });
    const error = await rejection(openSafetensors(path, { fs }));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.details).toMatchObject({ errno: "EIO" });
  });
});
