/** Stochastic gradient descent with momentum, as PyTorch's SGD. */

import { ConfigError } from "../errors.js";
import { type ParameterTable, type StepSchedule, sgdStep } from "../tensor/ops/optimizer.js";
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

/** Settings that groups of an SGD optimizer may override. */
export interface SGDSettings extends CommonSettings {
  momentum: number;
  dampening: number;
  nesterov: boolean;
}

/** Options of `SGD`. */
export interface SGDOptions extends Partial<SGDSettings> {
  params: ParameterSource<SGDSettings>;
  /** Default 1e-3. */
  lr?: number;
  /** μ: b ← μ·b + (1 − dampening)·g. Default 0. */
  momentum?: number;
  /** Default 0; the first step copies the gradient undamped. */
  dampening?: number;
  /** Steps along g + μ·b. Needs momentum and no dampening. Default false. */
  nesterov?: boolean;
  /** λ, added to the gradient as λ·θ. Default 0. */
  weightDecay?: number;
  /** Default: every parameter. */
  decay?: DecayRule;
}

/** θ ← θ − lr·b, with b the gradient or its running sum. bf16 parameters get an f32 master copy. */
export class SGD extends Optimizer<SGDSettings> {
  readonly type = "sgd";
  protected readonly momentNames = ["momentum_buffer", ""] as const;

  constructor(options: SGDOptions) {
    const { params, ...own } = options;
    const defaults: SGDSettings = {
      lr: 1e-3,
      momentum: 0,
      dampening: 0,
      nesterov: false,
      weightDecay: 0,
      decay: () => true,
    };
    checkNames("SGD", own, Object.keys(defaults));
    const settings = { ...defaults, ...own };
    checkRange("SGD", "lr", settings.lr, 0);
    checkRange("SGD", "momentum", settings.momentum, 0);
    checkRange("SGD", "weightDecay", settings.weightDecay, 0);
    if (settings.nesterov && (settings.momentum === 0 || settings.dampening !== 0)) {
      throw new ConfigError("SGD: nesterov needs a momentum above 0 and a dampening of 0.", {
        momentum: settings.momentum,
        dampening: settings.dampening,
      });
    }
    super("SGD", params, settings);
  }

  protected newState(tensor: Tensor, { momentum }: SGDSettings): ParameterState {
    return {
      firstMoment: momentum === 0 ? null : zeroMoment(tensor, "f32"),
      secondMoment: null,
      master: masterOf(tensor),
    };
  }

  protected update(
    table: ParameterTable,
    clip: Tensor | null,
    settings: SGDSettings,
    lr: number,
    step: number,
    schedule: StepSchedule | null,
  ): void {
    const { momentum, dampening, weightDecay, nesterov } = settings;
    sgdStep(table, clip, { lr, momentum, dampening, weightDecay, nesterov, step }, schedule);
  }

  protected describe({ momentum, dampening, nesterov }: SGDSettings): Record<string, unknown> {
    return { momentum, dampening, nesterov };
  }
}
