/** The trainer on tiny models: it learns, and equivalent ways to run a step give equal numbers. */

import { describe, expect, it } from "vitest";
import { ConfigError } from "../../lib/errors.js";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { getThreads, memory, setThreads } from "../../lib/native/device.js";
import { randomState } from "../../lib/tensor/random.js";
import { evaluate, Trainer, type TrainerOptions } from "../../lib/train/index.js";
import {
  batchesOf,
  lossesOf,
  runAll,
  stepsOf,
  tinyDeepseek,
  tinyGpt2,
  VOCABULARY,
  windowsOf,
} from "./tiny.js";

const MODELS = [
  ["gpt2", tinyGpt2],
  ["deepseek", tinyDeepseek],
] as const;

const optimizer = { lr: 1e-2, weightDecay: 0.1 } as const;

/** Trains a fresh model; frees it. */
async function train(model: CausalLM, options: Partial<TrainerOptions> = {}) {
  try {
    return await runAll({ model, optimizer, batches: batchesOf(8, 32), steps: 10, ...options });
  } finally {
    model.dispose();
  }
}

describe.each(MODELS)("%s", (_, make) => {
  it.each(["f32", "bf16"] as const)("begins at ln V and learns a repetitive text (%s)", async (dtype) => {
    const events = await train(make({ dtype }), { steps: 60, schedule: { name: "cosine", warmupSteps: 5 } });
    const losses = lossesOf(events);
    expect(losses.length).toBe(60);
    expect(Math.abs(losses[0] / Math.log(VOCABULARY) - 1)).toBeLessThan(0.02);
    expect(losses[59]).toBeLessThan(1);
    expect(events.at(-1)).toEqual({ type: "done", step: 60, reason: "finished", checkpoint: null });
  });

  it("gives the same losses again, with any number of threads", async () => {
    const first = stepsOf(await train(make()));
    expect(stepsOf(await train(make()))).toEqual(first);
    const threads = getThreads();
    setThreads(threads === 1 ? 2 : 1);
    expect(stepsOf(await train(make()))).toEqual(first);
    setThreads(threads);
  });

  it("checkpoints activations without changing a bit", async () => {
    const plain = stepsOf(await train(make({ dropout: 0.1 })));
    expect(stepsOf(await train(make({ dropout: 0.1 }), { checkpointing: true }))).toEqual(plain);
  });

  it("accumulates micro-batches to the update of the whole batch", async () => {
    const whole = stepsOf(await train(make()));
    const cut = stepsOf(await train(make(), { accumulation: 8 }));
    // The same sums in another order: each step differs by f32 rounding, which ten updates of 1e-2 amplify.
    for (const [i, step] of cut.entries()) {
      expect(Math.abs(step.loss / whole[i].loss - 1)).toBeLessThan(i === 0 ? 1e-6 : 1e-3);
      expect(Math.abs(step.gradNorm / whole[i].gradNorm - 1)).toBeLessThan(i === 0 ? 1e-5 : 2e-2);
      expect(Object.keys(step.terms)).toEqual(Object.keys(whole[i].terms));
    }
  });
});

describe("targets that do not count", () => {
  it("weigh nothing, wherever micro-batches are cut", async () => {
    const masked = (accumulation: number) => {
      const batches = batchesOf(4, 16);
      return train(tinyGpt2(), {
        accumulation,
        steps: 3,
        batches: {
          ...batches,
          async batchAt(step) {
            const batch = await batches.batchAt(step);
            // Rows keep 15, 11, 7 and 3 targets.
            batch.targets.forEach((_, i) => {
              if (i % 16 < 1 + 4 * Math.floor(i / 16)) batch.targets[i] = -100;
            });
            return batch;
          },
        },
      });
    };
    const whole = lossesOf(await masked(1));
    for (const [i, loss] of lossesOf(await masked(4)).entries()) {
      expect(Math.abs(loss / whole[i] - 1)).toBeLessThan(1e-4);
    }
  });
});

describe("packed documents", () => {
  it("train as the same documents in rows of their own", async () => {
    const rows = batchesOf(4, 16);
    const packed = {
      batchSize: 2,
      sequenceLength: 32,
      async batchAt(step: number) {
        return { ...(await rows.batchAt(step)), cuSeqlens: Int32Array.of(0, 16, 32, 48, 64) };
      },
    };
    const separate = stepsOf(await train(tinyGpt2(), { batches: rows, steps: 5 }));
    expect(stepsOf(await train(tinyGpt2(), { batches: packed, steps: 5 }))).toEqual(separate);
    // Cut into micro-batches, boundaries stay where they are.
    const cut = stepsOf(await train(tinyGpt2(), { batches: packed, steps: 5, accumulation: 2 }));
    expect(Math.abs(cut[0].loss / separate[0].loss - 1)).toBeLessThan(1e-6);
  });
});

