/**
 * A run for the kill loop: trains a tiny DeepSeek or GPT-2 with a checkpoint per step, resuming what is in the folder. Arguments: run folder, model, steps,
 * and `captured` for captured steps.
 * Prints a line for each step, before it is saved.
 */

import { Trainer } from "../../lib/train/trainer.js";
import { batchesOf, tinyDeepseek, tinyGpt2, windowsOf } from "./tiny.js";

const [run, name, steps, captured] = process.argv.slice(2);
const model = name === "deepseek" ? tinyDeepseek() : tinyGpt2({ dropout: 0.2, dtype: "bf16" });
const trainer = await Trainer.create({
  model,
  batches: batchesOf(4, 16),
  steps: Number(steps),
  optimizer: { lr: 3e-3 },
  schedule: { name: "constant", warmupSteps: 5 },
  accumulation: 2,
  validation: () => windowsOf(2, 16),
  evalEvery: 7,
  saveEvery: 1,
  keep: 2,
  peakFlops: 0,
  capture: captured === "captured",
  runDir: run,
  resume: "auto",
});
for await (const event of trainer.run()) {
  if (event.type === "step") process.stdout.write(`${event.step}\n`);
  if (event.type === "warning" && !event.message.includes("no checkpoint yet"))
    throw new Error(event.message);
}
