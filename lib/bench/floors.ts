/** Floors: the least time that a kernel needs on a device whose own limits were measured. */
import type { ComputeDtype } from "../nn/module.js";

/** What a device can do at most, as measured in the same run. */
export interface MachineRates {
  /** Bytes read and written per second by a large copy. */
  copy: number;
  /** Operations per second of a large matrix product, by dtype. */
  product: Record<ComputeDtype, number>;
}

/** What bounds a kernel: memory traffic in bytes, or multiplications and additions. */
export type Bound = "bytes" | "flops";

/** What one call cannot do without. */
export interface Work {
  bytes: number;
  flops?: number;
}

/** Where a time stands against its floor. */
export interface Standing {
  bound: Bound;
  /** Least time of one call, in seconds: bytes ÷ copy rate or operations ÷ product rate, whichever is longer. */
  floorSeconds: number;
  /** Bytes or operations per second, by `bound`. */
  rate: number;
  /** floorSeconds ÷ seconds: 1 is the floor. */
  share: number;
}

/** Compares the time of one call with its floor. */
export function standing(
  { bytes, flops = 0 }: Work,
  dtype: ComputeDtype,
  rates: MachineRates,
  seconds: number,
): Standing {
  const memory = bytes / rates.copy;
  const arithmetic = flops / rates.product[dtype];
  const bound: Bound = arithmetic > memory ? "flops" : "bytes";
  const floorSeconds = Math.max(memory, arithmetic);
  return {
    bound,
    floorSeconds,
    rate: (bound === "flops" ? flops : bytes) / seconds,
    share: floorSeconds / seconds,
  };
}

/** The higher rate of each kind. */
export function fasterRates(a: MachineRates, b: MachineRates): MachineRates {
  return {
    copy: Math.max(a.copy, b.copy),
    product: { f32: Math.max(a.product.f32, b.product.f32), bf16: Math.max(a.product.bf16, b.product.bf16) },
  };
}
