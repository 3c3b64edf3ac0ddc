import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FastText, identifyLanguage, languageIdentifier } from "../../../lib/data/language/index.js";
import { rejection, temporaryFolder } from "../../io/temporary.js";
import { fastTextHash, type ModelParts, writeModel } from "./fasttext-model.js";

const GOLDEN = join(import.meta.dirname, "../../golden/fasttext");
const golden = JSON.parse(readFileSync(join(GOLDEN, "golden.json"), "utf8")) as {
  texts: string[];
  models: Record<string, { predictions: [string, number][][]; best: string[] }>;
};

/** Two labels that look at one dimension each; words are 1 in one of them. */
const simple = (change: Partial<ModelParts> = {}): ModelParts => ({
  words: ["</s>", "red", "blue"],
  labels: ["__label__r", "__label__b"],
  input: {
    rows: [
      [0, 0],
      [3, 0],
      [0, 3],
    ],
  },
  output: {
    rows: [
      [1, 0],
      [0, 1],
    ],
  },
  ...change,
});

async function load(parts: ModelParts | Buffer): Promise<FastText> {
  const path = join(await temporaryFolder(), "model.bin");
  await writeFile(path, Buffer.isBuffer(parts) ? parts : writeModel(parts));
  return FastText.load(path);
}

describe("predictions of fastText itself", () => {
  for (const [name, { predictions, best }] of Object.entries(golden.models)) {
    it(`are those of ${name}`, async () => {
      const model = await FastText.load(join(GOLDEN, name));
      const all = await model.predictBatch(golden.texts, { k: -1 });
      all.forEach((found, i) => {
        const scores = found.map(({ score }) => Number(score.toPrecision(6)));
        const expected = predictions[i].map(([, score]) => score);
        expect(scores.length, golden.texts[i]).toBe(expected.length);
        // The program prints six digits.
        scores.forEach((score, j) => {
          expect(Math.abs(score - expected[j])).toBeLessThanOrEqual(expected[j] * 1.1e-5);
        });
        expect(found.map(({ label }) => label)).toEqual(predictions[i].map(([label]) => label));
      });
      // Which of equal scores comes first depends on how many are asked for.
      const found = await model.predictBatch(golden.texts);
      expect(found.map((one) => one[0]?.label ?? "")).toEqual(best);
    });
  }

  it("do not depend on threads or batches", async () => {
    const model = await FastText.load(join(GOLDEN, "quantised-pruned.ftz"));
    const texts = Array.from({ length: 40 }, () => golden.texts).flat();
    const one = await model.predictBatch(texts, { k: 3, threads: 1 });
    expect(await model.predictBatch(texts, { k: 3, threads: 7 })).toEqual(one);
    expect(await model.predictBatch(texts.slice(100, 105), { k: 3 })).toEqual(one.slice(100, 105));
  });
});

