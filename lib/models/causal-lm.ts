/** CausalLM: what every language model of this room offers to training, evaluation and generation. */

import { type ComputeDtype, Module } from "../nn/module.js";
import type { Segments } from "../tensor/ops/attention.js";
import type { CrossEntropyOptions } from "../tensor/ops/loss.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Checkpointing } from "./checkpointing.js";
import { type CacheLayout, KvCache, type TokenCache } from "./kv-cache.js";
import { PagedCache, type PagedCacheOptions } from "./paged-cache.js";

/** A packed batch of tokens. */
export interface TokenInput {
  /** Token ids, i32 [tokens]. */
  ids: Tensor;
  /** Position of each token in its sequence, i32 [tokens]. */
  positions: Tensor;
  /** One more than the largest position. */
  length: number;
  /** Which tokens attend to each other. */
  segments: Segments;
  /** Keys and values of earlier tokens; the new ones are appended. Segment s continues cached sequence s. */
  cache?: CacheUse;
}

/** A cache and how many new tokens each of its sequences gets. */
export interface CacheUse {
  store: TokenCache;
  counts: readonly number[];
}

/** Options of `CausalLM.loss`. */
export interface LossOptions extends CrossEntropyOptions {
  /** Number of equally long rows in the batch: sequences of the balance loss and rows of MTP's shift. Default 1. */
  rows?: number;
}

/** The terms of a training loss, each a scalar tensor. All but `loss` are for reading: they carry no gradient and outlive the backward pass. */
export interface ModelLoss {
  /** What to call backward on. */
  loss: Tensor;
  /** Cross-entropy of the next token, times `factor`. */
  crossEntropy: Tensor;
  /** Other terms by name (`mtp1`, `balance`), weighted as they enter the loss. */
  terms: Record<string, Tensor>;
  /** Number of targets that count. */
  count: Tensor;
}

/** Facts of a model that estimates need. */
export interface ModelFacts {
  /** Trainable values. */
  parameters: number;
  /** Values that take part in one token's forward pass (chosen experts only). */
  activeParameters: number;
  /** Floating-point operations per trained token (forward and backward) at a sequence length, without recomputation. */
  trainingFlopsPerToken(sequenceLength: number): number;
}

/** A decoder that predicts the next token. */
export abstract class CausalLM<Config = unknown> extends Module {
  /** Hugging Face `model_type`. */
  abstract readonly modelType: string;
  /** The configuration as Hugging Face's config.json has it; written by savePretrained. */
  abstract readonly config: Config;
  abstract readonly dtype: ComputeDtype;
  /** What blocks compute again in the backward pass instead of keeping it. Results do not depend on it. */
  checkpointing: Checkpointing = false;
  abstract readonly vocabSize: number;
  /** Longest sequence that positions exist for. */
  abstract readonly maxPositions: number;

  /** Final hidden states, normalised: [tokens, width]. */
  abstract hidden(input: TokenInput): Tensor;
  /** The output projection, [vocab, width]; the embedding itself when tied. */
  abstract outputWeight(): Tensor;
  /** Cross-entropy and, while training, the model's own terms. targets i32 [tokens], −100 where nothing is to be predicted. */
  abstract loss(input: TokenInput, targets: Tensor, options?: LossOptions): ModelLoss;
  /** What a cache holds of each token. */
  abstract cacheLayout(): CacheLayout;
  /** Counts and costs. */
  abstract facts(): ModelFacts;

  /** Logits of every token, f32 or bf16 [tokens, vocab]. */
  abstract logits(input: TokenInput): Tensor;

  /** An empty cache for `sequences` sequences of up to `maxLength` tokens, with room for all of them. */
  newCache(sequences: number, maxLength: number): KvCache {
    return new KvCache(this.cacheLayout(), sequences, maxLength);
  }

  /** An empty cache whose sequences take pages of a pool as they grow, and may share their beginnings. */
  newPagedCache(options: PagedCacheOptions): PagedCache {
    return new PagedCache(this.cacheLayout(), options);
  }

  /** Called after each optimizer step: updates that are not gradients (router biases). Default none. */
  afterStep(): void {}
}
