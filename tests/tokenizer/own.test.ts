/** Character and byte tokenizers, streaming UTF-8, loading by name, and errors. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DisposedError, TokenizerError } from "../../lib/errors.js";
import {
  ByteTokenizer,
  CharTokenizer,
  HfTokenizer,
  loadTokenizer,
  type Tokenizer,
} from "../../lib/tokenizer/index.js";

const golden = fileURLToPath(new URL("../golden/tokenizers/", import.meta.url));
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-tokenizer-"));
});
afterAll(() => rm(dir, { recursive: true }));

/** Deterministic pseudo-random integers below `n`. */
function generator(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function streamed(tokenizer: Tokenizer, ids: ArrayLike<number>): string {
  const stream = tokenizer.streamDecoder();
  let text = "";
  for (let i = 0; i < ids.length; i++) {
    const piece = stream.push(ids[i]);
    expect(/\p{Surrogate}/u.test(piece)).toBe(false);
    text += piece;
  }
  return text + stream.flush();
}

describe("character tokenizer", () => {
  it("numbers the distinct code points in increasing order", () => {
    const tokenizer = CharTokenizer.fromText("hello 👍 wörld\n");
    expect(tokenizer.characters).toEqual(["\n", " ", "d", "e", "h", "l", "o", "r", "w", "ö", "👍"]);
    expect(tokenizer.vocabSize).toBe(11);
    expect(tokenizer.bosId).toBeUndefined();
    expect(tokenizer.eosId).toBeUndefined();
    expect([...tokenizer.encode("low 👍\n")]).toEqual([5, 6, 8, 1, 10, 0]);
    expect(tokenizer.decode([5, 6, 8, 1, 10, 0])).toBe("low 👍\n");
    expect([9, 10, 2].map((id) => tokenizer.tokenBytes(id))).toEqual([2, 4, 1]);
  });

  it("names an unknown character and where it is", () => {
    const tokenizer = CharTokenizer.fromText("abc 👍");
    expect(() => tokenizer.encode("a👍 ébc")).toThrow(
      /"é" \(U\+00E9\) at position 4 is not among the 5 characters/,
    );
    expect(() => tokenizer.encode("ab👎")).toThrow(TokenizerError);
    try {
      tokenizer.encode("ab👎");
    } catch (error) {
      expect((error as TokenizerError).details).toMatchObject({
        character: "👎",
        codePoint: 0x1f44e,
        position: 2,
      });
    }
  });

  it("names the text of a batch and the character that it does not know", async () => {
    const tokenizer = CharTokenizer.fromText("a👍");
    const texts = ["aa", `👍${"a".repeat(2 ** 17)}é`, "a"];
    await expect(tokenizer.encodeBatch(texts)).rejects.toThrow(/"é" \(U\+00E9\) at position 131074 /);
    await expect(tokenizer.encodeBatch(texts)).rejects.toMatchObject({
      details: { text: 1, codePoint: 0xe9 },
    });
    expect(() => tokenizer.encodeWithOffsets("aé")).toThrow(/"é" \(U\+00E9\) at position 1 /);
    expect([...(await tokenizer.encodeBatch(["aa", "", "👍"])).ids]).toEqual([0, 0, 1]);
    expect([...tokenizer.encodeWithOffsets("a👍a").offsets]).toEqual([0, 1, 1, 3, 3, 4]);
  });

  it("gives special tokens the ids after the characters and finds them in text", () => {
    const tokenizer = CharTokenizer.fromText("abc", { bosToken: "<s>", eosToken: "</s>" });
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.vocabSize]).toEqual([3, 4, 5]);
    expect([...tokenizer.encode("<s>ab</s>c")]).toEqual([3, 0, 1, 4, 2]);
    expect(tokenizer.decode([3, 0, 4, 99])).toBe("<s>a</s>");
    expect(tokenizer.decode([3, 0, 4], { skipSpecialTokens: true })).toBe("a");
    expect(tokenizer.tokenBytes(4)).toBe(0);
  });

  it("collects characters from many texts, as from one", async () => {
    const one = CharTokenizer.fromText("hello world");
    const many = await CharTokenizer.fromTexts(["wor", "", "ld hel", "lo"]);
    expect(many.fingerprint).toBe(one.fingerprint);
    expect(CharTokenizer.fromText("hello world!").fingerprint).not.toBe(one.fingerprint);
    expect(CharTokenizer.fromText("hello world", { eosToken: "<e>" }).fingerprint).not.toBe(one.fingerprint);
  });

  it("refuses vocabularies that are empty, repeated or not characters", () => {
    expect(() => CharTokenizer.fromText("")).toThrow(/at least one character/);
    expect(() => new CharTokenizer(["a", "b", "a"])).toThrow(/twice/);
    expect(() => new CharTokenizer(["ab"])).toThrow(/one Unicode character/);
    expect(() => new CharTokenizer(["\ud800"])).toThrow(/one Unicode character/);
    expect(() => CharTokenizer.fromText("ab", { eosToken: "x" })).toThrow(/at least two characters/);
  });
});