describe("models written by hand", () => {
  it("average their words and give the softmax", async () => {
    const model = await load(simple());
    // "red" and the end of the line: (3 + 0) / 2 against 0.
    const [[first, second]] = await model.predictBatch(["red"], { k: 2 });
    expect(first.label).toBe("r");
    expect(first.score).toBeCloseTo(Math.exp(1.5) / (Math.exp(1.5) + 1) + 1e-5, 6);
    expect(second).toMatchObject({ label: "b" });
    expect(first.score + second.score).toBeCloseTo(1 + 2e-5, 6);
    expect(await model.predictBatch(["red"], { k: 2, threshold: 0.5 })).toEqual([[first]]);
    expect(await model.predictBatch(["red"], { k: 2, threshold: 2 })).toEqual([[]]);
    expect(await model.predictBatch([])).toEqual([]);
    expect(model.labels).toEqual(["r", "b"]);
    expect(model.description).toContain("2 labels, 3 words, no character n-grams");
    expect(model.bytes).toBeGreaterThan(40);
  });

  it("separate words as fastText does, newlines included", async () => {
    const model = await load(simple());
    const same = ["red blue", " red\tblue ", "red\nblue", "red\r\v\fblue", "red\0blue\n"];
    const found = await model.predictBatch(same, { k: 2 });
    for (const predictions of found) expect(predictions).toEqual(found[0]);
    // An unknown word does nothing, a non-breaking space is no space, and a label is no word.
    const [red, other, glued, labelled, ended] = await model.predictBatch(
      ["red", "red green", "red\u00a0blue", "red __label__b __label__q", "red </s> blue"],
      { k: 2 },
    );
    expect(other).toEqual(red);
    expect(labelled).toEqual(red);
    expect(ended).toEqual(red);
    expect(glued[0].score).toBeCloseTo(0.50001, 6);
  });

  it("have nothing to say without a known word or n-gram", async () => {
    const model = await load(simple({ words: ["red"], input: { rows: [[3, 0]] } }));
    expect(await model.predictBatch(["green", "", "red"])).toMatchObject([[], [], [{ label: "r" }]]);
  });

  it("find character n-grams by the hash of their signed bytes", async () => {
    const buckets = 1009;
    const rows = (grams: string[]) => {
      const input = Array.from({ length: 1 + buckets }, () => [0, 0]);
      for (const gram of grams) input[1 + (fastTextHash(gram) % buckets)] = [1, 0];
      return input;
    };
    const share = async (grams: string[], text: string, minCharacters: number, maxCharacters: number) => {
      const model = await load(
        simple({ words: ["</s>"], buckets, minCharacters, maxCharacters, input: { rows: rows(grams) } }),
      );
      const [[{ score, label }]] = await model.predictBatch([text]);
      return label === "r" ? Math.log((score - 1e-5) / (1 - score + 1e-5)) : 0;
    };
    // <né>: n-grams of 2 are <n, né, é>, each one of four rows with the end of the line.
    for (const gram of ["<n", "né", "é>"]) expect(await share([gram], "né", 2, 2)).toBeCloseTo(1 / 4, 4);
    expect(await share(["<n", "né", "é>"], "né", 2, 2)).toBeCloseTo(3 / 4, 4);
    // Of single characters < and > do not count.
    expect(await share(["<", ">"], "né", 1, 1)).toBeCloseTo(0, 4);
    expect(await share(["n", "é"], "né", 1, 1)).toBeCloseTo(2 / 3, 4);
    expect(await share(["<日本>"], "日本", 4, 4)).toBeCloseTo(1 / 2, 4);
    expect(await share(["👍🏽"], "👍🏽", 2, 2)).toBeCloseTo(1 / 4, 4);
  });

  it("find word n-grams by hashes that are extended to 64 bits with their sign", async () => {
    const buckets = 997;
    const signed = (word: string) => BigInt(fastTextHash(word) | 0);
    const bucket = (words: string[]) => {
      let hash = signed(words[0]);
      for (const word of words.slice(1)) hash = BigInt.asUintN(64, hash * 116049371n + signed(word));
      return Number(BigInt.asUintN(64, hash) % BigInt(buckets));
    };
    for (const words of [
      ["red", "blue"],
      ["blue", "</s>"],
      ["x", "y", "z"],
    ]) {
      const input = Array.from({ length: 3 + buckets }, () => [0, 0]);
      input[3 + bucket(words)] = [6, 0];
      const model = await load(simple({ buckets, wordNgrams: words.length, input: { rows: input } }));
      const [[best]] = await model.predictBatch([words.join(" ")]);
      expect(best.label).toBe("r");
      expect(best.score).toBeGreaterThan(0.6);
    }
  });

  it("keep only the n-grams that pruning left, and stretch quantised rows by their lengths", async () => {
    const buckets = 500;
    const bucket = fastTextHash("<r") % buckets;
    const parts = simple({
      words: ["</s>"],
      buckets,
      minCharacters: 2,
      maxCharacters: 2,
      pruned: [[bucket, 0]],
      input: {
        codes: [
          [0, 0],
          [1, 0],
        ],
        dimensions: 3,
        width: 2,
        centroids: (part, code) => (part === 0 && code === 1 ? [1, 0] : [0, 0]),
        norms: { codes: [0, 7], lengths: Array.from({ length: 256 }, (_, i) => i) },
      },
      output: {
        rows: [
          [1, 0, 0],
          [0, 1, 0],
        ],
      },
    });
    const model = await load(parts);
    const [[best]] = await model.predictBatch(["rx"]);
    // One of two rows has the length 7.
    expect(Math.log((best.score - 1e-5) / (1 - best.score + 1e-5))).toBeCloseTo(3.5, 2);
    const [[none]] = await model.predictBatch(["x"]);
    expect(none.score).toBeCloseTo(0.50001, 6);
    const bare = await load({ ...parts, pruned: [] });
    expect((await bare.predictBatch(["rx"]))[0][0].score).toBeCloseTo(0.50001, 6);
  });

  it("may have a quantised output, too", async () => {
    const model = await load(
      simple({
        input: {
          codes: [[0], [1], [2]],
          dimensions: 2,
          width: 2,
          centroids: (_, code) => [code === 1 ? 3 : 0, code === 2 ? 3 : 0],
        },
        output: {
          codes: [[1], [2]],
          dimensions: 2,
          width: 2,
          centroids: (_, code) => [code === 1 ? 0.5 : 0, code === 2 ? 0.5 : 0],
          norms: { codes: [2, 2], lengths: Array.from({ length: 256 }, (_, i) => i) },
        },
      }),
    );
    const [[best]] = await model.predictBatch(["blue"]);
    expect(best.label).toBe("b");
    expect(best.score).toBeCloseTo(Math.exp(1.5) / (Math.exp(1.5) + 1) + 1e-5, 6);
  });

  it("of version 11 do not use character n-grams", async () => {
    const input = {
      rows: Array.from({ length: 13 }, (_, i) => (i === 1 ? [3, 0] : i > 2 ? [0, 9] : [0, 0])),
    };
    const parts = simple({ buckets: 10, minCharacters: 1, maxCharacters: 3, input });
    const [[old]] = await (await load({ ...parts, version: 11 })).predictBatch(["red"]);
    const [[current]] = await (await load(parts)).predictBatch(["red"]);
    expect([old.label, current.label]).toEqual(["r", "b"]);
  });

  it("handle one label, ties and a tree that is a chain", async () => {
    const one = simple({ labels: ["__label__only"], output: { rows: [[1, 0]] } });
    for (const loss of [1, 2, 3, 4]) {
      const [[best]] = await (await load({ ...one, loss })).predictBatch(["red"]);
      expect(best.label).toBe("only");
    }
    const labels = Array.from({ length: 5000 }, (_, i) => `__label__${i}`);
    const chain = await load(
      simple({
        loss: 1,
        labels,
        labelCounts: labels.map(() => 0),
        output: { rows: labels.map(() => [0, 0]) },
      }),
    );
    expect((await chain.predictBatch(["red"], { k: 3 }))[0].length).toBe(3);
  });
});

