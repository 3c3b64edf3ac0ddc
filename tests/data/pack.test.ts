/** Folders of packed data: all that training needs, made again only where something changed; fill in the middle; large corpora. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  isPackedFolder,
  listSources,
  openPacked,
  openShards,
  type PackOptions,
  packTokens,
  prepareTokens,
  requirePackedTokenizer,
} from "../../lib/data/index.js";
import { fillInMiddle } from "../../lib/data/middle.js";
import { checkPreparation } from "../../lib/data/prepare-options.js";
import { PreparationProgress } from "../../lib/data/prepare-progress.js";
import { decideSplit } from "../../lib/data/prepare-split.js";
import { ConfigError, DataError, TokenizerError } from "../../lib/errors.js";
import { ByteTokenizer, HfTokenizer, loadTokenizer } from "../../lib/tokenizer/index.js";

const golden = fileURLToPath(new URL("../golden/tokenizers/", import.meta.url));
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-pack-"));
});
afterEach(() => rm(dir, { recursive: true }));

async function corpus(texts: readonly string[]): Promise<string> {
  const path = join(dir, "corpus.jsonl");
  await writeFile(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  return path;
}

const TEXTS = Array.from(
  { length: 80 },
  (_, i) => `Document ${i}. ${"It has words, naïve 👍 ones. ".repeat(1 + (i % 9))}`,
);

/** Packs the one corpus, which is written once, for its time of change counts. */
async function pack(options: Partial<PackOptions> = {}) {
  const there = join(dir, "corpus.jsonl");
  const paths = existsSync(there) ? there : await corpus(TEXTS);
  return packTokens({ paths, tokenizer: new ByteTokenizer(), outDir: join(dir, "out"), ...options });
}

async function idsOf(paths: readonly string[]): Promise<number[]> {
  const ids: number[] = [];
  for (const shard of await openShards(paths)) {
    const out = new Int32Array(shard.length);
    await shard.read(0, shard.length, out);
    ids.push(...out);
  }
  return ids;
}

describe("packTokens", () => {
  it("makes a folder with shards, tokenizer and plan, and finds it again", async () => {
    const packed = await pack({ packing: "best-fit", sequenceLength: 64 });
    expect(packed).toMatchObject({ reused: false, packing: "best-fit", dir: join(dir, "out") });
    expect(packed.plan).toMatchObject({ documents: packed.train.documents, tokens: packed.train.tokens });
    expect(packed.plan?.efficiency).toBeGreaterThan(0.8);
    const names = (await readdir(packed.dir)).map((name) => name.replace(/[0-9a-f]{12}/, "KEY"));
    expect(names.sort()).toEqual([
      "prepared.json",
      "tokenizer",
      "train-KEY-00000.tokens",
      "train-KEY.rows",
      "validation-KEY-00000.tokens",
    ]);
    const again = await pack({ packing: "best-fit", sequenceLength: 64 });
    expect(again).toEqual({ ...packed, reused: true });
    expect(await isPackedFolder(packed.dir)).toBe(true);
    expect(await isPackedFolder(dir)).toBe(false);
    const folder = await openPacked(packed.dir);
    expect(folder.data.train).toEqual(packed.train);
    const tokenizer = await loadTokenizer(folder.tokenizerDir);
    requirePackedTokenizer(folder, tokenizer);
    expect(() => requirePackedTokenizer(folder, new ByteTokenizer({ eosToken: null }))).toThrow(DataError);
    const { header } = (await openShards(packed.train.shards))[0];
    expect(header.provenance).toMatchObject({
      sources: ["corpus.jsonl"],
      split: "train",
      tokenizer: "byte",
      eos: true,
    });
    expect(header.tokenizerFingerprint).toBe(tokenizer.fingerprint);
    // Other documents: the old shards and their plan go.
    await corpus(TEXTS.slice(1));
    expect((await pack()).reused).toBe(false);
    expect((await readdir(packed.dir)).length).toBe(4);
  });

  it("needs a length for its rows, and no plan for windows", async () => {
    await expect(pack({ packing: "best-fit" })).rejects.toThrow(/needs sequenceLength/);
    await expect(pack({ packing: "bestfit" as "best-fit", sequenceLength: 8 })).rejects.toThrow(
      /Did you mean "best-fit"/,
    );
    await expect(pack({ sequenceLength: 0 })).rejects.toThrow(ConfigError);
    const packed = await pack({ sequenceLength: 64 });
    expect([packed.packing, packed.plan]).toEqual(["windows", null]);
    const cropped = await pack({ packing: "best-fit-crop", sequenceLength: 64 });
    expect(cropped.reused).toBe(true);
    expect(cropped.plan?.droppedShare).toBeGreaterThan(0);
    expect(cropped.plan?.efficiency).toBeGreaterThan(0.98);
  });

  it("says what a folder lacks", async () => {
    await expect(openPacked(dir)).rejects.toThrow(/holds no packed data.*anneal data pack/);
    const packed = await pack();
    await rm(packed.train.shards[0]);
    await expect(openPacked(packed.dir)).rejects.toThrow(/Shards of .* are missing or damaged/);
  });
});

