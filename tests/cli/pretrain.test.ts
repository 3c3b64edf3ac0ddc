/** `anneal pretrain` and `anneal start` as a user runs them: result, resume, Ctrl-C, and what goes wrong. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SMALL_DEEPSEEK, smallText } from "../train/small.js";
import { anneal } from "./spawn.js";

let root: string;
let text: string;
let config: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "anneal-cli-pretrain-"));
  text = join(root, "text.txt");
  config = join(root, "config.json");
  writeFileSync(text, smallText());
  writeFileSync(config, JSON.stringify(SMALL_DEEPSEEK));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Options of a run of a second. */
const short = (out: string) =>
  ["pretrain", "--model", config, "--data", text, "--out", out].concat(
    "--batch-size 4 --sequence-length 32 --steps 30 --lr 3e-3 --warmup 3".split(" "),
  );

async function failure(args: string[]): Promise<{ status: number | null; code: string; message: string }> {
  const { status, stdout, stderr } = await anneal([...args, "--json"]);
  const { error } = JSON.parse(stdout);
  expect(stderr).toContain(error.message);
  expect(stderr).not.toMatch(/^ {4}at /m);
  return { status, code: error.code, message: error.message };
}

describe("anneal pretrain", () => {
  it("trains, and --json prints one result; the model can be evaluated and let write", async () => {
    const run = join(root, "run");
    const { status, stdout, stderr } = await anneal([...short(run), "--sample-every", "30", "--json"]);
    expect(stderr).toContain("Baselines, in bits per byte");
    expect(status).toBe(0);
    expect(stdout.trim().split("\n").length).toBe(1);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ run, model: join(run, "model"), reason: "finished", step: 30, steps: 30 });
    expect(result.validation.bitsPerByte).toBeLessThan(8);
    expect(result.baselines.bigram).toBeLessThan(result.baselines.unigram);
    const held = join(root, "held.txt");
    writeFileSync(held, smallText(300, 7));
    const evaluated = await anneal([
      "eval",
      "--model",
      run,
      "--text",
      held,
      "--sequence-length",
      "32",
      "--json",
    ]);
    expect(JSON.parse(evaluated.stdout).bitsPerByte).toBeLessThan(6);
    const written = await anneal([
      "generate",
      "--model",
      result.model,
      "--prompt",
      "the ",
      "--max-tokens",
      "8",
      "--json",
    ]);
    expect(JSON.parse(written.stdout).text.length).toBeGreaterThan(0);
  });

  it("prints for people what it does and how to go on; more paths may follow", async () => {
    const run = join(root, "people");
    const { status, stdout } = await anneal([...short(run), "--steps", "2", text]);
    expect(status).toBe(0);
    expect(stdout).toContain("2 files");
    expect(stdout).toMatch(
      /step 2: validation loss \d\.\d+, \d\.\d+ bits per byte \(unigram \d\.\d+, bigram \d\.\d+\)/,
    );
    expect(stdout).toContain(`npx anneal generate --model ${join(run, "model")} --prompt`);
  });

  it("Ctrl-C saves, says how to go on, and the resumed run ends as if nothing had happened", async () => {
    const straight = join(root, "straight");
    await anneal([...short(straight), "--steps", "120"]);
    const run = join(root, "interrupted");
    const metricsPath = join(run, "metrics.jsonl");
    const { status, stdout, stderr } = await anneal([...short(run), "--steps", "120"], (child) => {
      const timer = setInterval(() => {
        if (!existsSync(metricsPath) || readFileSync(metricsPath, "utf8").split("\n").length < 4) return;
        clearInterval(timer);
        child.kill("SIGINT");
      }, 5);
      child.on("close", () => clearInterval(timer));
    });
    expect(status).toBe(0);
    expect(stderr).toContain("Finishing the current step and saving");
    expect(stdout).toContain(`npx anneal pretrain --out ${run} --resume`);
    const resumed = await anneal(["pretrain", "--out", run, "--resume", "--json"]);
    expect(resumed.status).toBe(0);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ reason: "finished", step: 120 });
    const weights = (folder: string) => readFileSync(join(folder, "model", "model.safetensors"));
    expect(weights(run).equals(weights(straight))).toBe(true);
  });

  it("wrong usage ends with 2, what cannot be trained on with 1, each with the fix", async () => {
    const run = join(root, "refused");
    const base = ["pretrain", "--out", run];
    const withData = [...base, "--data", text];
    expect(await failure([...withData])).toMatchObject({ status: 2, code: "ERR_USAGE" });
    const option = await failure([...withData, "--model", "char-gpt", "--bach-size", "3"]);
    expect(option).toMatchObject({ status: 2 });
    expect(option.message).toContain('Did you mean "--batch-size"?');
    const dtype = await failure([...withData, "--model", "char-gpt", "--dtype", "f16"]);
    expect(dtype.status).toBe(2);
    const model = await failure([...withData, "--model", "deepseek-mni"]);
    expect(model).toMatchObject({ status: 1, code: "ERR_CONFIG" });
    expect(model.message).toContain('Did you mean "deepseek-mini"?');
    const data = await failure([...base, "--model", "char-gpt", "--data", join(root, "absent.txt")]);
    expect(data).toMatchObject({ status: 1, code: "ERR_DATA" });
    const tokenizer = await failure([...withData, "--model", config, "--tokenizer", join(root, "t.json")]);
    expect(tokenizer).toMatchObject({ status: 1, code: "ERR_TOKENIZER" });
    const field = join(root, "field.json");
    writeFileSync(
      field,
      JSON.stringify(SMALL_DEEPSEEK).replace("moe_intermediate_size", "moe_intermediate_sise"),
    );
    const misspelt = await failure([...withData, "--model", field]);
    expect(misspelt).toMatchObject({ status: 1, code: "ERR_CONFIG" });
    expect(misspelt.message).toContain("moe_intermediate_size");
    expect(existsSync(run)).toBe(false);
  });

  it("a folder that cannot be written is told before anything is read", async () => {
    const blocked = join(root, "file");
    writeFileSync(blocked, "");
    const error = await failure(short(join(blocked, "run")));
    expect(error).toMatchObject({ status: 1, code: "ERR_CONFIG" });
    expect(error.message).toContain("Cannot write to");
    const closed = join(root, "closed");
    mkdirSync(closed);
    chmodSync(closed, 0o500);
    // The superuser may write everywhere.
    if (process.getuid?.() !== 0) {
      expect((await failure(short(join(closed, "run")))).message).toContain("--out");
    }
    chmodSync(closed, 0o700);
  });
});

describe("anneal start", () => {
  it("trains the demonstration for a few seconds and shows what it reached", async () => {
    const run = join(root, "start");
    const { status, stdout } = await anneal(["start", "--data", text, "--minutes", "0.05", "--out", run]);
    expect(status).toBe(0);
    expect(stdout).toContain("DeepSeek-V3-style");
    expect(stdout).toContain("Sample before the first step:");
    expect(stdout).toMatch(/Sample after step \d+:/);
    expect(stdout).toContain("Bits per byte of text that was kept aside");
    expect(stdout).toContain(`npx anneal generate --model ${join(run, "model")}`);
    expect(existsSync(join(run, "model", "model.safetensors"))).toBe(true);
  });
});
