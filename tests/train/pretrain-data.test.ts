/** Pre-training from packed data and mixtures: the tokenizer that comes along, plans, document masks, exact resume, and what is refused. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PackOptions, packTokens } from "../../lib/data/index.js";
import { AnnealError } from "../../lib/errors.js";
import { memory } from "../../lib/native/device.js";
import { ByteTokenizer } from "../../lib/tokenizer/index.js";
import { type PretrainEvent, pretrain } from "../../lib/train/pretrain.js";
import type { PretrainOptions } from "../../lib/train/pretrain-settings.js";
import { SMALL_MODEL, smallText } from "./small.js";

let root: string;
/** Packed folders and the mixture of both. */
let web: string;
let code: string;
let mixture: string;

/** Documents of very different lengths. */
function documents(count: number, seed: number): string {
  const sentences = smallText(count * 12, seed).split("\n");
  const lines = Array.from({ length: count }, (_, i) =>
    JSON.stringify({ text: sentences.slice(0, 1 + ((i * 7) % 5)).join("\n") + i }),
  );
  return lines.join("\n");
}

async function pack(name: string, seed: number, options: Partial<PackOptions> = {}): Promise<string> {
  const paths = join(root, `${name}.jsonl`);
  writeFileSync(paths, documents(60, seed));
  const outDir = join(root, name);
  await packTokens({ paths, outDir, tokenizer: new ByteTokenizer(), ...options });
  return outDir;
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "anneal-pretrain-data-"));
  web = await pack("web", 1, { packing: "best-fit", sequenceLength: 32 });
  code = await pack("code", 2);
  mixture = join(root, "mixture.json");
  const datasets = [
    { data: "web", weight: 0.75 },
    { data: "code", weight: 0.25, maxEpochs: 2 },
  ];
  writeFileSync(mixture, JSON.stringify({ datasets, schedule: [{ fromStep: 8, weights: [0.25, 0.75] }] }));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SHORT: PretrainOptions = { model: SMALL_MODEL, steps: 10, lr: 3e-3, warmup: 2, evalBatches: 4 };

async function collect(options: PretrainOptions, onEvent?: (event: PretrainEvent) => void) {
  const events: PretrainEvent[] = [];
  for await (const event of pretrain({ ...SHORT, ...options })) {
    events.push(event);
    onEvent?.(event);
  }
  return events;
}

const only = <T extends PretrainEvent["type"]>(events: PretrainEvent[], type: T) =>
  events.filter((event): event is Extract<PretrainEvent, { type: T }> => event.type === type);

async function rejection(options: PretrainOptions): Promise<AnnealError> {
  const error = await collect({ out: join(root, "refused"), ...options }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AnnealError);
  expect(existsSync(join(root, "refused"))).toBe(false);
  return error as AnnealError;
}

describe("packed data", () => {
  it("is trained on as it is, with its tokenizer and its plan", async () => {
    const before = memory().live;
    const files = readdirSync(web).sort();
    const run = join(root, "run");
    const events = await collect({ data: [web], documentMask: true, out: run });
    const [ready] = only(events, "ready");
    expect(ready.settings).toMatchObject({
      tokenizer: join(web, "tokenizer"),
      packing: "best-fit",
      documentMask: true,
    });
    expect(ready.mixture).toBeUndefined();
    expect(ready.data.train.documents).toBeGreaterThan(40);
    expect(only(events, "step").length).toBe(10);
    expect(only(events, "eval").at(-1)?.tokens).toBeGreaterThan(0);
    // Nothing was tokenized or planned again.
    expect(readdirSync(web).sort()).toEqual(files);
    expect(readdirSync(join(run, "data"))).toEqual([]);
    expect(existsSync(join(run, "model", "tokenizer.json"))).toBe(true);
    expect(memory().live).toBe(before);
  });

  it("gives the losses of the same text tokenized by the run", async () => {
    const losses = (events: PretrainEvent[]) => only(events, "step").map(({ loss }) => loss);
    const text = await collect({ data: [join(root, "code.jsonl")], out: join(root, "text"), seed: 0 });
    const packed = await collect({ data: [code], out: join(root, "packed"), seed: 0 });
    expect(losses(packed)).toEqual(losses(text));
    // Another way to make rows, and masks, are other losses.
    const others = [{ packing: "best-fit" }, { packing: "best-fit-crop" }, { documentMask: true }] as const;
    for (const [i, options] of others.entries()) {
      const other = await collect({ data: [code], out: join(root, `other-${i}`), seed: 0, ...options });
      expect(losses(other)).not.toEqual(losses(text));
    }
  });

  it("may be several folders, which are used by their sizes", async () => {
    const [ready] = only(await collect({ data: [web, code], out: join(root, "both") }), "ready");
    const [a, b] = ready.mixture ?? [];
    expect(Math.abs(a.epochs - b.epochs)).toBeLessThan(0.1);
    expect(ready.data.baselines).toBeNull();
  });
});

