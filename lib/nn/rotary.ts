/** Rotary position embedding: frequencies with every scaling that Hugging Face configurations name, and the tables of cosines and sines. */

import { ConfigError, didYouMean } from "../errors.js";
import { inCategory } from "../native/accounting.js";
import { defaultDevice } from "../native/device.js";
import { uncaptured } from "../tensor/capture.js";
import type { RotaryTable } from "../tensor/ops/rope.js";
import { keep } from "../tensor/scope.js";
import { tensor } from "../tensor/tensor.js";

/** `rope_type` values that are understood. */
export const ROPE_TYPES = ["default", "linear", "ntk", "dynamic", "yarn", "llama3"] as const;

/** The scaling of a rotary embedding, in the terms of Hugging Face's `rope_parameters`. */
export interface RopeScaling {
  ropeType: (typeof ROPE_TYPES)[number];
  /** Base of the frequencies. */
  ropeTheta: number;
  factor?: number;
  /** Context before the extension; default the model's max_position_embeddings. */
  originalMaxPositionEmbeddings?: number;
  attentionFactor?: number;
  betaFast?: number;
  betaSlow?: number;
  mscale?: number;
  mscaleAllDim?: number;
  truncate?: boolean;
  lowFreqFactor?: number;
  highFreqFactor?: number;
}

/** Frequencies of each channel pair and the factor of cosines and sines. */
export interface RopeFrequencies {
  /** Radians per position, rotary/2 values. */
  frequencies: Float64Array;
  /** Multiplies cosines and sines ("attention factor"). */
  factor: number;
}

/** 0.1·m·ln s + 1 for s > 1, else 1 (YaRN). */
export function yarnMscale(scale: number, mscale = 1): number {
  return scale <= 1 ? 1 : 0.1 * mscale * Math.log(scale) + 1;
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const FIELDS = [
  "ropeTheta",
  "factor",
  "originalMaxPositionEmbeddings",
  "attentionFactor",
  "betaFast",
  "betaSlow",
  "mscale",
  "mscaleAllDim",
  "lowFreqFactor",
  "highFreqFactor",
] as const;

/** Reads `rope_parameters`, or the older `rope_scaling` and `rope_theta`, of a config.json. `rope_scaling` wins where both are present, as in transformers. */
export function parseRope(config: Record<string, unknown>, defaultTheta = 10000): RopeScaling {
  const raw = (config.rope_scaling ?? config.rope_parameters ?? {}) as Record<string, unknown>;
  if (typeof raw !== "object" || Array.isArray(raw)) {
    throw new ConfigError("rope_parameters must be an object.", { value: raw });
  }
  const type = String(raw.rope_type ?? raw.type ?? "default");
  if (!(ROPE_TYPES as readonly string[]).includes(type)) {
    throw new ConfigError(
      `rope_type "${type}" is not supported; expected one of ${ROPE_TYPES.join(", ")}.${didYouMean(type, ROPE_TYPES)}`,
      {
        ropeType: type,
      },
    );
  }
  const parameters = (config.rope_parameters ?? {}) as Record<string, unknown>;
  const theta = raw.rope_theta ?? config.rope_theta ?? parameters.rope_theta ?? defaultTheta;
  const scaling: RopeScaling = { ropeType: type as RopeScaling["ropeType"], ropeTheta: theta as number };
  for (const field of FIELDS) {
    const value = field === "ropeTheta" ? theta : raw[snake(field)];
    if (value === undefined || value === null) continue;
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new ConfigError(
        `rope_parameters.${snake(field)} must be a number, got ${JSON.stringify(value)}.`,
        { field: snake(field), value },
      );
    }
    scaling[field] = value;
  }
  if (typeof raw.truncate === "boolean") scaling.truncate = raw.truncate;
  if (type !== "default" && scaling.factor === undefined) {
    throw new ConfigError(`rope_type "${type}" needs rope_parameters.factor.`, { ropeType: type });
  }
  return scaling;
}

