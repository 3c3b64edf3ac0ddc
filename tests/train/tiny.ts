/** Tiny models and data for the trainer's tests: a repetitive text in 29 symbols, and batches that depend on the step alone. */

import type { CausalLM } from "../../lib/models/causal-lm.js";
import { Deepseek } from "../../lib/models/deepseek/model.js";
import { Gpt2 } from "../../lib/models/gpt2.js";
import { setThreads } from "../../lib/native/device.js";
import { manualSeed } from "../../lib/tensor/random.js";
import {
  Trainer,
  type TrainerEvent,
  type TrainerOptions,
  type TrainingBatches,
} from "../../lib/train/index.js";

// Kernels of this size gain nothing from a team, and results do not depend on it.
setThreads(1);

const TEXT = "the cat sat on the mat, and the dog sat on the log. ".repeat(40);
const SYMBOLS = [...new Set(TEXT)].sort();

/** Vocabulary of the tiny models: a little more than the text has symbols. */
export const VOCABULARY = 29;

/** The text as token ids. */
export const TOKENS = Int32Array.from([...TEXT].map((symbol) => SYMBOLS.indexOf(symbol)));

/** Windows of the text; row r of step s begins at a place that depends on both alone. */
export function batchesOf(batchSize: number, sequenceLength: number, fingerprint = "text"): TrainingBatches {
  return {
    batchSize,
    sequenceLength,
    fingerprint,
    async batchAt(step) {
      const inputs = new Int32Array(batchSize * sequenceLength);
      const targets = new Int32Array(batchSize * sequenceLength);
      for (let row = 0; row < batchSize; row++) {
        const start = ((step * batchSize + row) * 7919) % (TOKENS.length - sequenceLength - 1);
        inputs.set(TOKENS.subarray(start, start + sequenceLength), row * sequenceLength);
        targets.set(TOKENS.subarray(start + 1, start + sequenceLength + 1), row * sequenceLength);
      }
      return { inputs, targets };
    },
  };
}

/** Validation windows: the first batches of the text, one byte per token. */
export async function* windowsOf(batchSize: number, sequenceLength: number, count = 2) {
  for (let i = 0; i < count; i++) {
    const batch = await batchesOf(batchSize, sequenceLength).batchAt(1000 + i);
    yield { ...batch, targetCount: batch.targets.length, bytes: batch.targets.length };
  }
}

/** Settings of the tiny models. */
export interface TinyOptions {
  dtype?: "f32" | "bf16";
  seed?: number;
  dropout?: number;
  layers?: number;
}

/** GPT-2 with two layers of width 32. */
export function tinyGpt2(options: TinyOptions = {}): CausalLM {
  const { dtype = "f32", seed = 1, dropout = 0, layers = 2 } = options;
  manualSeed(seed);
  return new Gpt2(
    {
      model_type: "gpt2",
      vocab_size: VOCABULARY,
      n_positions: 64,
      n_embd: 32,
      n_layer: layers,
      n_head: 4,
      resid_pdrop: dropout,
      embd_pdrop: dropout,
      attn_pdrop: 0,
    },
    dtype,
  );
}

/** DeepSeek-V3 with a dense layer, a mixture of eight experts and one prediction module, all of width 32. */
export function tinyDeepseek(options: TinyOptions = {}): CausalLM {
  const { dtype = "f32", seed = 1, layers = 2 } = options;
  manualSeed(seed);
  return new Deepseek(
    {
      model_type: "deepseek_v3",
      vocab_size: VOCABULARY,
      hidden_size: 32,
      intermediate_size: 48,
      moe_intermediate_size: 16,
      num_hidden_layers: layers,
      num_attention_heads: 4,
      kv_lora_rank: 16,
      q_lora_rank: 16,
      qk_rope_head_dim: 8,
      qk_nope_head_dim: 8,
      v_head_dim: 8,
      n_routed_experts: 8,
      num_experts_per_tok: 2,
      n_shared_experts: 1,
      n_group: 4,
      topk_group: 2,
      first_k_dense_replace: 1,
      num_nextn_predict_layers: 1,
      max_position_embeddings: 64,
      bias_update_speed: 0.01,
    },
    dtype,
  );
}

/** Runs a trainer to its end. */
export async function runAll(options: TrainerOptions): Promise<TrainerEvent[]> {
  const events: TrainerEvent[] = [];
  const trainer = await Trainer.create({ peakFlops: 0, ...options });
  for await (const event of trainer.run()) events.push(event);
  return events;
}

/** The numbers of every step that do not depend on the clock. */
export function stepsOf(events: readonly TrainerEvent[]) {
  return events.flatMap((event) =>
    event.type === "step"
      ? [{ step: event.step, loss: event.loss, gradNorm: event.gradNorm, lr: event.lr, terms: event.terms }]
      : [],
  );
}

/** Losses of every step. */
export const lossesOf = (events: readonly TrainerEvent[]): number[] =>
  stepsOf(events).map((step) => step.loss);
