/** Tiny configurations of every family, for tests that need a fresh model. */
import type { RawConfig } from "../../lib/models/config.js";

export const TINY: Readonly<Record<string, RawConfig>> = {
  gpt2: {
    model_type: "gpt2", n_layer: 2, n_head: 3, n_embd: 24, n_positions: 64, vocab_size: 61, embd_pdrop: 0, resid_pdrop: 0, attn_pdrop: 0,
  },
  llama: {
    model_type: "llama", num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 32, intermediate_size: 52,
    vocab_size: 61, max_position_embeddings: 64, tie_word_embeddings: true,
  },
  deepseek: {
    model_type: "deepseek_v3", num_hidden_layers: 2, first_k_dense_replace: 1, num_nextn_predict_layers: 1, hidden_size: 32,
    intermediate_size: 48, moe_intermediate_size: 16, n_routed_experts: 8, n_shared_experts: 1, num_experts_per_tok: 3, n_group: 4,
    topk_group: 2, q_lora_rank: 12, kv_lora_rank: 16, qk_nope_head_dim: 8, qk_rope_head_dim: 4, v_head_dim: 12, num_attention_heads: 2,
    vocab_size: 61, max_position_embeddings: 64, aux_loss_alpha: 0.01,
  },
  deepseekV2: {
    model_type: "deepseek_v2", num_hidden_layers: 2, first_k_dense_replace: 1, hidden_size: 32, intermediate_size: 48,
    moe_intermediate_size: 16, n_routed_experts: 8, n_shared_experts: 2, num_experts_per_tok: 2, n_group: 4, topk_group: 2,
    topk_method: "group_limited_greedy", q_lora_rank: null, kv_lora_rank: 16, qk_nope_head_dim: 8, qk_rope_head_dim: 4, v_head_dim: 12,
    num_attention_heads: 2, vocab_size: 61, max_position_embeddings: 64,
  },
};
