/**
 * A whole DeepSeek-V2/V3 model, forward and backward, put together from the oracle's pieces: multi-head latent
 * attention, dense and mixture-of-experts feed-forward, final norm, head and loss. It proves that the pieces fit, and
 * is the oracle of small whole models. Weights go by their checkpoint names.
 */
import { splitGateUp, swiglu, swigluBackward } from "./activation.js";
import { addArrays, columns, joinColumns, toF32, type Values, wave } from "./array.js";
import { attention, attentionBackward } from "./attention.js";
import { embedding, embeddingBackward } from "./embedding.js";
import { linearCrossEntropy } from "./loss.js";
import { groupedMatmul, groupedMatmulDgrad, groupedMatmulWgrad, linear, linearBackward } from "./matmul.js";
import {
  combineRows,
  combineRowsBackward,
  permutation,
  permuteRows,
  permuteRowsBackward,
  type RouterOptions,
  type Routing,
  route,
  routeBackward,
} from "./moe.js";
import { rmsNorm, rmsNormBackward } from "./norm.js";
import { type RopeLayout, type RopeScaling, rope, ropeBackward, ropeFrequencies } from "./rope.js";

/** Sizes and options of a model. Names follow Hugging Face in camelCase. */
export interface DeepseekConfig {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  moeIntermediateSize: number;
  numHiddenLayers: number;
  /** Layers from this one on are mixtures of experts. */
  firstKDenseReplace: number;
  numAttentionHeads: number;
  /** Rank of the query compression; null for a single q_proj. */
  qLoraRank: number | null;
  kvLoraRank: number;
  qkNopeHeadDim: number;
  qkRopeHeadDim: number;
  vHeadDim: number;
  nSharedExperts: number;
  router: RouterOptions;
  rmsNormEps: number;
  rope: RopeScaling;
  /** Rotary channels are stored as interleaved pairs (all released checkpoints); false means halves. Default true. */
  ropeInterleave?: boolean;
}

/** Weights by name, and gradients that accumulate by the same names. */
export interface Weights {
  values: Map<string, Float64Array>;
  gradients: Map<string, Float64Array>;
}

/** A piece of the model that has run: its output, and the way back from the gradient of it to that of its input. */
interface Stage {
  y: Float64Array;
  backward(dy: Values): Float64Array;
}

/** Number of elements of every weight, by checkpoint name. */
export function weightSizes(config: DeepseekConfig): Map<string, number> {
  const { hiddenSize: d, numAttentionHeads: heads, qLoraRank, kvLoraRank } = config;
  const { qkNopeHeadDim: nope, qkRopeHeadDim: rotary, vHeadDim } = config;
  const sizes = new Map<string, number>();
  const add = (name: string, size: number): unknown => sizes.set(name, size);
  const feedForwardSizes = (prefix: string, width: number): void => {
    for (const part of ["gate", "up", "down"]) add(`${prefix}${part}_proj.weight`, d * width);
  };
  add("lm_head.weight", config.vocabSize * d);
  add("model.embed_tokens.weight", config.vocabSize * d);
  add("model.norm.weight", d);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const prefix = `model.layers.${layer}.`;
    add(`${prefix}input_layernorm.weight`, d);
    add(`${prefix}post_attention_layernorm.weight`, d);
    const queryWidth = heads * (nope + rotary);
    if (qLoraRank === null) {
      add(`${prefix}self_attn.q_proj.weight`, queryWidth * d);
    } else {
      add(`${prefix}self_attn.q_a_proj.weight`, qLoraRank * d);
      add(`${prefix}self_attn.q_a_layernorm.weight`, qLoraRank);
      add(`${prefix}self_attn.q_b_proj.weight`, queryWidth * qLoraRank);
    }
    add(`${prefix}self_attn.kv_a_proj_with_mqa.weight`, (kvLoraRank + rotary) * d);
    add(`${prefix}self_attn.kv_a_layernorm.weight`, kvLoraRank);
    add(`${prefix}self_attn.kv_b_proj.weight`, heads * (nope + vHeadDim) * kvLoraRank);
    add(`${prefix}self_attn.o_proj.weight`, d * heads * vHeadDim);
    if (layer < config.firstKDenseReplace) {
      feedForwardSizes(`${prefix}mlp.`, config.intermediateSize);
      continue;
    }
    const { experts, scoring } = config.router;
    add(`${prefix}mlp.gate.weight`, experts * d);
    if (scoring === "sigmoid") add(`${prefix}mlp.gate.e_score_correction_bias`, experts);
    feedForwardSizes(`${prefix}mlp.shared_experts.`, config.nSharedExperts * config.moeIntermediateSize);
    for (let e = 0; e < experts; e++) {
      feedForwardSizes(`${prefix}mlp.experts.${e}.`, config.moeIntermediateSize);
    }
  }
  return sizes;
}

