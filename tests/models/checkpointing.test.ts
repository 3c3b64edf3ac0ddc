/** Recomputing parts of a block changes what is kept and nothing else: losses and gradients are bit-equal, activations take less. */
import { describe, expect, it } from "vitest";
import {
  CHECKPOINT_PARTS,
  type Checkpointing,
  type CheckpointPart,
  parseCheckpointing,
} from "../../lib/models/checkpointing.js";
import { createModel } from "../../lib/models/registry.js";
import { memoryByCategory, resetPeakMemory } from "../../lib/native/device.js";
import { backward } from "../../lib/tensor/autograd.js";
import { manualSeed } from "../../lib/tensor/random.js";
import { scope } from "../../lib/tensor/scope.js";
import { rng } from "../reference/array.js";
import { rowsInput, targetsOf } from "./golden.js";
import { TINY } from "./tiny.js";

const LAYERS: Readonly<Record<string, object>> = {
  gpt2: { n_layer: 4, resid_pdrop: 0.1 },
  llama: { num_hidden_layers: 4 },
  deepseek: { num_hidden_layers: 4 },
  deepseekV2: { num_hidden_layers: 4 },
};

const ROWS = Array.from({ length: 24 }, () => Array.from(rng(7).integers(33, 61)));

interface Outcome {
  values: Map<string, string>;
  activations: number;
}

function pass(family: string, dtype: "f32" | "bf16", checkpointing: Checkpointing): Outcome {
  manualSeed(3);
  const model = createModel({ ...TINY[family], ...LAYERS[family] }, { dtype });
  model.checkpointing = checkpointing;
  const hex = (t: { dataSync(): ArrayBufferView }): string =>
    Buffer.from((t.dataSync() as Float32Array).slice().buffer).toString("base64");
  const values = new Map<string, string>();
  resetPeakMemory();
  scope(() => {
    const { loss } = model.loss(rowsInput(ROWS), targetsOf(ROWS), { rows: ROWS.length });
    backward(loss);
    values.set("loss", hex(loss));
  });
  const { activations } = memoryByCategory().peak;
  for (const [name, { grad }] of model.namedParameters()) if (grad !== null) values.set(name, hex(grad));
  model.afterStep();
  for (const { name, tensor } of model.state())
    if (name.includes("correction")) values.set(name, hex(tensor));
  model.dispose();
  return { values, activations };
}

describe.each(Object.keys(TINY))("checkpointing of %s", (family) => {
  const parts = CHECKPOINT_PARTS.filter((part) => part !== "mla_up_proj" || family.startsWith("deepseek"));
  const choices: Checkpointing[] = [...parts.map((part) => [part]), parts, ["norm", "activation"], "full"];

  it.each(["f32", "bf16"] as const)("is bit-equal to the plain pass in %s and keeps less", (dtype) => {
    pass(family, dtype, false); // makes what operations keep for the next time
    const plain = pass(family, dtype, false);
    for (const choice of choices) {
      const { values, activations } = pass(family, dtype, choice);
      expect(values, String(choice)).toEqual(plain.values);
      expect(activations, String(choice)).toBeLessThan(plain.activations);
    }
    const full = pass(family, dtype, "full").activations;
    expect(pass(family, dtype, ["norm"]).activations).toBeGreaterThan(full);
    expect(pass(family, dtype, true).activations).toBe(full);
  });
});

describe("parseCheckpointing", () => {
  it("reads what command lines and settings say", () => {
    expect(parseCheckpointing("none")).toBe(false);
    expect(parseCheckpointing("full")).toBe("full");
    expect(parseCheckpointing("norm, mla_up_proj")).toEqual([
      "norm",
      "mla_up_proj",
    ] satisfies CheckpointPart[]);
    expect(parseCheckpointing(["mlp"])).toEqual(["mlp"]);
    expect(() => parseCheckpointing("atention")).toThrow('Did you mean "attention"?');
    expect(() => parseCheckpointing(3)).toThrow("must be true, false");
  });
});