describe("a mixture", () => {
  it("has the counts that it says, and goes on bit for bit after an interrupt", async () => {
    const options: PretrainOptions = { data: [mixture], steps: 14, packing: "best-fit", documentMask: true };
    const whole = join(root, "straight");
    const straight = await collect({ ...options, out: whole });
    const [ready] = only(straight, "ready");
    // 8 steps of 4 rows at 0.75, 6 at 0.25.
    expect(ready.mixture?.map(({ name, rows }) => [name, rows])).toEqual([
      ["web", 24 + 6],
      ["code", 8 + 18],
    ]);
    const run = join(root, "interrupted");
    for (const stop of [3, 9, 20]) {
      const controller = new AbortController();
      const resume = existsSync(run);
      const events: PretrainEvent[] = [];
      const given = resume ? { out: run, resume } : { ...SHORT, ...options, out: run };
      for await (const event of pretrain({ ...given, signal: controller.signal })) {
        events.push(event);
        if (event.type === "step" && event.step === stop) controller.abort();
      }
      expect(only(events, "ready")[0].resumed).toBe(resume);
    }
    const steps = (folder: string) =>
      readFileSync(join(folder, "metrics.jsonl"), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
        .filter(({ type }) => type === "step")
        .map(({ step, loss, gradNorm }) => ({ step, loss, gradNorm }));
    expect(steps(run)).toEqual(steps(whole));
    const weights = (folder: string) => readFileSync(join(folder, "model", "model.safetensors"));
    expect(weights(run).equals(weights(whole))).toBe(true);
  });

  it("does not go on with data that has changed", async () => {
    const run = join(root, "changed");
    const own = await pack("own", 3);
    await collect({ data: [own], steps: 2, out: run });
    await pack("own", 4);
    const events = collectResumed(run);
    await expect(events).rejects.toThrow(/data is /);
  });

  async function collectResumed(run: string): Promise<void> {
    for await (const _ of pretrain({ out: run, resume: true })) {
      // To its end.
    }
  }
});

describe("what cannot be trained on", () => {
  it.each<[string, () => PretrainOptions | Promise<PretrainOptions>, RegExp]>([
    [
      "texts beside packed data",
      () => ({ data: [web, join(root, "web.jsonl")] }),
      /Name either texts or packed data/,
    ],
    [
      "another tokenizer",
      () => ({ data: [web], tokenizer: "char" }),
      /holds tokens already.*Leave --tokenizer out/,
    ],
    [
      "shards without their tokenizer",
      async () => {
        const bare = await pack("bare", 6);
        rmSync(join(bare, "tokenizer"), { recursive: true });
        return { data: [bare] };
      },
      /bare has no tokenizer beside its shards/,
    ],
    [
      "rows anywhere by best fit",
      () => ({ data: [web], packing: "best-fit", dataMode: "random" }),
      /Use dataMode: packed/,
    ],
    ["rows anywhere of a mixture", () => ({ data: [mixture], dataMode: "random" }), /several datasets/],
    [
      "a misspelt packing",
      () => ({ data: [web], packing: "bestfit" as "best-fit" }),
      /Did you mean "best-fit"/,
    ],
    [
      "a mixture of folders that are none",
      () => {
        const path = join(root, "none.json");
        writeFileSync(path, JSON.stringify({ datasets: [{ data: "nowhere", weight: 1 }] }));
        return { data: [path] };
      },
      /nowhere holds no packed data/,
    ],
    [
      "datasets of different tokenizers",
      async () => {
        const other = await pack("other", 5, { tokenizer: new ByteTokenizer({ eosToken: null }) });
        return { data: [web, other] };
      },
      /was packed with the tokenizer/,
    ],
  ])("%s", async (_, options, message) => {
    const error = await rejection(await options());
    expect(error.message).toMatch(message);
  });

  it("a mixture that is used up before the last step", async () => {
    const path = join(root, "small.json");
    writeFileSync(path, JSON.stringify({ datasets: [{ data: "code", weight: 1, maxEpochs: 1 }] }));
    const error = await rejection({ data: [path], steps: 2000 });
    expect(error.message).toMatch(/The mixture lasts for \d+ steps, not for 2000/);
  });
});
