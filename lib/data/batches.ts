/**
 * Training batches from token shards. A batch is a function of (seed, step) alone: there is no state to save but the
 * step counter, and a resumed run sees exactly what an uninterrupted one would have seen.
 */
import { createHash } from "node:crypto";
import { ConfigError, DataError, didYouMean } from "../errors.js";
import { checkInteger, checkOptions } from "./options.js";
import { Permutation } from "./permutation.js";
import { Stream, uniform } from "./philox.js";
import { cuSeqlensOf, fillRow } from "./rows.js";
import type { TokenShard } from "./shard.js";
import { TokenStream } from "./stream.js";

export interface TokenBatchesOptions {
  shards: readonly TokenShard[];
  /** T: input tokens per row. */
  sequenceLength: number;
  /** B: rows per batch (of this rank). */
  batchSize: number;
  /** Decides the order; integer in [0, 2^53). Default 0. */
  seed?: number;
  /**
   * `packed` (default): the stream is cut into windows of T + 1 tokens that overlap by one, so that every token but the first is a
   * target once per epoch; their order is a new seeded permutation each epoch. The last, incomplete window is left out.
   * `random`: every row begins at a random token, as nanoGPT draws them.
   */
  mode?: "packed" | "random";
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

/** One batch of token windows. */
export interface TokenBatch {
  /** The step it belongs to. */
  step: number;
  /** Passes over the data finished when the batch begins, with fraction (packed), or tokens drawn per token (random). */
  epoch: number;
  /** [B, T] row-major token ids. */
  inputs: Int32Array;
  /** [B, T] row-major: the token after each input; −100 where none is wanted. */
  targets: Int32Array;
  /**
   * With `documentMask`: boundaries of sequences in the flattened [B·T] tokens, from 0 to B·T. Every row's start is one.
   */
  cuSeqlens?: Int32Array;
  /** With `documentMask`: length of the longest sequence. */
  maxSeqlen?: number;
}

const OPTIONS = [
  "shards",
  "sequenceLength",
  "batchSize",
  "seed",
  "mode",
  "documentMask",
  "rank",
  "worldSize",
] as const;
const MODES = ["packed", "random"] as const;

export class TokenBatches {
  readonly sequenceLength: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly mode: "packed" | "random";
  /** Windows in one epoch (packed), or possible beginnings (random). */
  readonly windows: number;
  /** Steps that make one pass over the data; a fraction in general. */
  readonly stepsPerEpoch: number;
  /** SHA-256 of all that decides the batches, for checking that a resumed run goes on with the same data. */
  readonly fingerprint: string;
  private readonly stream: TokenStream;
  private readonly documentMask: boolean;
  private readonly rank: number;
  private readonly globalBatch: number;
  private permutation?: { epoch: number; order: Permutation };

  /**
   * @throws ConfigError for options that are unknown or out of range; DataError when the data is shorter than one window.
   */
  constructor(options: TokenBatchesOptions) {
    checkOptions("TokenBatches", options, OPTIONS);
    const { mode = "packed", seed = 0, documentMask = false, rank = 0, worldSize = 1 } = options;
    if (!MODES.includes(mode)) {
      throw new ConfigError(
        `mode must be "packed" or "random", got "${mode}".${didYouMean(String(mode), MODES)}`,
        {
          mode,
        },
      );
    }
    this.sequenceLength = checkInteger("sequenceLength", options.sequenceLength, 1);
    this.batchSize = checkInteger("batchSize", options.batchSize, 1);
    this.seed = checkInteger("seed", seed, 0);
    this.globalBatch = this.batchSize * checkInteger("worldSize", worldSize, 1);
    this.rank = checkInteger("rank", rank, 0, worldSize - 1);
    this.mode = mode;
    this.documentMask = documentMask;
    this.stream = new TokenStream(options.shards);
    const T = this.sequenceLength;
    const { length } = this.stream;
    if (length < T + 1) {
      throw new DataError(
        `The data has ${length} tokens, but one sequence of ${T} needs ${T + 1}. ` +
          `Use a longer text${length > 1 ? `, or a sequence length of at most ${length - 1}` : ""}.`,
        { tokens: length, sequenceLength: T },
      );
    }
    this.windows = mode === "packed" ? Math.floor((length - 1) / T) : length - T;
    this.stepsPerEpoch = (mode === "packed" ? this.windows : length / T) / this.globalBatch;
    const identity = {
      shards: options.shards.map((shard) => shard.header.payloadSha256),
      tokenizer: options.shards[0].header.tokenizerFingerprint,
      sequenceLength: T,
      globalBatch: this.globalBatch,
      seed,
      mode,
      documentMask,
    };
    this.fingerprint = createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  }

  /** First token of each row of a step, in the stream of all shards. */
  rowStarts(step: number): number[] {
    checkInteger("step", step, 0);
    const starts: number[] = [];
    for (let row = 0; row < this.batchSize; row++) {
      const globalRow = this.rank * this.batchSize + row;
      if (this.mode === "random") {
        starts.push(Math.floor(uniform(this.seed, Stream.Offset, step, globalRow) * this.windows));
      } else {
        const index = step * this.globalBatch + globalRow;
        const epoch = Math.floor(index / this.windows);
        starts.push(this.order(epoch).at(index % this.windows) * this.sequenceLength);
      }
    }
    return starts;
  }

  /** The batch of a step: any step, in any order, always the same. */
  async batchAt(step: number): Promise<TokenBatch> {
    const { batchSize: B, sequenceLength: T } = this;
    const inputs = new Int32Array(B * T);
    const targets = new Int32Array(B * T);
    const starts = this.rowStarts(step);
    const boundaries: number[][] = [];
    for (let row = 0; row < B; row++) {
      boundaries.push(
        await fillRow(this.stream, starts[row], T, inputs, targets, row * T, this.documentMask),
      );
    }
    return {
      step,
      epoch: step / this.stepsPerEpoch,
      inputs,
      targets,
      ...(this.documentMask && cuSeqlensOf(boundaries, T)),
    };
  }

  private order(epoch: number): Permutation {
    if (this.permutation?.epoch !== epoch) {
      this.permutation = { epoch, order: new Permutation(this.windows, this.seed, epoch) };
    }
    return this.permutation.order;
  }
}
