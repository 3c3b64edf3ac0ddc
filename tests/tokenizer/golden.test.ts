/** Ids and texts equal to those of Hugging Face's libraries (tests/golden/make_tokenizers.py), for every sort of tokenizer. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../../lib/tokenizer/index.js";

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

  it("encodes and decodes many texts at once, with any number of threads", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    const texts = ["", ...expected.rows.map((row) => row.text), ""];
    const ids = expected.rows.flatMap((row) => row.ids);
    const withSpecial = expected.rows.flatMap((row) => row.withSpecial);
    for (const threads of [1, 2, 7]) {
      const batch = await tokenizer.encodeBatch(texts, { threads });
      expect([...batch.ids]).toEqual(ids);
      expect(batch.ends[0]).toBe(0);
      expect(batch.ends.at(-1)).toBe(ids.length);
      const decoded = await tokenizer.decodeBatch(batch, { threads });
      expect(decoded).toEqual(["", ...expected.rows.map((row) => row.decoded), ""]);
    }
    const special = await tokenizer.encodeBatch(
      expected.rows.map((row) => row.text),
      { addSpecialTokens: true },
    );
    expect([...special.ids]).toEqual(withSpecial);
  });

  it("knows where the tokens of a text come from", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    for (const row of expected.rows) {
      const { ids, offsets, specialMask } = tokenizer.encodeWithOffsets(row.text, { addSpecialTokens: true });
      expect([...ids]).toEqual(row.withSpecial);
      expect([...ids].filter((_, i) => specialMask[i] === 0)).toEqual(row.ids);
      expect(offsets.length).toBe(2 * ids.length);
      for (let i = 0; i < ids.length; i++) {
        expect(offsets[2 * i]).toBeLessThanOrEqual(offsets[2 * i + 1]);
        expect(offsets[2 * i + 1]).toBeLessThanOrEqual(row.text.length);
      }
    }
  });

  it("encodes a long text on several threads with the ids of the whole", async () => {
    const tokenizer = await loadTokenizer(join(folder, name));
    const text = expected.rows.map((row) => row.text).join(" and then ");
    const usable =
      name === "char" ? [...text].filter((c) => c === " " || !unknown(tokenizer, c)).join("") : text;
    const long = `${usable} `.repeat(Math.ceil(400_000 / usable.length));
    const { ids: whole } = tokenizer.encodeWithOffsets(long);
    const batch = await tokenizer.encodeBatch([usable, long, usable], { threads: 3 });
    expect(Buffer.compare(Buffer.from(whole.buffer), Buffer.from(tokenizer.encode(long).buffer))).toBe(0);
    const [first, second] = batch.ends;
    expect(second - first).toBe(whole.length);
    expect(batch.ids.subarray(first, second).every((id, i) => id === whole[i])).toBe(true);
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

function unknown(tokenizer: { encode(text: string): Int32Array }, character: string): boolean {
  try {
    tokenizer.encode(character);
    return false;
  } catch {
    return true;
  }
}
