/** Writes one split as a row of shards, each of which holds whole documents. */
import { join } from "node:path";
import type { FileSystem } from "../io/filesystem.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { ByteCounts } from "./baselines.js";
import type { SplitRecord } from "./manifest.js";
import { ShardWriter } from "./shard-writer.js";

export interface SplitWriterOptions {
  dir: string;
  /** Beginning of the shards' names. */
  prefix: string;
  tokenizer: Tokenizer;
  /** Tokens after which a new shard begins, at the end of a document. */
  shardTokens: number;
  provenance: Record<string, unknown>;
  /** Put the begin token before each document. */
  bos: boolean;
  /** Put the end token after each document. */
  eos: boolean;
  /** What is complete already, from a run that was stopped. */
  done: SplitRecord;
  /** Called after each shard that was completed. */
  onShard: () => Promise<void>;
  fs?: FileSystem;
}

/** Takes the documents of one split; `close` completes the last shard. */
export class SplitWriter {
  /** The complete shards. */
  complete: SplitRecord;
  /** All that was taken, the shard being written included. */
  readonly record: SplitRecord;
  /** Bytes of the texts, for the baselines. */
  readonly counts = new ByteCounts();
  private shard?: ShardWriter;
  private offered = 0;

  constructor(private readonly options: SplitWriterOptions) {
    this.complete = { ...options.done, shards: [...options.done.shards] };
    this.record = { ...options.done, shards: [...options.done.shards] };
  }

  /** Whether the next document is to be written; false where a complete shard has it. Called once for each document. */
  wants(): boolean {
    return this.offered++ >= this.options.done.documents;
  }

  /**
   * Writes a document.
   * @param parts ids one after the other
   * @param bytes bytes of UTF-8 text that they stand for
   */
  async add(parts: readonly ArrayLike<number>[], bytes: number): Promise<void> {
    const { tokenizer, bos, eos } = this.options;
    const shard = await this.current();
    shard.beginDocument();
    this.record.documents++;
    let textBytes = bytes;
    const write = async (ids: ArrayLike<number>) => {
      if (ids.length === 0) return;
      await shard.write(ids, textBytes, tokenizer.tokenBytes(ids[0]));
      this.record.tokens += ids.length;
      textBytes = 0;
    };
    if (bos && tokenizer.bosId !== undefined) await write([tokenizer.bosId]);
    for (const ids of parts) await write(ids);
    if (eos && tokenizer.eosId !== undefined) await write([tokenizer.eosId]);
    this.record.bytes += bytes;
    if (shard.tokens >= this.options.shardTokens) await this.close();
  }

  async close(): Promise<void> {
    if (this.shard === undefined) return;
    await this.shard.close();
    this.shard = undefined;
    this.complete = { ...this.record, shards: [...this.record.shards] };
    await this.options.onShard();
  }

  async abort(): Promise<void> {
    await this.shard?.abort();
    this.shard = undefined;
  }

  private async current(): Promise<ShardWriter> {
    if (this.shard === undefined) {
      const { dir, prefix, tokenizer, provenance, fs } = this.options;
      const index = this.record.shards.length;
      const name = `${prefix}-${String(index).padStart(5, "0")}.tokens`;
      this.shard = await ShardWriter.create(join(dir, name), {
        vocabSize: tokenizer.vocabSize,
        tokenizerFingerprint: tokenizer.fingerprint,
        provenance: { ...provenance, index },
        fs,
      });
      this.record.shards.push(name);
    }
    return this.shard;
  }
}
