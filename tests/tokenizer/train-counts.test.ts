/** Counts of words that outlive their training: the same result, and no file that is half or wrong. */
import { readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CheckpointError, FormatError } from "../../lib/errors.js";
import { TextBatch } from "../../lib/native/text/batch.js";
import { WordCounts } from "../../lib/native/text/train.js";
import { type TrainTokenizerOptions, trainTokenizer } from "../../lib/tokenizer/index.js";
import { faultyFileSystem } from "../io/faults.js";
import { rejection, temporaryFolder } from "../io/temporary.js";

const texts = ["the same words and the same counts", "漢字 123 words", "\0 zero \n\n"];
const settings = { vocabSize: 290, pattern: "gpt2" } as const;

const unread: TrainTokenizerOptions["texts"] = {
  [Symbol.iterator]() {
    throw new Error("the texts were read");
  },
} as Iterable<string>;

async function countsFile(): Promise<string> {
  return join(await temporaryFolder(), "words.counts");
}

describe("a counts file", () => {
  it("spares the reading of the texts and gives the same tokenizer", async () => {
    const path = await countsFile();
    const first = await trainTokenizer({ texts, ...settings, countsFile: path, countsKey: "three" });
    expect(first.resumed).toBe(false);
    const second = await trainTokenizer({ texts: unread, ...settings, countsFile: path, countsKey: "three" });
    expect(second.resumed).toBe(true);
    expect(second.tokenizerJson).toBe(first.tokenizerJson);
    expect({ texts: second.texts, bytes: second.bytes, words: second.words }).toEqual({
      texts: first.texts,
      bytes: first.bytes,
      words: first.words,
    });
    const larger = await trainTokenizer({
      texts: unread,
      ...settings,
      vocabSize: 300,
      countsFile: path,
      countsKey: "three",
    });
    expect(larger.tokens.slice(0, 290)).toEqual(first.tokens);
  });

  it("is the same to the byte for any threads and batches", async () => {
    const paths = await Promise.all([countsFile(), countsFile()]);
    await trainTokenizer({ texts, ...settings, countsFile: paths[0], threads: 1 });
    await trainTokenizer({ texts, ...settings, countsFile: paths[1], threads: 4, batchCharacters: 1 });
    const [a, b] = await Promise.all(paths.map((path) => readFile(path)));
    // The memory that the counting took is in the head and differs.
    const tables = (bytes: Buffer) => bytes.subarray(65536);
    expect(tables(a).equals(tables(b))).toBe(true);
  });

  it("is there after a training that was stopped while merging", async () => {
    const path = await countsFile();
    const controller = new AbortController();
    const options = { texts, ...settings, countsFile: path, signal: controller.signal };
    const stopped = trainTokenizer({
      ...options,
      onProgress: ({ phase }) => phase === "merge" && controller.abort(new Error("stop")),
    });
    // The merges may be done before the first progress: then there was nothing to stop.
    await stopped.catch((error) => expect(error.message).toBe("stop"));
    const resumed = await trainTokenizer({ texts: unread, ...settings, countsFile: path });
    expect(resumed.tokenizerJson).toBe((await trainTokenizer({ texts, ...settings })).tokenizerJson);
  });

  it("of other texts or another way to cut them is refused", async () => {
    const path = await countsFile();
    await trainTokenizer({ texts, ...settings, countsFile: path, countsKey: "one" });
    for (const [more, message] of [
      [{ countsKey: "two" }, /are of other texts: expected "two", got "one"/],
      [{ countsKey: "one", pruneBelow: 2 }, /are of another pruneBelow: expected 2, got 0/],
      [{ countsKey: "one", pattern: "gpt4" }, /are of another way to cut texts/],
      [{ countsKey: "one", pattern: undefined, kind: "wordpiece" }, /are of another kind of tokenizer/],
    ] as const) {
      const error = await rejection(trainTokenizer({ texts, ...settings, countsFile: path, ...more }));
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error.message).toMatch(message);
    }
  });

  it("that is damaged is refused", async () => {
    const path = await countsFile();
    const options = { texts, ...settings, countsFile: path };
    await trainTokenizer(options);
    const whole = await readFile(path);
    const damages: [string, Buffer, RegExp][] = [
      ["empty", Buffer.alloc(0), /does not hold word counts/],
      ["another file", Buffer.from("hello"), /does not hold word counts/],
      ["cut", whole.subarray(0, whole.length - 3), /it was cut/],
      ["too long", Buffer.concat([whole, Buffer.from("x")]), /it was cut/],
      ["changed", Buffer.from(whole.map((byte, i) => (i === whole.length - 1 ? byte ^ 1 : byte))), /damaged/],
    ];
    for (const [name, bytes, message] of damages) {
      await writeFile(path, bytes);
      const error = await rejection(trainTokenizer(options));
      expect(error, name).toBeInstanceOf(FormatError);
      expect(error.message).toMatch(message);
    }
    await truncate(path, 100);
    expect(await rejection(trainTokenizer(options))).toBeInstanceOf(FormatError);
  });

  it("is whole or not there, whichever operation of the disk fails", async () => {
    const healthy = faultyFileSystem();
    const trial = await countsFile();
    await trainTokenizer({ texts, ...settings, countsFile: trial, fs: healthy.fs });
    const { length } = healthy.trace;
    expect(length).toBeGreaterThan(5);
    // The first operation looks for the file, the last ones make the rename last.
    for (let at = 1; at < length; at += 5) {
      const path = await countsFile();
      const { fs } = faultyFileSystem({ at, mode: "crash", errno: "ENOSPC" });
      const error = await rejection(trainTokenizer({ texts, ...settings, countsFile: path, fs }));
      expect(error, `operation ${at}`).toBeInstanceOf(CheckpointError);
      expect(error.message).toMatch(/Could not write the word counts words.counts.*Free space/s);
      const present = (await readdir(join(path, ".."))).includes("words.counts");
      if (present) {
        expect((await stat(path)).size).toBe((await stat(trial)).size);
      }
    }
  });
});

