/** Where rows come from: windows over a stream, or a plan of whole documents. */
import { DataError } from "../../errors.js";
import type { RowContent } from "../rows.js";
import type { TokenShard } from "../shard.js";
import { TokenStream } from "../stream.js";
import type { PackingPlan } from "./plan.js";

/** The rows of one dataset, numbered. */
export interface RowSource {
  readonly stream: TokenStream;
  /** Input tokens per row. */
  readonly sequenceLength: number;
  /** Rows in one pass over the data. */
  readonly rows: number;
  /** All that decides the rows, as a JSON value. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** @param documents whether `starts` are needed */
  row(index: number, documents: boolean): RowContent;
}

const shardIdentity = ({ shards }: TokenStream) => ({
  shards: shards.map((shard) => shard.header.payloadSha256),
  tokenizer: shards[0].header.tokenizerFingerprint,
});

/**
 * Windows of T + 1 tokens that overlap by one, so that every token but the first is a target once. The last, incomplete
 * window is left out.
 */
export class WindowRows implements RowSource {
  readonly stream: TokenStream;
  readonly rows: number;
  readonly identity: Readonly<Record<string, unknown>>;

  /** @throws DataError when the stream is shorter than one window. */
  constructor(
    shards: readonly TokenShard[],
    readonly sequenceLength: number,
  ) {
    this.stream = new TokenStream(shards);
    const { length } = this.stream;
    if (length < sequenceLength + 1) {
      throw new DataError(
        `The data has ${length} tokens, but one sequence of ${sequenceLength} needs ${sequenceLength + 1}. ` +
          `Use a longer text${length > 1 ? `, or a sequence length of at most ${length - 1}` : ""}.`,
        { tokens: length, sequenceLength },
      );
    }
    this.rows = Math.floor((length - 1) / sequenceLength);
    this.identity = { ...shardIdentity(this.stream), sequenceLength };
  }

  row(index: number, documents: boolean): RowContent {
    return this.window(index * this.sequenceLength, documents);
  }

  /** The window that begins at any token. */
  window(start: number, documents: boolean): RowContent {
    const { stream, sequenceLength } = this;
    return windowAt(stream, start, sequenceLength + 1, documents);
  }
}

/** A row of `length` tokens from `start` on. */
export function windowAt(stream: TokenStream, start: number, length: number, documents: boolean): RowContent {
  return {
    stream,
    pieces: [start, length],
    starts: documents ? stream.documentStarts(start, length) : [],
  };
}

/** The rows of a plan. */
export class PlannedRows implements RowSource {
  readonly stream: TokenStream;
  readonly sequenceLength: number;
  readonly rows: number;
  readonly identity: Readonly<Record<string, unknown>>;

  constructor(
    shards: readonly TokenShard[],
    private readonly plan: PackingPlan,
  ) {
    this.stream = new TokenStream(shards);
    const { sequenceLength, aligned, crop, key } = plan.header;
    this.sequenceLength = sequenceLength;
    this.rows = plan.rows;
    this.identity = { ...shardIdentity(this.stream), sequenceLength, aligned, crop, plan: key };
  }

  row(index: number, documents: boolean): RowContent {
    const pieces = this.plan.row(index);
    const starts: number[] = [];
    if (documents) {
      for (let i = 1, place = 0; i + 2 < pieces.length; i += 2) starts.push((place += pieces[i]));
    }
    return { stream: this.stream, pieces, starts };
  }
}
