/** Options of the training: what they put into the files, and what is refused. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError, DataError, TokenizerError } from "../../lib/errors.js";
import {
  loadTokenizer,
  type TokenizerTrainingProgress,
  TRAINING_PATTERNS,
  type TrainTokenizerOptions,
  trainTokenizer,
} from "../../lib/tokenizer/index.js";
import { rejection, temporaryFolder } from "../io/temporary.js";

const texts = ["low lower lowest 2024", "new newer newest, wider; 12345!", "数字と漢字 kana", ""];

const train = (options: Partial<TrainTokenizerOptions>) =>
  trainTokenizer({ texts, vocabSize: 300, ...options });

describe("the files", () => {
  it("hold the parts that the published tokenizers of each pattern have", async () => {
    const expected = {
      gpt2: { split: 0, ignore: false, bos: false },
      gpt4: { split: 1, ignore: true, bos: false },
      llama3: { split: 1, ignore: true, bos: true },
      gpt4o: { split: 1, ignore: true, bos: false },
      "deepseek-v3": { split: 3, ignore: false, bos: true },
    };
    for (const pattern of TRAINING_PATTERNS) {
      const { tokenizerJson } = await train({ pattern, bosToken: "<s>", eosToken: "</s>" });
      const json = JSON.parse(tokenizerJson);
      const cuts = json.pre_tokenizer.pretokenizers ?? [json.pre_tokenizer];
      expect(cuts.filter((part: { type: string }) => part.type === "Split")).toHaveLength(
        expected[pattern].split,
      );
      expect(cuts.at(-1)).toMatchObject({
        type: "ByteLevel",
        add_prefix_space: false,
        use_regex: pattern === "gpt2",
      });
      expect(json.model.ignore_merges).toBe(expected[pattern].ignore);
      expect(json.decoder.type).toBe("ByteLevel");
      const dir = await temporaryFolder();
      await (await train({ pattern, bosToken: "<s>", eosToken: "</s>" })).save(dir);
      const tokenizer = await loadTokenizer(dir);
      const plain = [...tokenizer.encode("low 1234")];
      const framed = [...tokenizer.encode("low 1234", { addSpecialTokens: true })];
      expect(framed).toEqual(expected[pattern].bos ? [0, ...plain] : plain);
      for (const text of texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });

  it("name special tokens, chat template and length", async () => {
    const chatTemplate = "{% for message in messages %}{{ message.content }}{% endfor %}";
    const trained = await train({
      specialTokens: ["<fim>"],
      bosToken: "<s>",
      eosToken: "</s>",
      padToken: "</s>",
      addEosToken: true,
      modelMaxLength: 4096,
      chatTemplate,
    });
    expect(trained.tokens.slice(0, 4)).toEqual(["<fim>", "<s>", "</s>", "!"]);
    const dir = await temporaryFolder();
    await trained.save(dir);
    const config = JSON.parse(await readFile(join(dir, "tokenizer_config.json"), "utf8"));
    expect(config).toMatchObject({
      bos_token: "<s>",
      eos_token: "</s>",
      pad_token: "</s>",
      chat_template: chatTemplate,
      model_max_length: 4096,
      add_bos_token: true,
      add_eos_token: true,
    });
    expect(JSON.parse(await readFile(join(dir, "special_tokens_map.json"), "utf8"))).toEqual({
      bos_token: "<s>",
      eos_token: "</s>",
      pad_token: "</s>",
    });
    const tokenizer = await loadTokenizer(dir);
    expect([tokenizer.bosId, tokenizer.eosId]).toEqual([1, 2]);
    const ids = [...tokenizer.encode("low</s>", { addSpecialTokens: true })];
    expect([ids[0], ...ids.slice(-2)]).toEqual([1, 2, 2]);
  });

  it("have <|endoftext|> first where nothing else is said, and none where nothing is wanted", async () => {
    expect((await train({})).tokens[0]).toBe("<|endoftext|>");
    expect((await train({ specialTokens: [] })).tokens[0]).toBe("!");
  });

  it("of WordPiece frame texts as BERT does", async () => {
    const trained = await train({ kind: "wordpiece", vocabSize: 80 });
    expect(trained.tokens.slice(0, 5)).toEqual(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
    expect(trained.merges).toBe(0);
    const dir = await temporaryFolder();
    await trained.save(dir);
    const tokenizer = await loadTokenizer(dir);
    const ids = [...tokenizer.encode("LOWER low", { addSpecialTokens: true })];
    expect([ids[0], ids.at(-1)]).toEqual([2, 3]);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("lower low");
    expect([...tokenizer.encode("low ☃ low")][1]).toBe(1);
  });

  it("keep tokens that look like numbers at their ids", async () => {
    const trained = await train({ texts: ["11 11 11 12 12 1112"], pattern: "gpt2", vocabSize: 260 });
    const lines = trained.tokenizerJson
      .split('"vocab": {')[1]
      .split("\n")
      .filter((line) => /^ {6}".*": \d+,?$/.test(line));
    expect(lines.map((line) => Number(/: (\d+),?$/.exec(line)?.[1]))).toEqual(
      trained.tokens.map((_, id) => id),
    );
    expect(trained.tokens.slice(257)).toContain("11");
  });
});

describe("progress", () => {
  it("counts, then merges, and ends at the whole", async () => {
    const seen: TokenizerTrainingProgress[] = [];
    const trained = await train({ onProgress: (progress) => seen.push(progress), totalBytes: 100 });
    expect(seen.map((progress) => progress.phase)).toContain("count");
    const last = seen.at(-1);
    expect(last).toMatchObject({
      phase: "merge",
      texts: 4,
      bytes: trained.bytes,
      tokens: 300,
      vocabSize: 300,
    });
    expect(last?.totalBytes).toBe(100);
  });
});

describe("what is refused", () => {
  const cases: [string, Partial<TrainTokenizerOptions>, RegExp][] = [
    ["an unknown option", { vocabsize: 3 } as never, /no option "vocabsize".*vocabSize/s],
    [
      "no texts at all",
      { texts: undefined },
      /texts must be an iterable of strings or documents, got undefined/,
    ],
    ["one text alone", { texts: "one" }, /texts must be an iterable of strings or documents, got string/],
    ["an unknown kind", { kind: "unigram" as never }, /kind must be "bpe" or "wordpiece", got "unigram"/],
    ["an unknown pattern", { pattern: "llama" as never }, /pattern must be one of gpt2.*llama3/s],
    ["no vocabulary", { vocabSize: 0 }, /vocabSize must be an integer from 1 to 16777216, got 0/],
    ["a huge vocabulary", { vocabSize: 2 ** 30 }, /vocabSize must be an integer from 1/],
    ["a fraction", { minFrequency: 1.5 }, /minFrequency must be an integer at least 0, got 1.5/],
    ["a negative length", { maxTokenLength: -1 }, /maxTokenLength must be an integer at least 1, got -1/],
    ["no threads", { threads: 0 }, /threads must be an integer from 1 to 1024, got 0/],
    ["an empty special token", { specialTokens: ["a", ""] }, /specialTokens\[1\] must be a token/],
    ["half a character", { eosToken: "\ud800" }, /eosToken must be a token/],
    ["a special token twice", { specialTokens: ["a", "a"] }, /specialTokens has a token twice/],
    [
      "two initial characters in one",
      { initialAlphabet: ["ab"] },
      /initialAlphabet\[0\] must be one character, got "ab"/,
    ],
    ["an initial character beyond bytes", { initialAlphabet: ["漢"] }, /not of the byte alphabet/],
    ["a begin token that is not there", { addBosToken: true }, /addBosToken needs bosToken/],
    [
      "an end token that is not there",
      { specialTokens: [], addEosToken: true },
      /addEosToken needs eosToken/,
    ],
    ["a pattern for WordPiece", { kind: "wordpiece", pattern: "gpt2" }, /pattern is for kind "bpe"/],
    ["lower case for BPE", { lowercase: true }, /lowercase and unkToken are for kind "wordpiece"/],
  ];

  it.each(cases)("%s", async (_, options, message) => {
    const error = await rejection(train(options));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(message);
  });

  it("a regular expression that does not parse", async () => {
    const error = await rejection(train({ pattern: { regex: "(unclosed" } }));
    expect(error).toBeInstanceOf(TokenizerError);
    expect(error.message).toMatch(/pre_tokenizer/);
  });

  it("a chat template that does not parse", async () => {
    const error = await rejection(train({ chatTemplate: "{% for %}" }));
    expect(error).toBeInstanceOf(TokenizerError);
    expect(error.message).toMatch(/^chatTemplate is not a valid Jinja template/);
  });

  it("no texts, and texts without words", async () => {
    for (const [nothing, message] of [
      [[], /no texts/],
      [["", ""], /2 texts without any word/],
    ] as const) {
      const error = await rejection(train({ texts: nothing }));
      expect(error).toBeInstanceOf(DataError);
      expect(error.message).toMatch(message);
    }
  });

  it("texts that are none", async () => {
    const error = await rejection(train({ texts: ["a", 5 as never] }));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(/Text 1 must be a string or a document with a text, got number/);
  });

  it("going on after the source of texts failed", async () => {
    async function* failing() {
      yield "some text";
      throw new Error("the network is gone");
    }
    await expect(train({ texts: failing(), batchCharacters: 1 })).rejects.toThrow("the network is gone");
  });

  it("going on after an abort", async () => {
    const controller = new AbortController();
    async function* endless() {
      for (let i = 0; ; i++) {
        if (i === 5) controller.abort(new Error("enough"));
        yield `text number ${i}`;
      }
    }
    const { signal } = controller;
    await expect(train({ texts: endless(), batchCharacters: 1, signal })).rejects.toThrow("enough");
    await expect(train({ signal: AbortSignal.abort(new Error("never")) })).rejects.toThrow("never");
  });
});
