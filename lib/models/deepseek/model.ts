/**
 * DeepSeek-V2 and V3: latent attention, mixture of experts, and (V3) blocks that predict further tokens. Names are those of
 * Hugging Face's DeepseekV2ForCausalLM and DeepseekV3ForCausalLM; MTP blocks follow the layers, as in the released checkpoints.
 */

import { Embedding, Linear, RMSNorm } from "../../nn/layers.js";
import { type ComputeDtype, Module } from "../../nn/module.js";
import { RotaryCache } from "../../nn/rotary.js";
import { checkpoint } from "../../tensor/checkpoint.js";
import { eq } from "../../tensor/ops/compare.js";
import { full } from "../../tensor/ops/create.js";
import { add, clamp, mulScalar, where } from "../../tensor/ops/elementwise.js";
import { linear } from "../../tensor/ops/linear.js";
import { linearCrossEntropy } from "../../tensor/ops/loss.js";
import type { NormWithResidual } from "../../tensor/ops/norm.js";
import type { RotaryTable } from "../../tensor/ops/rope.js";
import { concat, slice } from "../../tensor/ops/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import {
  CausalLM,
  type LossOptions,
  type ModelFacts,
  type ModelLoss,
  type TokenInput,
} from "../causal-lm.js";
import { type Checkpointing, discarded, isFull, recomputed } from "../checkpointing.js";
import type { RawConfig } from "../config.js";
import { denseFacts } from "../facts.js";
import type { CacheLayout } from "../kv-cache.js";
import { GatedMlp } from "../llama.js";
import { type DeepseekConfig, parseDeepseekConfig } from "./config.js";
import { LatentAttention } from "./mla.js";
import { MoeMlp } from "./moe.js";

/** What every block of one forward pass shares. */
interface Pass {
  input: TokenInput;
  table: RotaryTable;
  /** Sequences in the batch, for balance losses. */
  rows: number;
  /** i32 [tokens], negative for tokens that are no load of their experts (padding, places whose next token is not known); null when all are. */
  counted: Tensor | null;
  /** Parts of a block that are computed again; whole blocks are the caller's matter. */
  checkpointing: Checkpointing;
}

class Block extends Module {
  readonly inputLayernorm: RMSNorm;
  readonly selfAttn: LatentAttention;
  readonly postAttentionLayernorm: RMSNorm;
  readonly mlp: GatedMlp | MoeMlp;

  constructor(config: DeepseekConfig, layer: number, dtype: ComputeDtype) {
    super();
    const { width, eps, activation, std, mlpBias: bias, denseInner, firstDense, layers } = config;
    const dense = layer < firstDense && layer < layers;
    this.inputLayernorm = new RMSNorm(width, { eps, dtype });
    this.selfAttn = new LatentAttention(config, layer, dtype);
    this.postAttentionLayernorm = new RMSNorm(width, { eps, dtype });
    this.mlp = dense
      ? new GatedMlp(width, denseInner, activation, { std, downStd: std, bias, dtype })
      : new MoeMlp(config, dtype);
  }

  /** The block's two residual sums; returns what it adds last, the stream before that, and the balance losses. */
  forward(delta: Tensor, residual: Tensor | null, pass: Pass): Tensor[] {
    const keeping = pass.checkpointing;
    const before = (): NormWithResidual =>
      residual === null
        ? { y: this.inputLayernorm.forward(delta), sum: delta }
        : this.inputLayernorm.forwardAdd(delta, residual);
    const first = before();
    const attention = (x: Tensor): Tensor => this.selfAttn.forward(x, pass.input, pass.table, keeping);
    const attended = recomputed(keeping, "attention", attention, first.y);
    discarded(keeping, "norm", first.y, () => before().y);
    const between = (): NormWithResidual => this.postAttentionLayernorm.forwardAdd(attended, first.sum);
    const second = between();
    const [out, ...losses] = recomputed(keeping, "mlp", (x) => this.feedForward(x, pass), second.y);
    discarded(keeping, "norm", second.y, () => between().y);
    return [out, second.sum, ...losses];
  }

  /** The feed-forward layer's output and the balance losses. */
  private feedForward(x: Tensor, pass: Pass): Tensor[] {
    if (!(this.mlp instanceof MoeMlp)) return [this.mlp.forward(x, pass.checkpointing)];
    const losses: Tensor[] = [];
    return [this.mlp.forward(x, pass.rows, losses, pass.counted, pass.checkpointing), ...losses];
  }
}

/** A block that predicts one token further: it joins the stream so far with the embedding of the token that follows. */
class MtpBlock extends Block {
  readonly enorm: RMSNorm;
  readonly hnorm: RMSNorm;
  readonly ehProj: Linear;
  readonly sharedHead: Module & { norm: RMSNorm };

