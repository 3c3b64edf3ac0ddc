/** The tiny DeepSeek-V3 whose weights are sines: logits, loss, routing and gradients as transformers 5.17 gives them. */
import { describe, expect, it } from "vitest";
import { finiteDifference, norm2, relativeError } from "./array.js";
import { type DeepseekConfig, runDeepseek, waveWeights } from "./deepseek.js";
import { routerV3 } from "./moe.js";

const config: DeepseekConfig = {
  vocabSize: 32,
  hiddenSize: 16,
  intermediateSize: 24,
  moeIntermediateSize: 8,
  numHiddenLayers: 2,
  firstKDenseReplace: 1,
  numAttentionHeads: 2,
  qLoraRank: 12,
  kvLoraRank: 8,
  qkNopeHeadDim: 8,
  qkRopeHeadDim: 4,
  vHeadDim: 6,
  nSharedExperts: 1,
  router: routerV3({ experts: 8, chosen: 3, groups: 4, groupsKept: 2, scaling: 2.5 }),
  rmsNormEps: 1e-6,
  rope: {
    dim: 4,
    ropeTheta: 10000,
    ropeType: "yarn",
    factor: 4,
    originalMaxPositionEmbeddings: 64,
    maxPositionEmbeddings: 256,
    betaFast: 32,
    betaSlow: 1,
    mscale: 1,
    mscaleAllDim: 1,
  },
};

const ids = [3, 14, 15, 9, 26, 5, 31, 0];

describe("tiny DeepSeek-V3 with sine weights", () => {
  const weights = waveWeights(config);
  const run = runDeepseek(weights, ids, config);
  const gradient = (name: string): Float64Array =>
    weights.gradients.get(`${name}.weight`) ?? new Float64Array();

  it("has the weights of the recipe", () => {
    expect(weights.values.size).toBe(53);
    const embedding = weights.values.get("model.embed_tokens.weight");
    expect(embedding?.[0]).toBeCloseTo(0.073369585, 8);
    expect(embedding?.[1]).toBeCloseTo(0.020870961, 8);
  });

  it("gives the loss and logits of transformers", () => {
    expect(Math.abs(run.loss / 3.4468548 - 1)).toBeLessThan(1e-6);
    const first = [-0.39202133, -0.45406651, -0.22292562, 0.29357675, 0.90935159, 1.0071865];
    const last = [0.47348002, 0.391112, 0.57018197, 0.91786605, 1.1011306, 0.57404876];
    expect(relativeError(run.logits.slice(0, 6), first)).toBeLessThan(2e-6);
    expect(relativeError(run.logits.slice(7 * 32, 7 * 32 + 6), last)).toBeLessThan(2e-6);
    const absolute = run.logits.reduce((sum, z) => sum + Math.abs(z), 0);
    expect(Math.abs(absolute / 107.15594 - 1)).toBeLessThan(1e-6);
  });

  it("routes like transformers", () => {
    const [routing] = run.routings;
    const chosen = Array.from({ length: 8 }, (_, t) => routing.ids.slice(3 * t, 3 * t + 3).join(""));
    expect(chosen.join(" ")).toBe("012 012 012 013 012 013 012 012");
    expect(relativeError(routing.weights.slice(0, 3), [0.8378073, 0.82155275, 0.84063995])).toBeLessThan(
      1e-6,
    );
  });

  it.each([
    ["model.embed_tokens", 1.1290435, []],
    ["model.layers.0.self_attn.kv_a_proj_with_mqa", 0.090601899, [0.02162339, 0.017707214, 0.0061034919]],
    ["model.layers.0.self_attn.kv_b_proj", 0.62536985, [1.0498493e-5, -7.4889913e-6, 5.5026561e-5]],
    ["model.layers.0.self_attn.q_a_layernorm", 0.0059082527, [5.1792007e-4, 5.7092751e-4, 8.8758918e-4]],
    ["model.layers.1.mlp.gate", 0.011114553, [0.0027083459, -9.9411514e-4, 0.001907676]],
    ["lm_head", 1.4697919, [-0.071882613, -0.1148579, -0.016159123]],
  ])("has the gradient of %s", (name, norm, firstThree) => {
    const values = gradient(name);
    expect(Math.abs(norm2(values) / norm - 1)).toBeLessThan(1e-5);
    // The reference ran in f32: its entries are exact to about 1e-7 of the tensor's norm.
    firstThree.forEach((value, i) => {
      expect(Math.abs(values[i] - value)).toBeLessThan(1e-6 * norm + 1e-5 * Math.abs(value));
    });
  });

  it.each([
    "model.layers.0.self_attn.q_b_proj.weight",
    "model.layers.1.self_attn.kv_a_layernorm.weight",
    "model.layers.1.mlp.experts.0.up_proj.weight",
    "model.layers.1.mlp.shared_experts.down_proj.weight",
    "model.layers.1.input_layernorm.weight",
  ])("agrees with finite differences at %s", (name) => {
    const loss = (tensor: Float64Array): number => {
      const values = new Map(weights.values).set(name, tensor);
      return runDeepseek({ values, gradients: new Map() }, ids, config).loss;
    };
    const at = [0, 3, 7];
    const numeric = finiteDifference(loss, weights.values.get(name) ?? [], 1e-5, at);
    const analytic = at.map((i) => weights.gradients.get(name)?.[i] ?? Number.NaN);
    expect(relativeError(analytic, numeric)).toBeLessThan(1e-6);
  });

  it("runs packed sequences as if each were alone", () => {
    const alone = [ids.slice(0, 5), ids.slice(5)].flatMap((part) => {
      return Array.from(runDeepseek(waveWeights(config), part, config).logits);
    });
    expect(Array.from(runDeepseek(waveWeights(config), ids, config, [0, 5, 8]).logits)).toEqual(alone);
  });
});
