/**
 * Multi-tensor optimizer steps: one kernel call updates any number of parameters, which it reads from a table of pointers. The mathematics
 * stands in native/core/kernels/optimizer.h.
 */

import { inCategory } from "../../native/accounting.js";
import { addon, typedError } from "../../native/addon.js";
import { DTYPE_CODE } from "../../native/dtype.js";
import { keep } from "../scope.js";
import { empty, emptyFresh, type Tensor } from "../tensor.js";
import { emptyLike, flag, optional, requireDtype, requireSameDevice, run } from "./kernel.js";

/** One parameter with everything that its update reads and writes. All tensors have the parameter's number of elements. */
export interface ParameterRow {
  /** f32 or bf16. */
  parameter: Tensor;
  /** f32. */
  gradient: Tensor;
  /** f32 or bf16; absent for plain gradient descent. */
  firstMoment?: Tensor | null;
  /** Like firstMoment; absent for gradient descent. */
  secondMoment?: Tensor | null;
  /** f32 copy of a bf16 parameter. */
  master?: Tensor | null;
  /** Whether weight decay applies. */
  decays?: boolean;
}

/** A table of parameters in device memory. */
export interface ParameterTable {
  /** i64 [rows, 9] */
  tensor: Tensor;
  rows: number;
}

/** Words of one row and their kinds: five tensors, four integers. */
const KINDS = "tttttiiii";

/** Writes a table; it holds addresses, so it must not outlive the tensors it names. `rows` is not empty. */
export function parameterTable(rows: readonly ParameterRow[]): ParameterTable {
  const op = "optimizer";
  const words = new Float64Array(rows.length * KINDS.length);
  rows.forEach(({ parameter, gradient, firstMoment, secondMoment, master, decays }, i) => {
    requireDtype(op, "parameter", parameter, "f32", "bf16");
    requireDtype(op, "gradient", gradient, "f32");
    requireSameDevice(op, rows[0].parameter, parameter, gradient, firstMoment, secondMoment, master);
    for (const state of [firstMoment, secondMoment, master]) state?.claim.assign("moments");
    words.set(
      [
        parameter.use(),
        gradient.use(),
        optional(firstMoment),
        optional(secondMoment),
        optional(master),
        parameter.size,
        DTYPE_CODE[parameter.dtype],
        DTYPE_CODE[firstMoment?.dtype ?? "f32"],
        flag(decays === true),
      ],
      i * KINDS.length,
    );
  });
  const { device } = rows[0].parameter;
  const tensor = inCategory("other", () => empty([rows.length, KINDS.length], { dtype: "i64", device }));
  try {
    addon().writePointers(tensor.use(), words, KINDS);
  } catch (error) {
    throw typedError(error);
  }
  return { tensor, rows: rows.length };
}

/**
 * Norm of all gradients of a table together, and the factor that brings it to at most `maxNorm`: min(1, maxNorm/(norm + 1e-6)), 1 for maxNorm 0, and −1
 * when the norm is not finite, which makes the steps below leave everything as it is. Both f32 [1].
 */
export function gradientNorm(table: ParameterTable, maxNorm: number): { norm: Tensor; clip: Tensor } {
  const norm = emptyLike(table.tensor, [1], "f32");
  const clip = emptyLike(table.tensor, [1], "f32");
  run(norm, "gradNorm", table.tensor.use(), norm.use(), clip.use(), table.rows, maxNorm);
  return { norm, clip };
}

/**
 * Rate and number of a step in device memory, for steps that are captured and replayed; two f64 words in a tensor of dtype i64. `step` and `lr` of the call
 * are not used then.
 */
export class StepSchedule {
  private readonly tensor: Tensor;

  /** In memory of its own on the device of `like`; lives until it is disposed. */
  constructor(like: Tensor) {
    this.tensor = keep(emptyFresh([2], { dtype: "i64", device: like.device }));
  }

  /** @internal The tensor's handle. */
  use(): number {
    return this.tensor.use();
  }

  /** Sets rate and number of the steps queued from now on. */
  set(lr: number, step: number): void {
    try {
      addon().write(this.tensor.use(), 0, Float64Array.of(lr, step));
    } catch (error) {
      throw typedError(error);
    }
  }

  /** Frees it. */
  dispose(): void {
    this.tensor.dispose();
  }
}

/** Scalars of one Adam step. */
export interface AdamStep {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
  /** From 1. */
  step: number;
  /** Decay enters the gradient (Adam) instead of shrinking the parameter (AdamW). */
  l2: boolean;
  /** Seed of the stochastic rounding of bf16 moments; 0 rounds to nearest. */
  stochasticSeed: number;
}

/** Updates parameters and moments in place. */
export function adamStep(
  table: ParameterTable,
  clip: Tensor | null,
  step: AdamStep,
  schedule: StepSchedule | null = null,
): void {
  const { lr, betas, eps, weightDecay, l2, stochasticSeed } = step;
  run(
    table.tensor,
    "adamw",
    table.tensor.use(),
    optional(clip),
    schedule?.use() ?? 0,
    table.rows,
    lr,
    betas[0],
    betas[1],
    eps,
    weightDecay,
    step.step,
    flag(l2),
    stochasticSeed,
  );
}

/** Scalars of one step of gradient descent. */
export interface SgdStep {
  lr: number;
  momentum: number;
  dampening: number;
  weightDecay: number;
  nesterov: boolean;
  /** From 1; the first step copies the gradient into the buffer undamped. */
  step: number;
}

/** Updates parameters and momentum buffers in place. */
export function sgdStep(
  table: ParameterTable,
  clip: Tensor | null,
  step: SgdStep,
  schedule: StepSchedule | null = null,
): void {
  const { lr, momentum, dampening, weightDecay, nesterov } = step;
  run(
    table.tensor,
    "sgd",
    table.tensor.use(),
    optional(clip),
    schedule?.use() ?? 0,
    table.rows,
    lr,
    momentum,
    dampening,
    weightDecay,
    flag(nesterov),
    step.step,
  );
}
