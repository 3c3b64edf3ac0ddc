/** Exact resume, small enough for every device: the trainer, its checkpoints and its optimizer on the device that runs the suite. */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { memory } from "../../lib/native/device.js";
import { Trainer, type TrainerEvent, type TrainerOptions } from "../../lib/train/index.js";
import { temporaryFolder } from "../io/temporary.js";
import { batchesOf, stepsOf, tinyDeepseek, tinyGpt2, windowsOf } from "./tiny.js";

const STEPS = 4;

const base = {
  batches: batchesOf(2, 8),
  steps: STEPS,
  optimizer: { lr: 1e-2 },
  schedule: { name: "cosine", warmupSteps: 1, totalSteps: STEPS },
  validation: () => windowsOf(1, 8, 1),
  evalEvery: 2,
  peakFlops: 0,
} as const satisfies Partial<TrainerOptions>;

/** Trains a fresh model in a run folder, from its checkpoint if there is one, and interrupts it after step `stop`. */
async function train(
  make: () => CausalLM,
  runDir: string,
  capture: boolean,
  stop = STEPS,
): Promise<TrainerEvent[]> {
  const model = make();
  const events: TrainerEvent[] = [];
  try {
    const controller = new AbortController();
    const { signal } = controller;
    const trainer = await Trainer.create({ ...base, model, runDir, capture, resume: "auto", signal });
    for await (const event of trainer.run()) {
      events.push(event);
      if (event.type === "step" && event.step === stop && stop < STEPS) controller.abort();
    }
  } finally {
    model.dispose();
  }
  return events;
}

describe.each([
  ["gpt2 with dropout, bf16", () => tinyGpt2({ dtype: "bf16", dropout: 0.2, layers: 1 })],
  ["deepseek with router biases, f32", () => tinyDeepseek({ layers: 2 })],
])("%s", (_, make) => {
  it("stops and resumes, captured or not, as if it had not stopped", async () => {
    const straight = stepsOf(await train(make, join(await temporaryFolder(), "run"), false));
    expect(straight).toHaveLength(STEPS);
    // What is made once and kept, such as rows of ones, is there from now on.
    const before = memory();
    const cut = join(await temporaryFolder(), "run");
    const parts = [
      ...(await train(make, cut, false, 1)),
      ...(await train(make, cut, true, 3)),
      ...(await train(make, cut, true)),
    ];
    expect(stepsOf(parts)).toEqual(straight);
    expect(memory().live).toBe(before.live);
  });
});
