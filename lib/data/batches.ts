/**
 * Training batches from token shards. A batch is a function of (seed, step) alone: there is no state to save but the
 * step counter, and a resumed run sees exactly what an uninterrupted one would have seen.
 */
import { createHash } from "node:crypto";
import { ConfigError, didYouMean } from "../errors.js";
import { checkInteger, checkOptions } from "./options.js";
import type { PackingPlan } from "./packing/plan.js";
import { PlannedRows, type RowSource, WindowRows } from "./packing/row-source.js";
import { Permutation } from "./permutation.js";
import { Stream, uniform } from "./philox.js";
import { type FilledRows, fillRows, type RowContent } from "./rows.js";
import type { TokenShard } from "./shard.js";

/** Options that all sources of batches share. */
export interface BatchOptions {
  /** B: rows per batch (of this rank). */
  batchSize: number;
  /** Decides the order; integer in [0, 2^53). Default 0. */
  seed?: number;
  /**
   * Keep documents apart: batches carry `cuSeqlens`, and targets that belong to another document than their input are
   * set to −100. Default false: attention and targets run across documents.
   */
  documentMask?: boolean;
  /** Which share of every global batch of `batchSize × worldSize` rows this process takes. Default 0. */
  rank?: number;
  /** Number of processes that share each global batch. Default 1. */
  worldSize?: number;
}

export interface TokenBatchesOptions extends BatchOptions {
  shards: readonly TokenShard[];
  /** T: input tokens per row. */
  sequenceLength: number;
  /**
   * `packed` (default): rows are those of `plan`, or else the stream is cut into windows of T + 1 tokens that overlap by one, so that every
   * token but the first is a target once per epoch; their order is a new seeded permutation each epoch. The last, incomplete window is left out.
   * `random`: every row begins at a random token, as nanoGPT draws them.
   */
  mode?: "packed" | "random";
  /** Rows of whole documents for mode `packed`: `PackingPlan.open` with the same shards and sequence length. */
  plan?: PackingPlan;
}

/** One batch of rows. */
export interface TokenBatch extends FilledRows {
  /** The step it belongs to. */
  step: number;
  /** Passes over the data finished when the batch begins, with fraction (packed), or tokens drawn per token (random). */
  epoch: number;
}

const OPTIONS = [
  "shards",
  "sequenceLength",
  "batchSize",
  "seed",
  "mode",
  "plan",
  "documentMask",
  "rank",
  "worldSize",
] as const;
const MODES = ["packed", "random"] as const;

/** The share of each global batch that a process takes. */
export class BatchShape {
  readonly batchSize: number;
  readonly seed: number;
  readonly documentMask: boolean;
  /** Rows of all processes together. */
  readonly globalBatch: number;
  private readonly firstRow: number;

  constructor(options: BatchOptions) {
    const { rank = 0, worldSize = 1 } = options;
    this.batchSize = checkInteger("batchSize", options.batchSize, 1);
    this.seed = checkInteger("seed", options.seed ?? 0, 0);
    this.documentMask = options.documentMask ?? false;
    this.globalBatch = this.batchSize * checkInteger("worldSize", worldSize, 1);
    this.firstRow = checkInteger("rank", rank, 0, worldSize - 1) * this.batchSize;
  }

  /** Numbers of this process's rows within the global batch of a step. */
  rows(step: number): number[] {
    checkInteger("step", step, 0);
    return Array.from({ length: this.batchSize }, (_, row) => this.firstRow + row);
  }
}

/** The order of a source's rows: a new seeded permutation in each pass. */
export class RowOrder {
  private permutation?: { epoch: number; order: Permutation };

  constructor(
    private readonly rows: number,
    private readonly seed: number,
  ) {}

  /** The row that comes at a place, counted from the first pass on. */
  at(place: number): number {
    const epoch = Math.floor(place / this.rows);
    if (this.permutation?.epoch !== epoch) {
      this.permutation = { epoch, order: new Permutation(this.rows, this.seed, epoch) };
    }
    return this.permutation.order.at(place % this.rows);
  }
}

/** Batches of one dataset. */
export class TokenBatches {
  readonly sequenceLength: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly mode: "packed" | "random";
  /** Rows in one epoch (packed), or possible beginnings (random). */
  readonly windows: number;
  /** Steps that make one pass over the data; a fraction in general. */
  readonly stepsPerEpoch: number;
  /** SHA-256 of all that decides the batches, for checking that a resumed run goes on with the same data. */
  readonly fingerprint: string;
  private readonly source: RowSource;
  private readonly shape: BatchShape;
  private readonly order: RowOrder;
  /** For mode `random`. */
  private readonly anywhere: WindowRows | undefined;

  constructor(options: TokenBatchesOptions) {
    checkOptions("TokenBatches", options, OPTIONS);
    const { shards, plan, mode = "packed" } = options;
    if (!MODES.includes(mode)) {
      throw new ConfigError(
        `mode must be "packed" or "random", got "${mode}".${didYouMean(String(mode), MODES)}`,
        { mode },
      );
    }
    const T = checkInteger("sequenceLength", options.sequenceLength, 1);
    if (plan !== undefined && (mode === "random" || plan.header.sequenceLength !== T)) {
      throw new ConfigError(
        mode === "random"
          ? "Rows at random places have no plan: leave out either mode: random or plan."
          : `The packing plan has rows of ${plan.header.sequenceLength} tokens, the batches were to have ${T}.`,
        { mode, sequenceLength: T },
      );
    }
    this.shape = new BatchShape(options);
    const { batchSize, seed, globalBatch, documentMask } = this.shape;
    this.sequenceLength = T;
    this.batchSize = batchSize;
    this.seed = seed;
    this.mode = mode;
    this.anywhere = mode === "random" ? new WindowRows(shards, T) : undefined;
    this.source =
      this.anywhere ?? (plan === undefined ? new WindowRows(shards, T) : new PlannedRows(shards, plan));
    const { length } = this.source.stream;
    this.windows = mode === "packed" ? this.source.rows : length - T;
    this.stepsPerEpoch = (mode === "packed" ? this.windows : length / T) / globalBatch;
    this.order = new RowOrder(this.windows, seed);
    const identity = { ...this.source.identity, globalBatch, seed, mode, documentMask };
    this.fingerprint = createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  }

  /** First token of each row of a step, in the stream of all shards. */
  rowStarts(step: number): number[] {
    return this.rowsOf(step, false).map((row) => row.pieces[0]);
  }

  /** The batch of a step: any step, in any order, always the same. */
  async batchAt(step: number): Promise<TokenBatch> {
    const { documentMask } = this.shape;
    const filled = await fillRows(this.rowsOf(step, documentMask), this.sequenceLength, documentMask);
    return { step, epoch: step / this.stepsPerEpoch, ...filled };
  }

  private rowsOf(step: number, documents: boolean): RowContent[] {
    const { seed, globalBatch } = this.shape;
    return this.shape.rows(step).map((row) => {
      if (this.anywhere === undefined) {
        return this.source.row(this.order.at(step * globalBatch + row), documents);
      }
      const start = Math.floor(uniform(seed, Stream.Offset, step, row) * this.windows);
      return this.anywhere.window(start, documents);
    });
  }
}
