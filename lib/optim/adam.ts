/** AdamW (Loshchilov & Hutter 2019) and Adam (Kingma & Ba 2015) with PyTorch's names. */

import { ConfigError } from "../errors.js";
import { adamStep, type ParameterTable, type StepSchedule } from "../tensor/ops/optimizer.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  type CommonSettings,
  checkNames,
  checkRange,
  type DecayRule,
  masterOf,
  Optimizer,
  type ParameterSource,
  type ParameterState,
  zeroMoment,
} from "./optimizer.js";

/** Settings that groups of an Adam optimizer may override. */
export interface AdamSettings extends CommonSettings {
  betas: readonly [number, number];
  eps: number;
  /** Dtype of both moments. */
  momentDtype: "f32" | "bf16";
  /** Not 0: bf16 moments round stochastically by this seed instead of to nearest. */
  stochasticSeed: number;
}

/** Options of `AdamW`. */
export interface AdamWOptions extends Partial<AdamSettings> {
  params: ParameterSource<AdamSettings>;
  /** Default 1e-3. */
  lr?: number;
  /** Default [0.9, 0.95]. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  eps?: number;
  /** Decoupled: the parameter shrinks by lr·λ each step. Default 0.1. */
  weightDecay?: number;
  /** Default: tensors of two or more dimensions, so norms and biases are left out. */
  decay?: DecayRule;
  /** bf16 halves the memory of the moments; safe with β₂ = 0.95, with larger β₂ use `stochasticSeed`. Default f32. */
  momentDtype?: "f32" | "bf16";
  /** Default 0. */
  stochasticSeed?: number;
}

/** Options of `Adam`: as `AdamW`, with PyTorch's defaults betas [0.9, 0.999] and weightDecay 0 (added to the gradient, on every parameter). */
export type AdamOptions = AdamWOptions;

abstract class AdamBase extends Optimizer<AdamSettings> {
  protected readonly momentNames = ["exp_avg", "exp_avg_sq"] as const;
  protected abstract readonly l2: boolean;

  protected constructor(where: string, options: AdamWOptions, defaults: AdamSettings) {
    const { params, ...own } = options;
    checkNames(where, own, Object.keys(defaults));
    const settings = { ...defaults, ...own };
    checkRange(where, "lr", settings.lr, 0);
    checkRange(where, "eps", settings.eps, 0);
    checkRange(where, "weightDecay", settings.weightDecay, 0);
    checkRange(where, "betas[0]", settings.betas[0], 0, 1);
    checkRange(where, "betas[1]", settings.betas[1], 0, 1);
    if (settings.momentDtype !== "f32" && settings.momentDtype !== "bf16") {
      throw new ConfigError(`${where}: momentDtype must be "f32" or "bf16", got "${settings.momentDtype}".`, {
        momentDtype: settings.momentDtype,
      });
    }
    super(where, params, settings);
  }

  protected newState(tensor: Tensor, { momentDtype }: AdamSettings): ParameterState {
    return {
      firstMoment: zeroMoment(tensor, momentDtype),
      secondMoment: zeroMoment(tensor, momentDtype),
      master: masterOf(tensor),
    };
  }

  protected update(
    table: ParameterTable,
    clip: Tensor | null,
    settings: AdamSettings,
    lr: number,
    step: number,
    schedule: StepSchedule | null,
  ): void {
    const { betas, eps, weightDecay, stochasticSeed } = settings;
    adamStep(table, clip, { lr, betas, eps, weightDecay, step, l2: this.l2, stochasticSeed }, schedule);
  }

  protected describe({ betas, eps, momentDtype, stochasticSeed }: AdamSettings): Record<string, unknown> {
    return { betas: [...betas], eps, momentDtype, stochasticSeed };
  }
}

/** Adam with decoupled weight decay: θ ← θ(1 − lr·λ) − lr·m̂/(√v̂ + eps). bf16 parameters get an f32 master copy. */
export class AdamW extends AdamBase {
  readonly type = "adamw";
  protected readonly l2 = false;

  constructor(options: AdamWOptions) {
    super("AdamW", options, {
      lr: 1e-3,
      betas: [0.9, 0.95],
      eps: 1e-8,
      weightDecay: 0.1,
      decay: (_, tensor) => tensor.rank >= 2,
      momentDtype: "f32",
      stochasticSeed: 0,
    });
  }
}

/** Adam; weight decay is added to the gradient. */
export class Adam extends AdamBase {
  readonly type = "adam";
  protected readonly l2 = true;

  constructor(options: AdamOptions) {
    super("Adam", options, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      decay: () => true,
      momentDtype: "f32",
      stochasticSeed: 0,
    });
  }
}
