/** The trainer with captured steps: every number as without, bit for bit, and back to single calls where a step cannot be a replay. */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../lib/errors.js";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { memory, synchronize } from "../../lib/native/device.js";
import { backward, capture, scope } from "../../lib/tensor/index.js";
import {
  inputFromBatch,
  type TrainerEvent,
  type TrainerOptions,
  type TrainingBatches,
} from "../../lib/train/index.js";
import { temporaryFolder } from "../io/temporary.js";
import { batchesOf, runAll, stepsOf, tinyDeepseek, tinyGpt2, windowsOf } from "./tiny.js";

/** Trains a fresh model; frees it. */
async function train(model: CausalLM, options: Partial<TrainerOptions> = {}): Promise<TrainerEvent[]> {
  try {
    return await runAll({
      model,
      optimizer: { lr: 1e-2 },
      schedule: { name: "cosine", warmupSteps: 3 },
      batches: batchesOf(4, 16),
      steps: 14,
      ...options,
    });
  } finally {
    model.dispose();
  }
}

const infosOf = (events: readonly TrainerEvent[]): string[] =>
  events.flatMap((event) => (event.type === "info" ? [event.message] : []));

describe.each(["f32", "bf16"] as const)("captured steps, %s", (dtype) => {
  it.each([
    ["gpt2 with dropout", () => tinyGpt2({ dtype, dropout: 0.2 }), {}],
    ["gpt2 in micro-batches", () => tinyGpt2({ dtype, dropout: 0.2 }), { accumulation: 2 }],
    ["gpt2 with checkpoints", () => tinyGpt2({ dtype, dropout: 0.2 }), { checkpointing: true }],
    ["deepseek", () => tinyDeepseek({ dtype }), {}],
    ["deepseek in micro-batches", () => tinyDeepseek({ dtype }), { accumulation: 4 }],
    [
      "gpt2 by SGD, with evaluations between",
      () => tinyGpt2({ dtype, dropout: 0.1 }),
      {
        optimizer: { type: "sgd", lr: 0.1, momentum: 0.9 },
        validation: () => windowsOf(2, 32),
        validationLength: 32,
        evalEvery: 4,
      },
    ],
  ] as const)("give the numbers of plain ones (%s)", async (_, make, options) => {
    const plain = await train(make(), { ...options, capture: false });
    const captured = await train(make(), { ...options, capture: true });
    expect(stepsOf(captured)).toEqual(stepsOf(plain));
    expect(infosOf(captured)).toEqual([]);
    const evaluations = (events: readonly TrainerEvent[]) =>
      events.flatMap((event) => (event.type === "eval" ? [event.loss] : []));
    expect(evaluations(captured)).toEqual(evaluations(plain));
  });
});

describe("batches of changing shapes", () => {
  /** Every third and fourth batch has documents inside its rows. */
  const packed: TrainingBatches = {
    ...batchesOf(4, 16),
    async batchAt(step) {
      const batch = await batchesOf(4, 16).batchAt(step);
      if (step % 5 < 3) return batch;
      return { ...batch, cuSeqlens: Int32Array.of(0, 7, 16, 32, 48, 64) };
    },
  };

  it.each([
    ["gpt2", () => tinyGpt2({ dropout: 0.2 })],
    ["deepseek", () => tinyDeepseek()],
  ])("are told once and give the same numbers (%s)", async (_, make) => {
    const plain = await train(make(), { batches: packed, capture: false });
    const captured = await train(make(), { batches: packed, capture: true });
    expect(stepsOf(captured)).toEqual(stepsOf(plain));
    expect(infosOf(captured)).toEqual([expect.stringContaining("shape of the one before")]);
  });
});

describe("a model that cannot be captured", () => {
  it("is trained call by call, and the reason is told", async () => {
    const make = (reads: boolean): CausalLM => {
      const model = tinyGpt2();
      const { loss } = model;
      if (reads) {
        model.loss = (...args) => {
          args[1].dataSync();
          return loss.apply(model, args);
        };
      }
      return model;
    };
    const events = await train(make(true), { capture: true });
    expect(stepsOf(events)).toEqual(stepsOf(await train(make(false), { capture: false })));
    expect(infosOf(events)).toEqual([expect.stringMatching(/not captured: a read/)]);
  });
});

describe("a first pass that is captured", () => {
  it.each([
    ["gpt2", tinyGpt2],
    ["deepseek", tinyDeepseek],
  ])("makes the tables that a model keeps, ready for everybody (%s)", (_, make) => {
    const model = make();
    const { input, targets } = inputFromBatch(
      { inputs: Int32Array.from({ length: 32 }, (_, i) => i % 29), targets: new Int32Array(32) },
      16,
    );
    const pass = () => {
      const { loss, crossEntropy } = model.loss(input, targets, { rows: 2 });
      backward(loss);
      return crossEntropy;
    };
    using recording = capture(pass);
    for (const parameter of model.parameters()) {
      parameter.grad?.dispose();
      parameter.grad = null;
    }
    // Before the first replay: nothing recorded has run.
    const plain = scope(() => pass().dataSync());
    recording.replay();
    expect(recording.result.dataSync()).toEqual(plain);
    model.dispose();
    for (const t of [input.ids, input.positions, input.segments.cu, targets]) t.dispose();
  });
});

describe("memory of captured steps", () => {
  it("does not grow, and comes back", async () => {
    await synchronize();
    const before = memory();
    const seen: number[] = [];
    const model = tinyDeepseek();
    const batches = batchesOf(4, 16);
    await train(model, {
      capture: true,
      steps: 60,
      batches: {
        ...batches,
        batchAt(step) {
          if (step >= 20) seen.push(memory().live + memory().recorded);
          return batches.batchAt(step);
        },
      },
    });
    await synchronize();
    expect(new Set(seen).size).toBe(1);
    const { live, buffers, recorded } = memory();
    expect([live, buffers, recorded]).toEqual([before.live, before.buffers, 0]);
  });
});

describe("a captured run that stops", () => {
  it("goes on bit for bit, captured or not", async () => {
    const options = { optimizer: { lr: 1e-2 }, saveEvery: 3 } as const;
    const make = () => tinyGpt2({ dropout: 0.2, dtype: "bf16" });
    const straight = stepsOf(await train(make(), { ...options, capture: false }));
    const runDir = join(await temporaryFolder(), "run");
    const parts: TrainerEvent[] = [];
    for (const [i, stop] of [5, 8, 14].entries()) {
      const controller = new AbortController();
      const batches = batchesOf(4, 16);
      parts.push(
        ...(await train(make(), {
          ...options,
          capture: i !== 1,
          runDir,
          resume: "auto",
          signal: controller.signal,
          batches: {
            ...batches,
            batchAt(step) {
              if (step === stop) controller.abort();
              return batches.batchAt(step);
            },
          },
        })),
      );
    }
    expect(parts.at(-1)).toMatchObject({ type: "done", reason: "finished" });
    expect(stepsOf(parts)).toEqual(straight);
  });
});

it("refuses another value of the option", async () => {
  const model = tinyGpt2();
  await expect(train(model, { capture: "yes" as never })).rejects.toThrow(ConfigError);
});
