/** The whole way from raw records to training, as commands: each reads what the one before it wrote. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { syntheticDocuments } from "../../bench/data/corpus.mjs";
import { anneal } from "./spawn.js";

let dir: string;
const at = (name: string) => join(dir, name);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-data-"));
  const lines: string[] = [];
  for (const document of syntheticDocuments({ seed: 3, words: 5000 })) {
    lines.push(JSON.stringify(document));
    if (lines.length === 400) break;
  }
  await writeFile(at("raw.jsonl.gz"), gzipSync(`${lines.join("\n")}\n`));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Runs a command that must succeed; its JSON result. */
async function run(...args: string[]) {
  const { status, stdout, stderr } = await anneal([...args, "--json"]);
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe("from raw text to a trained model", () => {
  it("prepares, with a report that says what each rule removed", async () => {
    const result = await run("data", "prepare", at("raw.jsonl.gz"), "--out", at("clean"));
    expect(result.documentsIn).toBe(400);
    expect(result.documentsOut).toBeGreaterThan(300);
    expect(result.documentsOut).toBeLessThan(400);
    const removed = result.report.rules.reduce(
      (sum: number, rule: { removed: number }) => sum + rule.removed,
      0,
    );
    expect(removed).toBe(400 - result.documentsOut);
    expect(await readFile(at("clean/report.html"), "utf8")).toContain("gopher-repetition");
    expect(await run("data", "prepare", at("raw.jsonl.gz"), "--out", at("clean"))).toMatchObject({
      reused: true,
    });
  });

  it("removes duplicates, of which all clusters are written down", async () => {
    const result = await run("data", "dedup", at("clean"), "--out", at("unique"));
    expect(result.documentsOut).toBeLessThan(result.documentsIn);
    const { clusters, removed } = result.report;
    expect(removed).toBe(result.documentsIn - result.documentsOut);
    const lines = (await readFile(at("unique/clusters.jsonl"), "utf8")).trim().split("\n");
    expect(lines.length).toBe(clusters);
    expect(await readdir(at("unique"))).not.toContain(".keys");
    // Reports and clusters beside the documents are no documents.
    expect(await run("data", "stats", at("unique"))).toMatchObject({ documents: result.documentsOut });
  });

  it("counts, and shows documents", async () => {
    const stats = await run("data", "stats", at("unique"), "--tokenizer", "byte");
    expect(stats.tokens).toBe(stats.bytes);
    expect(stats.length.least).toBeLessThanOrEqual(stats.length.median);
    const { status, stdout } = await anneal(["data", "show", at("unique"), "-n", "2", "--random", "1"]);
    expect(status).toBe(0);
    expect(stdout.match(/^Document \d+/gm)?.length).toBe(2);
    expect(stdout).toContain("url: https://site");
  });

  it("trains a tokenizer with a chat template, and compares it", async () => {
    const trained = await run(
      ...[
        "tokenizer",
        "train",
        at("unique"),
        "--vocab-size",
        "1000",
        "--chat-template",
        "chatml",
        "--out",
        at("tok"),
      ],
    );
    expect(trained).toMatchObject({ vocabSize: 1000 });
    const config = JSON.parse(await readFile(at("tok/tokenizer_config.json"), "utf8"));
    expect(config.eos_token).toBe("<|im_end|>");
    expect(config.chat_template ?? (await readFile(at("tok/chat_template.jinja"), "utf8"))).toContain(
      "<|im_start|>",
    );
    const { tokenizers } = await run(
      "tokenizer",
      "eval",
      at("unique"),
      "--tokenizer",
      at("tok"),
      "--tokenizer",
      "byte",
    );
    expect(tokenizers[0]).toMatchObject({ exact: true, vocabSize: 1000 });
    expect(tokenizers[0].bytesPerToken).toBeGreaterThan(2);
    expect(tokenizers[1].bytesPerToken).toBe(1);
    const encoded = await run("tokenizer", "encode", "--tokenizer", at("tok"), "--text", "the <|im_end|>");
    expect(encoded.tokens.map(({ text }: { text: string }) => text).join("")).toBe("the <|im_end|>");
  });

  it("packs, shows the shards, and trains on them", async () => {
    const packed = await run(
      ...["data", "pack", at("unique"), "--tokenizer", at("tok"), "--packing", "best-fit"],
      ...["--sequence-length", "64", "--out", at("packed")],
    );
    expect(packed.plan.efficiency).toBeGreaterThan(0.95);
    expect(packed.train.documents + packed.validation.documents).toBeGreaterThan(250);
    const shown = await anneal(["data", "show", at("packed"), "-n", "1"]);
    expect(shown.stdout).toMatch(/document 0: [\d,]+ tokens/);
    const trained = await run(
      ...[
        "pretrain",
        "--model",
        "char-gpt",
        "--data",
        at("packed"),
        "--packing",
        "best-fit",
        "--document-mask",
      ],
      ...["--steps", "3", "--batch-size", "2", "--sequence-length", "64", "--out", at("run")],
    );
    expect(trained).toMatchObject({ step: 3, reason: "finished" });
    expect(existsSync(join(trained.model, "tokenizer.json"))).toBe(true);
  });
});

describe("wrong usage", () => {
  it.each<[string[], RegExp]>([
    [["data", "prepare", "--out", "x"], /No input: name files or folders/],
    [["data", "prepare", "a.txt"], /--out/],
    [["data", "prepare", "a.txt", "--out", "x", "--rule", "c4"], /--rule needs NAME=NUMBER/],
    [["data", "prepare", "a.txt", "--out", "x", "--languages", "de"], /--languages needs --identify/],
    [["data", "dedup", "a", "--out", "x", "--method", "minhsh"], /Did you mean "minhash"\?/],
    [["data", "show", "a", "--match", "("], /--match: Invalid regular expression/],
    [["data", "show", "a", "-n", "0"], /--number must be at least 1/],
    [["tokenizer", "encode", "--tokenizer", "byte"], /Give either --text TEXT or the PATH/],
    [["tokenizer", "train", "a.txt", "--out", "x"], /--vocab-size/],
  ])("%j", async (args, message) => {
    const { status, stderr } = await anneal(args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });

  it.each<[string[], RegExp]>([
    [["data", "prepare", "missing.txt", "--out", "x"], /There is no file or folder missing.txt/],
    [
      ["data", "prepare", "package.json", "--out", "x", "--rule", "gopher-qualty=off"],
      /Did you mean "gopher-quality"\?/,
    ],
    [["data", "pack", "README.md", "--tokenizer", "byt", "--out", "x"], /Did you mean "byte"\?/],
    [
      ["tokenizer", "train", "README.md", "--vocab-size", "300", "--chat-template", "chatm", "--out", "x"],
      /no chat template "chatm". Did you mean "chatml"\?/,
    ],
  ])("%j", async (args, message) => {
    const { status, stderr } = await anneal(args);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
    expect(existsSync("x")).toBe(false);
  });
});
