/** DeepSeekMoE (Dai et al. 2024): routed experts chosen per token beside shared experts that see every token. */

import { buffer, type ComputeDtype, Module, parameter, type StateEntry } from "../../nn/module.js";
import { gatedPacked } from "../../tensor/ops/activation.js";
import { groupedLinear, linearF32 } from "../../tensor/ops/linear.js";
import {
  balanceLoss,
  combineTokens,
  type Dispatch,
  permuteTokens,
  route,
  sortByExpert,
  updateRouterBias,
} from "../../tensor/ops/moe.js";
import type { Tensor } from "../../tensor/tensor.js";
import { type Checkpointing, discarded } from "../checkpointing.js";
import { GatedMlp } from "../llama.js";
import type { DeepseekConfig } from "./config.js";

class Gate extends Module {
  readonly weight: Tensor;
  /** Added to the scores for the choice only (V3); moved by the balancing rule, not by gradients. */
  readonly eScoreCorrectionBias: Tensor | null;
  /** Tokens per expert since the last bias update, i32 [experts]. */
  readonly _load: Tensor;

  constructor(config: DeepseekConfig, dtype: ComputeDtype) {
    super();
    this.weight = parameter([config.experts, config.width], { normal: config.std }, dtype);
    this.eScoreCorrectionBias = config.version === 3 ? buffer([config.experts], { constant: 0 }) : null;
    this._load = buffer([config.experts], { constant: 0 }, "i32");
  }

  override dispose(): void {
    super.dispose();
    this._load.dispose();
  }
}

/** All experts' weights stacked; checkpoints name every expert. */
class Experts extends Module {
  /** Gate rows first, then up rows: [experts, 2·inner, width]. */
  readonly gateUpProj: Tensor;
  /** [experts, width, inner] */
  readonly downProj: Tensor;

  constructor(
    private readonly _config: DeepseekConfig,
    dtype: ComputeDtype,
  ) {
    super();
    const { experts, expertInner, width, std } = _config;
    this.gateUpProj = parameter([experts, 2 * expertInner, width], { normal: std }, dtype);
    this.downProj = parameter([experts, width, expertInner], { normal: std }, dtype);
  }

  override *state(prefix = ""): Generator<StateEntry> {
    const { experts, expertInner: inner, width } = this._config;
    const bytes = this.gateUpProj.byteLength / this.gateUpProj.size;
    const block = inner * width;
    for (let e = 0; e < experts; e++) {
      const at = `${prefix}${e}.`;
      yield {
        name: `${at}gate_proj.weight`,
        tensor: this.gateUpProj.alias([inner, width], 2 * e * block * bytes),
      };
      yield {
        name: `${at}up_proj.weight`,
        tensor: this.gateUpProj.alias([inner, width], (2 * e + 1) * block * bytes),
      };
      yield { name: `${at}down_proj.weight`, tensor: this.downProj.alias([width, inner], e * block * bytes) };
    }
  }

  /** x [rows, width] in order of expert → [rows, width]. */
  forward(x: Tensor, dispatch: Dispatch, checkpointing: Checkpointing): Tensor {
    const gateUp = groupedLinear(x, this.gateUpProj, dispatch.offsets); // [rows, 2·inner]
    const activate = (): Tensor => gatedPacked(gateUp, this._config.activation);
    const h = activate();
    const y = groupedLinear(h, this.downProj, dispatch.offsets);
    discarded(checkpointing, "activation", h, activate);
    return y;
  }
}

/** A mixture-of-experts feed-forward layer. */
export class MoeMlp extends Module {
  readonly gate: Gate;
  readonly experts: Experts;
  readonly sharedExperts: GatedMlp;

  constructor(
    private readonly _config: DeepseekConfig,
    dtype: ComputeDtype,
  ) {
    super();
    const { width, expertInner, sharedExperts, activation, std, mlpBias: bias } = _config;
    this.gate = new Gate(_config, dtype);
    this.experts = new Experts(_config, dtype);
    this.sharedExperts = new GatedMlp(width, expertInner * sharedExperts, activation, {
      std,
      downStd: std,
      bias,
      dtype,
    });
  }

  /**
   * x [tokens, width] → [tokens, width]; balance losses are appended to `losses` while training. `rows` sequences make up the batch; tokens where
   * `counted` is negative do not count as load.
   */
  forward(
    x: Tensor,
    rows: number,
    losses: Tensor[],
    counted: Tensor | null,
    checkpointing: Checkpointing = false,
  ): Tensor {
    const { router, experts, version, balanceAlpha, balancePerSequence } = this._config;
    const logits = linearF32(x, this.gate.weight); // f32 [tokens, experts]
    const routing = route(logits, this.gate.eScoreCorrectionBias, router);
    if (this.training && balanceAlpha > 0) {
      const sequences = version === 3 || balancePerSequence ? rows : 1;
      const counting = version === 3 ? "topScores" : "chosen";
      losses.push(
        balanceLoss(logits, routing, { sequences, alpha: balanceAlpha, scoring: router.scoring, counting }),
      );
    }
    const dispatch = sortByExpert(routing.ids, experts, this.training ? this.gate._load : null, counted);
    const routed = this.experts.forward(permuteTokens(x, dispatch), dispatch, checkpointing);
    return combineTokens(routed, routing.weights, dispatch, this.sharedExperts.forward(x, checkpointing));
  }

  /** Moves the selection bias towards balance and clears the counts. */
  updateBias(): void {
    const { eScoreCorrectionBias, _load } = this.gate;
    if (eScoreCorrectionBias !== null && this._config.biasUpdateSpeed > 0) {
      updateRouterBias(eScoreCorrectionBias, _load, this._config.biasUpdateSpeed);
    }
  }
}
