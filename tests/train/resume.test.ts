/** Runs on disk: exact resume, refusal of changed settings, damaged checkpoints, full disks, interrupts, divergence. */

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CheckpointError, ConfigError, DivergenceError } from "../../lib/errors.js";
import { type FileSystem, nodeFileSystem } from "../../lib/io/index.js";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { onInterrupt, Trainer, type TrainerEvent, type TrainerOptions } from "../../lib/train/index.js";
import { systemError } from "../io/faults.js";
import { rejection, temporaryFolder } from "../io/temporary.js";
import { batchesOf, runAll, stepsOf, tinyDeepseek, tinyGpt2, windowsOf } from "./tiny.js";

const base = {
  batches: batchesOf(4, 16),
  steps: 12,
  optimizer: { lr: 1e-2 },
  schedule: { name: "cosine", warmupSteps: 3, totalSteps: 12 },
  accumulation: 2,
  validation: () => windowsOf(2, 16),
  evalEvery: 4,
} as const satisfies Partial<TrainerOptions>;

/** Trains a fresh model to the end of its options; frees it. */
async function train(make: () => CausalLM, options: Partial<TrainerOptions> = {}): Promise<TrainerEvent[]> {
  const model = make();
  try {
    return await runAll({ ...base, model, ...options });
  } finally {
    model.dispose();
  }
}

/** What must be the same however often a run was interrupted: all records without those that depend on the clock. */
async function metricsOf(run: string): Promise<unknown[]> {
  const lines = (await readFile(join(run, "metrics.jsonl"), "utf8")).trimEnd().split("\n");
  return lines.map((line) => {
    const { tokensPerSecond: _t, secondsPerStep: _s, seconds: _e, ...record } = JSON.parse(line);
    return record;
  });
}

const newRun = async (): Promise<string> => join(await temporaryFolder(), "run");
const checkpointsOf = async (run: string): Promise<string[]> =>
  (await readdir(join(run, "checkpoints"))).filter((name) => name.startsWith("step-")).sort();