describe("evaluation and samples", () => {
  it("come when they are due and change nothing in the training", async () => {
    const bare = stepsOf(await train(tinyDeepseek()));
    const events = await train(tinyDeepseek(), {
      validation: () => windowsOf(4, 32),
      evalEvery: 4,
      evalAtStart: true,
      sampleEvery: 5,
      sampler: ({ step, model }) => {
        expect(model.training).toBe(false);
        return `text ${step}`;
      },
    });
    expect(stepsOf(events)).toEqual(bare);
    const evals = events.flatMap((event) => (event.type === "eval" ? [event] : []));
    expect(evals.map(({ step }) => step)).toEqual([0, 4, 8, 10]);
    expect(evals.every(({ tokens }) => tokens === 2 * 4 * 32)).toBe(true);
    expect(Math.abs(evals[0].loss / Math.log(VOCABULARY) - 1)).toBeLessThan(0.02);
    expect(evals[3].loss).toBeLessThan(evals[0].loss);
    for (const { loss, perplexity, bitsPerByte } of evals) {
      expect(perplexity).toBeCloseTo(Math.exp(loss), 10);
      expect(bitsPerByte).toBeCloseTo(loss / Math.LN2, 10);
    }
    const samples = events.flatMap((event) => (event.type === "sample" ? [event.text] : []));
    expect(samples).toEqual(["text 0", "text 5", "text 10"]);
  });

  it("measure batches of different sizes by their targets", async () => {
    const model = tinyGpt2({ dropout: 0.5 });
    const all = await evaluate(model, windowsOf(4, 32, 3), { sequenceLength: 32 });
    const parts = [];
    for await (const window of windowsOf(4, 32, 3)) {
      parts.push({
        ...window,
        inputs: window.inputs.slice(0, 64),
        targets: window.targets.slice(0, 64),
        targetCount: 64,
        bytes: 64,
      });
      parts.push({
        ...window,
        inputs: window.inputs.slice(64),
        targets: window.targets.slice(64),
        targetCount: 64,
        bytes: 64,
      });
    }
    const halves = await evaluate(
      model,
      (async function* () {
        yield* parts;
      })(),
      { sequenceLength: 32 },
    );
    expect(halves?.loss).toBeCloseTo(all?.loss as number, 6);
    expect((await evaluate(model, windowsOf(4, 32, 3), { sequenceLength: 32, maxBatches: 1 }))?.tokens).toBe(
      128,
    );
    expect(
      await evaluate(model, windowsOf(4, 32), { sequenceLength: 32, signal: AbortSignal.abort() }),
    ).toBeNull();
    expect(model.training).toBe(true);
    model.dispose();
  });
});

describe("a run", () => {
  it("leaves memory and the library's random numbers as they were", async () => {
    await train(tinyDeepseek(), { steps: 2 });
    const before = memory().buffers;
    const model = tinyDeepseek();
    const random = randomState();
    await runAll({
      model,
      optimizer,
      batches: batchesOf(8, 32),
      steps: 3,
      validation: () => windowsOf(4, 32),
    });
    expect(randomState()).toEqual(random);
    model.dispose();
    expect(memory().buffers).toBe(before);
  });

  it("does not grow from step to step", async () => {
    const model = tinyDeepseek();
    const live: number[] = [];
    const trainer = await Trainer.create({ model, batches: batchesOf(8, 32), steps: 8, peakFlops: 0 });
    for await (const event of trainer.run()) if (event.type === "step") live.push(memory().live);
    expect(new Set(live.slice(2, -1)).size).toBe(1);
    model.dispose();
  });

  it("reports rates and the share of the peak", async () => {
    const model = tinyGpt2();
    const flops = model.facts().trainingFlopsPerToken(32);
    const events = await train(model, { peakFlops: 1e12, steps: 3 });
    for (const event of events) {
      if (event.type !== "step") continue;
      expect(event.tokensPerSecond * event.secondsPerStep).toBeCloseTo(8 * 32, 6);
      expect(event.mfu).toBeCloseTo((event.tokensPerSecond * flops) / 1e12, 12);
      expect(event.tokens).toBe(event.step * 8 * 32);
    }
  });

  it("measures the peak itself", async () => {
    const model = tinyGpt2();
    const trainer = await Trainer.create({ model, batches: batchesOf(2, 16), steps: 2 });
    for await (const event of trainer.run()) {
      if (event.type === "step") expect(event.mfu as number).toBeGreaterThan(0);
    }
    model.dispose();
  });

  it("refuses options that are wrong, with the fix", async () => {
    const model = tinyGpt2();
    const message = async (options: object): Promise<string> => {
      try {
        await Trainer.create({ model, batches: batchesOf(8, 32), steps: 1, peakFlops: 0, ...options });
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        return (error as Error).message;
      }
      throw new Error("expected an error");
    };
    expect(await message({ acumulation: 2 })).toContain('"accumulation"');
    expect(await message({ accumulation: 3 })).toContain("divides 8");
    expect(await message({ steps: 1.5 })).toContain("steps");
    expect(await message({ clip: -1 })).toContain("clip");
    expect(await message({ batches: batchesOf(2, 65) })).toContain("64 positions");
    expect(await message({ schedule: { name: "cosin" } })).toContain('"cosine"');
    expect(await message({ optimizer: { type: "adamw", beta: 1 } })).toContain('"betas"');
    expect(await message({ resume: true })).toContain("runDir");
    model.dispose();
  });
});
