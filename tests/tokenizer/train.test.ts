/** Vocabularies and merges equal to those of Hugging Face's trainers (tests/golden/make_tokenizer_training.py). */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loadTokenizer, type TrainTokenizerOptions, trainTokenizer } from "../../lib/tokenizer/index.js";
import { temporaryFolder } from "../io/temporary.js";

interface Case {
  settings: Omit<TrainTokenizerOptions, "texts"> & { corpus: string };
  tokens: string[];
  merges?: string[];
  samples?: { text: string; ids: number[] }[];
}
interface Golden {
  corpora: Record<string, string[]>;
  cases: Case[];
}

const path = fileURLToPath(new URL("../golden/tokenizer-training.json", import.meta.url));
const golden: Golden = JSON.parse(await readFile(path, "utf8"));

function run({ corpus, ...settings }: Case["settings"], more: Partial<TrainTokenizerOptions> = {}) {
  return trainTokenizer({ texts: golden.corpora[corpus], ...settings, ...more });
}

const title = ({ settings: { corpus, specialTokens, ...rest } }: Case) =>
  `${corpus}: ${JSON.stringify(rest)}`;
const named = golden.cases.map((entry) => [title(entry), entry] as const);

describe.each(named.filter(([, { merges }]) => merges !== undefined))("BPE on %s", (_, entry) => {
  it("has the ids and merges of BpeTrainer", async () => {
    const trained = await run(entry.settings);
    expect(trained.tokens).toEqual(entry.tokens);
    const { model } = JSON.parse(trained.tokenizerJson);
    expect(model.merges.map((merge: string[]) => merge.join(" "))).toEqual(entry.merges);
    expect(trained.merges).toBe(entry.merges?.length);
    expect(model.vocab).toEqual(Object.fromEntries(entry.tokens.map((token, id) => [token, id])));
  });

  it("is loaded and encodes as Hugging Face's does", async () => {
    const dir = await temporaryFolder();
    await (await run(entry.settings)).save(dir);
    const tokenizer = await loadTokenizer(dir);
    for (const { text, ids } of entry.samples ?? []) {
      expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
    }
  });
});

describe.each(named.filter(([, { merges }]) => merges === undefined))("WordPiece on %s", (_, entry) => {
  it("has the tokens of WordPieceTrainer, and ids that follow the rule", async () => {
    const trained = await run(entry.settings);
    expect(new Set(trained.tokens)).toEqual(new Set(entry.tokens));
    const { specialTokens = [] } = entry.settings;
    expect(trained.tokens.slice(0, specialTokens.length)).toEqual(specialTokens);
    const single = trained.tokens.filter((token) => [...token].length === 1);
    const continued = trained.tokens.filter((token) => token.startsWith("##") && [...token].length === 3);
    const sorted = (list: string[]) =>
      [...list].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const begin = specialTokens.length;
    expect(trained.tokens.slice(begin, begin + single.length)).toEqual(sorted(single));
    const next = begin + single.length;
    expect(trained.tokens.slice(next, next + continued.length)).toEqual(sorted(continued));
  });

  it("is loaded and spells its own words", async () => {
    const dir = await temporaryFolder();
    await (await run(entry.settings)).save(dir);
    const tokenizer = await loadTokenizer(dir);
    const [text] = golden.corpora[entry.settings.corpus];
    const unknown = entry.settings.specialTokens?.indexOf("[UNK]");
    expect([...tokenizer.encode(text)]).not.toContain(unknown);
  });
});

describe("the result", () => {
  const [, mixed] = named[0];

  it("is the same for any number of threads and any batches", async () => {
    const reference = await run(mixed.settings, { threads: 1 });
    for (const [threads, batchCharacters] of [
      [1, 1],
      [2, 300],
      [3, 5000],
      [7, 4 * 2 ** 20],
    ]) {
      const other = await run(mixed.settings, { threads, batchCharacters });
      expect(other.tokenizerJson).toBe(reference.tokenizerJson);
    }
  });

  it("is the same for texts that come slowly, as documents, in another order", async () => {
    const reference = await run(mixed.settings);
    async function* slowly() {
      for (const text of [...golden.corpora.mixed].reverse()) {
        await new Promise((resolve) => setImmediate(resolve));
        yield { text, source: "test" };
      }
    }
    const other = await run(mixed.settings, { texts: slowly(), batchCharacters: 1000 });
    expect(other.tokenizerJson).toBe(reference.tokenizerJson);
    expect(other.texts).toBe(golden.corpora.mixed.length);
    expect(other.bytes).toBe(golden.corpora.mixed.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
  });

  it("merges many words on several threads as on one", async () => {
    // More words than one thread takes: the shares of a merge are put together.
    const letters = "abcdefghij";
    const word = (n: number) => [...String(n * 7919)].map((digit) => letters[Number(digit)]).join("");
    const texts = Array.from({ length: 60 }, (_, i) =>
      Array.from({ length: 1000 }, (_, j) => word(i * 1000 + j)).join(" "),
    );
    const settings = { texts, pattern: "gpt2", vocabSize: 900 } as const;
    const [one, three] = await Promise.all([
      trainTokenizer({ ...settings, threads: 1 }),
      trainTokenizer({ ...settings, threads: 3 }),
    ]);
    expect(one.words.distinct).toBeGreaterThan(50_000);
    expect(three.tokenizerJson).toBe(one.tokenizerJson);
  });
});
