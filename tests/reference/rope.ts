/**
 * Oracle of the rotary position embedding: inverse frequencies of the known scalings, and the rotation in its
 * physical layouts. Sources: RoFormer (Su et al. 2021), Position Interpolation (Chen et al. 2023), YaRN (Peng et
 * al. 2023), and the llama3 and mscale conventions of Hugging Face configurations.
 */
import type { Values } from "./array.js";

/** Which scaling, and its numbers; names follow Hugging Face's `rope_parameters` in camelCase. */
export interface RopeScaling {
  /** Rotary width, even. */
  dim: number;
  /** Base θ. */
  ropeTheta: number;
  /** "default", "linear", "ntk" (static NTK-aware base), "dynamic" (NTK by length), "llama3" or "yarn". */
  ropeType?: "default" | "linear" | "ntk" | "dynamic" | "llama3" | "yarn";
  /** s, by how much the window grows. */
  factor?: number;
  /** Window of the original training. */
  originalMaxPositionEmbeddings?: number;
  /** dynamic: the window up to which nothing changes. */
  maxPositionEmbeddings?: number;
  /** dynamic: current length; shorter than the window counts as the window. */
  length?: number;
  lowFreqFactor?: number;
  highFreqFactor?: number;
  betaFast?: number;
  betaSlow?: number;
  mscale?: number;
  mscaleAllDim?: number;
  /** yarn: explicit multiplier of cos and sin. */
  attentionFactor?: number;
  /** yarn: round the correction range outwards to whole channels. Default true. */
  truncate?: boolean;
}

/** Frequencies and the two multipliers of a scaling. */
export interface RopeFrequencies {
  /** [dim / 2], radians per position. */
  invFreq: Float64Array;
  /** Multiplies cos and sin. */
  attentionFactor: number;
  /** Multiplies the softmax scale (DeepSeek's mscale²). */
  softmaxMultiplier: number;
}

const clamp01 = (x: number): number => Math.min(Math.max(x, 0), 1);

/** YaRN's attention temperature: 1 for s ≤ 1, else 0.1·m·ln s + 1. */
export function yarnMscale(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/** Channel index at which a channel makes `rotations` turns over the original window. */
export function yarnCorrectionDim(rotations: number, dim: number, theta: number, window: number): number {
  return (dim * Math.log(window / (2 * Math.PI * rotations))) / (2 * Math.log(theta));
}

/** Inverse frequencies and multipliers of a scaling. */
export function ropeFrequencies(scaling: RopeScaling): RopeFrequencies {
  const { dim, ropeTheta, ropeType = "default", factor = 1 } = scaling;
  const window = scaling.originalMaxPositionEmbeddings ?? scaling.maxPositionEmbeddings ?? 0;
  const powers = (theta: number): Float64Array =>
    Float64Array.from({ length: dim / 2 }, (_, j) => theta ** ((-2 * j) / dim));
  const base = powers(ropeTheta);
  const mscaleAllDim = scaling.mscaleAllDim ?? 0;
  const softmaxMultiplier =
    ropeType !== "default" && mscaleAllDim !== 0 ? yarnMscale(factor, mscaleAllDim) ** 2 : 1;
  const plain = (invFreq: Float64Array): RopeFrequencies => ({
    invFreq,
    attentionFactor: 1,
    softmaxMultiplier,
  });
  switch (ropeType) {
    case "default":
      return plain(base);
    case "linear":
      return plain(base.map((w) => w / factor));
    case "ntk":
      return plain(powers(ropeTheta * factor ** (dim / (dim - 2))));
    case "dynamic": {
      const limit = scaling.maxPositionEmbeddings ?? window;
      const length = Math.max(scaling.length ?? 0, limit);
      return plain(powers(ropeTheta * ((factor * length) / limit - (factor - 1)) ** (dim / (dim - 2))));
    }
    case "llama3": {
      const { lowFreqFactor: low = 1, highFreqFactor: high = 4 } = scaling;
      return plain(
        base.map((w) => {
          const kept = clamp01(((window * w) / (2 * Math.PI) - low) / (high - low));
          return ((1 - kept) * w) / factor + kept * w;
        }),
      );
    }
    case "yarn": {
      const { betaFast = 32, betaSlow = 1, truncate = true, mscale = 0 } = scaling;
      let low = yarnCorrectionDim(betaFast, dim, ropeTheta, window);
      let high = yarnCorrectionDim(betaSlow, dim, ropeTheta, window);
      if (truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
      low = Math.max(low, 0);
      high = Math.min(high, dim - 1);
      if (low === high) high += 0.001;
      const invFreq = base.map((w, j) => {
        const interpolated = clamp01((j - low) / (high - low));
        return w * (1 - interpolated) + (w / factor) * interpolated;
      });
      const both = mscale !== 0 && mscaleAllDim !== 0;
      const inferred = both
        ? yarnMscale(factor, mscale) / yarnMscale(factor, mscaleAllDim)
        : yarnMscale(factor, 1);
      return { invFreq, attentionFactor: scaling.attentionFactor ?? inferred, softmaxMultiplier };
    }
  }
}

/**
 * Where the two channels of pair j are read and written:
 * "half" (j, j + D/2) both times; "interleaved" (2j, 2j + 1) both times; "interleavedToHalf" reads interleaved and
 * writes half, as Hugging Face's DeepSeek-V3 does.
 */
export type RopeLayout = "half" | "interleaved" | "interleavedToHalf";

/** A rotation. x: [tokens, heads, headDim]; the `dim` channels from `start` on rotate, the others are copied. */
export interface RopeInput {
  x: Values;
  /** [tokens] integer positions. */
  positions: Values;
  heads: number;
  headDim: number;
  /** [dim / 2]. */
  invFreq: Values;
  layout: RopeLayout;
  /** First rotary channel of a head. Default 0. */
  start?: number;
  /** Multiplies cos and sin. Default 1. */
  attentionFactor?: number;
}

/** Rotates, or with `inverse` applies the transposed map, which is the backward. */
function rotate(input: RopeInput, inverse: boolean): Float64Array {
  const { x, positions, heads, headDim, invFreq, layout, start = 0, attentionFactor = 1 } = input;
  const half = invFreq.length;
  const interleaved = (j: number): [number, number] => [2 * j, 2 * j + 1];
  const halves = (j: number): [number, number] => [j, j + half];
  const reads = layout === "half" ? halves : interleaved;
  const writes = layout === "interleaved" ? interleaved : halves;
  const out = Float64Array.from(x);
  for (let t = 0; t < positions.length; t++) {
    for (let h = 0; h < heads; h++) {
      const at = (t * heads + h) * headDim + start;
      for (let j = 0; j < half; j++) {
        const angle = positions[t] * invFreq[j];
        const cos = attentionFactor * Math.cos(angle);
        const sin = attentionFactor * Math.sin(angle) * (inverse ? -1 : 1);
        const [fromA, fromB] = inverse ? writes(j) : reads(j);
        const [toA, toB] = inverse ? reads(j) : writes(j);
        out[at + toA] = x[at + fromA] * cos - x[at + fromB] * sin;
        out[at + toB] = x[at + fromB] * cos + x[at + fromA] * sin;
      }
    }
  }
  return out;
}

/** x′ₐ = xₐ·cos φ − x_b·sin φ, x′_b = x_b·cos φ + xₐ·sin φ with φ = position·invFreq[j]. */
export function rope(input: RopeInput): Float64Array {
  return rotate(input, false);
}

/** dx from the gradient of the output, which is given as `input.x`. */
export function ropeBackward(input: RopeInput): Float64Array {
  return rotate(input, true);
}
