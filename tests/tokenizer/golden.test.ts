/** Ids and texts equal to those of Hugging Face's libraries (tests/golden/make_tokenizers.py), for every sort of tokenizer. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { safePieces } from "../../lib/tokenizer/cut-points.js";
import { HfTokenizer, loadTokenizer } from "../../lib/tokenizer/index.js";

interface Row {
  text: string;
  ids: number[];
  withSpecial: number[];
  decoded: string;
  decodedSkip: string;
}
interface Golden {
  samples: string[];
  tokenizers: Record<string, { length: number; bos: number | null; eos: number | null; rows: Row[] }>;
}

const folder = fileURLToPath(new URL("../golden/tokenizers/", import.meta.url));
const golden: Golden = JSON.parse(await readFile(join(folder, "expected.json"), "utf8"));
const KINDS: Record<string, string> = { char: "char", byte: "byte" };

describe.each(Object.entries(golden.tokenizers))("%s", (name, expected) => {
  it("loads as its kind with the vocabulary and special tokens of transformers", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    expect(tokenizer.kind).toBe(KINDS[name] ?? "hf");
    expect(tokenizer.vocabSize).toBe(expected.length);
    expect(tokenizer.bosId ?? null).toBe(expected.bos);
    expect(tokenizer.eosId ?? null).toBe(expected.eos);
  });

  it("encodes as transformers does", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    for (const row of expected.rows) {
      expect([...tokenizer.encode(row.text)], JSON.stringify(row.text)).toEqual(row.ids);
      expect([...tokenizer.encode(row.text, { addSpecialTokens: true })]).toEqual(row.withSpecial);
    }
  });

  it("decodes as transformers does, at once and token by token", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    for (const row of expected.rows) {
      expect(tokenizer.decode(row.ids)).toBe(row.decoded);
      expect(tokenizer.decode(row.ids, { skipSpecialTokens: true })).toBe(row.decodedSkip);
      const stream = tokenizer.streamDecoder();
      expect(row.ids.map((id) => stream.push(id)).join("") + stream.flush()).toBe(row.decoded);
    }
  });

  it("encodes a long text in pieces with the ids of the whole", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    const text = expected.rows
      .map((row) => row.text)
      .join(" and then ")
      .repeat(6);
    const usable =
      name === "char" ? [...text].filter((c) => c === " " || !unknown(tokenizer, c)).join("") : text;
    const whole = [...tokenizer.encode(usable)];
    for (const length of [64, 500, 3000]) {
      const pieces = [...safePieces(usable, (part) => tokenizer.encode(part), length)];
      expect(pieces.join("")).toBe(usable);
      expect(pieces.flatMap((piece) => [...tokenizer.encode(piece)])).toEqual(whole);
    }
  });

  it("keeps ids and fingerprint when saved and loaded again", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    const dir = await mkdtemp(join(tmpdir(), "anneal-tokenizer-"));
    try {
      await tokenizer.save(dir);
      const again = await loadTokenizer(dir);
      expect(again.kind).toBe(tokenizer.kind);
      expect(again.fingerprint).toBe(tokenizer.fingerprint);
      expect(tokenizer.fingerprint).toMatch(/^[0-9a-f]{64}$/);
      for (const row of expected.rows) expect([...again.encode(row.text)]).toEqual(row.ids);
      // The very files that transformers read for the golden values.
      for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
        expect(await readFile(join(dir, file), "utf8")).toBe(
          await readFile(join(folder, name, file), "utf8"),
        );
      }
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

it("cuts into more than one piece wherever the tokenizer allows it", async () => {
  for (const name of ["gpt2", "deepseek", "bert", "unigram", "words"]) {
    const tokenizer = await loadTokenizer(join(folder, name));
    const pieces = [
      ...safePieces("we will see what it is ".repeat(400), (part) => tokenizer.encode(part), 1000),
    ];
    expect(pieces.length, name).toBeGreaterThan(5);
  }
});

it("cuts for a tokenizer that puts a prefix before every text, with the ids of the whole", async () => {
  const tokenizer = await HfTokenizer.load(join(folder, "llama"));
  const text = "we will see what it is\n and not 12 日本 ".repeat(60);
  const whole = [...tokenizer.encode(text)];
  const pieces = [...tokenizer.encodePieces(text, 300)];
  expect(pieces.length).toBeGreaterThan(4);
  expect(pieces.map((piece) => piece.text).join("")).toBe(text);
  expect(pieces.flatMap((piece) => [...piece.ids])).toEqual(whole);
  // The plain encoding of a later piece has the prefix, so it differs.
  expect([...tokenizer.encode(pieces[1].text)]).not.toEqual([...pieces[1].ids]);
  // Text after an added token has a prefix of its own: such texts stay whole.
  const mixed = `${text}</s>${text}`;
  expect([...tokenizer.encodePieces(mixed, 300)]).toHaveLength(1);
});

function unknown(tokenizer: { encode(text: string): Int32Array }, character: string): boolean {
  try {
    tokenizer.encode(character);
    return false;
  } catch {
    return true;
  }
}
