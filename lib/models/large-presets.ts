/**
 * Named configurations for GPUs, with the fields of the published config.json files. Batches are those of the step benchmark on a GPU of 141 GB.
 */

import type { RawConfig } from "./config.js";
import type { Preset } from "./presets.js";

const gpt2 = (layers: number, heads: number, width: number): RawConfig => ({
  model_type: "gpt2",
  architectures: ["GPT2LMHeadModel"],
  activation_function: "gelu_new",
  layer_norm_epsilon: 1e-5,
  initializer_range: 0.02,
  embd_pdrop: 0,
  resid_pdrop: 0,
  attn_pdrop: 0,
  tie_word_embeddings: true,
  n_layer: layers,
  n_head: heads,
  n_embd: width,
  n_positions: 1024,
  vocab_size: 50257,
});

/** Presets that need a GPU to be of use. */
export const LARGE_PRESETS: Readonly<Record<string, Preset>> = {
  // gpt2-medium
  "gpt2-350m": { config: gpt2(24, 16, 1024), batchSize: 16, sequenceLength: 1024 },
  // gpt2-xl
  "gpt2-1558m": { config: gpt2(48, 25, 1600), batchSize: 8, sequenceLength: 1024 },
  // Llama 3.2 1B
  "llama-1b": {
    config: {
      model_type: "llama",
      architectures: ["LlamaForCausalLM"],
      num_hidden_layers: 16,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      head_dim: 64,
      hidden_size: 2048,
      intermediate_size: 8192,
      vocab_size: 128256,
      max_position_embeddings: 131072,
      rms_norm_eps: 1e-5,
      rope_theta: 500000,
      rope_scaling: {
        rope_type: "llama3",
        factor: 32,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
      hidden_act: "silu",
      attention_bias: false,
      mlp_bias: false,
      initializer_range: 0.02,
      tie_word_embeddings: true,
    },
    batchSize: 8,
    sequenceLength: 2048,
  },
  // DeepSeek-V2-Lite with 9 of its 27 layers, the first one dense as there: 5.2 of 15.7 billion parameters, whose bf16 weights, f32 masters, moments and
  // gradients take 18 bytes each, 93 GB, where the whole model would take 283 GB. Everything else is as published.
  "deepseek-v2-lite-9l": {
    config: {
      model_type: "deepseek_v2",
      architectures: ["DeepseekV2ForCausalLM"],
      num_hidden_layers: 9,
      first_k_dense_replace: 1,
      hidden_size: 2048,
      num_attention_heads: 16,
      num_key_value_heads: 16,
      q_lora_rank: null,
      kv_lora_rank: 512,
      qk_nope_head_dim: 128,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      intermediate_size: 10944,
      moe_intermediate_size: 1408,
      n_routed_experts: 64,
      n_shared_experts: 2,
      num_experts_per_tok: 6,
      moe_layer_freq: 1,
      n_group: 1,
      topk_group: 1,
      topk_method: "greedy",
      scoring_func: "softmax",
      norm_topk_prob: false,
      routed_scaling_factor: 1,
      aux_loss_alpha: 0.001,
      seq_aux: true,
      vocab_size: 102400,
      max_position_embeddings: 163840,
      rope_theta: 10000,
      rope_scaling: {
        type: "yarn",
        factor: 40,
        original_max_position_embeddings: 4096,
        beta_fast: 32,
        beta_slow: 1,
        mscale: 0.707,
        mscale_all_dim: 0.707,
      },
      rms_norm_eps: 1e-6,
      hidden_act: "silu",
      attention_bias: false,
      initializer_range: 0.02,
      tie_word_embeddings: false,
    },
    batchSize: 4,
    sequenceLength: 2048,
  },
};
