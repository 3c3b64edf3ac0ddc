/**
 * BatchDecoder: continues several sequences together on one key/value cache, a token each per step. Prompts of any lengths are
 * read in the first step in one pass; sequences that have ended cost nothing more.
 */

import { DataError, TokenizerError } from "../errors.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { TokenCache } from "../models/kv-cache.js";
import { noGrad } from "../tensor/autograd.js";
import { segmentsOf } from "../tensor/ops/attention.js";
import { embedding } from "../tensor/ops/embedding.js";
import { linear } from "../tensor/ops/linear.js";
import { type Sampled, sampleTokens } from "../tensor/ops/sample.js";
import { concat } from "../tensor/ops/shape.js";
import { dispose, scope } from "../tensor/scope.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { EvaluationMode } from "./mode.js";
import type { ResolvedOptions } from "./options.js";
import { penalised } from "./penalty.js";

/** One token drawn for one sequence. */
export interface DrawnToken {
  /** Index of the prompt. */
  sequence: number;
  id: number;
  logProb: number;
}

interface Sequence {
  /** Prompt and generated ids. */
  ids: number[];
  /** How many of them at the end are not in the cache yet. */
  fresh: number;
  /** Tokens drawn so far: the number of the next draw. */
  drawn: number;
  active: boolean;
}

/** Checks one prompt against the model and returns what will be read of it. */
function promptIds(model: CausalLM, prompt: ArrayLike<number>, index: number, slide: boolean): number[] {
  const ids = Array.from(prompt);
  if (ids.length === 0) {
    throw new DataError(`Prompt ${index} is empty: generation needs at least one token to start from.`, {
      index,
    });
  }
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= model.vocabSize);
  if (wrong !== undefined) {
    throw new TokenizerError(
      `Prompt ${index} holds the token id ${wrong}, but the model's ids go from 0 to ${model.vocabSize - 1}. Use the tokenizer that the model was trained with.`,
      { index, id: wrong, vocabSize: model.vocabSize },
    );
  }
  const { maxPositions } = model;
  if (ids.length <= maxPositions) return ids;
  if (slide) return ids.slice(-Math.ceil(maxPositions / 2));
  throw new DataError(
    `Prompt ${index} has ${ids.length} tokens, but the model has positions for ${maxPositions}. Shorten it, or set onContextLimit to "slide" to use its end.`,
    { index, tokens: ids.length, maxPositions },
  );
}

/** Decodes a batch. Dispose it when done; its memory is the cache and nothing between steps. */
export class BatchDecoder {
  private readonly sequences: Sequence[];
  private readonly cache: TokenCache;
  private readonly mode: EvaluationMode;

  /**
   * @param prompts ids of each sequence, at least one each
   * @throws DataError for prompts that are empty or too long, TokenizerError for ids that the model does not have
   */
  constructor(
    private readonly model: CausalLM,
    prompts: readonly ArrayLike<number>[],
    private readonly options: ResolvedOptions,
  ) {
    const { slide, maxTokens } = options;
    this.sequences = prompts.map((prompt, index) => {
      const ids = promptIds(model, prompt, index, slide);
      return { ids, fresh: ids.length, drawn: 0, active: true };
    });
    this.mode = new EvaluationMode(model);
    // The last token drawn is never read, so it needs no room.
    const longest = this.sequences.reduce((most, { ids }) => Math.max(most, ids.length + maxTokens - 1), 1);
    const { pageSize, pages } = options;
    const maxLength = Math.min(longest, model.maxPositions);
    this.cache =
      pageSize === 0
        ? model.newCache(prompts.length, maxLength)
        : model.newPagedCache({ sequences: prompts.length, maxLength, pageSize, pages });
  }

  /** Sequences that still go on. */
  get active(): number {
    return this.sequences.reduce((count, { active }) => count + (active ? 1 : 0), 0);
  }

  /** Whether the model has a position left for the sequence's next token, or may slide. */
  hasRoom(sequence: number): boolean {
    return this.options.slide || this.cache.lengths[sequence] < this.model.maxPositions;
  }

  /** Leaves a sequence out of all further steps. */
  finish(sequence: number): void {
    this.sequences[sequence].active = false;
    this.cache.end(sequence);
  }

