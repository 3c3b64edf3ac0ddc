/** Named configurations: small models for benchmarks and first runs. Batch sizes are those of the step benchmark. */

import { ConfigError, didYouMean } from "../errors.js";
import type { RawConfig } from "./config.js";
import { LARGE_PRESETS } from "./large-presets.js";

/** A configuration and the batch that it is measured with. */
export interface Preset {
  config: RawConfig;
  batchSize: number;
  sequenceLength: number;
  /** The batch on a GPU, where it differs. */
  gpu?: { batchSize: number; sequenceLength: number };
}

const gpt2 = (fields: RawConfig): RawConfig => ({
  model_type: "gpt2",
  architectures: ["GPT2LMHeadModel"],
  activation_function: "gelu_new",
  layer_norm_epsilon: 1e-5,
  initializer_range: 0.02,
  embd_pdrop: 0,
  resid_pdrop: 0,
  attn_pdrop: 0,
  tie_word_embeddings: true,
  ...fields,
});

/** Presets by name. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  "char-gpt": {
    config: gpt2({ n_layer: 4, n_head: 4, n_embd: 128, n_positions: 64, vocab_size: 65 }),
    batchSize: 12,
    sequenceLength: 64,
  },
  "llama-15m": {
    config: {
      model_type: "llama",
      architectures: ["LlamaForCausalLM"],
      num_hidden_layers: 6,
      num_attention_heads: 6,
      num_key_value_heads: 6,
      hidden_size: 288,
      intermediate_size: 768,
      vocab_size: 8192,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      hidden_act: "silu",
      initializer_range: 0.02,
      tie_word_embeddings: true,
    },
    batchSize: 8,
    sequenceLength: 256,
  },
  "deepseek-mini": {
    config: {
      model_type: "deepseek_v3",
      architectures: ["DeepseekV3ForCausalLM"],
      num_hidden_layers: 6,
      first_k_dense_replace: 1,
      hidden_size: 256,
      num_attention_heads: 4,
      num_key_value_heads: 4,
      q_lora_rank: 128,
      kv_lora_rank: 64,
      qk_nope_head_dim: 64,
      qk_rope_head_dim: 32,
      v_head_dim: 64,
      intermediate_size: 704,
      moe_intermediate_size: 176,
      n_routed_experts: 16,
      n_shared_experts: 1,
      num_experts_per_tok: 4,
      n_group: 4,
      topk_group: 2,
      norm_topk_prob: true,
      routed_scaling_factor: 2.5,
      num_nextn_predict_layers: 0,
      vocab_size: 8192,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      rope_interleave: true,
      hidden_act: "silu",
      initializer_range: 0.02,
      tie_word_embeddings: false,
      aux_loss_alpha: 1e-4,
      bias_update_speed: 1e-3,
    },
    batchSize: 8,
    sequenceLength: 256,
  },
  "gpt2-124m": {
    config: gpt2({ n_layer: 12, n_head: 12, n_embd: 768, n_positions: 1024, vocab_size: 50257 }),
    batchSize: 4,
    sequenceLength: 64,
    gpu: { batchSize: 16, sequenceLength: 1024 },
  },
  ...LARGE_PRESETS,
};

/** A preset by name; throws ConfigError with a suggestion for an unknown one. */
export function preset(name: string): Preset {
  const found = PRESETS[name];
  if (found !== undefined) return found;
  const names = Object.keys(PRESETS);
  throw new ConfigError(
    `Unknown model "${name}"; expected one of ${names.join(", ")}, or a path to a config.json.${didYouMean(name, names)}`,
    {
      name,
      known: names,
    },
  );
}
