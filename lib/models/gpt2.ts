/**
 * GPT-2 (Radford et al. 2019): learned positions, pre-norm blocks, a fused query/key/value projection, GELU, a head that
 * is the embedding. Names and layouts are those of Hugging Face's GPT2LMHeadModel.
 */

import { ConfigError } from "../errors.js";
import { Embedding, LayerNorm, Linear } from "../nn/layers.js";
import { type ComputeDtype, Module } from "../nn/module.js";
import { checkpoint } from "../tensor/checkpoint.js";
import { type GateActivation, parseActivation } from "../tensor/ops/activation.js";
import { attentionPacked, attentionParts, type HeadPart } from "../tensor/ops/attention.js";
import { add, gelu, geluTanh, silu } from "../tensor/ops/elementwise.js";
import { linear } from "../tensor/ops/linear.js";
import { linearCrossEntropy } from "../tensor/ops/loss.js";
import type { NormWithResidual } from "../tensor/ops/norm.js";
import { dropout } from "../tensor/ops/random.js";
import { reshape } from "../tensor/ops/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { CausalLM, type LossOptions, type ModelFacts, type ModelLoss, type TokenInput } from "./causal-lm.js";
import { type Checkpointing, discarded, isFull, recomputed } from "./checkpointing.js";
import { ConfigReader, type RawConfig } from "./config.js";
import { denseFacts } from "./facts.js";
import type { CacheLayout } from "./kv-cache.js";

/** The fields of a GPT-2 config that change what is computed. */
export interface Gpt2Config {
  vocabSize: number;
  positions: number;
  width: number;
  layers: number;
  heads: number;
  inner: number;
  activation: GateActivation;
  eps: number;
  std: number;
  embeddingDropout: number;
  residualDropout: number;
  attentionDropout: number;
  scaleByLayer: boolean;
  tied: boolean;
}

/** Checks a config.json of model_type `gpt2`. */
export function parseGpt2Config(raw: RawConfig): Gpt2Config {
  const reader = new ConfigReader(raw, "gpt2");
  const width = reader.integer("n_embd", 768);
  const heads = reader.integer("n_head", 12);
  if (width % heads !== 0)
    throw new ConfigError(`gpt2 config: n_embd ${width} must be a multiple of n_head ${heads}.`, {
      width,
      heads,
    });
  const config: Gpt2Config = {
    vocabSize: reader.integer("vocab_size", 50257),
    positions: reader.integer("n_positions", 1024),
    width,
    layers: reader.integer("n_layer", 12, { min: 0 }),
    heads,
    inner: reader.optionalInteger("n_inner") ?? 4 * width,
    activation: parseActivation(reader.string("activation_function", "gelu_new")),
    eps: reader.number("layer_norm_epsilon", 1e-5, { min: 0 }),
    std: reader.number("initializer_range", 0.02, { min: 0 }),
    embeddingDropout: reader.number("embd_pdrop", 0.1, { min: 0, max: 1 }),
    residualDropout: reader.number("resid_pdrop", 0.1, { min: 0, max: 1 }),
    attentionDropout: reader.number("attn_pdrop", 0.1, { min: 0, max: 1 }),
    scaleByLayer: reader.boolean("scale_attn_by_inverse_layer_idx", false),
    tied: reader.boolean("tie_word_embeddings", true),
  };
  reader.alsoKnown(
    "n_ctx",
    "scale_attn_weights",
    "reorder_and_upcast_attn",
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_first_dropout",
  );
  reader.finish();
  return config;
}

class Attention extends Module {
  readonly cAttn: Linear;
  readonly cProj: Linear;

  constructor(
    private readonly _config: Gpt2Config,
    private readonly _layer: number,
    dtype: ComputeDtype,
  ) {
    super();
    const { width, layers, std } = _config;
    this.cAttn = new Linear(width, 3 * width, { bias: true, std, inOut: true, dtype });
    // Residual projections start smaller, so that the stream's variance does not grow with depth (GPT-2 paper, §2.3).
    this.cProj = new Linear(width, width, {
      bias: true,
      std: std / Math.sqrt(2 * layers),
      inOut: true,
      dtype,
    });
  }

  forward(x: Tensor, input: TokenInput): Tensor {
    const { heads, width, scaleByLayer, attentionDropout } = this._config;
    if (this.training && attentionDropout > 0) {
      throw new ConfigError(
        `gpt2 config: attn_pdrop is ${attentionDropout}, but fused attention has no dropout; set attn_pdrop to 0 to train this model.`,
        { field: "attn_pdrop", value: attentionDropout },
      );
    }
    const size = width / heads;
    const scale = 1 / Math.sqrt(size) / (scaleByLayer ? this._layer + 1 : 1);
    const qkv = this.cAttn.forward(x); // [tokens, 3·width]
    let out: Tensor;
    if (input.cache === undefined) {
      out = attentionPacked(qkv, heads, { segments: input.segments, scale });
    } else {
      const { store, counts } = input.cache;
      const [keys, values] = store.layer(this._layer);
      store.append(keys, qkv, counts, 3 * width, width);
      store.append(values, qkv, counts, 3 * width, 2 * width);
      const cached = (t: Tensor): HeadPart => ({ tensor: t, heads, size, row: width, head: size });
      const q = { tensor: qkv, heads, size, row: 3 * width, head: size };
      out = attentionParts(
        { q, k: cached(keys), v: cached(values) },
        { segments: input.segments, keySegments: store.keySegments(counts), scale },
      );
    }
    return this.cProj.forward(reshape(out, [-1, width]));
  }
}

const ACTIVATIONS: Readonly<Record<GateActivation, (x: Tensor) => Tensor>> = { gelu, geluTanh, silu };