describe("fill in the middle", () => {
  const NAMES = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];
  /** The byte tokenizer with three more tokens. */
  async function withMiddle() {
    await new ByteTokenizer().save(join(dir, "plain"));
    const files = new Map<string, string>();
    for (const name of await readdir(join(dir, "plain"))) {
      files.set(name, await readFile(join(dir, "plain", name), "utf8"));
    }
    const json = JSON.parse(files.get("tokenizer.json") as string);
    for (const [i, content] of NAMES.entries()) {
      const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
      json.added_tokens.push({ id: 257 + i, content, ...flags });
    }
    files.set("tokenizer.json", JSON.stringify(json));
    await rm(join(dir, "plain"), { recursive: true });
    return new HfTokenizer("fim", files, "tokenizer.json");
  }

  it("puts the middle of some training documents last, the same ones each time, and loses nothing", async () => {
    const tokenizer = await withMiddle();
    const options = { paths: await corpus(TEXTS), tokenizer, fimRate: 0.4, validationFraction: 0.2 };
    const first = await prepareTokens({ ...options, outDir: join(dir, "a") });
    const plain = await prepareTokens({ ...options, fimRate: 0, outDir: join(dir, "b") });
    expect(first.validation.tokens).toBe(plain.validation.tokens);
    expect(first.train.bytes).toBe(plain.train.bytes);
    const documentsOf = async (data: typeof first) => {
      const text = tokenizer.decode(await idsOf(data.train.shards));
      return text.split("<|endoftext|>").slice(0, -1);
    };
    const [changed, unchanged] = [await documentsOf(first), await documentsOf(plain)];
    let cut = 0;
    changed.forEach((document, i) => {
      const match = /^<\|fim_prefix\|>(.*)<\|fim_suffix\|>(.*)<\|fim_middle\|>(.*)$/su.exec(document);
      if (match !== null) cut++;
      expect(match === null ? document : match[1] + match[3] + match[2]).toBe(unchanged[i]);
    });
    expect(cut / changed.length).toBeGreaterThan(0.2);
    expect(cut / changed.length).toBeLessThan(0.6);
    // The choice is the document's own, wherever it stands.
    await corpus([...TEXTS].reverse());
    const reversed = await documentsOf(await prepareTokens({ ...options, outDir: join(dir, "c") }));
    expect(reversed.sort()).toEqual(changed.sort());
  });

  it("never cuts a character, and needs its tokens", async () => {
    const tokenizer = await withMiddle();
    const middle = fillInMiddle(tokenizer, 1, 0);
    for (let i = 0; i < 200; i++) {
      const [prefix, suffix, last] = middle?.cut("👍👍é👍", `${i.toString(16).padStart(13, "0")}`) ?? [
        "",
        "",
        "",
      ];
      expect(prefix + last + suffix).toBe("👍👍é👍");
      for (const part of [prefix, suffix, last]) expect(Buffer.from(part).toString()).toBe(part);
    }
    expect(fillInMiddle(tokenizer, 0, 0)).toBeUndefined();
    expect(() => fillInMiddle(new ByteTokenizer(), 0.1, 0)).toThrow(TokenizerError);
    expect(() => fillInMiddle(tokenizer, 2, 0)).toThrow(ConfigError);
    expect(() => fillInMiddle(tokenizer, Number.NaN, 0)).toThrow(/fimRate must be from 0 to 1/);
  });
});

describe("a corpus too large to be planned", () => {
  const decide = async (
    limits: { documents: number; bytes: number },
    split: "auto" | "documents" = "auto",
  ) => {
    const paths = await corpus(TEXTS);
    const options = { paths, tokenizer: new ByteTokenizer(), outDir: dir, split, validationFraction: 0.25 };
    const { settings, source } = checkPreparation(options);
    let bytes = 0;
    const progress = new PreparationProgress({ onProgress: (state) => (bytes = state.bytes) }, 0, () => 0);
    const decision = await decideSplit(await listSources(paths), source, settings, progress, limits);
    return { ...decision, bytes };
  };

  it("is read no further than needed, and each document is decided by its text", async () => {
    const { documentKey } = await import("../../lib/data/index.js");
    const whole = await decide({ documents: 80, bytes: 1e9 });
    expect(whole.textBytes).toBe(whole.bytes);
    const part = await decide({ documents: 40, bytes: 1e9 });
    expect([part.method, part.textBytes]).toEqual(["documents", undefined]);
    expect(part.bytes).toBeLessThan(whole.bytes * 0.6);
    const taken = TEXTS.filter((text) => part.isValidation?.(documentKey(text)));
    expect(taken.length / TEXTS.length).toBeGreaterThan(0.1);
    expect(taken.length / TEXTS.length).toBeLessThan(0.4);
    // Few documents in much text: each is cut.
    const few = await decide({ documents: 100, bytes: 60 });
    expect([few.method, few.isValidation]).toEqual(["contiguous", null]);
    expect((await decide({ documents: 100, bytes: 60 }, "documents")).method).toBe("documents");
  });

  it("of 100,001 short documents keeps about the share, without remembering them", async () => {
    const path = join(dir, "many.jsonl");
    await writeFile(path, Array.from({ length: 100_001 }, (_, i) => `{"text":"number ${i}"}\n`).join(""));
    const data = await prepareTokens({
      paths: path,
      tokenizer: await loadTokenizer(join(golden, "gpt2")),
      outDir: join(dir, "out"),
    });
    expect(data.splitMethod).toBe("documents");
    expect(data.train.documents + data.validation.documents).toBe(100_001);
    // Ten standard deviations of a fair draw.
    expect(Math.abs(data.validation.documents / 100_001 - 0.1)).toBeLessThan(0.01);
  });
});

it("a text that cannot be encoded is named, wherever in the batch it is", async () => {
  const { CharTokenizer } = await import("../../lib/tokenizer/index.js");
  const paths = await corpus(["abc", "cab", "abΩ", "bca"]);
  const preparing = prepareTokens({
    ...{ paths, tokenizer: CharTokenizer.fromText("abc"), outDir: join(dir, "out"), validationFraction: 0 },
  });
  await expect(preparing).rejects.toThrow(/corpus\.jsonl:3: The character "Ω"/);
  await expect(preparing).rejects.toBeInstanceOf(TokenizerError);
});
