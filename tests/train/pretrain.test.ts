/** Pre-training from text to a model folder: what a run leaves, that it goes on exactly, and what cannot be trained on. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AnnealError } from "../../lib/errors.js";
import { loadModel } from "../../lib/generate/index.js";
import { memory } from "../../lib/native/device.js";
import { evaluateText } from "../../lib/train/evaluate-text.js";
import { defaultRunFolder, type PretrainEvent, pretrain } from "../../lib/train/pretrain.js";
import type { PretrainOptions } from "../../lib/train/pretrain-settings.js";
import { SMALL_MODEL, smallText } from "./small.js";

let root: string;
let text: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "anneal-pretrain-"));
  text = join(root, "text.txt");
  writeFileSync(text, smallText());
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SHORT: PretrainOptions = { model: SMALL_MODEL, tokenizer: "byte", steps: 8, lr: 3e-3, warmup: 2 };

async function collect(options: PretrainOptions, onEvent?: (event: PretrainEvent) => void) {
  const events: PretrainEvent[] = [];
  for await (const event of pretrain({ data: [text], ...options })) {
    events.push(event);
    onEvent?.(event);
  }
  return events;
}

const only = <T extends PretrainEvent["type"]>(events: PretrainEvent[], type: T) =>
  events.filter((event): event is Extract<PretrainEvent, { type: T }> => event.type === type);

const losses = (events: PretrainEvent[]) => only(events, "step").map(({ step, loss }) => ({ step, loss }));

/** Lines of a run's metrics without the measured times. */
function metrics(run: string) {
  const lines = readFileSync(join(run, "metrics.jsonl"), "utf8").trim().split("\n");
  return lines.map((line) => {
    const { step, loss, lr, gradNorm, type } = JSON.parse(line);
    return { type, step, loss, lr, gradNorm };
  });
}

async function rejection(options: PretrainOptions): Promise<AnnealError> {
  const error = await collect(options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AnnealError);
  return error as AnnealError;
}

