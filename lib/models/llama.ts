/**
 * Llama (Touvron et al. 2023): RMSNorm, rotary embedding, grouped key heads, SwiGLU. Names are those of Hugging Face's LlamaForCausalLM.
 */

import { ConfigError } from "../errors.js";
import { Embedding, Linear, RMSNorm } from "../nn/layers.js";
import { type ComputeDtype, Module } from "../nn/module.js";
import { parseRope, type RopeScaling, RotaryCache } from "../nn/rotary.js";
import { checkpoint } from "../tensor/checkpoint.js";
import { type GateActivation, gated, parseActivation } from "../tensor/ops/activation.js";
import { attention, attentionParts, type HeadPart } from "../tensor/ops/attention.js";
import { linear } from "../tensor/ops/linear.js";
import { linearCrossEntropy } from "../tensor/ops/loss.js";
import type { NormWithResidual } from "../tensor/ops/norm.js";
import { type RotaryTable, rope } from "../tensor/ops/rope.js";
import { reshape } from "../tensor/ops/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { CausalLM, type LossOptions, type ModelFacts, type ModelLoss, type TokenInput } from "./causal-lm.js";
import { type Checkpointing, discarded, isFull, recomputed } from "./checkpointing.js";
import { ConfigReader, type RawConfig } from "./config.js";
import { denseFacts } from "./facts.js";
import type { CacheLayout } from "./kv-cache.js";

/** The fields of a Llama config that change what is computed. */
export interface LlamaConfig {
  vocabSize: number;
  width: number;
  inner: number;
  layers: number;
  heads: number;
  keyHeads: number;
  headSize: number;
  activation: GateActivation;
  maxPositions: number;
  eps: number;
  std: number;
  tied: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
  rope: RopeScaling;
}

/** Checks a config.json of model_type `llama`. */
export function parseLlamaConfig(raw: RawConfig): LlamaConfig {
  const reader = new ConfigReader(raw, "llama");
  const width = reader.integer("hidden_size", 4096);
  const heads = reader.integer("num_attention_heads", 32);
  const keyHeads = reader.optionalInteger("num_key_value_heads") ?? heads;
  const headSize = reader.optionalInteger("head_dim") ?? width / heads;
  if (!Number.isInteger(headSize) || headSize % 2 !== 0) {
    throw new ConfigError(
      `llama config: the head size must be an even number; hidden_size ${width} over num_attention_heads ${heads} gives ${headSize}. Set head_dim.`,
      {
        width,
        heads,
      },
    );
  }
  if (heads % keyHeads !== 0) {
    throw new ConfigError(
      `llama config: num_attention_heads ${heads} must be a multiple of num_key_value_heads ${keyHeads}.`,
      { heads, keyHeads },
    );
  }
  const config: LlamaConfig = {
    vocabSize: reader.integer("vocab_size", 32000),
    width,
    inner: reader.integer("intermediate_size", 11008),
    layers: reader.integer("num_hidden_layers", 32, { min: 0 }),
    heads,
    keyHeads,
    headSize,
    activation: parseActivation(reader.string("hidden_act", "silu")),
    maxPositions: reader.integer("max_position_embeddings", 2048),
    eps: reader.number("rms_norm_eps", 1e-6, { min: 0 }),
    std: reader.number("initializer_range", 0.02, { min: 0 }),
    tied: reader.boolean("tie_word_embeddings", false),
    attentionBias: reader.boolean("attention_bias", false),
    mlpBias: reader.boolean("mlp_bias", false),
    rope: parseRope(raw),
  };
  reader.alsoKnown("rope_parameters", "rope_scaling", "rope_theta", "attention_dropout");
  reader.finish();
  return config;
}

class Attention extends Module {
  readonly qProj: Linear;
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly oProj: Linear;

