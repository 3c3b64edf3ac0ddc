/** Golden folders (tests/golden): what transformers and PyTorch computed, and batches for our models. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TokenInput } from "../../lib/models/causal-lm.js";
import { segmentsOf } from "../../lib/tensor/ops/attention.js";
import { type Tensor, tensor } from "../../lib/tensor/tensor.js";

const ROOT = fileURLToPath(new URL("../golden", import.meta.url));

export interface PackedArray {
  dtype: string;
  shape: number[];
  base64: string;
}

export interface GoldenModel {
  modelType: string;
  inputIds: number[][];
  labels: number[][];
  loss: number;
  logits: PackedArray;
  gradients: Record<string, { norm: number; first: number[] }>;
  mtp?: { logits: PackedArray[]; losses: number[]; weight: number; totalLoss: number };
}

export interface GoldenRun {
  losses: number[];
  gradientNorms: number[];
  learningRates: number[];
  finalNorms: Record<string, number>;
  mainLosses?: number[];
}

export interface GoldenTrajectory {
  optimizer: { betas: [number, number]; eps: number; weightDecay: number; clip: number };
  objective: { mtpWeight?: number; biasUpdateSpeed?: number };
  batches: number[][][];
  f32: GoldenRun;
  bf16: GoldenRun;
}

/** Names of the folders under models/ or trajectories/. */
export function goldenNames(kind: "models" | "trajectories"): string[] {
  return readdirSync(join(ROOT, kind), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

export function goldenDir(kind: "models" | "trajectories", name: string): string {
  return join(ROOT, kind, name);
}

export function readGolden<T>(kind: "models" | "trajectories", name: string): T {
  return JSON.parse(readFileSync(join(goldenDir(kind, name), "golden.json"), "utf8")) as T;
}

export function unpack(array: PackedArray): Float32Array {
  const bytes = Buffer.from(array.base64, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** A batch of equally long rows as model input. */
export function rowsInput(rows: readonly (readonly number[])[]): TokenInput {
  const length = rows[0].length;
  return {
    ids: tensor(Int32Array.from(rows.flat())),
    positions: tensor(Int32Array.from(rows.flatMap((row) => row.map((_, i) => i)))),
    length,
    segments: segmentsOf(rows.map((row) => row.length)),
  };
}

/** Labels aligned with the ids → what each position is to predict; the last of a row predicts nothing. */
export function targetsOf(labels: readonly (readonly number[])[]): Tensor {
  return tensor(Int32Array.from(labels.flatMap((row) => [...row.slice(1), -100])));
}

export function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ** 2;
  return Math.sqrt(sum);
}