class Mlp extends Module {
  readonly cFc: Linear;
  readonly cProj: Linear;

  constructor(
    private readonly _config: Gpt2Config,
    dtype: ComputeDtype,
  ) {
    super();
    const { width, inner, layers, std } = _config;
    this.cFc = new Linear(width, inner, { bias: true, std, inOut: true, dtype });
    this.cProj = new Linear(inner, width, {
      bias: true,
      std: std / Math.sqrt(2 * layers),
      inOut: true,
      dtype,
    });
  }

  forward(x: Tensor, checkpointing: Checkpointing): Tensor {
    const activate = ACTIVATIONS[this._config.activation];
    const inner = this.cFc.forward(x); // [tokens, inner]
    const active = activate(inner);
    const y = this.cProj.forward(active);
    discarded(checkpointing, "activation", active, () => activate(inner));
    return y;
  }
}

class Block extends Module {
  readonly ln1: LayerNorm;
  readonly attn: Attention;
  readonly ln2: LayerNorm;
  readonly mlp: Mlp;

  constructor(
    private readonly _config: Gpt2Config,
    layer: number,
    dtype: ComputeDtype,
  ) {
    super();
    const { width, eps } = _config;
    this.ln1 = new LayerNorm(width, { eps, dtype });
    this.attn = new Attention(_config, layer, dtype);
    this.ln2 = new LayerNorm(width, { eps, dtype });
    this.mlp = new Mlp(_config, dtype);
  }

  /** `delta` is what the block before adds to the stream `residual` (null before the first block, where delta is the stream). */
  forward(
    delta: Tensor,
    residual: Tensor | null,
    input: TokenInput,
    keeping: Checkpointing = false,
  ): [Tensor, Tensor] {
    const p = this.training ? this._config.residualDropout : 0;
    const before = (): NormWithResidual =>
      residual === null ? { y: this.ln1.forward(delta), sum: delta } : this.ln1.forwardAdd(delta, residual);
    const first = before();
    const attention = (x: Tensor): Tensor => dropout(this.attn.forward(x, input), p);
    const attended = recomputed(keeping, "attention", attention, first.y);
    discarded(keeping, "norm", first.y, () => before().y);
    const second = this.ln2.forwardAdd(attended, first.sum);
    const mlp = (x: Tensor): Tensor => dropout(this.mlp.forward(x, keeping), p);
    const out = recomputed(keeping, "mlp", mlp, second.y);
    discarded(keeping, "norm", second.y, () => this.ln2.forwardAdd(attended, first.sum).y);
    return [out, second.sum];
  }
}

class Transformer extends Module {
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly h: Block[];
  readonly lnF: LayerNorm;

  constructor(config: Gpt2Config, dtype: ComputeDtype) {
    super();
    const { vocabSize, positions, width, std } = config;
    this.wte = new Embedding(vocabSize, width, { std, dtype });
    this.wpe = new Embedding(positions, width, { std, dtype });
    this.h = Array.from({ length: config.layers }, (_, i) => new Block(config, i, dtype));
    this.lnF = new LayerNorm(width, { eps: config.eps, dtype });
  }
}

/** GPT-2 with its language-model head. */
export class Gpt2 extends CausalLM<RawConfig> {
  readonly modelType = "gpt2";
  readonly transformer: Transformer;
  /** Absent when the head is the embedding. */
  readonly lmHead: Linear | null;
  private readonly _parsed: Gpt2Config;

  constructor(
    readonly config: RawConfig,
    readonly dtype: ComputeDtype = "f32",
  ) {
    super();
    this._parsed = parseGpt2Config(config);
    const { width, vocabSize, std, tied } = this._parsed;
    this.transformer = new Transformer(this._parsed, dtype);
    this.lmHead = tied ? null : new Linear(width, vocabSize, { std, dtype });
  }

  get vocabSize(): number {
    return this._parsed.vocabSize;
  }

  get maxPositions(): number {
    return this._parsed.positions;
  }

  hidden(input: TokenInput): Tensor {
    const { wte, wpe, h, lnF } = this.transformer;
    const embedded = add(wte.forward(input.ids), wpe.forward(input.positions)); // [tokens, width]
    let delta = dropout(embedded, this.training ? this._parsed.embeddingDropout : 0);
    let residual: Tensor | null = null;
    for (const block of h) {
      [delta, residual] = isFull(this.checkpointing)
        ? (checkpoint(
            (d, r) => block.forward(d, r ?? null, input),
            delta,
            ...(residual === null ? [] : [residual]),
          ) as [Tensor, Tensor])
        : block.forward(delta, residual, input, this.checkpointing);
    }
    return residual === null ? lnF.forward(delta) : lnF.forwardAdd(delta, residual).y;
  }

  outputWeight(): Tensor {
    return this.lmHead?.weight ?? this.transformer.wte.weight;
  }

  logits(input: TokenInput): Tensor {
    return linear(this.hidden(input), this.outputWeight());
  }

  loss(input: TokenInput, targets: Tensor, options: LossOptions = {}): ModelLoss {
    const { loss, count } = linearCrossEntropy(this.hidden(input), this.outputWeight(), targets, options);
    return { loss, crossEntropy: loss.detach(), terms: {}, count };
  }

  cacheLayout(): CacheLayout {
    const { layers, width } = this._parsed;
    return { layers, widths: [width, width], dtype: this.dtype };
  }

  facts(): ModelFacts {
    const { layers, width, positions, vocabSize, tied } = this._parsed;
    const total = this.parameterCount();
    const lookedUp = (positions + (tied ? 0 : vocabSize)) * width;
    return denseFacts(total, total - lookedUp, layers * width, layers * width);
  }
}