  constructor(config: DeepseekConfig, layer: number, dtype: ComputeDtype) {
    super(config, layer, dtype);
    const { width, eps, std } = config;
    this.enorm = new RMSNorm(width, { eps, dtype });
    this.hnorm = new RMSNorm(width, { eps, dtype });
    this.ehProj = new Linear(2 * width, width, { std, dtype });
    this.sharedHead = new SharedHead(width, eps, dtype);
  }

  /** embedded: the next tokens' embeddings; hidden: the stream of the depth before, after its final norm. Both [tokens, width]. */
  predict(embedded: Tensor, hidden: Tensor, pass: Pass): { hidden: Tensor; losses: Tensor[] } {
    const joined = this.ehProj.forward(concat([this.enorm.forward(embedded), this.hnorm.forward(hidden)], 1));
    const [delta, residual, ...losses] = this.forward(joined, null, pass);
    return { hidden: this.sharedHead.norm.forwardAdd(delta, residual).y, losses };
  }
}

class SharedHead extends Module {
  readonly norm: RMSNorm;

  constructor(width: number, eps: number, dtype: ComputeDtype) {
    super();
    this.norm = new RMSNorm(width, { eps, dtype });
  }
}

class DeepseekModel extends Module {
  readonly embedTokens: Embedding;
  /** The model's layers, then its MTP blocks. */
  readonly layers: Block[];
  readonly norm: RMSNorm;

  constructor(config: DeepseekConfig, dtype: ComputeDtype) {
    super();
    const { vocabSize, width, std, layers, mtpLayers, eps } = config;
    this.embedTokens = new Embedding(vocabSize, width, { std, dtype });
    this.layers = Array.from({ length: layers + mtpLayers }, (_, i) =>
      i < layers ? new Block(config, i, dtype) : new MtpBlock(config, i, dtype),
    );
    this.norm = new RMSNorm(width, { eps, dtype });
  }
}

/** DeepSeek with its language-model head. */
export class Deepseek extends CausalLM<RawConfig> {
  readonly modelType: "deepseek_v2" | "deepseek_v3";
  readonly model: DeepseekModel;
  /** Absent when the head is the embedding. */
  readonly lmHead: Linear | null;
  private readonly _parsed: DeepseekConfig;
  private readonly _rotary: RotaryCache;

  constructor(
    readonly config: RawConfig,
    readonly dtype: ComputeDtype = "f32",
  ) {
    super();
    const parsed = parseDeepseekConfig(config);
    this._parsed = parsed;
    this.modelType = parsed.version === 2 ? "deepseek_v2" : "deepseek_v3";
    this._rotary = new RotaryCache(parsed.rope, parsed.ropeSize, parsed.maxPositions);
    this.model = new DeepseekModel(parsed, dtype);
    this.lmHead = parsed.tied ? null : new Linear(parsed.width, parsed.vocabSize, { std: parsed.std, dtype });
  }

  get vocabSize(): number {
    return this._parsed.vocabSize;
  }

  get maxPositions(): number {
    return this._parsed.maxPositions;
  }

  private pass(input: TokenInput, rows: number): Pass {
    return {
      input,
      table: this._rotary.get(input.length),
      rows,
      counted: null,
      checkpointing: this.checkpointing,
    };
  }

  private trunk(pass: Pass, losses: Tensor[]): Tensor {
    let delta = this.model.embedTokens.forward(pass.input.ids); // [tokens, width]
    let residual: Tensor | null = null;
    for (const block of this.model.layers.slice(0, this._parsed.layers)) {
      const before: Tensor[] = residual === null ? [delta] : [delta, residual];
      const [next, sum, ...balance]: Tensor[] = isFull(this.checkpointing)
        ? checkpoint((d, r) => block.forward(d, r ?? null, pass), ...before)
        : block.forward(delta, residual, pass);
      delta = next;
      residual = sum;
      losses.push(...balance);
    }
    return residual === null ? this.model.norm.forward(delta) : this.model.norm.forwardAdd(delta, residual).y;
  }

  hidden(input: TokenInput): Tensor {
    return this.trunk(this.pass(input, 1), []);
  }

  outputWeight(): Tensor {
    return (this.lmHead ?? this.model.embedTokens).weight;
  }

  logits(input: TokenInput): Tensor {
    return linear(this.hidden(input), this.outputWeight());
  }

  /**
   * Hidden states of every prediction depth: the model's own, then each MTP block's, [tokens, width] each. next[k] holds, for every position, the id of
   * the token k + 1 places on (i32 [tokens]; any valid id where there is none); counted[k], when given, is negative where there is none, which then is no load.
   */
  mtpHidden(
    input: TokenInput,
    hidden: Tensor,
    next: readonly Tensor[],
    rows = 1,
    losses: Tensor[] = [],
    counted: readonly Tensor[] = [],
  ): Tensor[] {
    const shared = this.pass(input, rows);
    const depths: Tensor[] = [];
    for (const [k, block] of this.model.layers.slice(this._parsed.layers).entries()) {
      const predicted = (block as MtpBlock).predict(
        this.model.embedTokens.forward(next[k]),
        depths[k - 1] ?? hidden,
        { ...shared, counted: counted[k] ?? null },
      );
      depths.push(predicted.hidden);
      losses.push(...predicted.losses);
    }
    return depths;
  }

