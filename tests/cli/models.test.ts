/** `anneal eval` and `anneal generate` on a small saved model, and on everything that may be wrong with one. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { savePretrained } from "../../lib/models/pretrained.js";
import { createModel } from "../../lib/models/registry.js";
import { noGrad } from "../../lib/tensor/autograd.js";
import { segmentsOf } from "../../lib/tensor/ops/attention.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { scope } from "../../lib/tensor/scope.js";
import { tensor } from "../../lib/tensor/tensor.js";
import { ByteTokenizer, CharTokenizer } from "../../lib/tokenizer/index.js";
import { TINY } from "../models/tiny.js";
import { anneal } from "./spawn.js";

const TEXT = "Once upon a time there was a naïve model — it knew nothing.\n".repeat(5);
const tokenizer = new ByteTokenizer({ bosToken: null });

let root: string;
let dir: string;
let text: string;
/** Mean loss of the text in windows of 40 targets, computed from logits in double precision. */
let expected: number;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "anneal-cli-"));
  dir = join(root, "model");
  text = join(root, "text.txt");
  writeFileSync(text, TEXT);
  manualSeed(1);
  using model = createModel({ ...TINY.deepseek, vocab_size: tokenizer.vocabSize, initializer_range: 0.1 });
  await savePretrained(model, dir);
  await tokenizer.save(dir);
  const ids = tokenizer.encode(TEXT);
  let sum = 0;
  for (let start = 0; start + 1 < ids.length; start += 40) {
    const end = Math.min(start + 40, ids.length - 1);
    const window = ids.slice(start, end);
    const logits = noGrad(() =>
      scope(() =>
        model
          .logits({
            ids: tensor(window),
            positions: tensor(Int32Array.from(window, (_, i) => i)),
            length: window.length,
            segments: segmentsOf([window.length]),
          })
          .dataSync(),
      ),
    );
    for (let i = 0; i < window.length; i++) {
      const row = logits.slice(i * model.vocabSize, (i + 1) * model.vocabSize);
      const top = Math.max(...row);
      let total = 0;
      for (const x of row) total += Math.exp(x - top);
      sum += top + Math.log(total) - row[ids[start + i + 1]];
    }
  }
  expected = sum / (ids.length - 1);
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The error object of a failed `--json` run. */
async function failure(args: string[]): Promise<{ status: number | null; code: string; message: string }> {
  const { status, stdout, stderr } = await anneal([...args, "--json"]);
  expect(stdout.trim().split("\n").length).toBe(1);
  const { error } = JSON.parse(stdout);
  expect(stderr).toContain(error.message);
  expect(stderr).not.toMatch(/^ {4}at /m);
  return { status, code: error.code, message: error.message };
}