/**
 * Weights without random numbers, rounded to f32: the tensor whose name is q-th in bytewise order (from 0) is
 * `wave(q + 1)`, as 1 + 0.2·wave for norms, 0.1·wave for the router bias and 0.15·wave for the rest.
 */
export function waveWeights(config: DeepseekConfig): Weights {
  const sizes = weightSizes(config);
  const values = new Map<string, Float64Array>();
  [...sizes.keys()].sort().forEach((name, q) => {
    const isNorm = name.endsWith("norm.weight");
    const factor = isNorm ? 0.2 : name.endsWith("bias") ? 0.1 : 0.15;
    const tensor = wave(sizes.get(name) ?? 0, q + 1).map((u) => (isNorm ? 1 : 0) + factor * u);
    values.set(name, toF32(tensor));
  });
  return { values, gradients: new Map() };
}

function get(weights: Weights, name: string): Float64Array {
  const value = weights.values.get(name);
  if (!value) throw new Error(`The weight ${name} is missing.`);
  return value;
}

function accumulate(weights: Weights, name: string, gradient: Float64Array): void {
  const sum = weights.gradients.get(name);
  weights.gradients.set(name, sum ? addArrays(sum, gradient) : gradient);
}

function projection(weights: Weights, name: string, x: Values, inputs: number, outputs: number): Stage {
  const w = get(weights, `${name}.weight`);
  return {
    y: linear(x, w, inputs, outputs),
    backward(dy) {
      const { dx, dw } = linearBackward(x, w, dy, inputs, outputs);
      accumulate(weights, `${name}.weight`, dw);
      return dx;
    },
  };
}

function rms(weights: Weights, name: string, x: Values, dim: number, eps: number): Stage {
  const input = { x, dim, eps, gain: get(weights, `${name}.weight`) };
  return {
    y: rmsNorm(input).y,
    backward(dy) {
      const { dx, dgain } = rmsNormBackward(input, dy);
      accumulate(weights, `${name}.weight`, dgain);
      return dx;
    },
  };
}

/** q: [T, H·(dn + dr)], through the low rank where there is one. */
function queries(weights: Weights, prefix: string, x: Values, config: DeepseekConfig): Stage {
  const { hiddenSize, qLoraRank, numAttentionHeads, qkNopeHeadDim, qkRopeHeadDim } = config;
  const width = numAttentionHeads * (qkNopeHeadDim + qkRopeHeadDim);
  if (qLoraRank === null) return projection(weights, `${prefix}q_proj`, x, hiddenSize, width);
  const down = projection(weights, `${prefix}q_a_proj`, x, hiddenSize, qLoraRank);
  // The latent norms use 1e-6 whatever the model's epsilon is.
  const norm = rms(weights, `${prefix}q_a_layernorm`, down.y, qLoraRank, 1e-6);
  const up = projection(weights, `${prefix}q_b_proj`, norm.y, qLoraRank, width);
  return { y: up.y, backward: (dy) => down.backward(norm.backward(up.backward(dy))) };
}

