/** Rank files as tokenizers: tiktoken's ids (tests/golden/make_token_models.py), and an equal tokenizer.json. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError, FormatError, TokenizerError } from "../../lib/errors.js";
import { type HfTokenizer, loadTokenizer } from "../../lib/tokenizer/index.js";

interface Ranks {
  /** `whole`: texts are not cut. */
  pattern: "gpt2" | "gpt4" | "whole";
  /** Lines of the rank file that are not single bytes. */
  merged: string[];
  /** The byte of each of the first 256 ranks. */
  singles: number[];
  rows: [text: string, ids: number[]][];
}

const golden: { ranks: Ranks[] } = JSON.parse(
  await readFile(new URL("../golden/token-models.json", import.meta.url), "utf8"),
);

function fileOf({ merged, singles }: Ranks): string {
  const lines = singles.map((byte, rank) => `${Buffer.from([byte]).toString("base64")} ${rank}`);
  return `${[...lines, ...merged].join("\n")}\n`;
}

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-ranks-"));
});
afterAll(() => rm(dir, { recursive: true }));

describe.each(golden.ranks.map((ranks, i) => [`${ranks.pattern} ${i}`, ranks] as const))(
  "%s",
  (name, ranks) => {
    it("gives tiktoken's ids, and so does the tokenizer.json that it saves", async () => {
      const path = join(dir, `${name}.tiktoken`);
      await writeFile(path, fileOf(ranks));
      const end = ranks.singles.length + ranks.merged.length;
      const tokenizer = await loadTokenizer(path, {
        pattern: ranks.pattern === "whole" ? { regex: "[\\s\\S]+" } : ranks.pattern,
        specialTokens: { "<|endoftext|>": end },
      });
      expect([tokenizer.kind, tokenizer.vocabSize, tokenizer.eosId]).toEqual(["hf", end + 1, end]);
      const folder = join(dir, name);
      await tokenizer.save(folder);
      const saved = await loadTokenizer(folder);
      expect(saved.fingerprint).toBe(tokenizer.fingerprint);
      expect(saved.eosId).toBe(end);
      for (const [text, ids] of ranks.rows) {
        expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
        expect([...saved.encode(text)], JSON.stringify(text)).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(text);
      }
      const texts = ranks.rows.map(([text]) => text);
      expect([...(await tokenizer.encodeBatch(texts)).ids]).toEqual(ranks.rows.flatMap(([, ids]) => ids));
      expect([...tokenizer.encode("<|endoftext|>")]).toEqual([end]);
    });
  },
);

describe("loading", () => {
  const ranks = golden.ranks[0];

  it("knows the files of OpenAI by their names", async () => {
    const path = join(dir, "cl100k_base.tiktoken");
    await writeFile(path, fileOf(ranks));
    const tokenizer = (await loadTokenizer(path)) as HfTokenizer;
    expect(tokenizer.eosId).toBe(100257);
    expect(tokenizer.vocabSize).toBe(100277);
    expect(tokenizer.idOf("<|fim_prefix|>")).toBe(100258);
    expect(tokenizer.tokenOf(100276)).toBe("<|endofprompt|>");
  });

  it("asks for the pattern otherwise, and helps with its name", async () => {
    const path = join(dir, "own.tiktoken");
    await writeFile(path, fileOf(ranks));
    await expect(loadTokenizer(path)).rejects.toThrow(/does not say how texts are cut/);
    await expect(loadTokenizer(path, { pattern: "gpt5" as "gpt4" })).rejects.toThrow(ConfigError);
    await expect(loadTokenizer(path, { pattern: { regex: "(" } })).rejects.toThrow(TokenizerError);
    const tokenizer = await loadTokenizer(path, { pattern: { regex: "\\s+|\\S+" } });
    expect(tokenizer.decode(tokenizer.encode("a  b"))).toBe("a  b");
  });

  it("refuses files that are missing or damaged", async () => {
    await expect(loadTokenizer(join(dir, "nowhere.tiktoken"), { pattern: "gpt2" })).rejects.toThrow(
      /Cannot read/,
    );
    const path = join(dir, "damaged.tiktoken");
    for (const text of [
      "",
      "????",
      "IQ==",
      "IQ== x\n",
      "IQ== 0\nIQ== 1\n",
      fileOf(ranks).replace(/^.*\n/, ""),
    ]) {
      await writeFile(path, text);
      const error = await loadTokenizer(path, { pattern: "gpt2" }).catch((caught) => caught);
      expect(
        [TokenizerError, FormatError].some((Class) => error instanceof Class),
        text.slice(0, 40),
      ).toBe(true);
      expect(error.message).toContain("damaged.tiktoken");
    }
  });
});
