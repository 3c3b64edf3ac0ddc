/** The oracle beside PyTorch and transformers: tests/golden/reference.json, made by tests/golden/make_reference.py. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { norm2, relativeError, wave } from "./array.js";
import { attention, attentionBackward } from "./attention.js";
import { type DeepseekConfig, runDeepseek, waveWeights } from "./deepseek.js";
import { type UnaryName, unary, unaryBackward } from "./elementwise.js";
import { linearCrossEntropy } from "./loss.js";
import { routerV2, routerV3 } from "./moe.js";
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "./norm.js";
import {
  type AdamState,
  adamStep,
  clipFactor,
  cosineSchedule,
  globalNorm,
  type SgdState,
  sgdStep,
  wsdSchedule,
} from "./optim.js";
import { type RopeScaling, ropeFrequencies } from "./rope.js";
import { filteredProbabilities, type SampleOptions } from "./sample.js";

interface ModelGolden {
  loss: number;
  firstLogits: number[];
  lastLogits: number[];
  absoluteLogits: number;
  gradientNorms: Record<string, number>;
}

interface Golden {
  unary: Record<string, { y: number[]; dx: number[] }>;
  norms: Record<"rmsNorm" | "layerNorm", { y: number[]; dx: number[]; dgain: number[] }>;
  attention: { o: number[]; dq: number[]; dk: number[]; dv: number[] };
  crossEntropy: { loss: number; dhidden: number[]; dweight: number[] };
  optimizers: Record<string, number[]>;
  schedules: Record<string, number[]>;
  rope: Record<string, { invFreq: number[]; attentionFactor: number }>;
  sampling: { options: SampleOptions; probabilities: number[] }[];
  models: Record<string, ModelGolden>;
}

const golden: Golden = JSON.parse(readFileSync(new URL("../golden/reference.json", import.meta.url), "utf8"));
const scaled = (count: number, salt: number, factor: number): Float64Array =>
  wave(count, salt).map((u) => u * factor);

/** Both sides are in double precision: what is left is rounding in another order. */
const exact = 1e-13;

describe("like PyTorch in double precision", () => {
  it.each(Object.entries(golden.unary))("%s", (name, { y, dx }) => {
    const x = scaled(12, 1, 4).map((value) => value + (name === "rsqrt" ? 5 : 0));
    expect(relativeError(unary(name as UnaryName, x), y)).toBeLessThan(exact);
    expect(relativeError(unaryBackward(name as UnaryName, x, wave(12, 2)), dx)).toBeLessThan(exact);
  });

  it.each([
    ["rmsNorm", rmsNorm, rmsNormBackward],
    ["layerNorm", layerNorm, layerNormBackward],
  ] as const)("%s", (name, forward, backward) => {
    const bias = name === "layerNorm" ? { bias: wave(5, 3) } : {};
    const input = { x: wave(15, 1), gain: wave(5, 2), dim: 5, eps: 1e-3, ...bias };
    const { dx, dgain } = backward(input, wave(15, 4));
    expect(relativeError(forward(input).y, golden.norms[name].y)).toBeLessThan(exact);
    expect(relativeError(dx, golden.norms[name].dx)).toBeLessThan(exact);
    expect(relativeError(dgain, golden.norms[name].dgain)).toBeLessThan(exact);
  });

  it("attention with grouped heads", () => {
    const sizes = { heads: 4, keyHeads: 2, headDim: 3, valueDim: 2, cuSeqlensQ: [0, 5] };
    const input = { q: wave(60, 1), k: wave(30, 2), v: wave(20, 3), ...sizes };
    const { dq, dk, dv } = attentionBackward(input, wave(40, 4));
    expect(relativeError(attention(input).o, golden.attention.o)).toBeLessThan(exact);
    expect(relativeError(dq, golden.attention.dq)).toBeLessThan(exact);
    expect(relativeError(dk, golden.attention.dk)).toBeLessThan(exact);
    expect(relativeError(dv, golden.attention.dv)).toBeLessThan(exact);
  });

  it("cross-entropy with label smoothing and ignored rows", () => {
    const options = { dim: 3, vocab: 7, labelSmoothing: 0.1 };
    const result = linearCrossEntropy(scaled(15, 1, 2), scaled(21, 2, 2), [1, -100, 6, 0, -100], options);
    expect(Math.abs(result.loss / golden.crossEntropy.loss - 1)).toBeLessThan(exact);
    expect(relativeError(result.dhidden, golden.crossEntropy.dhidden)).toBeLessThan(exact);
    expect(relativeError(result.dweight, golden.crossEntropy.dweight)).toBeLessThan(exact);
  });
});

describe("optimizers follow PyTorch's for five clipped steps", () => {
  const gradients = Array.from({ length: 5 }, (_, i) => {
    const gradient = scaled(6, i + 2, 3);
    return { gradient, step: i + 1, clip: clipFactor(globalNorm([gradient]), 4) };
  });

  it.each([
    ["adamw", { beta2: 0.95 }],
    ["adam", { l2: true }],
  ])("%s", (name, extra) => {
    const zeros = { firstMoment: new Float64Array(6), secondMoment: new Float64Array(6) };
    let state: AdamState = { parameter: wave(6, 1), ...zeros };
    for (const { gradient, step, clip } of gradients) {
      state = adamStep(state, gradient, { lr: 0.05, weightDecay: 0.1, step, clip, ...extra });
    }
    expect(relativeError(state.parameter, golden.optimizers[name])).toBeLessThan(exact);
  });

  it.each([
    ["sgd", { dampening: 0.2, weightDecay: 0.1 }],
    ["nesterov", { nesterov: true }],
  ])("%s", (name, extra) => {
    let state: SgdState = { parameter: wave(6, 1), buffer: new Float64Array(6) };
    for (const { gradient, step, clip } of gradients) {
      state = sgdStep(state, gradient, { lr: 0.05, momentum: 0.9, step, clip, ...extra });
    }
    expect(relativeError(state.parameter, golden.optimizers[name])).toBeLessThan(exact);
  });
});