describe("anneal eval", () => {
  it("--json gives loss, perplexity, bits per byte, tokens and bytes", async () => {
    const { status, stdout, stderr } = await anneal([
      ..."eval --sequence-length 40 --batch-size 3 --json --model".split(" "),
      dir,
      "--text",
      text,
    ]);
    expect(stderr).toContain("bits per byte");
    expect(status).toBe(0);
    const result = JSON.parse(stdout);
    const bytes = Buffer.byteLength(TEXT) - 1;
    expect(result.tokens).toBe(bytes);
    expect(result.bytes).toBe(bytes);
    expect(Math.abs(result.loss - expected)).toBeLessThan(1e-5 * expected);
    expect(result.perplexity).toBeCloseTo(Math.exp(result.loss), 8);
    expect(result.bitsPerByte).toBeCloseTo(result.loss / Math.LN2, 8);
  });

  it("prints a table for people, takes a text shorter than a sequence, and computes in bf16 on request", async () => {
    const short = join(root, "short.txt");
    writeFileSync(short, "ab");
    const { status, stdout } = await anneal(["eval", "--model", dir, "--text", short]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^loss +\d+\.\d+ nats per token\nperplexity +/);
    const half = await anneal(["eval", "--model", dir, "--text", text, "--dtype", "bf16", "--json"]);
    const { loss } = JSON.parse(half.stdout);
    expect(Math.abs(loss - expected)).toBeLessThan(0.02 * expected);
  });

  it("a run folder stands for its model; a run without one says so", async () => {
    const run = join(root, "run");
    mkdirSync(join(run, "checkpoints"), { recursive: true });
    writeFileSync(join(run, "config.json"), "{}");
    writeFileSync(join(run, "metrics.jsonl"), "");
    const early = await failure(["eval", "--model", run, "--text", text]);
    expect(early).toMatchObject({ status: 1, code: "ERR_FORMAT" });
    expect(early.message).toContain("has not written its model yet");
    cpSync(dir, join(run, "model"), { recursive: true });
    expect((await anneal(["eval", "--model", run, "--text", text, "--json"])).status).toBe(0);
  });

  it("missing options are wrong usage", async () => {
    const { status, stderr } = await anneal(["eval", "--model", dir]);
    expect(status).toBe(2);
    expect(stderr).toContain("--text FILE is missing");
    expect((await anneal(["eval", "--model", dir, "--text", text, "--dtype", "f16"])).status).toBe(2);
  });

  it("empty, missing and invalid texts", async () => {
    const file = (name: string, data: string | Uint8Array): string => {
      const path = join(root, name);
      writeFileSync(path, data);
      return path;
    };
    const evaluate = (path: string) => failure(["eval", "--model", dir, "--text", path]);
    expect(await evaluate(file("empty.txt", ""))).toMatchObject({ status: 1, code: "ERR_DATA" });
    const one = await evaluate(file("one.txt", "x"));
    expect(one).toMatchObject({ status: 1, code: "ERR_DATA" });
    expect(one.message).toContain("nothing to predict");
    const missing = await evaluate(join(root, "txet.txt"));
    expect(missing).toMatchObject({ status: 1, code: "ERR_DATA" });
    expect(missing.message).toContain('Did you mean "text.txt"?');
    expect(await evaluate(file("latin.txt", Uint8Array.of(0x61, 0xe9, 0x62)))).toMatchObject({
      code: "ERR_DATA",
    });
  });

  it("a sequence length that the model has no positions for", async () => {
    const { status, message } = await failure([
      "eval",
      "--model",
      dir,
      "--text",
      text,
      "--sequence-length",
      "65",
    ]);
    expect(status).toBe(1);
    expect(message).toContain("sequenceLength must be an integer from 1 to 64, got 65");
  });
});

describe("models that are not there or broken", () => {
  /** A copy of the model folder that `change` spoils. */
  function spoiled(name: string, change: (copy: string) => void): string {
    const copy = join(root, name);
    cpSync(dir, copy, { recursive: true });
    change(copy);
    return copy;
  }
  const evaluate = (model: string) => failure(["eval", "--model", model, "--text", text]);

  it("a missing folder, with a suggestion", async () => {
    const { status, code, message } = await evaluate(join(root, "modle"));
    expect(status).toBe(1);
    expect(code).toBe("ERR_FORMAT");
    expect(message).toContain(`Did you mean "${dir}"?`);
  });

  it("config.json that is not JSON, names an unknown type, or has a misspelt field", async () => {
    const config = readFileSync(join(dir, "config.json"), "utf8");
    const withConfig = (name: string, json: string) =>
      evaluate(spoiled(name, (copy) => writeFileSync(join(copy, "config.json"), json)));
    expect(await withConfig("json", "{ oops")).toMatchObject({ status: 1, code: "ERR_FORMAT" });
    const type = await withConfig("type", config.replace("deepseek_v3", "deepseekv3"));
    expect(type).toMatchObject({ status: 1, code: "ERR_CONFIG" });
    expect(type.message).toContain('Did you mean "deepseek_v3"?');
    const field = await withConfig("field", config.replace("n_routed_experts", "n_routed_expert"));
    expect(field).toMatchObject({ status: 1, code: "ERR_CONFIG" });
    expect(field.message).toContain("n_routed_experts");
  });

  it("weights that are truncated or absent", async () => {
    const cut = spoiled("cut", (copy) => {
      const path = join(copy, "model.safetensors");
      writeFileSync(path, readFileSync(path).subarray(0, 5000));
    });
    expect(await evaluate(cut)).toMatchObject({ status: 1, code: "ERR_FORMAT" });
    const bare = spoiled("bare", (copy) => rmSync(join(copy, "model.safetensors")));
    expect(await evaluate(bare)).toMatchObject({ status: 1, code: "ERR_FORMAT" });
  });

  it("no tokenizer, a broken one, and one with more tokens than the model", async () => {
    const none = spoiled("none", (copy) =>
      renameSync(join(copy, "tokenizer.json"), join(copy, "hidden.json")),
    );
    expect(await evaluate(none)).toMatchObject({ status: 1, code: "ERR_TOKENIZER" });
    const broken = spoiled("broken", (copy) => writeFileSync(join(copy, "tokenizer.json"), "{}"));
    expect(await evaluate(broken)).toMatchObject({ status: 1, code: "ERR_TOKENIZER" });
    const large = join(root, "large");
    await new CharTokenizer(Array.from({ length: 400 }, (_, i) => String.fromCodePoint(32 + i))).save(large);
    for (const command of [
      ["eval", "--text", text],
      ["generate", "--prompt", "a"],
    ]) {
      const wrong = await failure([...command, "--model", dir, "--tokenizer", large]);
      expect(wrong).toMatchObject({ status: 1, code: "ERR_TOKENIZER" });
      expect(wrong.message).toMatch(/has 400 tokens, but the model only 257/);
    }
  });
});

