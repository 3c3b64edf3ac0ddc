import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { CheckpointError, ConfigError, DisposedError, FormatError } from "../../lib/errors.js";
import { readModelFolder, toF32, writeModelFolder, writeSafetensors } from "../../lib/io/index.js";
import { faultyFileSystem } from "./faults.js";
import { f32, rejection, temporaryFolder } from "./temporary.js";

const GOLDEN = fileURLToPath(new URL("../golden/models/", import.meta.url));
const config = { model_type: "llama", hidden_size: 4 };

async function model(version = 1): Promise<string> {
  const dir = join(await temporaryFolder(), "model");
  await write(dir, version);
  return dir;
}

const arrays = (version: number) => ["a", "b", "c"].map((name) => f32(name, [4], () => version));

const write = (dir: string, version: number, extra = {}) =>
  writeModelFolder(dir, {
    config: { ...config, version },
    arrays: arrays(version),
    maxShardBytes: 32,
    ...extra,
  });

/** The version that all parts of a folder agree on. */
async function version(dir: string): Promise<unknown> {
  const folder = await readModelFolder(dir);
  for (const name of folder.tensors.keys()) {
    expect([...new Set(toF32("f32", await folder.read(name)))]).toEqual([folder.config.version]);
  }
  expect([...folder.tensors.keys()].sort()).toEqual(["a", "b", "c"]);
  await folder.close();
  return folder.config.version;
}

describe("writeModelFolder", () => {
  it("writes one file, or shards with an index as transformers does", async () => {
    const dir = join(await temporaryFolder(), "deep", "model");
    await writeModelFolder(dir, { config, arrays: arrays(1), generationConfig: { eos_token_id: 1 } });
    expect((await readdir(dir)).sort()).toEqual([
      "config.json",
      "generation_config.json",
      "model.safetensors",
    ]);
    await write(dir, 2, { tokenizerFiles: { "tokenizer.json": "{}" } });
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const expected = ["config.json", ...shards, "model.safetensors.index.json", "tokenizer.json"];
    expect((await readdir(dir)).sort()).toEqual(expected);
    expect(JSON.parse(await readFile(join(dir, "model.safetensors.index.json"), "utf8"))).toEqual({
      metadata: { total_size: 48 },
      weight_map: { a: shards[0], b: shards[0], c: shards[1] },
    });
    expect(await version(dir)).toBe(2);
    expect(await readdir(join(dir, ".."))).toEqual(["model"]);
  });

  it("writes whole values of floating-point fields with a point, which transformers insists on", async () => {
    const dir = join(await temporaryFolder(), "model");
    const fields = { hidden_size: 4, routed_scaling_factor: 1, rms_norm_eps: 1e-6, attention_dropout: 0 };
    await write(dir, 1, { config: { ...fields, nested: { initializer_range: 1 }, version: 1 } });
    const text = await readFile(join(dir, "config.json"), "utf8");
    expect(text).toContain('"routed_scaling_factor": 1.0,');
    expect(text).toContain('"attention_dropout": 0.0,');
    expect(text).toContain('"hidden_size": 4,');
    expect(text).toContain('"rms_norm_eps": 0.000001,');
    expect(JSON.parse(text)).toMatchObject(fields);
  });

  it("carries over other files of the old model folder", async () => {
    const dir = await model();
    await writeFile(join(dir, "README.md"), "mine");
    await writeFile(join(dir, "pytorch_model.bin"), "old weights");
    await write(dir, 2);
    expect(await readFile(join(dir, "README.md"), "utf8")).toBe("mine");
    expect(existsSync(join(dir, "pytorch_model.bin"))).toBe(false);
  });

  it("never replaces a folder that is no model folder", async () => {
    const dir = await temporaryFolder();
    await writeFile(join(dir, "thesis.tex"), "");
    expect(await rejection(write(dir, 1))).toBeInstanceOf(ConfigError);
    await writeFile(join(dir, "config.json"), "{}");
    await mkdir(join(dir, "src"));
    expect((await rejection(write(dir, 1))).message).toContain("holds the folder src");
    expect((await readdir(dir)).sort()).toEqual(["config.json", "src", "thesis.tex"]);
  });

  it("follows a link to a folder", async () => {
    const dir = await model();
    const link = join(dir, "..", "link");
    await symlink(dir, link);
    await write(link, 3);
    expect(await version(dir)).toBe(3);
  });

  it("leaves the old model or the new one at every failing operation", async () => {
    const template = await model(1);
    for (const mode of ["once", "crash"] as const) {
      for (let at = 0, struck = true; struck; at++) {
        const root = await temporaryFolder();
        const dir = join(root, "model");
        await cp(template, dir, { recursive: true });
        const { fs, trace } = faultyFileSystem({ at, mode, errno: "ENOSPC" });
        const error = await write(dir, 2, { fs }).catch((e) => e);
        struck = trace.length > at;
        if (error instanceof Error) expect(error, trace[at]).toBeInstanceOf(CheckpointError);
        expect([1, 2], trace[at]).toContain(await version(dir));
        await rm(root, { recursive: true });
      }
    }
  });

  it("refuses wrong options", async () => {
    const dir = join(await temporaryFolder(), "m");
    const wrong = { config, arrays: [], maxShardByte: 1 } as unknown as Parameters<
      typeof writeModelFolder
    >[1];
    expect((await rejection(writeModelFolder(dir, wrong))).message).toContain(
      'Did you mean "maxShardBytes"?',
    );
    expect(await rejection(write(dir, 1, { maxShardBytes: 0 }))).toBeInstanceOf(ConfigError);
    for (const name of ["../x", "config.json", "model.safetensors", ".hidden"]) {
      expect(await rejection(write(dir, 1, { tokenizerFiles: { [name]: "" } }))).toBeInstanceOf(FormatError);
    }
    expect(existsSync(dir)).toBe(false);
  });
});

