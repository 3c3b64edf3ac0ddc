/** Decoding on a cache gives what a forward pass over the whole sequence gives: logits, ids and probabilities, for every family. */
import { describe, expect, it } from "vitest";
import { generate, generateBatch } from "../../lib/generate/index.js";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import type { RawConfig } from "../../lib/models/config.js";
import { createModel } from "../../lib/models/registry.js";
import { noGrad } from "../../lib/tensor/autograd.js";
import { segmentsOf } from "../../lib/tensor/ops/attention.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { scope } from "../../lib/tensor/scope.js";
import { tensor } from "../../lib/tensor/tensor.js";
import { TINY } from "../models/tiny.js";
import { rng } from "../reference/array.js";

/** Weights of deviation 0.2 instead of 0.02, so that logits are O(1) and greedy choices are not ties. */
function lively(config: RawConfig, dtype: "f32" | "bf16" = "f32"): CausalLM {
  manualSeed(11);
  return createModel({ ...config, initializer_range: 0.2 }, { dtype });
}

/** Logits [T, V] of one whole sequence, without a cache. */
function fullLogits(model: CausalLM, ids: number[]): Float32Array {
  return noGrad(() =>
    scope(() =>
      model
        .logits({
          ids: tensor(Int32Array.from(ids)),
          positions: tensor(Int32Array.from(ids, (_, i) => i)),
          length: ids.length,
          segments: segmentsOf([ids.length]),
        })
        .dataSync(),
    ),
  ) as Float32Array;
}

/** Logits of the last position of one whole sequence. */
function lastLogits(model: CausalLM, ids: number[]): Float32Array {
  return fullLogits(model, ids).slice(-model.vocabSize);
}

const argmax = (values: Float32Array): number => values.indexOf(Math.max(...values));

function logProbOf(logits: Float32Array, id: number): number {
  const top = Math.max(...logits);
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - top);
  return logits[id] - top - Math.log(sum);
}

/** Greedy continuation by a full forward pass per token; `slide` as `onContextLimit` says. */
function naiveGreedy(model: CausalLM, prompt: number[], count: number): number[] {
  const ids = [...prompt];
  let start = 0;
  for (let i = 0; i < count; i++) {
    if (ids.length - start > model.maxPositions) start = ids.length - Math.ceil(model.maxPositions / 2);
    ids.push(argmax(lastLogits(model, ids.slice(start))));
  }
  return ids.slice(prompt.length);
}

async function collect(
  model: CausalLM,
  prompt: number[],
  options: Parameters<typeof generate>[2],
): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of generate(model, prompt, options)) ids.push(id);
  return ids;
}

/** Largest difference, relative to the largest logit. */
function difference(a: ArrayLike<number>, b: Float32Array): number {
  let worst = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    worst = Math.max(worst, Math.abs(a[i] - b[i]));
    size = Math.max(size, Math.abs(b[i]));
  }
  return a.length === b.length ? worst / size : Number.NaN;
}

const random = rng(5);
const PROMPTS = [9, 1, 4].map((length) => Array.from(random.integers(length, 61)));