describe("anneal generate", () => {
  const generate = (...args: string[]) =>
    anneal(["generate", "--model", dir, "--prompt", "Once", "--max-tokens", "12", ...args]);

  it("streams the prompt and the text to stdout, everything else to stderr", async () => {
    const { status, stdout, stderr } = await generate("--temperature", "0");
    expect(status).toBe(0);
    const json = JSON.parse((await generate("--temperature", "0", "--json")).stdout);
    expect(stdout).toBe(`Once${json.text}\n`);
    expect(json.tokens).toBe(12);
    expect(json.ids.length).toBe(12);
    expect(json.tokensPerSecond).toBeGreaterThan(0);
    expect(stderr).toMatch(/12 tokens in /);
  });

  it("the seed decides the text", async () => {
    const text = async (...args: string[]) =>
      JSON.parse((await generate("--json", "--top-k", "50", "--top-p", "0.99", ...args)).stdout).text;
    const first = await text("--seed", "1");
    expect(await text("--seed", "1")).toBe(first);
    expect(await text("--seed", "2")).not.toBe(first);
  });

  it("stops at a text", async () => {
    const all = JSON.parse((await generate("--json", "--seed", "3")).stdout);
    const stop = [...all.text][4];
    const stopped = JSON.parse((await generate("--json", "--seed", "3", "--stop", stop)).stdout);
    expect(stopped.text).toBe(all.text.slice(0, all.text.indexOf(stop)));
    expect(stopped.finishReason).toBe("stop");
  });

  it("says when the positions are used up, and slides on request", async () => {
    const ended = await generate("--max-tokens", "100", "--json");
    expect(JSON.parse(ended.stdout)).toMatchObject({ tokens: 61, finishReason: "context" });
    expect(ended.stderr).toContain("--on-context-limit slide");
    const slid = await generate("--max-tokens", "100", "--json", "--on-context-limit", "slide");
    expect(JSON.parse(slid.stdout)).toMatchObject({ tokens: 100, finishReason: "length" });
  });

  it("bad values", async () => {
    expect((await generate("--temperature", "hot")).status).toBe(2);
    const { status, stderr } = await generate("--top-p", "0");
    expect(status).toBe(1);
    expect(stderr).toBe("anneal: topP must be above 0 and at most 1, got 0.\n");
    const empty = await failure(["generate", "--model", dir]);
    expect(empty).toMatchObject({ status: 1, code: "ERR_DATA" });
  });

  it("an interrupt ends it", async () => {
    const long = [
      "generate",
      "--model",
      dir,
      "--prompt",
      "Once",
      "--max-tokens",
      "10000000",
      "--on-context-limit",
      "slide",
    ];
    const { status, stderr } = await anneal(long, (child) => {
      child.stdout?.once("data", () => child.kill("SIGINT"));
    });
    expect(status).toBe(1);
    expect(stderr).toContain("anneal: Interrupted by SIGINT.");
  });
});
