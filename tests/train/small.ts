/** A text and a model small enough that a run takes a second. */
import type { ModelChoice } from "../../lib/train/model-choice.js";

const WORDS = "the a model token learns reads writes small large text and of to in step loss".split(" ");

/** English-like words without order, the same for a seed, about `words` × 5 bytes. */
export function smallText(words = 4000, seed = 1): string {
  let state = seed;
  const out: string[] = [];
  for (let i = 0; i < words; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    out.push(WORDS[(state >>> 16) % WORDS.length], i % 12 === 11 ? ".\n" : " ");
  }
  return out.join("");
}

/** Fields of a config.json of a DeepSeek-V3 model with every part: latent attention, experts, one further prediction. */
export const SMALL_DEEPSEEK = {
  model_type: "deepseek_v3",
  architectures: ["DeepseekV3ForCausalLM"],
  num_hidden_layers: 2,
  first_k_dense_replace: 1,
  hidden_size: 32,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  q_lora_rank: 16,
  kv_lora_rank: 16,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 8,
  v_head_dim: 8,
  intermediate_size: 64,
  moe_intermediate_size: 16,
  n_routed_experts: 4,
  n_shared_experts: 1,
  num_experts_per_tok: 2,
  n_group: 2,
  topk_group: 1,
  routed_scaling_factor: 1,
  num_nextn_predict_layers: 1,
  vocab_size: 257,
  max_position_embeddings: 64,
} as const;

/** The same as something to choose. */
export const SMALL_MODEL: ModelChoice = {
  name: "small",
  adaptable: true,
  config: SMALL_DEEPSEEK,
  batchSize: 4,
  sequenceLength: 32,
};