describe("byte tokenizer", () => {
  it("gives every byte its value as id", () => {
    const tokenizer = new ByteTokenizer();
    expect(tokenizer.vocabSize).toBe(257);
    expect(tokenizer.eosId).toBe(256);
    expect([...tokenizer.encode("aé👍<|endoftext|>")]).toEqual([97, 0xc3, 0xa9, 0xf0, 0x9f, 0x91, 0x8d, 256]);
    expect(new ByteTokenizer({ eosToken: null }).vocabSize).toBe(256);
    expect(new ByteTokenizer({ eosToken: null }).fingerprint).not.toBe(tokenizer.fingerprint);
    expect([0, 255, 256].map((id) => tokenizer.tokenBytes(id))).toEqual([1, 1, 0]);
  });

  it("decodes any bytes, invalid ones as U+FFFD, and streams the same text", () => {
    const tokenizer = new ByteTokenizer();
    const random = generator(5);
    for (let round = 0; round < 300; round++) {
      const ids = Array.from({ length: random(24) }, () =>
        random(3) === 0 ? random(257) : 0x80 + random(128),
      );
      expect(streamed(tokenizer, ids)).toBe(tokenizer.decode(ids));
    }
    const text = "\ufeffBOM, é, 日本語, 👩‍👩‍👧‍👦";
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(streamed(tokenizer, tokenizer.encode(text))).toBe(text);
  });

  it("holds a character back until its last byte", () => {
    const stream = new ByteTokenizer().streamDecoder();
    expect([0xf0, 0x9f, 0x91, 0x8d, 0x41].map((id) => stream.push(id))).toEqual(["", "", "", "👍", "A"]);
    expect(stream.push(0xe6)).toBe("");
    expect(stream.push(256)).toBe("\ufffd<|endoftext|>");
    stream.push(0xe6);
    expect(stream.flush()).toBe("\ufffd");
    expect(stream.push(0x42)).toBe("B");
  });

  it("refuses ids that cannot be ids", () => {
    const tokenizer = new ByteTokenizer();
    expect(() => tokenizer.decode([-1])).toThrow(TokenizerError);
    expect(() => tokenizer.decode([1.5])).toThrow(/non-negative integers/);
    expect(tokenizer.decode([65, 8191, 66])).toBe("AB");
  });
});

it("reports progress of a batch and stops when asked to", async () => {
  const tokenizer = await HfTokenizer.load(join(golden, "gpt2"));
  const texts = Array.from({ length: 40 }, (_, i) => `we will see what it is ${i} `.repeat(2000));
  const seen: number[] = [];
  const { ids } = await tokenizer.encodeBatch(texts, {
    onProgress: ({ done, total }) => seen.push(done / total),
  });
  expect(seen.at(-1)).toBe(1);
  expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  expect(tokenizer.decode(ids)).toBe(texts.join(""));
  await expect(
    tokenizer.encodeBatch(texts, { signal: AbortSignal.abort(new Error("enough")) }),
  ).rejects.toThrow("enough");
  const stop = new AbortController();
  const many = Array.from({ length: 20 }, () => texts).flat();
  const work = tokenizer.encodeBatch(many, { signal: stop.signal });
  stop.abort(new Error("stopped"));
  await expect(work).rejects.toThrow("stopped");
});

it("encodes half surrogate pairs as U+FFFD", async () => {
  const tokenizer = await HfTokenizer.load(join(golden, "gpt2"));
  const replaced = [...tokenizer.encode("a\ufffdb \ufffd")];
  expect([...tokenizer.encode("a\ud83db \udc4d")]).toEqual(replaced);
  expect([...(await tokenizer.encodeBatch(["a\ud83db \udc4d"])).ids]).toEqual(replaced);
  expect([...tokenizer.encodeWithOffsets("a\ud83db").offsets].at(-1)).toBe(3);
});

