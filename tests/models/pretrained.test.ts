/** Model folders: what is saved loads again bit for bit, and what does not fit is refused by name. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError, FormatError } from "../../lib/errors.js";
import { type NamedArray, readModelFolder, writeModelFolder } from "../../lib/io/index.js";
import type { CausalLM } from "../../lib/models/causal-lm.js";
import { preset } from "../../lib/models/presets.js";
import { fromPretrained, savePretrained } from "../../lib/models/pretrained.js";
import { createModel } from "../../lib/models/registry.js";
import { noGrad } from "../../lib/tensor/autograd.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { scope } from "../../lib/tensor/scope.js";
import { goldenDir, rowsInput } from "./golden.js";
import { TINY } from "./tiny.js";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "anneal-models-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const IDS = [[3, 14, 15, 9, 26, 5]];

function logits(model: CausalLM): Buffer {
  return scope(() => {
    const values = noGrad(() => model.eval().logits(rowsInput(IDS))).dataSync();
    return Buffer.from(values.buffer.slice(0));
  });
}

/** The arrays of a folder, in memory, to be changed and written again. */
async function arraysOf(dir: string): Promise<NamedArray[]> {
  const folder = await readModelFolder(dir);
  const arrays: NamedArray[] = [];
  for (const { name, dtype, shape } of folder.arrays())
    arrays.push({ name, dtype, shape, data: await folder.read(name) });
  await folder.close();
  return arrays;
}

