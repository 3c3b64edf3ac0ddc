/** What callers rely on: reproducible draws, stops, modes, errors, and memory that is free again afterwards. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type GeneratedToken,
  type GenerateOptions,
  generate,
  generateBatch,
} from "../../lib/generate/index.js";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { createModel } from "../../lib/models/registry.js";
import { memory } from "../../lib/native/device.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { ByteTokenizer } from "../../lib/tokenizer/index.js";
import { TINY } from "../models/tiny.js";

const tokenizer = new ByteTokenizer({ bosToken: null, eosToken: "<end>" });

let model: CausalLM;

beforeAll(() => {
  manualSeed(2);
  model = createModel({ ...TINY.llama, vocab_size: tokenizer.vocabSize, initializer_range: 0.2 });
});

afterAll(() => model.dispose());

async function run(prompt: string | number[], options: GenerateOptions): Promise<GeneratedToken[]> {
  const tokens: GeneratedToken[] = [];
  for await (const token of generate(model, prompt, options)) tokens.push(token);
  return tokens;
}

const idsOf = (tokens: GeneratedToken[]): number[] => tokens.map(({ id }) => id);
const textOf = (tokens: GeneratedToken[]): string => tokens.map(({ text }) => text).join("");

describe("draws", () => {
  it("the same seed gives the same tokens, another seed others", async () => {
    const options = { maxTokens: 20, seed: 7 };
    const first = await run([1, 2, 3], options);
    expect(await run([1, 2, 3], options)).toEqual(first);
    expect(idsOf(await run([1, 2, 3], { ...options, seed: 8 }))).not.toEqual(idsOf(first));
  });

  it("without a seed they follow the library's random state and differ from call to call", async () => {
    manualSeed(5);
    const first = [await run([1], { maxTokens: 12 }), await run([1], { maxTokens: 12 })].map(idsOf);
    expect(first[0]).not.toEqual(first[1]);
    manualSeed(5);
    expect([await run([1], { maxTokens: 12 }), await run([1], { maxTokens: 12 })].map(idsOf)).toEqual(first);
  });

  it("equal prompts of a batch differ, and greedy ones do not", async () => {
    const [a, b] = await generateBatch(model, [[1], [1]], { maxTokens: 12, seed: 1 });
    expect(a.ids).not.toEqual(b.ids);
    const [c, d] = await generateBatch(model, [[1], [1]], { maxTokens: 12, temperature: 0 });
    expect(c.ids).toEqual(d.ids);
    expect([...c.ids]).toEqual(idsOf(await run([1], { maxTokens: 12, topK: 1, seed: 3 })));
  });

  it("a strong repetition penalty keeps greedy decoding from saying anything twice", async () => {
    const [plain] = await generateBatch(model, [[1]], { maxTokens: 40, temperature: 0 });
    const [penalised] = await generateBatch(model, [[1]], {
      maxTokens: 40,
      temperature: 0,
      repetitionPenalty: 1e6,
    });
    expect(new Set(plain.ids).size).toBeLessThan(40);
    expect(new Set([1, ...penalised.ids]).size).toBe(41);
  });
});

describe("ends", () => {
  it("counts tokens, and gives nothing for zero", async () => {
    expect((await run("ab", { tokenizer, maxTokens: 3, stopIds: [] })).map((t) => t.finishReason)).toEqual([
      undefined,
      undefined,
      "length",
    ]);
    expect(await run("ab", { tokenizer, maxTokens: 0 })).toEqual([]);
    expect(await generateBatch(model, ["ab"], { tokenizer, maxTokens: 0 })).toEqual([
      { ids: new Int32Array(), logProbs: new Float32Array(), finishReason: "length", text: "" },
    ]);
    expect(await generateBatch(model, [])).toEqual([]);
  });

  it("stop ids end a sequence, belong to its ids and have no text; neighbours go on", async () => {
    const options = { tokenizer, maxTokens: 16, seed: 3 };
    const all = await generateBatch(model, ["ab", "cd"], { ...options, stopIds: [] });
    const at = 5;
    const stop = all[0].ids[at];
    const first = all[0].ids.indexOf(stop);
    const other = all[1].ids.indexOf(stop);
    const [a, b] = await generateBatch(model, ["ab", "cd"], { ...options, stopIds: [stop] });
    expect([...a.ids]).toEqual([...all[0].ids.slice(0, first + 1)]);
    expect(a.finishReason).toBe("stop");
    expect(a.text).toBe(textOf(await run("ab", { ...options, maxTokens: first, stopIds: [] })));
    expect([...b.ids]).toEqual([...(other < 0 ? all[1].ids : all[1].ids.slice(0, other + 1))]);
  });

  it("stop texts end a sequence and are not part of its text", async () => {
    const options = { tokenizer, maxTokens: 24, seed: 4, stopIds: [] };
    const text = textOf(await run("ab", options));
    const stop = text.slice(6, 8);
    const tokens = await run("ab", { ...options, stop });
    expect(tokens.at(-1)?.finishReason).toBe("stop");
    expect(textOf(tokens)).toBe(text.slice(0, text.indexOf(stop)));
    const [batched] = await generateBatch(model, ["ab"], { ...options, stop: ["never there", stop] });
    expect(batched.text).toBe(text.slice(0, text.indexOf(stop)));
    expect(batched.finishReason).toBe("stop");
  });

  it("an aborted signal rejects with its reason, before and between tokens", async () => {
    const reason = new Error("enough");
    await expect(run([1], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { id } of generate(model, [1], { signal: controller.signal, maxTokens: 30 })) {
        seen.push(id);
        if (seen.length === 3) controller.abort(reason);
      }
    })();
    await expect(reading).rejects.toBe(reason);
    expect(seen.length).toBe(3);
    await expect(
      generateBatch(model, [[1]], {
        signal: controller.signal,
      }),
    ).rejects.toBe(reason);
  });
});

describe("the model and memory", () => {
  it("dropout is off meanwhile, and every module's mode is what it was", async () => {
    manualSeed(6);
    using dropping = createModel({ ...TINY.gpt2, resid_pdrop: 0.5, embd_pdrop: 0.5, initializer_range: 0.2 });
    const modules = [...dropping.children()].map(([, child]) => child);
    dropping.train();
    modules[0].eval();
    const noisy = await generateBatch(dropping, [[1, 2]], { temperature: 0, maxTokens: 10 });
    expect(dropping.training).toBe(true);
    expect(modules[0].training).toBe(false);
    dropping.eval();
    const quiet = await generateBatch(dropping, [[1, 2]], { temperature: 0, maxTokens: 10 });
    expect(noisy[0].ids).toEqual(quiet[0].ids);
  });

  it("nothing stays allocated: after the end, a break, an error, an abort, with and without filters", async () => {
    await run([1], { maxTokens: 2 }); // one-time tables
    const before = memory();
    await run([1, 2, 3], { maxTokens: 9, temperature: 0 });
    await generateBatch(model, [[1], [2, 3], [4]], { maxTokens: 9, topP: 0.9, seed: 1 });
    await generateBatch(model, [[1], [2, 3]], { maxTokens: 5, repetitionPenalty: 1.2, seed: 1 });
    for await (const token of generate(model, [1], { maxTokens: 9 })) if (token.id >= 0) break;
    const unused = generate(model, [1], { maxTokens: 9 });
    await unused.next();
    await unused.return();
    await expect(run([1, 99999], { maxTokens: 2 })).rejects.toThrow();
    await expect(run([1], { signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    const after = memory();
    expect(after.live).toBe(before.live);
    expect(after.buffers).toBe(before.buffers);
  });
});

describe("bad input", () => {
  it.each([
    [{ temprature: 1 }, /generate has no option "temprature". Did you mean "temperature"\?/],
    [{ temperature: -1 }, /temperature must be a number from 0, got -1/],
    [{ topP: 0 }, /topP must be above 0 and at most 1, got 0/],
    [{ topK: 1.5 }, /topK must be an integer at least 0, got 1.5/],
    [{ minP: 2 }, /minP must be between 0 and 1, got 2/],
    [{ maxTokens: -1 }, /maxTokens must be an integer at least 0, got -1/],
    [{ repetitionPenalty: 0 }, /repetitionPenalty must be a number above 0, got 0/],
    [{ onContextLimit: "cut" }, /onContextLimit must be "stop" or "slide", got "cut"/],
    [{ stop: "x" }, /stop texts need the option tokenizer/],
    [{ stop: [""], tokenizer }, /stop must not be an empty text/],
  ])("%o", async (options, message) => {
    await expect(run([1], options as GenerateOptions)).rejects.toThrow(message);
  });

  it("prompts", async () => {
    await expect(run([], {})).rejects.toThrow(/Prompt 0 is empty/);
    await expect(run("", { tokenizer })).rejects.toThrow(
      /The prompt is empty, and the tokenizer byte has no begin token/,
    );
    await expect(run("a", {})).rejects.toThrow(/A prompt that is text needs the option tokenizer/);
    await expect(generateBatch(model, [[1], [-1]])).rejects.toThrow(/Prompt 1 holds the token id -1/);
    const wide = { ...TINY.llama, vocab_size: 100 };
    using narrow = createModel(wide);
    await expect(generateBatch(narrow, ["a"], { tokenizer })).rejects.toThrow(
      /The tokenizer byte has 257 tokens, but the model only 100/,
    );
  });

  it("an empty prompt starts from the begin token where there is one", async () => {
    const withBegin = new ByteTokenizer({ bosToken: "<begin>", eosToken: null });
    expect(withBegin.bosId).toBe(256);
    const ids = idsOf(await run("", { tokenizer: withBegin, maxTokens: 4, seed: 1 }));
    expect(ids).toEqual(idsOf(await run([256], { maxTokens: 4, seed: 1 })));
  });
});