describe("counts", () => {
  const parts = { normalizer: null, pre_tokenizer: { type: "WhitespaceSplit" } };

  it("say how many words there were", async () => {
    const counts = new WordCounts(parts, true);
    await counts.feed(TextBatch.from(["a b a", "", "c a"]), { threads: 2 });
    await counts.feed(TextBatch.from([]));
    expect(await counts.settle()).toMatchObject({ distinct: 3, total: 5, removed: 0 });
  });

  it("forget rare words when told to", async () => {
    const counts = new WordCounts(parts, true);
    await counts.feed(TextBatch.from(["a b a c c c"]));
    expect(await counts.settle(2)).toMatchObject({ distinct: 2, total: 5, removed: 1 });
    const trained = await trainTokenizer({
      texts: ["aa bb aa cc cc cc"],
      vocabSize: 300,
      pattern: { regex: "\\S+" },
      pruneBelow: 2,
      pruneBytes: 0,
    });
    expect(trained.tokens).toContain("aa");
    expect(trained.tokens).not.toContain("bb");
    expect(trained.words.removed).toBeGreaterThan(0);
  });

  it("refuse saved words that are damaged", async () => {
    const counts = new WordCounts(parts, true);
    const cases = [[1], [1, 5, 97], [1, 0], [0, 1, 97], [1, 1, 0xff], [0x80], Array(20).fill(0xff)];
    for (const bytes of cases) {
      const error = await rejection(counts.load(Uint8Array.from(bytes)));
      expect(error, String(bytes)).toBeInstanceOf(FormatError);
      expect(error.message).toMatch(/saved word counts are damaged at byte \d+/);
    }
    await counts.load(Uint8Array.from([200, 1, 1, 97]));
    expect(await counts.settle()).toMatchObject({ distinct: 1, total: 200 });
  });
});
