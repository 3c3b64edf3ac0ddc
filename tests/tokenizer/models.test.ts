/** Models without anything around them encode as Hugging Face's and tiktoken do (tests/golden/make_token_models.py). */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../lib/errors.js";
import { NativeTokenizer } from "../../lib/native/text/tokenizer.js";
import { type LoadTokenizerOptions, loadTokenizer } from "../../lib/tokenizer/index.js";
import { rejection, temporaryFolder } from "../io/temporary.js";

type Row = [text: string, ids: number[] | "error", offsets?: [number, number][]];
interface Golden {
  models: { json: { model: { type: string }; pre_tokenizer: object | null }; rows: Row[] }[];
  ranks: {
    pattern: "whole" | "gpt2" | "gpt4";
    singles: number[];
    merged: string[];
    rows: [string, number[]][];
  }[];
}

const path = fileURLToPath(new URL("../golden/token-models.json", import.meta.url));
const golden: Golden = JSON.parse(await readFile(path, "utf8"));

const nativeOf = (json: object) =>
  NativeTokenizer.fromJson(Buffer.from(JSON.stringify(json)), "tokenizer.json");

/** Offsets in code points as offsets in UTF-16 code units. */
function inUnits(text: string, offsets: readonly [number, number][]): number[] {
  const starts = [0];
  for (const character of text) starts.push((starts.at(-1) as number) + character.length);
  return offsets.flat().map((offset) => starts[offset]);
}

/** Whether offsets cover the text. Where characters were left out or told by bytes, those of the reference may lie beside it. */
function covers(text: string, offsets: readonly [number, number][]): boolean {
  const gapless = offsets.every(([begin], i) => begin <= (offsets[i - 1]?.[1] ?? 0));
  return gapless && offsets.at(-1)?.[1] === [...text].length;
}

describe("models of tokenizer.json", () => {
  const named = golden.models.map((entry, i) => [`${i} ${entry.json.model.type}`, entry] as const);

  it.each(named)("%s", (_, { json, rows }) => {
    const tokenizer = nativeOf(json);
    for (const [text, ids, offsets] of rows) {
      const name = JSON.stringify(text);
      if (ids === "error") {
        expect(() => tokenizer.encode(text, false), name).toThrow(TokenizerError);
        expect(() => tokenizer.encode(text, false), name).toThrow(/not in the vocabulary/);
        continue;
      }
      expect([...tokenizer.encode(text, false)], name).toEqual(ids);
      // From the cache of pieces.
      expect([...tokenizer.encode(text, false)], name).toEqual(ids);
      const encoding = tokenizer.encodeWithOffsets(text, undefined, false);
      expect([...encoding.ids], name).toEqual(ids);
      // Byte-level ones: tests/tokenizer/pipelines.test.ts, with whole alphabets.
      if (offsets && json.pre_tokenizer === null && covers(text, offsets)) {
        expect([...encoding.offsets], name).toEqual(inUnits(text, offsets));
      }
    }
    tokenizer.dispose();
  });
});

async function rankFile(lines: readonly string[]): Promise<string> {
  const file = join(await temporaryFolder(), "made.tiktoken");
  await writeFile(file, lines.join("\n"));
  return file;
}

const base64 = (byte: number) => Buffer.of(byte).toString("base64");
const SINGLES = Array.from({ length: 256 }, (_, byte) => `${base64(byte)} ${byte}`);