describe("readModelFolder", () => {
  it("opens folders that transformers wrote", async () => {
    for (const name of ["deepseek-v3-bf16-sharded", "llama-gqa-untied"]) {
      const folder = await readModelFolder(join(GOLDEN, name));
      const raw = JSON.parse(readFileSync(join(GOLDEN, name, "config.json"), "utf8"));
      expect(folder.config).toEqual(raw);
      expect(folder.tensors.size).toBeGreaterThan(10);
      for (const array of folder.arrays()) {
        const values = toF32(array.dtype, await (array.data as () => Promise<Uint8Array>)());
        expect(values.length).toBe(array.shape.reduce((a, b) => a * b, 1));
        expect(values.every(Number.isFinite)).toBe(true);
      }
      await folder.close();
    }
  });

  it("reads into memory of the caller and says when it is closed", async () => {
    const folder = await readModelFolder(await model(7));
    const target = new Uint8Array(4);
    await folder.readInto("b", target, 8);
    expect([...toF32("f32", target)]).toEqual([7]);
    expect(await rejection(folder.read("bb"))).toBeInstanceOf(FormatError);
    expect(folder.generationConfig).toBeUndefined();
    await folder.close();
    expect(await rejection(folder.read("b"))).toBeInstanceOf(DisposedError);
  });

  it("finds a model again whose replacement was cut off", async () => {
    const dir = await model(1);
    await rename(dir, join(dir, "..", `.model.replaced-${2 ** 22 - 3}`));
    expect(await version(dir)).toBe(1);
  });

  const index = (map: unknown) => (dir: string) =>
    writeFile(join(dir, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
  const one = "model-00001-of-00002.safetensors";
  const two = "model-00002-of-00002.safetensors";
  it.each<[string, (dir: string) => Promise<unknown>, RegExp]>([
    ["no config.json", (dir) => rm(join(dir, "config.json")), /no config.json/],
    ["damaged JSON", (dir) => writeFile(join(dir, "config.json"), '{\n"a": 1\n"b": 2}'), /line 3, column 1/],
    [
      "a config that is no object",
      (dir) => writeFile(join(dir, "config.json"), "[]"),
      /object at the top level, got an array/,
    ],
    ["a missing shard", (dir) => rm(join(dir, two)), /lacks 1 of the 2 shards.*00002-of-00002/],
    ["a damaged shard", (dir) => writeFile(join(dir, two), "short"), /truncated/],
    ["an index with absent tensors", index({ a: one, b: one, c: two, d: two }), /1 tensors in .* first "d"/],
    ["an index with swapped tensors", index({ a: two, b: one, c: two }), /first "a"/],
    [
      "an index without map",
      (dir) => writeFile(join(dir, "model.safetensors.index.json"), "{}"),
      /weight_map/,
    ],
    ["an index with an empty map", index({}), /an empty one/],
    ["an index that leaves the folder", index({ a: "../x.safetensors" }), /name of a .safetensors file/],
    ["an index with numbers", index({ a: 1 }), /got 1/],
    [
      "one tensor in two shards",
      (dir) => writeSafetensors(join(dir, two), [f32("a", [4]), f32("c", [4])]),
      /"a" is in two shards/,
    ],
    [
      "a tensor mapped twice",
      (dir) =>
        writeFile(join(dir, "model.safetensors.index.json"), `{"weight_map":{"a":"${one}","a":"${two}"}}`),
      /"a" occurs twice/,
    ],
    [
      "pickles only",
      async (dir) => {
        for (const name of await readdir(dir)) if (name !== "config.json") await rm(join(dir, name));
        await writeFile(join(dir, "pytorch_model.bin"), "");
      },
      /safe_serialization=True/,
    ],
    ["shards without index", (dir) => rm(join(dir, "model.safetensors.index.json")), /no index/],
  ])("refuses %s", async (_, damage, text) => {
    const dir = await model();
    await damage(dir);
    const error = await rejection(readModelFolder(dir));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(text);
  });

  it("suggests the folder that was meant", async () => {
    const dir = await model();
    const error = await rejection(readModelFolder(join(dir, "..", "modle")));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain("Did you mean");
    expect(error.message).toContain(basename(dir));
  });
});