  constructor(
    private readonly _config: LlamaConfig,
    private readonly _layer: number,
    dtype: ComputeDtype,
  ) {
    super();
    const { width, heads, keyHeads, headSize, std, layers, attentionBias: bias } = _config;
    this.qProj = new Linear(width, heads * headSize, { std, bias, dtype });
    this.kProj = new Linear(width, keyHeads * headSize, { std, bias, dtype });
    this.vProj = new Linear(width, keyHeads * headSize, { std, bias, dtype });
    this.oProj = new Linear(heads * headSize, width, {
      std: std / Math.sqrt(2 * Math.max(1, layers)),
      bias,
      dtype,
    });
  }

  forward(x: Tensor, input: TokenInput, table: RotaryTable): Tensor {
    const { heads, keyHeads, headSize } = this._config;
    const turned = (t: Tensor, count: number): Tensor =>
      rope(reshape(t, [-1, count, headSize]), input.positions, table, { inPlace: true });
    const q = turned(this.qProj.forward(x), heads); // [tokens, heads, headSize]
    const k = turned(this.kProj.forward(x), keyHeads); // [tokens, keyHeads, headSize]
    const v = reshape(this.vProj.forward(x), [-1, keyHeads, headSize]);
    let out: Tensor;
    if (input.cache === undefined) {
      out = attention(q, k, v, { segments: input.segments });
    } else {
      const { store, counts } = input.cache;
      const [keys, values] = store.layer(this._layer);
      store.append(keys, k, counts);
      store.append(values, v, counts);
      const part = (t: Tensor, count: number): HeadPart => ({
        tensor: t,
        heads: count,
        size: headSize,
        row: count * headSize,
        head: headSize,
      });
      out = attentionParts(
        { q: part(q, heads), k: part(keys, keyHeads), v: part(values, keyHeads) },
        { segments: input.segments, keySegments: store.keySegments(counts) },
      );
    }
    return this.oProj.forward(reshape(out, [-1, heads * headSize]));
  }
}

/** SwiGLU feed-forward: down(act(gate(x)) ⊙ up(x)). */
export class GatedMlp extends Module {
  readonly gateProj: Linear;
  readonly upProj: Linear;
  readonly downProj: Linear;

  constructor(
    width: number,
    inner: number,
    private readonly _activation: GateActivation,
    options: { std: number; downStd: number; bias?: boolean; dtype: ComputeDtype },
  ) {
    super();
    const { std, downStd, bias = false, dtype } = options;
    this.gateProj = new Linear(width, inner, { std, bias, dtype });
    this.upProj = new Linear(width, inner, { std, bias, dtype });
    this.downProj = new Linear(inner, width, { std: downStd, bias, dtype });
  }

  /** x [tokens, width] → [tokens, width]. */
  forward(x: Tensor, checkpointing: Checkpointing = false): Tensor {
    const gate = this.gateProj.forward(x); // [tokens, inner]
    const up = this.upProj.forward(x); // [tokens, inner]
    const active = gated(gate, up, this._activation);
    const y = this.downProj.forward(active);
    discarded(checkpointing, "activation", active, () => gated(gate, up, this._activation));
    return y;
  }
}

class Block extends Module {
  readonly inputLayernorm: RMSNorm;
  readonly selfAttn: Attention;
  readonly postAttentionLayernorm: RMSNorm;
  readonly mlp: GatedMlp;

  constructor(config: LlamaConfig, layer: number, dtype: ComputeDtype) {
    super();
    const { width, eps, inner, activation, std, layers, mlpBias } = config;
    this.inputLayernorm = new RMSNorm(width, { eps, dtype });
    this.selfAttn = new Attention(config, layer, dtype);
    this.postAttentionLayernorm = new RMSNorm(width, { eps, dtype });
    this.mlp = new GatedMlp(width, inner, activation, {
      std,
      downStd: std / Math.sqrt(2 * layers),
      bias: mlpBias,
      dtype,
    });
  }

