/** Training and encoding equal to the oracle in tests/reference/bpe.ts on random corpora. */
import { describe, expect, it } from "vitest";
import { TextBatch } from "../../lib/native/text/batch.js";
import { type PairTrainingSettings, WordCounts } from "../../lib/native/text/train.js";
import { byteAlphabet } from "../../lib/tokenizer/byte-alphabet.js";
import { loadTokenizer } from "../../lib/tokenizer/index.js";
import { trainTokenizer } from "../../lib/tokenizer/train.js";
import { temporaryFolder } from "../io/temporary.js";
import { encodeOracle, trainOracle } from "../reference/bpe.js";

/** Small random numbers that are the same everywhere. */
function generator(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return Math.floor((((state ^ (state >>> 13)) >>> 0) / 2 ** 32) * below);
  };
}

const ALPHABETS = [
  "ab",
  "abc",
  "a ",
  "abcdefgh ",
  "abé日本語😀",
  "  =-",
  "the quick brown fox",
  "\0\u0001a\n\r\t",
];
const BYTES = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };

function randomTexts(random: (below: number) => number): string[] {
  const alphabet = [...ALPHABETS[random(ALPHABETS.length)]];
  const longest = [4, 10, 25, 80][random(4)];
  return Array.from({ length: 1 + random(60) }, () =>
    Array.from({ length: random(longest) }, () => alphabet[random(alphabet.length)]).join(""),
  );
}

const spell = (text: string) => [...Buffer.from(text)].map((byte) => byteAlphabet()[byte]).join("");

function counted(texts: readonly string[], bytes: boolean): Map<string, number> {
  const words = new Map<string, number>();
  for (const text of texts) {
    if (text === "") continue;
    const word = bytes ? spell(text) : text;
    words.set(word, (words.get(word) ?? 0) + 1);
  }
  return words;
}

function randomSettings(random: (below: number) => number): PairTrainingSettings {
  const pick = <T>(...choices: T[]): T => choices[random(choices.length)];
  return {
    vocabSize: pick(5, 20, 60, 150),
    minFrequency: pick(0, 0, 2, 3, 10),
    specialTokens: pick<string[]>([], ["<s>"], ["<s>", "</s>", "a"], ["ab", "<|x|>"]),
    initialAlphabet: pick<string[]>([], ["a", "z", "é"]),
    limitAlphabet: pick(undefined, undefined, 2, 4, 9),
    maxTokenLength: pick(undefined, undefined, undefined, 2, 3, 5, 9),
  };
}

describe("training", () => {
  it.each(["bytes", "characters", "word pieces"])(
    "gives the oracle's tokens and merges on %s",
    async (kind) => {
      for (let seed = 1; seed <= 60; seed++) {
        const random = generator(seed);
        const texts = randomTexts(random);
        const settings = randomSettings(random);
        const bytes = kind === "bytes";
        if (kind === "word pieces") settings.continuingSubwordPrefix = "##";
        const counts = new WordCounts({ normalizer: null, pre_tokenizer: bytes ? BYTES : null }, true);
        const threads = 1 + (seed % 3);
        await counts.feed(TextBatch.from(texts), { threads });
        const trained = await counts.train(settings, { threads });
        const expected = trainOracle(counted(texts, bytes), settings);
        const tokens = Array.from({ length: trained.tokens.length }, (_, id) => trained.tokens.text(id));
        expect(tokens, `seed ${seed}`).toEqual(expected.tokens);
        const merges = [...trained.merges].map((id) => tokens[id]);
        expect(merges, `seed ${seed}`).toEqual(expected.merges.flat());
      }
    },
  );
});

describe("encoding", () => {
  it("follows the merges, for short and long pieces", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = generator(seed + 1000);
      const texts = randomTexts(random);
      texts.push("abc");
      const settings = { vocabSize: 256 + 60, specialTokens: [], pattern: { regex: "[\\s\\S]+" } };
      const trained = await trainTokenizer({ texts, ...settings });
      const dir = await temporaryFolder();
      await trained.save(dir);
      const tokenizer = await loadTokenizer(dir);
      const { merges } = JSON.parse(trained.tokenizerJson).model;
      const vocabulary = { tokens: [...trained.tokens], merges };
      // Up to the length at which the merges go from a scan to a heap, and beyond.
      for (const text of [...texts.slice(0, 10), texts.join("").slice(0, 300)]) {
        const expected = encodeOracle([...spell(text)], vocabulary);
        expect([...tokenizer.encode(text)], `seed ${seed}: ${JSON.stringify(text)}`).toEqual(expected);
      }
    }
  });
});