  loss(input: TokenInput, targets: Tensor, options: LossOptions = {}): ModelLoss {
    const { rows = 1, factor = 1, ...crossEntropy } = options;
    const { mtpLayers, mtpWeight } = this._parsed;
    const balance: Tensor[] = [];
    const hidden = this.trunk(this.pass(input, rows), balance);
    const main = linearCrossEntropy(hidden, this.outputWeight(), targets, { ...crossEntropy, factor });
    let total = main.loss;
    const terms: Record<string, Tensor> = {};
    if (this.training && mtpLayers > 0 && mtpWeight > 0) {
      const { next, wanted, counted } = this.mtpTargets(input, targets, crossEntropy.ignoreIndex ?? -100);
      const depths = this.mtpHidden(input, hidden, next, rows, balance, counted);
      for (const [k, depth] of depths.entries()) {
        const weight = (factor * mtpWeight) / mtpLayers;
        const term = linearCrossEntropy(depth, this.outputWeight(), wanted[k], {
          ...crossEntropy,
          normaliser: 0,
          factor: weight,
        });
        terms[`mtp${k + 1}`] = term.loss.detach();
        total = add(total, term.loss);
      }
    }
    if (balance.length > 0) {
      const sum = balance.reduce((a: Tensor, b: Tensor): Tensor => add(a, b));
      const weighted = factor === 1 ? sum : mulScalar(sum, factor);
      terms.balance = weighted.detach();
      total = add(total, weighted);
    }
    return { loss: total, crossEntropy: main.loss.detach(), terms, count: main.count };
  }

  /**
   * What every prediction depth reads and predicts: next[k] is the token k + 1 places on, wanted[k] the target after it. A place that would
   * lie in another sequence (positions do not go on) is not predicted. counted[k] is negative where the token k + 1 places on is not known.
   */
  private mtpTargets(
    input: TokenInput,
    targets: Tensor,
    ignore: number,
  ): { next: Tensor[]; wanted: Tensor[]; counted: Tensor[] } {
    const { mtpLayers, vocabSize } = this._parsed;
    const goesOn = eq(shiftLeft(input.positions), add(input.positions, 1));
    const constant = (value: number): Tensor => full([1], value, { dtype: "i32" });
    const next: Tensor[] = [];
    const wanted: Tensor[] = [];
    const counted: Tensor[] = [];
    for (let k = 0; k < mtpLayers; k++) {
      const beyond = k === 0 ? clamp(targets, 0, vocabSize - 1) : constant(0);
      next.push(where(goesOn, shiftLeft(next[k - 1] ?? input.ids), beyond));
      wanted.push(where(goesOn, shiftLeft(wanted[k - 1] ?? targets), constant(ignore)));
      const known = counted[k - 1];
      counted.push(
        known === undefined
          ? where(goesOn, constant(0), targets)
          : where(goesOn, shiftLeft(known), constant(-1)),
      );
    }
    return { next, wanted, counted };
  }

  cacheLayout(): CacheLayout {
    const { layers, latentWidth, ropeSize } = this._parsed;
    return { layers, widths: [latentWidth, ropeSize], dtype: this.dtype };
  }

  facts(): ModelFacts {
    const {
      layers,
      mtpLayers,
      firstDense,
      experts,
      router,
      expertInner,
      width,
      vocabSize,
      heads,
      nopeSize,
      ropeSize,
      valueSize,
      tied,
    } = this._parsed;
    const total = this.parameterCount();
    const moeLayers = layers - Math.min(firstDense, layers) + mtpLayers;
    const active = total - moeLayers * (experts - router.chosen) * 3 * expertInner * width;
    // The head is used once per prediction depth; an untied embedding is only looked up.
    const multiplied = active - (tied ? 0 : vocabSize * width) + mtpLayers * vocabSize * width;
    const attending = (layers + mtpLayers) * heads;
    return denseFacts(total, multiplied, attending * (nopeSize + ropeSize), attending * valueSize, active);
  }

  override afterStep(): void {
    for (const block of this.model.layers) if (block.mlp instanceof MoeMlp) block.mlp.updateBias();
  }

  override dispose(): void {
    super.dispose();
    this._rotary.dispose();
  }
}

/** Every value moved one place to the front of x [tokens]; the last one is 0. */
function shiftLeft(x: Tensor): Tensor {
  return concat([slice(x, 0, 1, x.size), full([1], 0, { dtype: "i32" })], 0);
}