describe("a run", () => {
  it("tells what it does, learns, and leaves a folder with everything in it", async () => {
    const run = join(root, "whole");
    const before = memory().live;
    const events = await collect({
      ...SHORT,
      steps: 40,
      out: run,
      evalAtStart: true,
      sampleEvery: 40,
      prompt: "the ",
    });
    expect(memory().live).toBe(before);
    const [ready] = only(events, "ready");
    expect(events[0]).toBe(ready);
    expect(ready).toMatchObject({
      run,
      resumed: false,
      modelType: "deepseek_v3",
      vocabSize: 257,
      stepsDone: 0,
    });
    expect(ready.activeParameters).toBeLessThan(ready.parameters);
    expect(ready.data.baselines?.bigram).toBeLessThan(ready.data.baselines?.unigram as number);
    const steps = losses(events);
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    // A fresh model knows nothing: ln V within 2 %.
    expect(Math.abs(steps[0].loss / Math.log(257) - 1)).toBeLessThan(0.02);
    expect(steps[39].loss).toBeLessThan(steps[0].loss - 1);
    const evaluations = only(events, "eval");
    expect(evaluations.map(({ step }) => step)).toEqual([0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40]);
    expect(evaluations.at(-1)?.bitsPerByte).toBeLessThan(evaluations[0].bitsPerByte - 1);
    expect(only(events, "sample").map(({ step }) => step)).toEqual([0, 40]);
    expect(events.at(-1)).toMatchObject({ type: "done", step: 40, reason: "finished" });
    expect(readdirSync(run).sort()).toEqual([
      "checkpoints",
      "config.json",
      "data",
      "metrics.jsonl",
      "model",
      "tokenizer",
    ]);
    expect(readdirSync(join(run, "model")).sort()).toEqual([
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect(metrics(run).filter(({ type }) => type === "step").length).toBe(40);
  });

  it("exports the model that was evaluated last", async () => {
    const run = join(root, "whole");
    const { model, tokenizer } = await loadModel(run);
    try {
      expect(tokenizer.name).toBe("byte");
      const validation = smallText().slice(-1500);
      const { bitsPerByte } = await evaluateText(model, tokenizer, [validation], { sequenceLength: 32 });
      const last = metrics(run)
        .filter(({ type }) => type === "eval")
        .at(-1)?.loss;
      expect(Math.abs(bitsPerByte * Math.LN2 - last)).toBeLessThan(0.1);
    } finally {
      model.dispose();
    }
  });

  it("gives the same losses for the same seed, others for another", async () => {
    const [a, b, c] = [
      await collect({ ...SHORT, out: join(root, "a") }),
      await collect({ ...SHORT, out: join(root, "b") }),
      await collect({ ...SHORT, out: join(root, "c"), seed: 2 }),
    ];
    expect(losses(b)).toEqual(losses(a));
    expect(losses(c)).not.toEqual(losses(a));
  });

  it("is the same whether a batch is cut into parts, or blocks are computed again", async () => {
    const whole = losses(await collect({ ...SHORT, out: join(root, "cut-1") }));
    const parts = losses(await collect({ ...SHORT, out: join(root, "cut-2"), accumulation: 4 }));
    const again = losses(await collect({ ...SHORT, out: join(root, "cut-3"), checkpointing: true }));
    expect(again).toEqual(whole);
    for (const [i, { loss }] of parts.entries())
      expect(Math.abs(loss / whole[i].loss - 1)).toBeLessThan(1e-4);
  });

  it("has nanoGPT's recipe for characters", async () => {
    const run = join(root, "characters");
    const recipe = { lr: 1e-3, minLr: 1e-4, warmup: 100, beta2: 0.99, weightDecay: 0.1, clip: 1 } as const;
    const signal = AbortSignal.timeout(60_000);
    const steps: { lr: number }[] = [];
    for await (const event of pretrain({
      model: "char-gpt",
      data: [text],
      steps: 2000,
      dataMode: "random",
      out: run,
      evalBatches: 1,
      signal,
      ...recipe,
    })) {
      if (event.type === "ready") {
        expect(event.settings).toMatchObject({
          tokenizer: "char",
          schedule: "cosine",
          batchSize: 12,
          sequenceLength: 64,
        });
        expect(event.data.splitMethod).toBe("contiguous");
        expect(event.vocabSize).toBe(new Set(smallText()).size);
      }
      if (event.type === "step") steps.push(event);
      if (steps.length === 3) break;
    }
    // lr · (i + 1)/(warmup + 1)
    steps.forEach(({ lr }, i) => void expect(lr).toBeCloseTo((1e-3 * (i + 1)) / 101, 12));
  });

  it("chooses the number of steps for a time", async () => {
    const run = join(root, "timed");
    const begin = performance.now();
    const [ready] = only(await collect({ ...SHORT, steps: undefined, minutes: 0.03, out: run }), "ready");
    expect(ready.settings.steps).toBeGreaterThan(1);
    expect((performance.now() - begin) / 1000).toBeLessThan(20);
  });
});

describe("resuming", () => {
  it("goes on bit for bit after an interrupt", async () => {
    const whole = join(root, "straight");
    await collect({ ...SHORT, out: whole, steps: 12 });
    const run = join(root, "interrupted");
    const controller = new AbortController();
    const first = await collect({ ...SHORT, out: run, steps: 12, signal: controller.signal }, (event) => {
      if (event.type === "step" && event.step === 5) controller.abort();
    });
    const done = first.at(-1) as Extract<PretrainEvent, { type: "done" }>;
    expect(done.reason).toBe("interrupted");
    expect(done.step).toBeLessThan(12);
    expect(existsSync(join(run, "model", "model.safetensors"))).toBe(true);
    // The sources may be gone by then: the run has its tokens.
    const second: PretrainEvent[] = [];
    for await (const event of pretrain({ out: run, resume: true })) second.push(event);
    expect(only(second, "ready")[0]).toMatchObject({ resumed: true, stepsDone: done.step });
    const steps = (folder: string) => metrics(folder).filter(({ type }) => type === "step");
    expect(steps(run)).toEqual(steps(whole));
    const weights = (folder: string) => readFileSync(join(folder, "model", "model.safetensors"));
    expect(weights(run).equals(weights(whole))).toBe(true);
  });

  it("refuses what would change the course of the run, and takes what would not", async () => {
    const run = join(root, "straight");
    const error = await rejection({ data: undefined, out: run, resume: true, lr: 1 });
    expect(error.code).toBe("ERR_CONFIG");
    expect(error.message).toContain("The run was started with lr = 0.003, so it cannot go on with 1");
    const events: PretrainEvent[] = [];
    for await (const event of pretrain({ out: run, resume: true, keep: 1, lr: 3e-3 })) events.push(event);
    expect(events.at(-1)).toMatchObject({ type: "done", step: 12 });
  });

  it("says when there is no run, or one already", async () => {
    const nowhere = await rejection({ out: join(root, "nowhere"), resume: true });
    expect(nowhere.message).toContain("is not a run folder");
    const again = await rejection({ ...SHORT, out: join(root, "straight") });
    expect(again.message).toContain("holds a run already");
  });
});

describe("what cannot be trained on", () => {
  const out = () => join(root, "refused");
  const file = (name: string, content: string | Uint8Array) => {
    const path = join(root, name);
    writeFileSync(path, content);
    return path;
  };

  it.each<[string, string, () => PretrainOptions, RegExp]>([
    ["missing data", "ERR_DATA", () => ({ ...SHORT, data: [join(root, "absent.txt")] }), /absent\.txt/],
    ["no data", "ERR_CONFIG", () => ({ ...SHORT, data: [] }), /no data to train on/],
    ["empty data", "ERR_DATA", () => ({ ...SHORT, data: [file("empty.txt", "")] }), /empty/],
    [
      "a text shorter than a sequence",
      "ERR_DATA",
      () => ({ ...SHORT, data: [file("short.txt", "too short")] }),
      /one sequence of 32 needs 33/,
    ],
    [
      "invalid UTF-8",
      "ERR_DATA",
      () => ({ ...SHORT, data: [file("latin.txt", Uint8Array.of(97, 0xe9, 98))] }),
      /UTF-8/,
    ],
    [
      "an absent tokenizer",
      "ERR_TOKENIZER",
      () => ({ ...SHORT, tokenizer: join(root, "no-tokenizer.json") }),
      /no-tokenizer\.json/,
    ],
    [
      "a misspelt tokenizer",
      "ERR_TOKENIZER",
      () => ({ ...SHORT, tokenizer: "bite" }),
      /Did you mean "byte"\?/,
    ],
    ["a misspelt model", "ERR_CONFIG", () => ({ ...SHORT, model: "char-gtp" }), /Did you mean "char-gpt"\?/],
    ["no model", "ERR_CONFIG", () => ({ ...SHORT, model: undefined }), /Name a model/],
    [
      "a misspelt option",
      "ERR_CONFIG",
      () => ({ ...SHORT, bachSize: 2 }) as PretrainOptions,
      /Did you mean "batchSize"\?/,
    ],
    [
      "a misspelt schedule",
      "ERR_CONFIG",
      () => ({ ...SHORT, schedule: "cosin" as "cosine" }),
      /Did you mean "cosine"\?/,
    ],
    [
      "a rate below its end",
      "ERR_CONFIG",
      () => ({ ...SHORT, lr: 1e-4, minLr: 1e-3 }),
      /minLr 0\.001 must not exceed lr/,
    ],
    ["no steps", "ERR_CONFIG", () => ({ ...SHORT, steps: 0 }), /steps must be an integer at least 1/],
    ["steps and minutes", "ERR_CONFIG", () => ({ ...SHORT, minutes: 1 }), /either steps or minutes/],
    [
      "parts that do not divide the batch",
      "ERR_CONFIG",
      () => ({ ...SHORT, accumulation: 3 }),
      /cannot be cut into 3/,
    ],
    ["dropout where there is none", "ERR_CONFIG", () => ({ ...SHORT, dropout: 0.1 }), /have no dropout/],
  ])("%s", async (_, code, options, message) => {
    const error = await rejection({ ...options(), out: out() });
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    // Nothing is left that would be in the way of the next attempt.
    expect(existsSync(out())).toBe(false);
  });

  it("a configuration with a misspelt field, a wrong type, or too small a vocabulary", async () => {
    const model = (content: object) => file("config.json", JSON.stringify(content));
    const fields = { ...SMALL_MODEL.config };
    const misspelt = await rejection({
      ...SHORT,
      model: model({ ...fields, hidden_sise: 32, hidden_size: undefined }),
      out: out(),
    });
    expect(misspelt.message).toMatch(/hidden_size/);
    const type = await rejection({
      ...SHORT,
      model: model({ ...fields, model_type: "deepseek_v4" }),
      out: out(),
    });
    expect(type.message).toMatch(/Did you mean "deepseek_v[23]"\?/);
    const vocabulary = await rejection({
      ...SHORT,
      model: model({ ...fields, vocab_size: 100 }),
      out: out(),
    });
    expect(vocabulary.message).toContain("vocab_size 100 is less than the 257 tokens");
    const positions = await rejection({ ...SHORT, model: model(fields), sequenceLength: 65, out: out() });
    expect(positions.message).toContain("max_position_embeddings is 64, but a sequence has 65 tokens");
  });
});

describe("defaultRunFolder", () => {
  it("is a name and a time that sort", () => {
    const time = new Date("2026-01-31T10:15:00Z");
    expect(defaultRunFolder("char-gpt", time)).toBe(join("runs", "char-gpt-20260131-101500"));
    expect(defaultRunFolder("./my models/config.json", time)).toBe(
      join("runs", "my-models-config-20260131-101500"),
    );
  });
});
