/** DeepSeek-V2 and V3 configurations. */

import { ConfigError } from "../../errors.js";
import { parseRope, type RopeScaling, yarnMscale } from "../../nn/rotary.js";
import { type GateActivation, parseActivation } from "../../tensor/ops/activation.js";
import type { RouterOptions } from "../../tensor/ops/moe.js";
import { ConfigReader, type RawConfig } from "../config.js";

/** The fields of a DeepSeek config that change what is computed. */
export interface DeepseekConfig {
  version: 2 | 3;
  vocabSize: number;
  width: number;
  denseInner: number;
  expertInner: number;
  layers: number;
  /** Blocks that predict further tokens (multi-token prediction). */
  mtpLayers: number;
  heads: number;
  queryRank: number | null;
  latentWidth: number;
  nopeSize: number;
  ropeSize: number;
  valueSize: number;
  firstDense: number;
  experts: number;
  sharedExperts: number;
  router: RouterOptions;
  activation: GateActivation;
  maxPositions: number;
  eps: number;
  std: number;
  tied: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
  /** The checkpoint's rotary channels are stored in pairs. */
  ropeInterleaved: boolean;
  rope: RopeScaling;
  /** Factor of the attention scores. */
  scale: number;
  /** Weight of the multi-token prediction loss, shared among the depths. */
  mtpWeight: number;
  /** α of the balance loss; 0 turns it off. */
  balanceAlpha: number;
  /** V2: the loss per sequence rather than over the batch. */
  balancePerSequence: boolean;
  /** u of the auxiliary-loss-free bias update (V3); 0 turns it off. */
  biasUpdateSpeed: number;
}

function readRouter(reader: ConfigReader, version: 2 | 3, experts: number): RouterOptions {
  const chosen = reader.integer("num_experts_per_tok", version === 3 ? 8 : undefined);
  const groups = reader.optionalInteger("n_group") ?? (version === 3 ? 8 : 1);
  const groupsKept = reader.optionalInteger("topk_group") ?? (version === 3 ? 4 : groups);
  const method =
    version === 3 ? "noaux_tc" : reader.string("topk_method", "greedy", ["greedy", "group_limited_greedy"]);
  const normalise = reader.boolean("norm_topk_prob", version === 3);
  if (experts % groups !== 0) {
    throw new ConfigError(
      `deepseek_v${version} config: n_routed_experts ${experts} must be a multiple of n_group ${groups}.`,
      { experts, groups },
    );
  }
  if (groupsKept > groups)
    throw new ConfigError(
      `deepseek_v${version} config: topk_group ${groupsKept} exceeds n_group ${groups}.`,
      { groupsKept, groups },
    );
  if (chosen > (experts / groups) * groupsKept) {
    throw new ConfigError(
      `deepseek_v${version} config: num_experts_per_tok ${chosen} exceeds the ${(experts / groups) * groupsKept} experts of ${groupsKept} groups.`,
      { chosen, experts, groups, groupsKept },
    );
  }
  const grouped = version === 3 || method === "group_limited_greedy";
  return {
    chosen,
    scoring: version === 3 ? "sigmoid" : "softmax",
    groups: grouped ? groups : 1,
    groupsKept: grouped ? groupsKept : 1,
    groupScore: version === 3 ? "top2Sum" : "max",
    // transformers' V2 router leaves the probabilities as they are, whatever norm_topk_prob says.
    normalise: version === 3 && normalise,
    scaling: reader.number("routed_scaling_factor", version === 3 ? 2.5 : 1),
  };
}

/** Checks a config.json of model_type `deepseek_v3` or `deepseek_v2`. */
export function parseDeepseekConfig(raw: RawConfig): DeepseekConfig {
  const version = raw.model_type === "deepseek_v2" ? 2 : 3;
  const reader = new ConfigReader(raw, `deepseek_v${version}`);
  const v3 = version === 3;
  const experts = reader.integer("n_routed_experts", v3 ? 256 : 64);
  const rope = parseRope(raw);
  const nopeSize = reader.integer("qk_nope_head_dim", 128);
  const ropeSize = reader.integer("qk_rope_head_dim", 64);
  if (ropeSize % 2 !== 0)
    throw new ConfigError(`deepseek config: qk_rope_head_dim must be even, got ${ropeSize}.`, { ropeSize });
  const longer =
    rope.ropeType !== "default" && rope.mscaleAllDim ? yarnMscale(rope.factor ?? 1, rope.mscaleAllDim) : 1;
  const queryRank = "q_lora_rank" in raw ? reader.optionalInteger("q_lora_rank") : 1536;
  reader.alsoKnown("q_lora_rank");
  const config: DeepseekConfig = {
    version,
    vocabSize: reader.integer("vocab_size", v3 ? 129280 : 32000),
    width: reader.integer("hidden_size", v3 ? 7168 : 4096),
    denseInner: reader.integer("intermediate_size", v3 ? 18432 : 11008),
    expertInner: reader.integer("moe_intermediate_size", v3 ? 2048 : 1407),
    layers: reader.integer("num_hidden_layers", v3 ? 61 : 32, { min: 0 }),
    mtpLayers: reader.integer("num_nextn_predict_layers", 0, { min: 0 }),
    heads: reader.integer("num_attention_heads", v3 ? 128 : 32),
    queryRank,
    latentWidth: reader.integer("kv_lora_rank", 512),
    nopeSize,
    ropeSize,
    valueSize: reader.integer("v_head_dim", 128),
    firstDense: reader.integer("first_k_dense_replace", v3 ? 3 : 0, { min: 0 }),
    experts,
    sharedExperts: reader.integer("n_shared_experts", v3 ? 1 : 2),
    router: readRouter(reader, version, experts),
    activation: parseActivation(reader.string("hidden_act", "silu")),
    maxPositions: reader.integer("max_position_embeddings", v3 ? 4096 : 2048),
    eps: reader.number("rms_norm_eps", 1e-6, { min: 0 }),
    std: reader.number("initializer_range", 0.02, { min: 0 }),
    tied: reader.boolean("tie_word_embeddings", false),
    attentionBias: reader.boolean("attention_bias", false),
    mlpBias: v3 ? false : reader.boolean("mlp_bias", false),
    ropeInterleaved: v3 ? reader.boolean("rope_interleave", true) : true,
    rope,
    scale: (longer * longer) / Math.sqrt(nopeSize + ropeSize),
    mtpWeight: reader.number("mtp_loss_weight", 0.3, { min: 0 }),
    balanceAlpha: reader.number("aux_loss_alpha", v3 ? 1e-4 : 0.001, { min: 0 }),
    balancePerSequence: reader.boolean("seq_aux", true),
    biasUpdateSpeed: v3 ? reader.number("bias_update_speed", 1e-3, { min: 0 }) : 0,
  };
  reader.alsoKnown(
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "head_dim",
    "qk_head_dim",
    "num_key_value_heads",
    "attention_dropout",
    "scoring_func",
    "topk_method",
    "moe_layer_freq",
    "ep_size",
    "num_mtp_layers",
    "rope_interleave",
  );
  reader.finish();
  return config;
}