describe.each(Object.entries(TINY))("%s", (_, config) => {
  it("gives the logits of a full pass, however the tokens arrive, and after truncation", () => {
    using model = lively(config);
    const rows = [13, 7].map((length) => Array.from(random.integers(length, 61)));
    using cache = model.newCache(2, 16);
    /** Feeds tokens `from[s]`..`to[s]` of each row and compares the logits of those positions. */
    const feed = (from: number[], to: number[]): void => {
      const counts = rows.map((_, s) => to[s] - from[s]);
      const parts = rows.map((row, s) => row.slice(from[s], to[s]));
      const got = noGrad(() =>
        scope(() =>
          model
            .logits({
              ids: tensor(Int32Array.from(parts.flat())),
              positions: tensor(Int32Array.from(parts.flatMap((part, s) => part.map((_, i) => from[s] + i)))),
              length: Math.max(...to),
              segments: segmentsOf(counts),
              cache: { store: cache, counts },
            })
            .dataSync(),
        ),
      );
      cache.advance(counts);
      const want = rows.flatMap((row, s) => [
        ...fullLogits(model, row.slice(0, to[s])).slice(from[s] * model.vocabSize),
      ]);
      expect(difference(got, Float32Array.from(want))).toBeLessThan(1e-5);
    };
    feed([0, 0], [6, 3]);
    feed([6, 3], [7, 4]);
    feed([7, 4], [8, 4]); // the second sequence rests
    feed([8, 4], [12, 6]);
    cache.truncate(0, 5);
    cache.truncate(1, 0);
    expect([...cache.lengths]).toEqual([5, 0]);
    feed([5, 0], [13, 7]);
  });

  it("greedy ids and log-probabilities are those of full passes; a ragged batch is its sequences one by one", async () => {
    using model = lively(config);
    const batch = await generateBatch(model, PROMPTS, { temperature: 0, maxTokens: 12 });
    for (const [s, prompt] of PROMPTS.entries()) {
      const want = naiveGreedy(model, prompt, 12);
      expect([...batch[s].ids]).toEqual(want);
      expect(await collect(model, prompt, { temperature: 0, maxTokens: 12 })).toEqual(want);
      want.forEach((id, i) => {
        const logits = lastLogits(model, [...prompt, ...want.slice(0, i)]);
        expect(batch[s].logProbs[i]).toBeCloseTo(logProbOf(logits, id), 4);
      });
      expect(batch[s].finishReason).toBe("length");
    }
  });

  it("bf16: decoding on the cache errs at most twice as much as full passes in bf16 do", async () => {
    using model = lively(config, "bf16");
    using exact = lively(config);
    const batch = await generateBatch(model, PROMPTS, { temperature: 1, seed: 2, maxTokens: 16 });
    let cached = 0;
    let full = 0;
    for (const [s, prompt] of PROMPTS.entries()) {
      const ids = [...batch[s].ids];
      ids.forEach((id, i) => {
        const before = [...prompt, ...ids.slice(0, i)];
        const want = logProbOf(lastLogits(exact, before), id);
        cached += (batch[s].logProbs[i] - want) ** 2;
        full += (logProbOf(lastLogits(model, before), id) - want) ** 2;
      });
    }
    expect(Math.sqrt(cached)).toBeLessThan(2 * Math.sqrt(full));
  });

  it("a sequence draws what it would draw alone with seed + its index", async () => {
    using model = lively(config);
    const options = { temperature: 0.9, topK: 20, topP: 0.95, minP: 0.01, maxTokens: 10 };
    const batch = await generateBatch(model, PROMPTS, { ...options, seed: 40 });
    for (const [s, prompt] of PROMPTS.entries()) {
      expect([...batch[s].ids]).toEqual(await collect(model, prompt, { ...options, seed: 40 + s }));
    }
  });
});

describe("positions that run out", () => {
  it("stop ends with the reason context, slide goes on from the last half", async () => {
    using model = lively({ ...TINY.gpt2, n_positions: 16 });
    const prompt = PROMPTS[0];
    const [stopped] = await generateBatch(model, [prompt], { temperature: 0, maxTokens: 40 });
    expect(stopped.finishReason).toBe("context");
    // The token drawn from the last position is returned too.
    expect(stopped.ids.length).toBe(16 - prompt.length + 1);
    const slid = await generateBatch(model, [prompt, PROMPTS[1]], {
      temperature: 0,
      maxTokens: 40,
      onContextLimit: "slide",
    });
    expect(slid.map(({ finishReason }) => finishReason)).toEqual(["length", "length"]);
    expect([...slid[0].ids]).toEqual(naiveGreedy(model, prompt, 40));
    expect([...slid[1].ids]).toEqual(naiveGreedy(model, PROMPTS[1], 40));
  });

  it("a prompt that is too long is an error, or its end is used", async () => {
    using model = lively({ ...TINY.llama, max_position_embeddings: 8 });
    await expect(collect(model, PROMPTS[0], { maxTokens: 2 })).rejects.toThrow(
      /Prompt 0 has 9 tokens, but the model has positions for 8/,
    );
    const ids = await collect(model, PROMPTS[0], { maxTokens: 2, temperature: 0, onContextLimit: "slide" });
    expect(ids).toEqual(naiveGreedy(model, PROMPTS[0].slice(-4), 2));
  });
});