describe("files that are no whole model", () => {
  it("are refused wherever they end", async () => {
    for (const name of ["softmax.bin", "quantised-pruned.ftz", "hierarchical.bin"]) {
      const whole = readFileSync(join(GOLDEN, name));
      const step = Math.ceil(whole.length / 60);
      for (let length = 0; length < whole.length; length += length < 100 ? 7 : step) {
        const error = await rejection(load(whole.subarray(0, length)));
        expect(error.code, `${name} cut to ${length}`).toBe("ERR_FORMAT");
        expect(error.message).toMatch(/model\.bin: .*at byte \d+ of \d+/);
      }
      const longer = await rejection(load(Buffer.concat([whole, Buffer.from("x")])));
      expect(longer.message).toContain("1 bytes follow the model");
    }
  });

  const cases: [string, Partial<ModelParts>, RegExp][] = [
    ["other files", { magic: 1 }, /not a fastText model/],
    ["later versions", { version: 13 }, /version 13 cannot be read/],
    ["earlier versions", { version: 10 }, /version 10 cannot be read/],
    ["word vectors", { model: 2 }, /holds word vectors/],
    ["unknown losses", { loss: 5 }, /loss has the number 5/],
    ["n-grams without buckets", { maxCharacters: 3 }, /n-grams with 0 buckets/],
    ["negative buckets", { buckets: -3 }, /n-grams with -3 buckets/],
    ["models without labels", { labels: [] }, /3 words and 0 labels/],
    ["sizes that do not add up", { claimed: { size: 9 } }, /9 entries, of them 3 words and 2 labels/],
    ["negative sizes", { claimed: { size: -1, words: -3 } }, /-1 entries/],
    [
      "huge dictionaries",
      { claimed: { size: 2147483647, words: 2147483645 } },
      /the file ends in the dictionary/,
    ],
    ["labels among words", { claimed: { type: 0 } }, /entry 3 of the dictionary is of type 0/],
    ["more kept n-grams than buckets", { claimed: { pruned: 5 } }, /keep 5 of 0 n-grams/],
    ["counts out of order", { loss: 1, labelCounts: [1, 2] }, /counts of the labels make no tree/],
    ["negative counts", { loss: 1, labelCounts: [1, -2] }, /counts of the labels make no tree/],
    ["too few rows", { buckets: 10, wordNgrams: 2 }, /has 3 rows, the dictionary needs 13/],
    ["other dimensions", { dimensions: 3 }, /2 and 2 columns for 3 dimensions/],
    ["another output", { output: { rows: [[1, 0]] } }, /output matrix has 1 rows for 2 labels/],
    [
      "pruned dense models",
      {
        buckets: 5,
        pruned: [[1, 0]],
        input: {
          rows: [
            [0, 0],
            [0, 0],
            [0, 0],
            [0, 0],
          ],
        },
      },
      /early, faulty version/,
    ],
    ["pruned n-grams outside", { buckets: 5, pruned: [[7, 0]] }, /sends bucket 7 to row 0/],
    ["matrices without columns", { input: { rows: [] }, dimensions: 2 }, /0 x 0 values/],
    [
      "infinite values",
      {
        input: {
          rows: [
            [0, 0],
            [Number.NaN, 0],
            [0, 0],
          ],
        },
      },
      /not finite/,
    ],
    [
      "infinite outputs",
      {
        output: {
          rows: [
            [Number.POSITIVE_INFINITY, 0],
            [0, 1],
          ],
        },
      },
      /not finite/,
    ],
    [
      "infinite trees",
      {
        loss: 1,
        output: {
          rows: [
            [Number.NaN, 0],
            [0, 1],
          ],
        },
      },
      /not finite/,
    ],
    [
      "infinite one against all",
      {
        loss: 4,
        output: {
          rows: [
            [Number.NaN, 0],
            [0, 1],
          ],
        },
      },
      /not finite/,
    ],
  ];
  for (const [what, change, message] of cases) {
    it(`refuses ${what}`, async () => {
      const error = await rejection(load(simple(change)).then((model) => model.predictBatch(["red"])));
      expect(error.code).toBe("ERR_FORMAT");
      expect(error.message).toMatch(message);
      expect(error.message).toContain("Get the model again.");
    });
  }

  it("refuses quantisers that do not fit", async () => {
    const quantised = { codes: [[0], [1], [2]], dimensions: 2, width: 2, centroids: () => [0, 0] };
    const bytes = writeModel(simple({ input: quantised }));
    // Behind the dictionary: quantised, norms, rows, columns, code bytes, 3 codes, then the quantiser's four numbers.
    const at = bytes.length - (1 + 16 + 16) - 256 * 2 * 4 - 16;
    expect([0, 4, 8, 12].map((offset) => bytes.readInt32LE(at + offset))).toEqual([2, 1, 2, 2]);
    for (const [offset, value] of [
      [0, 3],
      [0, -1],
      [4, 0],
      [4, 100],
      [8, 0],
      [8, 3],
      [12, 0],
      [12, 5],
    ]) {
      const broken = Buffer.from(bytes);
      broken.writeInt32LE(value, at + offset);
      expect((await rejection(load(broken))).message).toMatch(/has a quantiser of/);
    }
    const codes = Buffer.from(bytes);
    codes.writeInt32LE(2, at - 3 - 4);
    expect((await rejection(load(codes))).code).toBe("ERR_FORMAT");
  });

  it("names files that cannot be read", async () => {
    const folder = await temporaryFolder();
    const missing = await rejection(FastText.load(join(folder, "no.bin")));
    expect(missing.code).toBe("ERR_DATA");
    expect(missing.message).toMatch(/no\.bin: the model cannot be read: No such file/);
    await mkdir(join(folder, "x"));
    expect((await rejection(FastText.load(join(folder, "x")))).message).toContain("it is not a file");
  });

  it("refuses options that cannot be", async () => {
    const model = await load(simple());
    for (const k of [0, -2, 1.5, Number.NaN]) {
      expect((await rejection(model.predictBatch(["red"], { k }))).code).toBe("ERR_CONFIG");
    }
    expect((await rejection(model.predictBatch(["red"], { threshold: Number.NaN }))).code).toBe("ERR_CONFIG");
    const reason = new Error("enough");
    expect(await rejection(model.predictBatch(["red"], { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

describe("a model as language identifier", () => {
  it("gives codes, scores up to 1, and nothing for texts without letters", async () => {
    const path = join(GOLDEN, "softmax.bin");
    const identifier = await languageIdentifier(path);
    expect(identifier.name).toBe("softmax.bin");
    const found = await identifyLanguage(
      ["they have been there from the and", "они так же было", "", "123 !?"],
      identifier,
    );
    expect(found.map(({ language }) => language)).toEqual(["en", "ru", "und", "und"]);
    expect(found[0].score).toBeGreaterThan(0.65);
    expect(found[3].score).toBe(0);
    for (const { score } of found) expect(score).toBeLessThanOrEqual(1);
  });
});