  /** `delta` is what the block before adds to the stream `residual` (null before the first block, where delta is the stream). */
  forward(
    delta: Tensor,
    residual: Tensor | null,
    input: TokenInput,
    table: RotaryTable,
    keeping: Checkpointing = false,
  ): [Tensor, Tensor] {
    const before = (): NormWithResidual =>
      residual === null
        ? { y: this.inputLayernorm.forward(delta), sum: delta }
        : this.inputLayernorm.forwardAdd(delta, residual);
    const first = before();
    const attention = (x: Tensor): Tensor => this.selfAttn.forward(x, input, table);
    const attended = recomputed(keeping, "attention", attention, first.y);
    discarded(keeping, "norm", first.y, () => before().y);
    const between = (): NormWithResidual => this.postAttentionLayernorm.forwardAdd(attended, first.sum);
    const second = between();
    const out = recomputed(keeping, "mlp", (x) => this.mlp.forward(x, keeping), second.y);
    discarded(keeping, "norm", second.y, () => between().y);
    return [out, second.sum];
  }
}

class LlamaModel extends Module {
  readonly embedTokens: Embedding;
  readonly layers: Block[];
  readonly norm: RMSNorm;

  constructor(config: LlamaConfig, dtype: ComputeDtype) {
    super();
    this.embedTokens = new Embedding(config.vocabSize, config.width, { std: config.std, dtype });
    this.layers = Array.from({ length: config.layers }, (_, i) => new Block(config, i, dtype));
    this.norm = new RMSNorm(config.width, { eps: config.eps, dtype });
  }
}

/** Llama with its language-model head. */
export class Llama extends CausalLM<RawConfig> {
  readonly modelType = "llama";
  readonly model: LlamaModel;
  /** Absent when the head is the embedding. */
  readonly lmHead: Linear | null;
  private readonly _parsed: LlamaConfig;
  private readonly _rotary: RotaryCache;

  constructor(
    readonly config: RawConfig,
    readonly dtype: ComputeDtype = "f32",
  ) {
    super();
    const parsed = parseLlamaConfig(config);
    this._parsed = parsed;
    this._rotary = new RotaryCache(parsed.rope, parsed.headSize, parsed.maxPositions);
    this.model = new LlamaModel(parsed, dtype);
    this.lmHead = parsed.tied ? null : new Linear(parsed.width, parsed.vocabSize, { std: parsed.std, dtype });
  }

  get vocabSize(): number {
    return this._parsed.vocabSize;
  }

  get maxPositions(): number {
    return this._parsed.maxPositions;
  }

  hidden(input: TokenInput): Tensor {
    const table = this._rotary.get(input.length);
    let delta = this.model.embedTokens.forward(input.ids); // [tokens, width]
    let residual: Tensor | null = null;
    for (const block of this.model.layers) {
      [delta, residual] = isFull(this.checkpointing)
        ? (checkpoint(
            (d, r) => block.forward(d, r ?? null, input, table),
            ...(residual === null ? [delta] : [delta, residual]),
          ) as [Tensor, Tensor])
        : block.forward(delta, residual, input, table, this.checkpointing);
    }
    return residual === null ? this.model.norm.forward(delta) : this.model.norm.forwardAdd(delta, residual).y;
  }

  outputWeight(): Tensor {
    return (this.lmHead ?? this.model.embedTokens).weight;
  }

  logits(input: TokenInput): Tensor {
    return linear(this.hidden(input), this.outputWeight());
  }

  loss(input: TokenInput, targets: Tensor, options: LossOptions = {}): ModelLoss {
    const { loss, count } = linearCrossEntropy(this.hidden(input), this.outputWeight(), targets, options);
    return { loss, crossEntropy: loss.detach(), terms: {}, count };
  }

  cacheLayout(): CacheLayout {
    const { layers, keyHeads, headSize } = this._parsed;
    return { layers, widths: [keyHeads * headSize, keyHeads * headSize], dtype: this.dtype };
  }

  facts(): ModelFacts {
    const { layers, heads, headSize, vocabSize, width, tied } = this._parsed;
    const total = this.parameterCount();
    const perLayer = layers * heads * headSize;
    return denseFacts(total, tied ? total : total - vocabSize * width, perLayer, perLayer);
  }

  override dispose(): void {
    super.dispose();
    this._rotary.dispose();
  }
}