it("is of no use once it is disposed of", async () => {
  const tokenizer = await HfTokenizer.load(join(golden, "gpt2"));
  const work = tokenizer.encodeBatch(["we will see"]);
  tokenizer.dispose();
  tokenizer.dispose();
  expect((await work).ids.length).toBeGreaterThan(0);
  expect(() => tokenizer.encode("a")).toThrow(DisposedError);
  await expect(tokenizer.encodeBatch(["a"])).rejects.toThrow(DisposedError);
});

it("knows how many bytes of text each token stands for", async () => {
  for (const name of ["gpt2", "deepseek", "byte"]) {
    const tokenizer = await loadTokenizer(join(golden, name));
    const text = "naïve 日本語 we will see 👍 <|endoftext|>";
    let bytes = 0;
    for (const id of tokenizer.encode(text)) bytes += tokenizer.tokenBytes(id);
    expect(bytes).toBe(Buffer.byteLength(text) - "<|endoftext|>".length);
  }
});

describe("loadTokenizer", () => {
  it("makes character and byte tokenizers by name", async () => {
    expect((await loadTokenizer("byte")).kind).toBe("byte");
    const char = await loadTokenizer("char", { texts: ["abc"], eosToken: "<e>" });
    expect([char.kind, char.vocabSize, char.eosId]).toEqual(["char", 4, 3]);
    await expect(loadTokenizer("char")).rejects.toThrow(/takes its vocabulary from a text/);
  });

  it("loads the file, and guesses the end token when the file is alone", async () => {
    const text = await readFile(join(golden, "gpt2", "tokenizer.json"));
    await writeFile(join(dir, "tokenizer.json"), text);
    const tokenizer = await loadTokenizer(join(dir, "tokenizer.json"));
    expect(tokenizer.eosId).toBe(0);
    expect(tokenizer.fingerprint).toBe((await loadTokenizer(join(golden, "gpt2"))).fingerprint);
    const named = await HfTokenizer.load(join(dir, "tokenizer.json"), { eosToken: "the" });
    expect(named.decode([named.eosId as number])).toBe("the");
    await expect(HfTokenizer.load(dir, { eosToken: "<nowhere>" })).rejects.toThrow(/not in the vocabulary/);
  });

  const broken: [string, string, RegExp][] = [
    ["not JSON", "{", /not valid JSON/],
    ["not an object", "[]", /must hold a JSON object/],
    ["no model", "{}", /no "model" field/],
    ["no vocabulary", '{"model":{"type":"BPE","merges":[]}}', /model\.vocab/],
    ["no merges", '{"model":{"type":"BPE","vocab":{"a":0}}}', /"merges" list/],
    ["ids shared", '{"model":{"type":"BPE","merges":[],"vocab":{"a":0,"b":0}}}', /share the id 0/],
    ["bad id", '{"model":{"type":"BPE","merges":[],"vocab":{"a":-1}}}', /has the id -1/],
    [
      "unknown part",
      '{"model":{"type":"BPE","merges":[],"vocab":{"a":0}},"decoder":{"type":"Nope"}}',
      /cannot be used.*Nope/,
    ],
    [
      "an unknown behaviour",
      '{"model":{"type":"BPE","merges":[],"vocab":{"a":0}},"pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithBoth","invert":false}}',
      /pre_tokenizer\.behavior must be .*got "MergedWithBoth"/,
    ],
    [
      "added token without id",
      '{"model":{"type":"BPE","merges":[],"vocab":{"a":0}},"added_tokens":[{"content":"x"}]}',
      /added token/,
    ],
  ];
  it.each(broken)("refuses a tokenizer.json with %s", async (_, text, message) => {
    const path = join(dir, "broken.json");
    await writeFile(path, text);
    await expect(loadTokenizer(path)).rejects.toThrow(message);
    await expect(loadTokenizer(path)).rejects.toBeInstanceOf(TokenizerError);
  });

  it("says what to do when there is none", async () => {
    await expect(loadTokenizer(join(dir, "nowhere"))).rejects.toThrow(/No tokenizer at .*"char", "byte"/s);
    await expect(loadTokenizer("bytes")).rejects.toThrow(/Did you mean "byte"/);
  });

  it("keeps the file's own ids when it is not exactly one of ours", async () => {
    const json = JSON.parse(await readFile(join(golden, "byte", "tokenizer.json"), "utf8"));
    json.added_tokens.push({ id: 300, content: "<extra>", special: true });
    await writeFile(join(dir, "tokenizer.json"), JSON.stringify(json));
    const tokenizer = await loadTokenizer(dir);
    expect(tokenizer.kind).toBe("hf");
    expect([...tokenizer.encode("a<extra>")]).toEqual([97, 300]);
  });
});