/** Multi-head latent attention in its expanded form. x: [T, D] → [T, D]. */
function latentAttention(
  weights: Weights,
  prefix: string,
  x: Values,
  positions: Values,
  cuSeqlens: Values,
  config: DeepseekConfig,
): Stage {
  const { hiddenSize, numAttentionHeads: heads, kvLoraRank, vHeadDim } = config;
  const { qkNopeHeadDim: nope, qkRopeHeadDim: rotary } = config;
  const headDim = nope + rotary;
  const { invFreq, attentionFactor, softmaxMultiplier } = ropeFrequencies(config.rope);
  // Queries and keys are permuted alike, so the scores are those of the interleaved layout as well.
  const layout: RopeLayout = config.ropeInterleave === false ? "half" : "interleavedToHalf";
  const turning = { positions, invFreq, attentionFactor, layout };
  const turnQ = { ...turning, heads, headDim, start: nope };
  const turnK = { ...turning, heads: 1, headDim: rotary };

  const query = queries(weights, prefix, x, config);
  const q = rope({ ...turnQ, x: query.y });
  const compressed = projection(weights, `${prefix}kv_a_proj_with_mqa`, x, hiddenSize, kvLoraRank + rotary);
  const latent = columns(compressed.y, kvLoraRank + rotary, 0, kvLoraRank);
  const keyRotary = rope({
    ...turnK,
    x: columns(compressed.y, kvLoraRank + rotary, kvLoraRank, kvLoraRank + rotary),
  });
  const norm = rms(weights, `${prefix}kv_a_layernorm`, latent, kvLoraRank, 1e-6);
  const expanded = projection(weights, `${prefix}kv_b_proj`, norm.y, kvLoraRank, heads * (nope + vHeadDim));
  const keyNope = columns(expanded.y, nope + vHeadDim, 0, nope); // [T·H, nope]
  const v = columns(expanded.y, nope + vHeadDim, nope, nope + vHeadDim); // [T·H, dv]
  const shared = permuteRows(
    keyRotary,
    Array.from({ length: keyNope.length / nope }, (_, r) => r),
    heads,
    rotary,
  );
  const k = joinColumns(keyNope, nope, shared, rotary);
  const scale = softmaxMultiplier / Math.sqrt(headDim);
  const input = {
    q,
    k,
    v,
    heads,
    keyHeads: heads,
    headDim,
    valueDim: vHeadDim,
    cuSeqlensQ: cuSeqlens,
    scale,
  };
  const output = projection(weights, `${prefix}o_proj`, attention(input).o, heads * vHeadDim, hiddenSize);

  return {
    y: output.y,
    backward(dy) {
      const { dq, dk, dv } = attentionBackward(input, output.backward(dy));
      const rows = Array.from({ length: dk.length / headDim }, (_, r) => r);
      const dShared = permuteRowsBackward(columns(dk, headDim, nope, headDim), rows, heads, rotary); // sum over heads
      const dExpanded = joinColumns(columns(dk, headDim, 0, nope), nope, dv, vHeadDim);
      const dLatent = norm.backward(expanded.backward(dExpanded));
      const dKeyRotary = ropeBackward({ ...turnK, x: dShared });
      const dx = compressed.backward(joinColumns(dLatent, kvLoraRank, dKeyRotary, rotary));
      return addArrays(dx, query.backward(ropeBackward({ ...turnQ, x: dq })));
    },
  };
}

/** down(silu(gate x)·up x). */
function feedForward(weights: Weights, prefix: string, x: Values, dim: number, width: number): Stage {
  const gate = projection(weights, `${prefix}gate_proj`, x, dim, width);
  const up = projection(weights, `${prefix}up_proj`, x, dim, width);
  const down = projection(weights, `${prefix}down_proj`, swiglu(gate.y, up.y), width, dim);
  return {
    y: down.y,
    backward(dy) {
      const { dgate, dup } = swigluBackward(gate.y, up.y, down.backward(dy));
      return addArrays(gate.backward(dgate), up.backward(dup));
    },
  };
}

