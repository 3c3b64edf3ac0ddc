/** Encoded conversations in memory, packed into rows of equal length, and batches of them for training. */
import { createHash, type Hash } from "node:crypto";
import { ConfigError, DataError, didYouMean } from "../../errors.js";
import { packDocuments } from "../../native/text/packing.js";
import { type BatchOptions, BatchShape, RowOrder, type TokenBatch } from "../batches.js";
import { checkInteger, checkOptions } from "../options.js";
import { cuSeqlensOf, IGNORE_INDEX } from "../rows.js";
import type { EncodedConversation } from "./encode.js";

/** Conversations one after the other: five bytes per token. */
export class ChatTokens {
  private ids = new Int32Array(1 << 16);
  private masks = new Uint8Array(1 << 16);
  private starts = new Float64Array(1 << 10);
  private hash: Hash = createHash("sha256");
  private total = 0;
  /** Conversations that were added. */
  conversations = 0;
  /** Tokens that are learnt. */
  learnt = 0;

  /** Adds a conversation; false, and nothing is added, when none of its tokens is learnt. */
  add({ ids, mask }: EncodedConversation): boolean {
    let learnt = 0;
    for (const wanted of mask) learnt += wanted;
    if (learnt === 0) return false;
    const end = this.total + ids.length;
    if (end > this.ids.length) {
      this.ids = grown(this.ids, Int32Array, end);
      this.masks = grown(this.masks, Uint8Array, end);
    }
    if (this.conversations + 2 > this.starts.length) {
      this.starts = grown(this.starts, Float64Array, this.conversations + 2);
    }
    this.ids.set(ids, this.total);
    this.masks.set(mask, this.total);
    this.hash.update(ids).update(mask);
    this.total = end;
    this.learnt += learnt;
    this.starts[++this.conversations] = end;
    return true;
  }

  /** Tokens of all conversations. */
  get length(): number {
    return this.total;
  }

  /** First token of every conversation, and the length at the end. */
  get bounds(): Float64Array {
    return this.starts.subarray(0, this.conversations + 1);
  }

  /** SHA-256 of all tokens and masks. */
  get digest(): string {
    return this.hash.copy().digest("hex");
  }

  token(index: number): number {
    return this.ids[index];
  }

  isLearnt(index: number): boolean {
    return this.masks[index] === 1;
  }
}

function grown<A extends Int32Array | Uint8Array | Float64Array>(
  array: A,
  Type: new (length: number) => A,
  least: number,
): A {
  const larger = new Type(Math.max(least, 2 * array.length));
  larger.set(array as never);
  return larger;
}

/** How rows are made: several whole conversations by best fit, or one conversation each. */
export const CHAT_PACKINGS = ["best-fit", "none"] as const;
export type ChatPacking = (typeof CHAT_PACKINGS)[number];

export interface ChatBatchesOptions extends Omit<BatchOptions, "documentMask"> {
  tokens: ChatTokens;
  /** T: input tokens per row. Of a longer conversation the first T + 1 tokens are kept. */
  sequenceLength: number;
  /** Default `best-fit`. */
  packing?: ChatPacking;
}

/** What packing made of the conversations. */
export interface ChatPackingReport {
  rows: number;
  conversations: number;
  /** Conversations of which only the beginning fits. */
  truncated: number;
  /** Share of the rows' places without a token. */
  padding: number;
}

const OPTIONS = ["tokens", "sequenceLength", "packing", "batchSize", "seed", "rank", "worldSize"] as const;

/**
 * Batches of conversations that do not see each other. A batch is a function of (seed, step) alone, and each pass has an
 * order of its own.
 */
export class ChatBatches {
  readonly sequenceLength: number;
  readonly stepsPerEpoch: number;
  readonly report: ChatPackingReport;
  /** SHA-256 of all that decides the batches. */
  readonly fingerprint: string;
  private readonly order: RowOrder;

