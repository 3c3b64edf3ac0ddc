/** Captured steps of whole models on the device of ANNEAL_DEVICE, small enough for the interpreter of GPU kernels. */

import { expect, it } from "vitest";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { batchesOf, runAll, stepsOf, tinyDeepseek, tinyGpt2 } from "./tiny.js";

it.each([
  ["gpt2 with dropout", () => tinyGpt2({ layers: 1, dropout: 0.2 })],
  ["gpt2 in bf16", () => tinyGpt2({ layers: 1, dropout: 0.2, dtype: "bf16" })],
  ["deepseek", () => tinyDeepseek()],
])("equal plain ones, bit for bit (%s)", async (_, make: () => CausalLM) => {
  const train = async (capture: boolean) => {
    const model = make();
    try {
      const options = { model, optimizer: { lr: 1e-2 }, batches: batchesOf(2, 8), steps: 5, capture };
      const events = await runAll(options);
      expect(events.filter((event) => event.type === "info")).toEqual([]);
      return stepsOf(events);
    } finally {
      model.dispose();
    }
  };
  expect(await train(true)).toEqual(await train(false));
});