  /** Reads what is new of every active sequence and draws its next token. */
  async step(): Promise<DrawnToken[]> {
    this.options.signal?.throwIfAborted();
    const rows = [...this.sequences.keys()].filter((index) => this.sequences[index].active);
    if (rows.length === 0) return [];
    for (const index of rows) this.makeRoom(index);
    const sampled =
      this.options.repetitionPenalty === 1
        ? this.forward(rows, (logits) => this.draw(logits, rows))
        : await this.drawPenalised(rows);
    try {
      const [ids, logProbs] = await Promise.all([sampled.ids.data(), sampled.logProbs.data()]);
      return rows.map((index, row) => {
        const sequence = this.sequences[index];
        sequence.ids.push(ids[row]);
        sequence.fresh = 1;
        sequence.drawn += 1;
        return { sequence: index, id: ids[row], logProb: logProbs[row] };
      });
    } finally {
      dispose(sampled);
    }
  }

  /** Frees the cache. */
  dispose(): void {
    this.cache.dispose();
  }

  /** Makes a sequence whose positions are used up read the last half of them again. */
  private makeRoom(index: number): void {
    const sequence = this.sequences[index];
    const { maxPositions } = this.model;
    if (this.cache.lengths[index] + sequence.fresh <= maxPositions) return;
    this.cache.truncate(index, 0);
    sequence.fresh = Math.ceil(maxPositions / 2);
  }

  /**
   * Runs the model over the new tokens of `rows` and hands the logits of each one's last token [rows, V] to `use`, all in one scope. Nothing is
   * awaited inside, so that the model can be switched to evaluation and back unseen by others.
   */
  private forward<T>(rows: readonly number[], use: (logits: Tensor) => T): T {
    const { model, cache } = this;
    return this.mode.run(() =>
      scope(() => {
        const counts = this.sequences.map(({ active, fresh }) => (active ? fresh : 0));
        const ids: number[] = [];
        const positions: number[] = [];
        const last: number[] = [];
        for (const index of rows) {
          const all = this.sequences[index].ids;
          for (let i = 0; i < counts[index]; i++) {
            ids.push(all[all.length - counts[index] + i]);
            positions.push(cache.lengths[index] + i);
          }
          last.push(ids.length - 1);
        }
        let length = 0;
        for (const position of positions) length = Math.max(length, position + 1);
        const hidden = model.hidden({
          ids: tensor(Int32Array.from(ids)),
          positions: tensor(Int32Array.from(positions)),
          length,
          segments: segmentsOf(counts),
          cache: { store: cache, counts },
        }); // [tokens, D]
        cache.advance(counts);
        // A vocabulary's worth of logits per token is the costliest part of reading a prompt: only the last rows get them.
        const ends = ids.length === rows.length ? hidden : embedding(tensor(Int32Array.from(last)), hidden);
        return use(linear(ends, model.outputWeight())); // [rows, V]
      }),
    );
  }

  /**
   * Draws a token per row of logits [rows, V]. Sequence s draws with seed + s, its n-th token with offset n: what is drawn does not depend on the rest
   * of the batch.
   */
  private draw(logits: Tensor, rows: readonly number[]): Sampled {
    const { temperature, topK, topP, minP, seed } = this.options;
    const rules = { temperature, topK, topP, minP };
    if (temperature === 0) return sampleTokens(logits, { ...rules, seed: 0, offset: 0 });
    const [, vocab] = logits.shape;
    const bytes = logits.byteLength / rows.length;
    const drawn = rows.map((index, row) =>
      sampleTokens(rows.length === 1 ? logits : logits.alias([1, vocab], row * bytes), {
        ...rules,
        seed: (seed + index) % 2 ** 53,
        offset: this.sequences[index].drawn,
      }),
    );
    if (drawn.length === 1) return drawn[0];
    return {
      ids: concat(drawn.map(({ ids }) => ids)),
      logProbs: concat(drawn.map(({ logProbs }) => logProbs)),
    };
  }

  /** Like `draw`, after the repetition penalty, which is applied on the host. */
  private async drawPenalised(rows: readonly number[]): Promise<Sampled> {
    const logits = this.forward(rows, (all) => all);
    try {
      const values = penalised(
        await logits.data(),
        rows.map((index) => this.sequences[index].ids),
        this.options.repetitionPenalty,
      );
      return noGrad(() => scope(() => this.draw(tensor(values, { shape: logits.shape }), rows)));
    } finally {
      logits.dispose();
    }
  }
}