  private constructor(
    private readonly tokens: ChatTokens,
    private readonly pieces: BigUint64Array,
    private readonly ends: Uint32Array,
    private readonly shape: BatchShape,
    options: ChatBatchesOptions,
    report: ChatPackingReport,
  ) {
    this.sequenceLength = options.sequenceLength;
    this.report = report;
    this.stepsPerEpoch = report.rows / shape.globalBatch;
    this.order = new RowOrder(report.rows, shape.seed);
    const { sequenceLength, packing = "best-fit" } = options;
    const { globalBatch, seed } = shape;
    this.fingerprint = createHash("sha256")
      .update(JSON.stringify({ tokens: tokens.digest, sequenceLength, packing, globalBatch, seed }))
      .digest("hex");
  }

  /**
   * Packs the conversations.
   * @throws ConfigError for options that are not valid; DataError when there is no conversation.
   */
  static async create(options: ChatBatchesOptions): Promise<ChatBatches> {
    checkOptions("ChatBatches", options, OPTIONS);
    const { tokens, packing = "best-fit" } = options;
    if (!CHAT_PACKINGS.includes(packing)) {
      throw new ConfigError(
        `packing must be one of ${CHAT_PACKINGS.join(", ")}, got "${packing}".${didYouMean(String(packing), CHAT_PACKINGS)}`,
        { packing },
      );
    }
    const capacity = checkInteger("sequenceLength", options.sequenceLength, 1, 2 ** 24 - 2) + 1;
    if (tokens.conversations === 0) {
      throw new DataError("There is no conversation with tokens to learn. Check the data and the mask.", {});
    }
    const shape = new BatchShape(options);
    const bounds = tokens.bounds;
    let truncated = 0;
    for (let i = 0; i < tokens.conversations; i++) if (bounds[i + 1] - bounds[i] > capacity) truncated++;
    const { pieces, ends } =
      packing === "best-fit"
        ? await packDocuments(bounds, { capacity, aligned: true, crop: false, buffer: 1 })
        : oneEach(bounds, capacity);
    let kept = 0;
    for (const piece of pieces) kept += Number(piece & LENGTH_MASK);
    const report = {
      rows: ends.length,
      conversations: tokens.conversations,
      truncated,
      padding: 1 - kept / (ends.length * capacity),
    };
    return new ChatBatches(tokens, pieces, ends, shape, options, report);
  }

  /** The batch of a step: any step, in any order, always the same. */
  async batchAt(step: number): Promise<TokenBatch> {
    const { sequenceLength: T, tokens } = this;
    const rows = this.shape.rows(step);
    const inputs = new Int32Array(rows.length * T);
    const targets = new Int32Array(rows.length * T).fill(IGNORE_INDEX);
    const boundaries = rows.map((number, r) => {
      const inside: number[] = [];
      let place = 0;
      for (const [start, length] of this.piecesOf(this.order.at(step * this.shape.globalBatch + number))) {
        if (place > 0 && place < T) inside.push(place);
        for (let i = 0; i < length && place + i < T; i++) {
          inputs[r * T + place + i] = tokens.token(start + i);
          const next = start + i + 1;
          if (i + 1 < length && tokens.isLearnt(next)) targets[r * T + place + i] = tokens.token(next);
        }
        place += length;
      }
      if (place < T) inside.push(place);
      return inside;
    });
    return { step, epoch: step / this.stepsPerEpoch, inputs, targets, ...cuSeqlensOf(boundaries, T) };
  }

  /** Start and length of the conversations in a row. */
  private *piecesOf(row: number): Generator<[start: number, length: number]> {
    for (let i = row === 0 ? 0 : this.ends[row - 1]; i < this.ends[row]; i++) {
      yield [Number(this.pieces[i] >> LENGTH_BITS), Number(this.pieces[i] & LENGTH_MASK)];
    }
  }
}

/** A piece is start · 2^24 + length. */
const LENGTH_BITS = 24n;
const LENGTH_MASK = (1n << LENGTH_BITS) - 1n;

/** A row for each conversation. */
function oneEach(bounds: Float64Array, capacity: number): { pieces: BigUint64Array; ends: Uint32Array } {
  const count = bounds.length - 1;
  const pieces = new BigUint64Array(count);
  for (let i = 0; i < count; i++) {
    pieces[i] = (BigInt(bounds[i]) << LENGTH_BITS) | BigInt(Math.min(capacity, bounds[i + 1] - bounds[i]));
  }
  return { pieces, ends: Uint32Array.from(pieces, (_, i) => i + 1) };
}
