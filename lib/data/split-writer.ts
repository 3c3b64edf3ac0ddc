/** Writes one split as a row of shards. */
import { join } from "node:path";
import { TokenizerError } from "../errors.js";
import type { EncodedPiece, Tokenizer } from "../tokenizer/tokenizer.js";
import { ByteCounts } from "./baselines.js";
import type { SplitRecord } from "./manifest.js";
import { ShardWriter } from "./shard-writer.js";

export interface SplitWriterOptions {
  dir: string;
  /** Beginning of the shards' names. */
  prefix: string;
  tokenizer: Tokenizer;
  /** Tokens after which a new shard begins. */
  shardTokens: number;
  provenance: Record<string, unknown>;
  /** Put the begin token before each document. */
  bos: boolean;
  /** Put the end token after each document. */
  eos: boolean;
}

/** Takes the documents of one split; `close` completes the last shard. */
export class SplitWriter {
  readonly record: SplitRecord = { shards: [], tokens: 0, bytes: 0, documents: 0 };
  readonly counts = new ByteCounts();
  private shard?: ShardWriter;

  constructor(private readonly options: SplitWriterOptions) {}

  /**
   * Encodes and writes a document, piece by piece.
   * @param source where the text comes from, for messages
   * @param between called after each piece with the bytes of text it had
   * @throws TokenizerError naming the source when the text cannot be encoded.
   */
  async add(text: string, source: string, between: (bytes: number) => Promise<void>): Promise<void> {
    if (text.length === 0) return;
    const { tokenizer, bos, eos } = this.options;
    const documentBytes = Buffer.from(text);
    this.counts.add(documentBytes);
    this.record.documents++;
    (await this.current()).beginDocument();
    if (bos && tokenizer.bosId !== undefined) await this.write([tokenizer.bosId], 0);
    for (const { text: piece, ids } of this.encoded(text, source)) {
      const bytes = Buffer.byteLength(piece);
      await this.write(ids, bytes);
      await between(bytes);
    }
    if (eos && tokenizer.eosId !== undefined) await this.write([tokenizer.eosId], 0);
  }

  async close(): Promise<void> {
    await this.shard?.close();
    this.shard = undefined;
  }

  async abort(): Promise<void> {
    await this.shard?.abort();
    this.shard = undefined;
  }

  private *encoded(text: string, source: string): Generator<EncodedPiece> {
    try {
      yield* this.options.tokenizer.encodePieces(text);
    } catch (error) {
      if (!(error instanceof TokenizerError)) throw error;
      throw new TokenizerError(`${source}: ${error.message}`, { ...error.details, source }, { cause: error });
    }
  }

  private async write(ids: ArrayLike<number>, bytes: number): Promise<void> {
    if (ids.length === 0) return;
    const shard = await this.current();
    await shard.write(ids, bytes, this.options.tokenizer.tokenBytes(ids[0]));
    this.record.tokens += ids.length;
    this.record.bytes += bytes;
    if (shard.tokens >= this.options.shardTokens) await this.close();
  }

  private async current(): Promise<ShardWriter> {
    if (this.shard === undefined) {
      const { dir, prefix, tokenizer, provenance } = this.options;
      const index = this.record.shards.length;
      const name = `${prefix}-${String(index).padStart(5, "0")}.tokens`;
      this.shard = await ShardWriter.create(join(dir, name), {
        vocabSize: tokenizer.vocabSize,
        tokenizerFingerprint: tokenizer.fingerprint,
        provenance: { ...provenance, index },
      });
      this.record.shards.push(name);
    }
    return this.shard;
  }
}