describe("like transformers", () => {
  const wsd = { warmupSteps: 4, totalSteps: 20, decaySteps: 6, minRatio: 0.1 };
  it.each<[string, (step: number) => number]>([
    ["cosine", (step) => cosineSchedule(step, { warmupSteps: 4, totalSteps: 20 })],
    ["cosineMin", (step) => cosineSchedule(step, { warmupSteps: 4, totalSteps: 20, minRatio: 0.1 })],
    ["wsdLinear", (step) => wsdSchedule(step, { ...wsd, decayShape: "linear" })],
    ["wsdCosine", (step) => wsdSchedule(step, { ...wsd, decayShape: "cosine" })],
    ["wsdSqrt", (step) => wsdSchedule(step, { ...wsd, decayShape: "sqrt" })],
  ])("schedule %s", (name, schedule) => {
    expect(
      relativeError(
        golden.schedules[name].map((_, step) => schedule(step)),
        golden.schedules[name],
      ),
    ).toBeLessThan(exact);
  });

  const window = { factor: 8, originalMaxPositionEmbeddings: 1024 };
  it.each<[string, Omit<RopeScaling, "dim" | "ropeTheta">]>([
    ["linear", { ropeType: "linear", factor: 4 }],
    ["dynamic", { ropeType: "dynamic", factor: 2, maxPositionEmbeddings: 2048, length: 5000 }],
    ["llama3", { ropeType: "llama3", lowFreqFactor: 1, highFreqFactor: 4, ...window }],
    ["yarn", { ropeType: "yarn", ...window }],
    [
      "yarnMscale",
      {
        ropeType: "yarn",
        ...window,
        mscale: 0.7,
        mscaleAllDim: 1.3,
        betaFast: 20,
        betaSlow: 2,
        truncate: false,
      },
    ],
  ])("rotary frequencies %s", (name, scaling) => {
    const { invFreq, attentionFactor } = ropeFrequencies({ dim: 32, ropeTheta: 10000, ...scaling });
    // transformers computes them in f32.
    invFreq.forEach((w, j) => {
      expect(Math.abs(w / golden.rope[name].invFreq[j] - 1)).toBeLessThan(1e-6);
    });
    expect(Math.abs(attentionFactor / golden.rope[name].attentionFactor - 1)).toBeLessThan(exact);
  });

  it.each(golden.sampling)("sampling filters $options", ({ options, probabilities }) => {
    expect(relativeError(filteredProbabilities(scaled(12, 5, 3), options), probabilities)).toBeLessThan(
      exact,
    );
  });
});

describe("whole models like transformers in f32", () => {
  const sizes: Omit<DeepseekConfig, "router" | "rope" | "qLoraRank"> = {
    vocabSize: 32,
    hiddenSize: 16,
    intermediateSize: 24,
    moeIntermediateSize: 8,
    numHiddenLayers: 2,
    firstKDenseReplace: 1,
    numAttentionHeads: 2,
    kvLoraRank: 8,
    qkNopeHeadDim: 8,
    qkRopeHeadDim: 4,
    vHeadDim: 6,
    nSharedExperts: 1,
    rmsNormEps: 1e-6,
  };
  const plain: RopeScaling = { dim: 4, ropeTheta: 10000 };
  const yarn: RopeScaling = {
    ...plain,
    ropeType: "yarn",
    factor: 4,
    originalMaxPositionEmbeddings: 64,
    mscale: 0.7,
    mscaleAllDim: 1,
  };
  const choice = { experts: 8, chosen: 3, groups: 4, groupsKept: 2 };
  const v3 = routerV3({ ...choice, scaling: 2.5 });
  const unnormalised = routerV3({ ...choice, scaling: 1.5, normalise: false });

  it.each<[string, DeepseekConfig]>([
    ["v3NoQueryRank", { ...sizes, qLoraRank: null, rope: plain, router: v3 }],
    [
      "v3YarnHalf",
      { ...sizes, qLoraRank: 12, rope: yarn, ropeInterleave: false, rmsNormEps: 1e-3, router: unnormalised },
    ],
    ["v2Greedy", { ...sizes, qLoraRank: null, rope: plain, router: routerV2("greedy", choice) }],
    [
      "v2Grouped",
      {
        ...sizes,
        qLoraRank: 12,
        rope: plain,
        router: routerV2("group_limited_greedy", { ...choice, scaling: 4 }),
      },
    ],
  ])("%s", (name, config) => {
    const expected = golden.models[name];
    const weights = waveWeights(config);
    const { logits, loss } = runDeepseek(weights, [3, 14, 15, 9, 26, 5, 31, 0, 7, 7], config);
    expect(Math.abs(loss / expected.loss - 1)).toBeLessThan(1e-6);
    expect(relativeError(logits.slice(0, 6), expected.firstLogits)).toBeLessThan(1e-5);
    expect(relativeError(logits.slice(9 * 32, 9 * 32 + 6), expected.lastLogits)).toBeLessThan(1e-5);
    const absolute = logits.reduce((sum, z) => sum + Math.abs(z), 0);
    expect(Math.abs(absolute / expected.absoluteLogits - 1)).toBeLessThan(1e-6);
    for (const [weight, norm] of Object.entries(expected.gradientNorms)) {
      expect(Math.abs(norm2(weights.gradients.get(weight) ?? []) / norm - 1), weight).toBeLessThan(1e-5);
    }
  });
});
