/**
 * Multi-head latent attention (DeepSeek-V2 report, §2.1): keys and values come from one narrow latent per token, the rotary key is shared by all
 * heads. Training expands the latent; decoding works on the cached latent directly.
 */

import { Linear, RMSNorm } from "../../nn/layers.js";
import { type ComputeDtype, Module } from "../../nn/module.js";
import { attentionParts } from "../../tensor/ops/attention.js";
import { code, emptyLike, run } from "../../tensor/ops/kernel.js";
import { splitLatent } from "../../tensor/ops/latent.js";
import { type RotaryTable, rope } from "../../tensor/ops/rope.js";
import { reshape } from "../../tensor/ops/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { TokenInput } from "../causal-lm.js";
import { type Checkpointing, discarded } from "../checkpointing.js";
import type { DeepseekConfig } from "./config.js";

// The norms of the two latents keep this ε whatever rms_norm_eps says, as in transformers.
const LATENT_EPS = 1e-6;

/** One attention layer. */
export class LatentAttention extends Module {
  readonly qProj: Linear | null;
  readonly qAProj: Linear | null;
  readonly qALayernorm: RMSNorm | null;
  readonly qBProj: Linear | null;
  readonly kvAProjWithMqa: Linear;
  readonly kvALayernorm: RMSNorm;
  readonly kvBProj: Linear;
  readonly oProj: Linear;

  constructor(
    private readonly _config: DeepseekConfig,
    private readonly _layer: number,
    dtype: ComputeDtype,
  ) {
    super();
    const {
      width,
      heads,
      queryRank,
      latentWidth,
      nopeSize,
      ropeSize,
      valueSize,
      std,
      attentionBias: bias,
    } = _config;
    const queryWidth = heads * (nopeSize + ropeSize);
    this.qProj = queryRank === null ? new Linear(width, queryWidth, { std, dtype }) : null;
    this.qAProj = queryRank === null ? null : new Linear(width, queryRank, { std, bias, dtype });
    this.qALayernorm = queryRank === null ? null : new RMSNorm(queryRank, { eps: LATENT_EPS, dtype });
    this.qBProj = queryRank === null ? null : new Linear(queryRank, queryWidth, { std, dtype });
    this.kvAProjWithMqa = new Linear(width, latentWidth + ropeSize, { std, bias, dtype });
    this.kvALayernorm = new RMSNorm(latentWidth, { eps: LATENT_EPS, dtype });
    this.kvBProj = new Linear(latentWidth, heads * (nopeSize + valueSize), { std, dtype });
    this.oProj = new Linear(heads * valueSize, width, { std, bias, dtype });
  }

  private queries(x: Tensor, input: TokenInput, table: RotaryTable): Tensor {
    const { heads, nopeSize, ropeSize } = this._config;
    const q =
      this.qProj !== null
        ? this.qProj.forward(x)
        : (this.qBProj as Linear).forward(
            (this.qALayernorm as RMSNorm).forward((this.qAProj as Linear).forward(x)),
          );
    return rope(reshape(q, [-1, heads, nopeSize + ropeSize]), input.positions, table, {
      offset: nopeSize,
      inputInterleaved: this._config.ropeInterleaved,
      outputInterleaved: false,
      inPlace: true,
    }); // [tokens, heads, nope + rope]
  }

  forward(x: Tensor, input: TokenInput, table: RotaryTable, checkpointing: Checkpointing = false): Tensor {
    const { heads, nopeSize, ropeSize, valueSize, ropeInterleaved, scale } = this._config;
    const q = this.queries(x, input, table);
    const { latent, sharedKey } = splitLatent(
      this.kvAProjWithMqa.forward(x),
      this.kvALayernorm.weight,
      input.positions,
      table,
      {
        eps: LATENT_EPS,
        inputInterleaved: ropeInterleaved,
        outputInterleaved: false,
      },
    );
    if (input.cache !== undefined) {
      const { store, counts } = input.cache;
      const [latents, keys] = store.layer(this._layer);
      store.append(latents, latent, counts);
      store.append(keys, sharedKey, counts);
      if (store.lengths.some((length) => length > 0)) return this.absorbed(q, input, latents, keys);
    }
    const kv = this.kvBProj.forward(latent); // [tokens, heads·(nope + value)]
    const row = heads * (nopeSize + valueSize);
    const head = nopeSize + valueSize;
    const out = attentionParts(
      {
        q: {
          tensor: q,
          heads,
          size: nopeSize + ropeSize,
          row: heads * (nopeSize + ropeSize),
          head: nopeSize + ropeSize,
        },
        k: { tensor: kv, heads, size: nopeSize, row, head },
        v: { tensor: kv, heads, size: valueSize, row, head, offset: nopeSize },
        kShared: { tensor: sharedKey, size: ropeSize },
      },
      { segments: input.segments, scale },
    );
    discarded(checkpointing, "mla_up_proj", kv, () => this.kvBProj.forward(latent));
    return this.oProj.forward(reshape(out, [-1, heads * valueSize]));
  }

  /**
   * Attention on the cached latents: the key up-projection moves to the queries, the value up-projection behind the sum, so that one latent per
   * token serves all heads. Not differentiable; used with a cache only.
   */
  private absorbed(q: Tensor, input: TokenInput, latents: Tensor, keys: Tensor): Tensor {
    const { heads, nopeSize, ropeSize, valueSize, latentWidth: latent, scale } = this._config;
    const { store, counts } = (input as Required<TokenInput>).cache;
    const tokens = q.shape[0];
    const querySize = nopeSize + ropeSize;
    const size = latent + ropeSize;
    const up = this.kvBProj.weight; // per head: nope rows of keys, then value rows, each [latent]
    const upHead = (nopeSize + valueSize) * latent;
    const wide = emptyLike(q, [tokens, heads, size]);
    // wide[t, h, :latent] = q[t, h, :nope]·W_K[h]
    run(
      q,
      "matmul",
      q.use(),
      up.use(),
      wide.use(),
      0,
      heads,
      tokens,
      latent,
      nopeSize,
      0,
      0,
      heads * querySize,
      latent,
      heads * size,
      querySize,
      upHead,
      size,
      1,
      0,
      code(q),
      code(wide),
    );
    run(
      q,
      "copyStrided",
      q.use(),
      wide.use(),
      code(q),
      3,
      nopeSize,
      latent,
      0,
      tokens,
      heads,
      ropeSize,
      1,
      1,
      1,
      heads * querySize,
      querySize,
      1,
      0,
      0,
      0,
      heads * size,
      size,
      1,
      0,
      0,
      0,
    );
    const rows = { heads: 1, size: latent, row: latent, head: latent };
    const mixed = attentionParts(
      {
        q: { tensor: wide, heads, size, row: heads * size, head: size },
        k: { tensor: latents, ...rows },
        v: { tensor: latents, ...rows },
        kShared: { tensor: keys, size: ropeSize },
      },
      { segments: input.segments, keySegments: store.keySegments(counts), scale },
    ); // [tokens, heads, latent]
    const out = emptyLike(q, [tokens, heads * valueSize]);
    const values = up.alias([up.size - nopeSize * latent], nopeSize * latent * (up.byteLength / up.size));
    // out[t, h] = mixed[t, h]·W_V[h]ᵀ
    run(
      q,
      "matmul",
      mixed.use(),
      values.use(),
      out.use(),
      0,
      heads,
      tokens,
      valueSize,
      latent,
      0,
      1,
      heads * latent,
      latent,
      heads * valueSize,
      latent,
      upHead,
      valueSize,
      1,
      0,
      code(q),
      code(out),
    );
    return this.oProj.forward(out);
  }
}