describe.each(Object.keys(TINY))("%s", (family) => {
  it.each(["f32", "bf16"] as const)(
    "is the same after saving and loading, in shards too (%s)",
    async (dtype) => {
      manualSeed(5);
      const model = createModel(TINY[family], { dtype });
      const dir = join(root, `${family}-${dtype}`);
      await savePretrained(model, dir, { maxShardBytes: 20_000 });
      expect(readdirSync(dir).filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(1);
      const again = await fromPretrained(dir);
      expect(again.dtype).toBe(dtype);
      expect(Buffer.compare(logits(again), logits(model))).toBe(0);
      model.dispose();
      again.dispose();
    },
  );
});

describe("fromPretrained", () => {
  const golden = goldenDir("models", "deepseek-v3-default");

  it("takes experts stacked, as transformers holds them in memory", async () => {
    const { config } = JSON.parse(`{"config": ${readFileSync(join(golden, "config.json"), "utf8")}}`);
    const arrays = await arraysOf(golden);
    const experts = arrays.filter(({ name }) => /\.experts\.\d+\./.test(name));
    const rest = arrays.filter((array) => !experts.includes(array));
    const stacks = new Map<string, NamedArray[]>();
    for (const array of experts) {
      const [, layer, , which] = /^(.*\.experts)\.(\d+)\.(gate|up|down)_proj/.exec(array.name) ?? [];
      const stack = `${layer}.${which === "down" ? "down_proj" : "gate_up_proj"}`;
      stacks.set(stack, [...(stacks.get(stack) ?? []), array]);
    }
    for (const [name, parts] of stacks) {
      const order = (array: NamedArray): number => {
        const [, index, which] = /experts\.(\d+)\.(gate|up|down)/.exec(array.name) ?? [];
        return 2 * Number(index) + (which === "up" ? 1 : 0);
      };
      parts.sort((a, b) => order(a) - order(b));
      const count = config.n_routed_experts as number;
      const [rows, columns] = parts[0].shape;
      const data = Buffer.concat(parts.map((part) => part.data as Uint8Array));
      rest.push({ name, dtype: "f32", shape: [count, (parts.length / count) * rows, columns], data });
    }
    const dir = join(root, "stacked");
    await writeModelFolder(dir, { config, arrays: rest });
    const [plain, stacked] = [await fromPretrained(golden), await fromPretrained(dir)];
    expect(Buffer.compare(logits(stacked), logits(plain))).toBe(0);
    plain.dispose();
    stacked.dispose();
  });

  it("names tensors that are missing, not known, or of another shape", async () => {
    const config = JSON.parse(readFileSync(join(golden, "config.json"), "utf8"));
    const arrays = await arraysOf(golden);
    const write = async (name: string, changed: NamedArray[]): Promise<string> => {
      const dir = join(root, name);
      await writeModelFolder(dir, { config, arrays: changed });
      return dir;
    };
    const missing = await write(
      "missing",
      arrays.filter(({ name }) => name !== "model.norm.weight"),
    );
    await expect(fromPretrained(missing)).rejects.toThrow(/Missing: model\.norm\.weight/);
    const extra = await write("extra", [...arrays, { ...arrays[0], name: "model.surplus.weight" }]);
    await expect(fromPretrained(extra)).rejects.toThrow(/Not known: model\.surplus\.weight/);
    const shaped = await write(
      "shaped",
      arrays.map((array) =>
        array.name === "model.norm.weight" ? { ...array, shape: [1, array.shape[0]] } : array,
      ),
    );
    await expect(fromPretrained(shaped)).rejects.toThrow(FormatError);
    await expect(fromPretrained(shaped)).rejects.toThrow(
      /model\.norm\.weight has shape \[1, \d+\], but config\.json asks for/,
    );
  });

  it("names a folder or a model type that does not exist, with a suggestion", async () => {
    await expect(fromPretrained(join(root, "nowhere"))).rejects.toThrow(/nowhere/);
    const dir = join(root, "typed");
    await writeModelFolder(dir, { config: { model_type: "lama" }, arrays: [] });
    await expect(fromPretrained(dir)).rejects.toThrow(/Did you mean "llama"/);
    writeFileSync(join(dir, "config.json"), '{"model_type": "llama",}');
    await expect(fromPretrained(dir)).rejects.toThrow(/config\.json/);
  });
});

describe("configurations", () => {
  const wrong: [string, string, Record<string, unknown>, RegExp][] = [
    ["a misspelt field", "deepseek", { kv_lora_rnk: 16 }, /unknown field "kv_lora_rnk".*"kv_lora_rank"/],
    ["a text for a number", "llama", { hidden_size: "32" }, /hidden_size must be a number/],
    ["a fraction", "gpt2", { n_layer: 1.5 }, /n_layer must be a whole number/],
    ["heads that do not divide", "gpt2", { n_head: 5 }, /n_embd 24 must be a multiple of n_head 5/],
    ["key heads that do not divide", "llama", { num_key_value_heads: 3 }, /num_key_value_heads 3/],
    ["more experts than there are", "deepseek", { num_experts_per_tok: 7 }, /num_experts_per_tok 7 exceeds/],
    ["groups that do not divide", "deepseek", { n_group: 3 }, /multiple of n_group 3/],
    ["an unknown activation", "llama", { hidden_act: "sillu" }, /Did you mean "silu"/],
    [
      "an unknown rope",
      "llama",
      { rope_parameters: { rope_type: "yarm", factor: 2 } },
      /Did you mean "yarn"/,
    ],
    [
      "a rope without its factor",
      "llama",
      { rope_parameters: { rope_type: "linear" } },
      /needs rope_parameters\.factor/,
    ],
  ];

  it.each(wrong)("refuse %s", (_, family, fields, message) => {
    expect(() => createModel({ ...TINY[family], ...fields })).toThrow(ConfigError);
    expect(() => createModel({ ...TINY[family], ...fields })).toThrow(message);
  });

  it("refuse an unknown preset with a suggestion", () => {
    expect(() => preset("deepseek-mni")).toThrow(/Did you mean "deepseek-mini"/);
  });

  it("give the parameter counts of the named models", () => {
    const count = (name: string): number => {
      const model = createModel(preset(name).config);
      const parameters = model.parameterCount();
      model.dispose();
      return parameters;
    };
    expect(count("char-gpt")).toBe(65 * 128 + 64 * 128 + 4 * (12 * 128 * 128 + 13 * 128) + 2 * 128);
    expect(count("llama-15m")).toBe(8192 * 288 + 6 * (4 * 288 * 288 + 3 * 288 * 768 + 2 * 288) + 288);
  });
});