describe("rank files", () => {
  it.each(golden.ranks.map((table, i) => [`${i} ${table.pattern}`, table] as const))(
    "%s",
    async (_, table) => {
      const singles = table.singles.map((byte, rank) => `${base64(byte)} ${rank}`);
      const pattern = table.pattern === "whole" ? { regex: "[\\s\\S]+" } : table.pattern;
      const file = await rankFile([...singles, ...table.merged]);
      const tokenizer = await loadTokenizer(file, { pattern });
      for (const [text, ids] of table.rows) {
        expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(text);
      }
    },
  );

  it("may end their lines either way, and have empty ones", async () => {
    const file = await rankFile([...SINGLES.map((line) => `${line}\r`), "", "YWI= 300", ""]);
    const tokenizer = await loadTokenizer(file, { pattern: "gpt2" });
    expect([...tokenizer.encode("ab")]).toEqual([300]);
  });

  it.each<[string, string[], RegExp]>([
    ["a line without a rank", ["YWI="], /Line 257 of the rank file must be a token in base64.*got "YWI="/],
    ["no base64", ["Y!I= 300"], /Line 257/],
    ["base64 of a wrong length", ["YWI 300"], /Line 257/],
    ["padding in the middle", ["YW==YWI= 300"], /Line 257/],
    ["a token of no bytes", [" 300"], /Line 257/],
    ["a rank that is no number", ["YWI= x"], /Line 257/],
    ["a rank that is too large", ["YWI= 99999999999"], /Line 257/],
    ["something behind the rank", ["YWI= 300 x"], /Line 257/],
    ["a token twice", ["YWI= 300", "YWI= 301"], /in the vocabulary twice, with the ids 300 and 301/],
    ["a rank twice", ["YWI= 300", "YWM= 300"], /The id 300 belongs to two tokens/],
    ["a rank far away", ["YWI= 4000000000"], /has the id 4000000000, but the vocabulary has only 257 tokens/],
  ])("are refused with %s", async (_, lines, message) => {
    const options: LoadTokenizerOptions = { pattern: "gpt2" };
    const error = await rejection(loadTokenizer(await rankFile([...SINGLES, ...lines]), options));
    expect(error).toBeInstanceOf(TokenizerError);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/made\.tiktoken/);
  });

  it("are refused without all bytes", async () => {
    const error = await rejection(loadTokenizer(await rankFile(SINGLES.slice(1)), { pattern: "gpt2" }));
    expect(error.message).toMatch(/no token for the byte 0; expected all 256/);
  });
});

describe("BPE", () => {
  const model = (fields: object) => ({
    type: "BPE",
    vocab: { a: 0, b: 1, ab: 2 },
    merges: [["a", "b"]],
    ...fields,
  });

  it.each<[string, object, RegExp]>([
    ["a merge of unknown parts", { merges: [["a", "c"]] }, /Merge 0 \("a" \+ "c"\) needs the token "c"/],
    [
      "a merge without result",
      { merges: [["b", "a"]] },
      /needs the token "ba", which is not in the vocabulary/,
    ],
    [
      "a part that is shorter than the prefix",
      { continuing_subword_prefix: "##" },
      /"b" is shorter than continuing/,
    ],
    ["an id far away", { vocab: { a: 0, b: 1, ab: 2 ** 31 } }, /"ab" has the id 2147483648/],
  ])("is refused with %s", (_, fields, message) => {
    expect(() => nativeOf({ model: model(fields) })).toThrow(message);
    expect(() => nativeOf({ model: model(fields) })).toThrow(TokenizerError);
  });

  it("needs the unknown token only for unknown characters", () => {
    const tokenizer = nativeOf({ model: model({ unk_token: "?" }) });
    expect([...tokenizer.encode("abab", false)]).toEqual([2, 2]);
    expect(() => tokenizer.encode("abc", false)).toThrow(/unknown character "c".*unknown token "\?" is not/);
  });

  it("takes the later rank where a merge comes twice", () => {
    const vocab = { a: 0, b: 1, c: 2, ab: 3, bc: 4 };
    const once = nativeOf({
      model: model({
        vocab,
        merges: [
          ["a", "b"],
          ["b", "c"],
        ],
      }),
    });
    expect([...once.encode("abc", false)]).toEqual([3, 2]);
    const twice = nativeOf({
      model: model({
        vocab,
        merges: [
          ["a", "b"],
          ["b", "c"],
          ["a", "b"],
        ],
      }),
    });
    expect([...twice.encode("abc", false)]).toEqual([0, 4]);
  });

  it("is quick on a piece of a million characters", () => {
    const vocab: Record<string, number> = { a: 0, b: 1 };
    const merges: [string, string][] = [];
    for (let token = "a"; token.length < 64; token += token) {
      vocab[token + token] = Object.keys(vocab).length;
      merges.push([token, token]);
    }
    const tokenizer = nativeOf({ model: model({ vocab, merges }) });
    const start = performance.now();
    const ids = tokenizer.encode("a".repeat(1_000_000), false);
    expect(ids.length).toBe(15_625);
    // A quarter of a second on one core; quadratic work would take an hour.
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