/** Frequencies of `rotary` channels (Su et al.; Peng et al., YaRN; Llama 3). `length` is the longest sequence, which `dynamic` scales to. */
export function ropeFrequencies(
  scaling: RopeScaling,
  rotary: number,
  maxPositions: number,
  length = maxPositions,
): RopeFrequencies {
  const { ropeType, ropeTheta: theta, factor = 1 } = scaling;
  const original = scaling.originalMaxPositionEmbeddings ?? maxPositions;
  const half = rotary / 2;
  const base = (b: number): Float64Array =>
    Float64Array.from({ length: half }, (_, j) => b ** ((-2 * j) / rotary));
  const stretched = (s: number): Float64Array => base(theta * s ** (rotary / (rotary - 2)));
  switch (ropeType) {
    case "linear":
      return { frequencies: base(theta).map((w) => w / factor), factor: 1 };
    case "ntk":
      return { frequencies: stretched(factor), factor: 1 };
    case "dynamic":
      return {
        frequencies: stretched((factor * Math.max(length, original)) / original - (factor - 1)),
        factor: 1,
      };
    case "llama3": {
      const { lowFreqFactor: low = 1, highFreqFactor: high = 4 } = scaling;
      const frequencies = base(theta).map((w) => {
        const ramp = Math.min(1, Math.max(0, ((original * w) / (2 * Math.PI) - low) / (high - low)));
        return ((1 - ramp) * w) / factor + ramp * w;
      });
      return { frequencies, factor: 1 };
    }
    case "yarn": {
      const { betaFast = 32, betaSlow = 1, mscale, mscaleAllDim, truncate = true } = scaling;
      const dimension = (rotations: number): number =>
        (rotary * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
      let low = dimension(betaFast);
      let high = dimension(betaSlow);
      if (truncate) {
        low = Math.floor(low);
        high = Math.ceil(high);
      }
      low = Math.max(low, 0);
      high = Math.min(high, rotary - 1);
      if (low === high) high += 0.001;
      const frequencies = base(theta).map((w, j) => {
        const ramp = Math.min(1, Math.max(0, (j - low) / (high - low)));
        return w * (1 - ramp) + (w / factor) * ramp;
      });
      const derived =
        mscale && mscaleAllDim
          ? yarnMscale(factor, mscale) / yarnMscale(factor, mscaleAllDim)
          : yarnMscale(factor);
      return { frequencies, factor: scaling.attentionFactor ?? derived };
    }
    default:
      return { frequencies: base(theta), factor: 1 };
  }
}

/** Tables of cosines and sines for positions 0..positions−1, outside every scope; angles in double precision, rounded once. */
export function rotaryTable(frequencies: RopeFrequencies, positions: number): RotaryTable {
  const half = frequencies.frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let p = 0; p < positions; p++) {
    for (let j = 0; j < half; j++) {
      const angle = p * frequencies.frequencies[j];
      cos[p * half + j] = Math.cos(angle) * frequencies.factor;
      sin[p * half + j] = Math.sin(angle) * frequencies.factor;
    }
  }
  return keep({
    cos: tensor(cos, { shape: [positions, half] }),
    sin: tensor(sin, { shape: [positions, half] }),
  });
}

/** Tables that grow with the longest position asked for, so that a model with a long context costs nothing until it is used. */
export class RotaryCache {
  private table: RotaryTable | undefined;
  private length = 0;

  constructor(
    private readonly scaling: RopeScaling,
    private readonly rotary: number,
    private readonly maxPositions: number,
  ) {}

  /** Tables for at least `positions` positions. A table that was given out stays valid. */
  get(positions: number): RotaryTable {
    // Dynamic scaling makes the frequencies depend on the length, beyond the trained context.
    const length =
      this.scaling.ropeType === "dynamic" ? Math.max(positions, this.maxPositions) : this.maxPositions;
    const held = this.table?.cos.shape[0] ?? 0;
    if (this.table === undefined || held < positions || this.length !== length) {
      let room = 64;
      while (room < positions) room *= 2;
      const frequencies = ropeFrequencies(this.scaling, this.rotary, this.maxPositions, length);
      this.table = uncaptured(defaultDevice(), () =>
        inCategory("other", () => rotaryTable(frequencies, room)),
      );
      this.length = length;
    }
    return this.table;
  }

  dispose(): void {
    this.table?.cos.dispose();
    this.table?.sin.dispose();
    this.table = undefined;
  }
}