/** Routed experts by permutation and grouped products, plus the shared expert. */
function mixture(
  weights: Weights,
  prefix: string,
  x: Values,
  config: DeepseekConfig,
): Stage & { routing: Routing } {
  const { hiddenSize: dim, moeIntermediateSize: width, nSharedExperts, router } = config;
  const { experts, chosen } = router;
  const bias = weights.values.get(`${prefix}gate.e_score_correction_bias`);
  const options: RouterOptions = bias ? { ...router, bias } : router;
  const gate = projection(weights, `${prefix}gate`, x, dim, experts);
  const routing = route(gate.y, options);
  const { offsets, order, inverse } = permutation(routing.ids, experts);
  const names = (part: string): string[] =>
    Array.from({ length: experts }, (_, e) => `${prefix}experts.${e}.${part}.weight`);
  const stacked = (...parts: string[]): Float64Array => {
    const matrices = names(parts[0]).flatMap((_, e) => parts.map((part) => get(weights, names(part)[e])));
    return Float64Array.from(matrices.flatMap((matrix) => Array.from(matrix)));
  };
  // Gate and up of an expert are one matrix of 2·width rows, as Hugging Face holds them in memory.
  const gateUpWeight = stacked("gate_proj", "up_proj");
  const downWeight = stacked("down_proj");
  const inward = { offsets, inputs: dim, outputs: 2 * width };
  const outward = { offsets, inputs: width, outputs: dim };
  const rows = permuteRows(x, order, chosen, dim);
  const { gate: a, up: b } = splitGateUp(groupedMatmul(rows, gateUpWeight, inward), width);
  const hidden = swiglu(a, b);
  const out = groupedMatmul(hidden, downWeight, outward);
  const shared = feedForward(weights, `${prefix}shared_experts.`, x, dim, nSharedExperts * width);
  const perExpert = dim * width;

  return {
    routing,
    y: combineRows(out, routing.weights, inverse, chosen, dim, shared.y),
    backward(dy) {
      const { dx: dOut, dweights } = combineRowsBackward(out, routing.weights, inverse, dy, chosen, dim);
      const { dgate, dup } = swigluBackward(a, b, groupedMatmulDgrad(dOut, downWeight, outward));
      const dGateUp = joinColumns(dgate, width, dup, width);
      const dDown = groupedMatmulWgrad(hidden, dOut, outward);
      const dStack = groupedMatmulWgrad(rows, dGateUp, inward);
      for (let e = 0; e < experts; e++) {
        accumulate(weights, names("down_proj")[e], dDown.slice(e * perExpert, (e + 1) * perExpert));
        accumulate(weights, names("gate_proj")[e], dStack.slice(2 * e * perExpert, (2 * e + 1) * perExpert));
        accumulate(
          weights,
          names("up_proj")[e],
          dStack.slice((2 * e + 1) * perExpert, (2 * e + 2) * perExpert),
        );
      }
      const dRows = permuteRowsBackward(
        groupedMatmulDgrad(dGateUp, gateUpWeight, inward),
        inverse,
        chosen,
        dim,
      );
      const dGate = gate.backward(routeBackward(routing, dweights, options));
      return addArrays(addArrays(dRows, dGate), shared.backward(dy));
    },
  };
}

/** Result of a run: logits [T, V], mean loss over labelled positions, the choice of every mixture layer. */
export interface DeepseekRun {
  logits: Float64Array;
  loss: number;
  routings: Routing[];
}

/**
 * Runs packed sequences through the model and, with their next tokens as labels (−100 after the last of each), the
 * loss and all gradients, which accumulate in `weights.gradients`.
 */
export function runDeepseek(
  weights: Weights,
  ids: Values,
  config: DeepseekConfig,
  cuSeqlens: Values = [0, ids.length],
): DeepseekRun {
  const { hiddenSize: dim, vocabSize: vocab, rmsNormEps: eps } = config;
  const positions = new Int32Array(ids.length);
  const targets = new Int32Array(ids.length).fill(-100);
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
      positions[t] = t - cuSeqlens[s];
      if (t + 1 < cuSeqlens[s + 1]) targets[t] = ids[t + 1];
    }
  }
  const routings: Routing[] = [];
  const stages: Stage[] = []; // norm, attention, norm, feed-forward of every layer in turn
  let h = embedding(get(weights, "model.embed_tokens.weight"), ids, dim);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const prefix = `model.layers.${layer}.`;
    const inputNorm = rms(weights, `${prefix}input_layernorm`, h, dim, eps);
    const attend = latentAttention(weights, `${prefix}self_attn.`, inputNorm.y, positions, cuSeqlens, config);
    h = addArrays(h, attend.y);
    const innerNorm = rms(weights, `${prefix}post_attention_layernorm`, h, dim, eps);
    let mlp: Stage;
    if (layer < config.firstKDenseReplace) {
      mlp = feedForward(weights, `${prefix}mlp.`, innerNorm.y, dim, config.intermediateSize);
    } else {
      const moe = mixture(weights, `${prefix}mlp.`, innerNorm.y, config);
      routings.push(moe.routing);
      mlp = moe;
    }
    h = addArrays(h, mlp.y);
    stages.push(inputNorm, attend, innerNorm, mlp);
  }
  const finalNorm = rms(weights, "model.norm", h, dim, eps);
  const head = get(weights, "lm_head.weight");
  const result = linearCrossEntropy(finalNorm.y, head, targets, { dim, vocab });

  accumulate(weights, "lm_head.weight", result.dweight);
  let dh = finalNorm.backward(result.dhidden);
  for (let i = stages.length - 2; i >= 0; i -= 2) {
    // A residual branch: the gradient of h goes past it unchanged and through it.
    dh = addArrays(dh, stages[i].backward(stages[i + 1].backward(dh)));
  }
  accumulate(weights, "model.embed_tokens.weight", embeddingBackward(dh, ids, vocab, dim));
  return { logits: linear(finalNorm.y, head, dim, vocab), loss: result.loss, routings };
}
