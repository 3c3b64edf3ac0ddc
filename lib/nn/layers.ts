/** Linear, Embedding and the norms: the leaves of every model. */

import { embedding } from "../tensor/ops/embedding.js";
import { linear } from "../tensor/ops/linear.js";
import { addLayerNorm, addRmsNorm, layerNorm, type NormWithResidual, rmsNorm } from "../tensor/ops/norm.js";
import type { Tensor } from "../tensor/tensor.js";
import { type ComputeDtype, Module, parameter } from "./module.js";

/** Options of `Linear`. */
export interface LinearConfig {
  /** Add a bias, which starts at 0. Default false. */
  bias?: boolean;
  /** Standard deviation of the weight's normal start. Default 0.02. */
  std?: number;
  /** Store the weight [in, out], as GPT-2's Conv1D does. Default false: [out, in]. */
  inOut?: boolean;
  /** Default f32. */
  dtype?: ComputeDtype;
}

/** y = x·weightᵀ + bias. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  private readonly _inOut: boolean;

  constructor(inputs: number, outputs: number, config: LinearConfig = {}) {
    super();
    const { bias = false, std = 0.02, inOut = false, dtype = "f32" } = config;
    this._inOut = inOut;
    this.weight = parameter(inOut ? [inputs, outputs] : [outputs, inputs], { normal: std }, dtype);
    this.bias = bias ? parameter([outputs], { constant: 0 }, dtype) : null;
  }

  /** x [..., in] → [..., out]. */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias, { inOut: this._inOut });
  }
}

/** Rows of a table. */
export class Embedding extends Module {
  readonly weight: Tensor;

  constructor(count: number, width: number, config: { std?: number; dtype?: ComputeDtype } = {}) {
    super();
    this.weight = parameter([count, width], { normal: config.std ?? 0.02 }, config.dtype);
  }

  /** ids i32 [...] → [..., width]. */
  forward(ids: Tensor): Tensor {
    return embedding(ids, this.weight);
  }
}

/** Root-mean-square norm; the weight starts at 1. */
export class RMSNorm extends Module {
  readonly weight: Tensor;
  private readonly _eps: number;

  constructor(width: number, config: { eps?: number; dtype?: ComputeDtype } = {}) {
    super();
    this._eps = config.eps ?? 1e-6;
    this.weight = parameter([width], { constant: 1 }, config.dtype);
  }

  /** x [..., width] → the same shape. */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this._eps);
  }

  /** Norm of x + residual, and the sum. */
  forwardAdd(x: Tensor, residual: Tensor): NormWithResidual {
    return addRmsNorm(x, residual, this.weight, this._eps);
  }

  /** ε inside the root. */
  get eps(): number {
    return this._eps;
  }
}

/** Layer norm; weight 1 and bias 0 at the start. */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  private readonly _eps: number;

  constructor(width: number, config: { eps?: number; bias?: boolean; dtype?: ComputeDtype } = {}) {
    super();
    this._eps = config.eps ?? 1e-5;
    this.weight = parameter([width], { constant: 1 }, config.dtype);
    this.bias = (config.bias ?? true) ? parameter([width], { constant: 0 }, config.dtype) : null;
  }

  /** x [..., width] → the same shape. */
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this._eps);
  }

  /** Norm of x + residual, and the sum. */
  forwardAdd(x: Tensor, residual: Tensor): NormWithResidual {
    return addLayerNorm(x, residual, this.weight, this.bias, this._eps);
  }
}
