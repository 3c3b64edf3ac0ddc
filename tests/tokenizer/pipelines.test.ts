/**
 * Every part that a tokenizer.json can have, against Hugging Face's library (tests/golden/make_pipelines.py): ids,
 * offsets, types, masks and texts; and every way to damage a file.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../lib/errors.js";
import { NativeTokenizer } from "../../lib/native/text/tokenizer.js";
import { HfTokenizer } from "../../lib/tokenizer/index.js";

interface Row {
  text: string;
  pair?: string;
  special: boolean;
  ids: number[];
  offsets: number[];
  types: number[];
  mask: number[];
  sequences: number[];
}
interface Pipeline {
  name: string;
  model: string;
  file: Record<string, unknown>;
  encodings: Row[];
  decodings: { ids: number[]; skip: boolean; text: string }[];
  long?: { count: number; sha256: string };
}
interface Golden {
  longLine: { characters: number; sha256: string };
  models: Record<string, Record<string, unknown>>;
  pipelines: Pipeline[];
}

const golden: Golden = JSON.parse(
  await readFile(new URL("../golden/pipelines.json", import.meta.url), "utf8"),
);

function load({ file, model, name }: Pipeline): HfTokenizer {
  const json = JSON.stringify({ ...file, model: golden.models[model] });
  return new HfTokenizer(name, new Map([["tokenizer.json", json]]), "tokenizer.json");
}

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The line that make_pipelines.py writes by the same formula. */
function longLine(characters: number): string {
  const words = "the cat sat hello world's 日本語 12345 naïve it's we'll x token 中文。 👍🏽".split(" ");
  const separators = [...Array(12).fill(" "), "  ", ", ", "—", ""];
  const parts: string[] = [];
  let state = 1;
  for (let size = 0; size < characters; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const part = words[(state >>> 16) % words.length] + separators[(state >>> 24) % separators.length];
    parts.push(part);
    size += [...part].length;
  }
  return parts.join("");
}

describe.each(golden.pipelines.map((pipeline) => [pipeline.name, pipeline] as const))("%s", (_, pipeline) => {
  const tokenizer = load(pipeline);

  it("gives ids, offsets, types and masks of texts and pairs", () => {
    for (const row of pipeline.encodings) {
      const { text, pair, special: addSpecialTokens } = row;
      const encoding = tokenizer.encodeWithOffsets(text, { pair, addSpecialTokens });
      const about = JSON.stringify([text, pair]);
      expect([...encoding.ids], about).toEqual(row.ids);
      expect([...encoding.offsets], about).toEqual(row.offsets);
      expect([...encoding.typeIds], about).toEqual(row.types);
      expect([...encoding.specialMask], about).toEqual(row.mask);
      expect([...encoding.sequenceIds], about).toEqual(row.sequences);
      if (pair === undefined) expect([...tokenizer.encode(text, { addSpecialTokens })]).toEqual(row.ids);
    }
  });

  it("decodes, at once and token by token", async () => {
    for (const { ids, skip: skipSpecialTokens, text } of pipeline.decodings) {
      expect(tokenizer.decode(ids, { skipSpecialTokens })).toBe(text);
    }
    const batch = pipeline.decodings.filter((row) => !row.skip);
    let end = 0;
    const ends = Uint32Array.from(batch, (row) => {
      end += row.ids.length;
      return end;
    });
    const ids = Int32Array.from(batch.flatMap((row) => row.ids));
    expect(await tokenizer.decodeBatch({ ids, ends })).toEqual(batch.map((row) => row.text));
  });
});

it("streams whole characters only", () => {
  for (const pipeline of golden.pipelines) {
    const tokenizer = load(pipeline);
    for (const { ids } of pipeline.encodings) {
      const stream = tokenizer.streamDecoder();
      let text = "";
      for (const id of ids) {
        const piece = stream.push(id);
        expect(/\p{Surrogate}/u.test(piece)).toBe(false);
        text += piece;
      }
      text += stream.flush();
      if (pipeline.name.startsWith("gpt") || pipeline.name === "deepseek-v3") {
        expect(text).toBe(tokenizer.decode(ids));
      }
    }
  }
});

describe("a line of a million characters", () => {
  const line = longLine(golden.longLine.characters);
  it("is the one that the golden values are of", () => {
    expect(sha256(line)).toBe(golden.longLine.sha256);
  });
  const long = golden.pipelines.filter((pipeline) => pipeline.long !== undefined);
  it.each(long.map((pipeline) => [pipeline.name, pipeline] as const))("%s", async (_, pipeline) => {
    const tokenizer = load(pipeline);
    for (const threads of [1, 3]) {
      const { ids } = await tokenizer.encodeBatch([line], { threads });
      expect(ids.length).toBe(pipeline.long?.count);
      expect(sha256(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength))).toBe(pipeline.long?.sha256);
    }
  });
});