describe("a run that stops and resumes", () => {
  it.each([
    ["gpt2 with dropout", () => tinyGpt2({ dropout: 0.2 })],
    ["gpt2 in bf16", () => tinyGpt2({ dtype: "bf16", dropout: 0.2 })],
    ["deepseek with router biases", () => tinyDeepseek()],
    ["deepseek in bf16", () => tinyDeepseek({ dtype: "bf16" })],
  ])("equals one that did not, bit for bit (%s)", async (_, make) => {
    const whole = await newRun();
    const straight = await train(make, { runDir: whole });
    const cut = await newRun();
    const events: TrainerEvent[] = [];
    for (const stop of [1, 5, 9, 20]) {
      // Each part begins with a model of other weights, which the checkpoint must replace entirely.
      const model = make();
      const controller = new AbortController();
      const trainer = await Trainer.create({
        ...base,
        model,
        peakFlops: 0,
        runDir: cut,
        resume: "auto",
        signal: controller.signal,
      });
      for await (const event of trainer.run()) {
        events.push(event);
        if (event.type === "step" && event.step === stop) controller.abort();
      }
      model.dispose();
    }
    expect(stepsOf(events)).toEqual(stepsOf(straight));
    expect(await metricsOf(cut)).toEqual(await metricsOf(whole));
    const done = events.flatMap((event) => (event.type === "done" ? [event.reason] : []));
    expect(done).toEqual(["interrupted", "interrupted", "interrupted", "finished"]);
  });

  it("replaces whatever weights the new model has", async () => {
    const run = await newRun();
    const first = await train(() => tinyDeepseek({ seed: 1 }), {
      runDir: run,
      steps: 6,
      schedule: { ...base.schedule },
    });
    const whole = stepsOf(await train(() => tinyDeepseek({ seed: 1 })));
    const rest = stepsOf(await train(() => tinyDeepseek({ seed: 2 }), { runDir: run, resume: true }));
    expect([...stepsOf(first), ...rest]).toEqual(whole);
  });

  it("goes back to the last checkpoint after a crash, and drops later records", async () => {
    const run = await newRun();
    const model = tinyGpt2();
    const trainer = await Trainer.create({ ...base, model, peakFlops: 0, runDir: run, saveEvery: 5 });
    for await (const event of trainer.run()) if (event.type === "step" && event.step === 8) break;
    model.dispose();
    expect(((await metricsOf(run)).at(-1) as { step: number }).step).toBe(8);
    const events = await train(() => tinyGpt2(), { runDir: run, resume: true, saveEvery: 5 });
    expect(stepsOf(events).map(({ step }) => step)).toEqual([6, 7, 8, 9, 10, 11, 12]);
    const steps = (await metricsOf(run)).filter((record) => (record as { type: string }).type === "step");
    expect(steps.map((record) => (record as { step: number }).step)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
  });

  it("starts anew where no checkpoint was saved yet, and says so", async () => {
    const run = await newRun();
    const model = tinyGpt2();
    const trainer = await Trainer.create({ ...base, model, peakFlops: 0, runDir: run });
    for await (const event of trainer.run()) if (event.type === "step" && event.step === 2) break;
    model.dispose();
    const events = await train(() => tinyGpt2(), { runDir: run, resume: true, steps: 3 });
    expect(events[0]).toMatchObject({
      type: "warning",
      message: expect.stringContaining("no checkpoint yet"),
    });
    expect((await metricsOf(run)).length).toBe(4);
  });

  it("keeps the newest and the best checkpoints", async () => {
    const run = await newRun();
    await train(() => tinyGpt2(), {
      runDir: run,
      saveEvery: 1,
      keep: 2,
      evalEvery: 3,
      optimizer: { lr: 1e-2 },
    });
    expect(await checkpointsOf(run)).toEqual(["step-00000011", "step-00000012"]);
    expect(JSON.parse(await readFile(join(run, "checkpoints", "pins.json"), "utf8"))).toEqual({ best: 12 });
  });
});

describe("resume refuses", () => {
  it.each([
    ["optimizer.lr", { optimizer: { lr: 2e-2 } }],
    ["accumulation", { accumulation: 1 }],
    ["clip", { clip: 0.5 }],
    ["schedule.warmupSteps", { schedule: { name: "cosine", warmupSteps: 4, totalSteps: 12 } }],
    ["data", { batches: batchesOf(4, 16, "other text") }],
    ["batchSize", { batches: batchesOf(2, 16) }],
    ["seed", { seed: 5 }],
  ] as [string, Partial<TrainerOptions>][])("another %s", async (field, change) => {
    const run = await newRun();
    await train(() => tinyGpt2(), { runDir: run, steps: 2 });
    const error = await rejection(train(() => tinyGpt2(), { runDir: run, resume: true, ...change }));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain(`${field} is `);
    expect(error.details.fields).toContain(field);
    // A change that is wanted is only told.
    const events = await train(() => tinyGpt2(), {
      runDir: run,
      resume: true,
      allowChanges: true,
      ...change,
    });
    expect(events[0]).toMatchObject({ type: "warning", message: expect.stringContaining(field) });
  });

  it("another model, another dtype, a folder without a run, a second run in one folder", async () => {
    const run = await newRun();
    await train(() => tinyGpt2(), { runDir: run, steps: 2 });
    const layers = await rejection(train(() => tinyGpt2({ layers: 3 }), { runDir: run, resume: true }));
    expect(layers.message).toContain("model.config.n_layer is 2 in the checkpoint and 3 now");
    const allowed = await rejection(
      train(() => tinyGpt2({ layers: 3 }), { runDir: run, resume: true, allowChanges: true }),
    );
    expect(allowed).toBeInstanceOf(CheckpointError);
    expect(allowed.message).toContain("the checkpoint has nothing");
    const dtype = await rejection(train(() => tinyGpt2({ dtype: "bf16" }), { runDir: run, resume: true }));
    expect(dtype.message).toContain('model.dtype is "f32" in the checkpoint and "bf16" now');
    expect(await rejection(train(() => tinyGpt2(), { runDir: await newRun(), resume: true }))).toBeInstanceOf(
      ConfigError,
    );
    expect((await rejection(train(() => tinyGpt2(), { runDir: run }))).message).toContain(
      "holds a run already",
    );
  });
});

describe("damaged checkpoints", () => {
  it("are told and the one before is used, with the same losses", async () => {
    const run = await newRun();
    const whole = stepsOf(await train(() => tinyDeepseek()));
    await train(() => tinyDeepseek(), { runDir: run, steps: 9, saveEvery: 3 });
    const path = join(run, "checkpoints", "step-00000009", "arrays-00001.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 5] ^= 1;
    await writeFile(path, bytes);
    const events = await train(() => tinyDeepseek(), { runDir: run, resume: true });
    expect(events[0]).toMatchObject({ type: "warning", step: 6, message: expect.stringContaining("step 9") });
    expect(stepsOf(events)).toEqual(whole.slice(6));
  });
});

/** The real file system, but writes to paths that match fail as on a full disk while `full.now`. */
function fillingDisk(pattern: RegExp): { fs: FileSystem; full: { now: boolean } } {
  const full = { now: false };
  const fs: FileSystem = {
    ...nodeFileSystem,
    async open(path, flags) {
      const handle = await nodeFileSystem.open(path, flags);
      return {
        read: handle.read.bind(handle),
        truncate: handle.truncate.bind(handle),
        sync: handle.sync.bind(handle),
        stat: handle.stat.bind(handle),
        close: handle.close.bind(handle),
        write: async (buffer, offset, length, position) => {
          if (full.now && pattern.test(path)) throw systemError("ENOSPC", "write", path);
          return handle.write(buffer, offset, length, position);
        },
      };
    },
  };
  return { fs, full };
}

describe("a full disk", () => {
  it.each([
    ["while a checkpoint is saved", /arrays-/],
    ["while a record is written", /metrics\.jsonl/],
  ])("%s ends the run with the previous checkpoint intact", async (_, pattern) => {
    const run = await newRun();
    const { fs, full } = fillingDisk(pattern);
    const model = tinyGpt2();
    const events: TrainerEvent[] = [];
    const trainer = await Trainer.create({ ...base, model, peakFlops: 0, runDir: run, saveEvery: 4, fs });
    const error = await rejection(
      (async () => {
        for await (const event of trainer.run()) {
          events.push(event);
          full.now = event.step >= 5;
        }
      })(),
    );
    model.dispose();
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.details.errno).toBe("ENOSPC");
    expect(error.message).toContain("Free space");
    expect(await checkpointsOf(run)).toEqual(["step-00000004"]);
    // With room again the run goes on as if nothing had been.
    const rest = stepsOf(await train(() => tinyGpt2(), { runDir: run, resume: true, saveEvery: 4 }));
    const whole = stepsOf(await train(() => tinyGpt2()));
    expect([...stepsOf(events).slice(0, 4), ...rest]).toEqual(whole);
  });
});

describe("interrupts", () => {
  it("by SIGTERM finish the step, save and end", async () => {
    const run = await newRun();
    const heard: string[] = [];
    const interruption = onInterrupt((name) => heard.push(name));
    const model = tinyGpt2();
    const trainer = await Trainer.create({
      ...base,
      model,
      peakFlops: 0,
      runDir: run,
      signal: interruption.signal,
    });
    const events: TrainerEvent[] = [];
    for await (const event of trainer.run()) {
      events.push(event);
      if (event.type === "step" && event.step === 3) {
        process.kill(process.pid, "SIGTERM");
        await new Promise((resolve) => interruption.signal.addEventListener("abort", resolve));
      }
    }
    interruption.release();
    model.dispose();
    expect([heard, interruption.received()]).toEqual([["SIGTERM"], "SIGTERM"]);
    const [checkpoint, done] = events.slice(-2);
    expect(done).toMatchObject({
      type: "done",
      reason: "interrupted",
      checkpoint: expect.stringContaining("step-"),
    });
    // The step that was queued already is finished, not dropped.
    expect([checkpoint.type, checkpoint.step]).toEqual(["checkpoint", done.step]);
    expect(done.step).toBeLessThanOrEqual(5);
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });

  it("before the first step leave a run that starts from the beginning", async () => {
    const run = await newRun();
    const events = await train(() => tinyGpt2(), { runDir: run, signal: AbortSignal.abort() });
    expect(events).toEqual([{ type: "done", step: 0, reason: "interrupted", checkpoint: null }]);
    const rest = stepsOf(await train(() => tinyGpt2(), { runDir: run, resume: true }));
    expect(rest).toEqual(stepsOf(await train(() => tinyGpt2())));
  });
});

describe("divergence", () => {
  /** Runs until the error, changing the model after a step. */
  async function diverge(
    after: number,
    spoil: (model: CausalLM) => void,
    options: Partial<TrainerOptions> = {},
  ) {
    const run = await newRun();
    const model = tinyGpt2();
    const trainer = await Trainer.create({
      ...base,
      model,
      peakFlops: 0,
      runDir: run,
      saveEvery: 4,
      ...options,
    });
    const error = await rejection(
      (async () => {
        for await (const event of trainer.run())
          if (event.type === "step" && event.step === after) spoil(model);
      })(),
    );
    const last = (await metricsOf(run)).at(-1) as { step: number };
    const parameters = new Map(model.namedParameters());
    return { error, model, run, last, parameters };
  }

  it("by a weight that is NaN names step, tensor and checkpoint, and saves nothing more", async () => {
    const name = "transformer.h.1.mlp.c_proj.bias";
    const { error, model, run, parameters } = await diverge(5, (model) => {
      const [, parameter] = model.namedParameters().find(([key]) => key === name) ?? [];
      parameter?.write(new Float32Array(32).fill(Number.NaN, 7, 8));
    });
    expect(error).toBeInstanceOf(DivergenceError);
    expect(error.details).toMatchObject({ tensor: name, kind: "parameter", checkpointStep: 4 });
    // Step 6 was queued when the weight changed.
    expect(error.details.step).toBe(7);
    expect(error.message).toContain("step 7: the loss is NaN");
    expect(error.message).toContain(join(run, "checkpoints", "step-00000004"));
    expect(await checkpointsOf(run)).toEqual(["step-00000004"]);
    // No update was made with gradients that are not finite: other tensors are whole.
    for (const [key, tensor] of parameters) {
      if (key !== name) expect(tensor.dataSync().every(Number.isFinite), key).toBe(true);
    }
    model.dispose();
  });

  it("by a gradient that overflows names it, and leaves the weights of that step alone", async () => {
    const { error, model, parameters } = await diverge(5, (model) => {
      const [, norm] = model.namedParameters().find(([key]) => key === "transformer.ln_f.weight") ?? [];
      norm?.write(new Float32Array(32).fill(3e38));
    });
    expect(error).toBeInstanceOf(DivergenceError);
    expect(error.details.kind).toBe("gradient");
    expect(
      parameters
        .get("transformer.ln_f.weight")
        ?.dataSync()
        .every((x) => x > 2.9e38),
    ).toBe(true);
    model.dispose();
  });

  it("by a spike names the gradient that is largest", async () => {
    const { error, model, last } = await diverge(
      45,
      (model) => {
        const [, weight] = model.namedParameters().find(([key]) => key === "transformer.wte.weight") ?? [];
        weight?.write((weight.dataSync() as Float32Array).map((x) => x * -40));
      },
      { steps: 60, accumulation: 1, schedule: { name: "constant" }, spikeFactor: 4 },
    );
    expect(error).toBeInstanceOf(DivergenceError);
    expect(error.message).toContain("more than 4 times the median");
    expect(error.details).toMatchObject({ kind: "gradient", step: 47, checkpointStep: 44 });
    expect(last.step).toBe(46);
    model.dispose();
  });

  it("is told also without a folder", async () => {
    const error = await rejection(
      train(() => tinyGpt2(), {
        optimizer: { type: "sgd", lr: 1e30 },
        clip: 0,
        schedule: { name: "constant" },
      }),
    );
    expect(error).toBeInstanceOf(DivergenceError);
    expect(error.details.checkpoint).toBeNull();
    expect(error.message).toContain("start again");
  });
});