describe("damaged files", () => {
  it("that put in ids beyond the vocabulary are refused", () => {
    const file = (id: number) => ({
      model: { type: "WordLevel", vocab: { "[UNK]": 0, a: 1 }, unk_token: "[UNK]" },
      post_processor: {
        ...{ type: "RobertaProcessing", sep: ["a", id], cls: ["[UNK]", 0] },
        ...{ trim_offsets: true, add_prefix_space: true },
      },
    });
    const read = (value: object) => NativeTokenizer.fromJson(Buffer.from(JSON.stringify(value)), "x.json");
    expect(() => read(file(1))).not.toThrow();
    expect(() => read(file(2))).toThrow(
      /post_processor puts in the id 2, but the largest id of the vocabulary is 1/,
    );
  });

  /** All places in a value; of large lists and mappings the first few. */
  function* places(value: unknown, path: (string | number)[] = []): Generator<(string | number)[]> {
    if (path.length > 0) yield path;
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value).slice(0, 8)) {
      yield* places((value as Record<string, unknown>)[key], [
        ...path,
        Array.isArray(value) ? Number(key) : key,
      ]);
    }
  }

  /** A copy with one place changed, or (without a value) gone. */
  function changed(json: object, path: (string | number)[], value?: unknown): object {
    const copy = structuredClone(json);
    let inner = copy as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) inner = inner[key] as Record<string | number, unknown>;
    const last = path[path.length - 1];
    if (value !== undefined) inner[last] = value;
    else if (Array.isArray(inner)) inner.splice(Number(last), 1);
    else delete inner[last];
    return copy;
  }

  const families = ["llama3", "llama2", "bert uncased", "t5", "clip", "roberta", "ctc", "added tokens"];
  it.each(families)("either load or throw a TokenizerError that names the file: %s", (name) => {
    const pipeline = golden.pipelines.find((one) => one.name === name) as Pipeline;
    const json = { ...pipeline.file, model: golden.models[pipeline.model] };
    let refused = 0;
    for (const path of places(json)) {
      for (const value of [undefined, null, 7, -1, 1.5, "nonsense", true, [], {}, [[]], { type: "Nope" }]) {
        const text = JSON.stringify(changed(json, path, value));
        try {
          const native = NativeTokenizer.fromJson(Buffer.from(text), "folder/tokenizer.json");
          native.encode("we will see", true);
          native.decode(Int32Array.of(0, 1, 2), false);
          native.dispose();
        } catch (error) {
          refused++;
          expect(error, `${path.join(".")} = ${JSON.stringify(value)}`).toBeInstanceOf(TokenizerError);
          const { message } = error as TokenizerError;
          // Encoding may find that the unknown token is gone; reading names the file.
          if (!/unknown token|<unk>|\[UNK\]/.test(message)) expect(message).toMatch(/tokenizer\.json/);
        }
      }
    }
    expect(refused).toBeGreaterThan(60);
  });

  const bad: [string, string, RegExp][] = [
    ["a key twice", '{"model":{},"model":{}}', /has the key "model" twice/],
    [
      "a token twice",
      '{"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0,"a":1}}}',
      /the key "a" twice/,
    ],
    [
      "an unknown model",
      '{"model":{"type":"Nope","vocab":{"a":0}}}',
      /names the model "Nope".*Known are BPE/,
    ],
    [
      "a merge of three",
      '{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b c"]}}',
      /merges\[0\] must be two tokens/,
    ],
    [
      "a merge beyond the vocabulary",
      '{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","b"]]}}',
      /"?b"?/,
    ],
    [
      "an added token with another id than the vocabulary",
      '{"added_tokens":[{"id":5,"content":"a"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}',
      /"a" has the id 5, but 0 in the vocabulary/,
    ],
    [
      "an added token in the place of another",
      '{"added_tokens":[{"id":0,"content":"b"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}',
      /"b" and the vocabulary's "a" share the id 0/,
    ],
    [
      "a bad regular expression",
      '{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated","invert":false},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}',
      /pre_tokenizer\.pattern: /,
    ],
    [
      "a template with a token it does not define",
      '{"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}}],"pair":[],"special_tokens":{}},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}',
      /special_tokens has no "x"/,
    ],
    [
      "a damaged character map",
      '{"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA!"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}',
      /normalizer: The precompiled character map is damaged: it is not base64/,
    ],
  ];
  it.each(bad)("are refused: %s", (_, text, message) => {
    const read = () => NativeTokenizer.fromJson(Buffer.from(text), "folder/tokenizer.json");
    expect(read).toThrow(message);
    expect(read).toThrow(TokenizerError);
  });
});
