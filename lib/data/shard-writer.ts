/** Writes token shards: under a temporary name, then fsync and rename, so that a shard is whole or not there. */
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { DataError } from "../errors.js";
import { temporaryName } from "../io/atomic.js";
import {
  type FileSystem,
  type FileSystemHandle,
  nodeFileSystem,
  removeQuietly,
  syncDirectory,
  writeFully,
} from "../io/filesystem.js";
import { diskError } from "./disk-error.js";
import { encodeHeader, type ShardHeader, tokenSectionBytes } from "./shard-format.js";

export interface ShardWriterOptions {
  /** Size of the vocabulary; decides whether a token takes 2 or 4 bytes. */
  vocabSize: number;
  /** Fingerprint of the tokenizer (64 hexadecimal digits). */
  tokenizerFingerprint: string;
  /** Where the tokens come from: any JSON value. */
  provenance?: unknown;
  /** Another file system, for tests. */
  fs?: FileSystem;
}

const BUFFER_BYTES = 2 ** 20;

/** One shard being written. Call `close` to make it visible, or `abort` to leave nothing behind. */
export class ShardWriter {
  private readonly hash = createHash("sha256");
  private readonly buffer: Uint16Array | Uint32Array;
  private readonly documentStarts: number[] = [];
  private readonly header: ShardHeader;
  private buffered = 0;
  private position: number;

  private constructor(
    readonly path: string,
    private readonly temporary: string,
    private readonly file: FileSystemHandle,
    private readonly fs: FileSystem,
    private readonly options: ShardWriterOptions,
  ) {
    const bytesPerToken = options.vocabSize <= 0x10000 ? 2 : 4;
    this.buffer = bytesPerToken === 2 ? new Uint16Array(BUFFER_BYTES / 2) : new Uint32Array(BUFFER_BYTES / 4);
    this.header = {
      bytesPerToken,
      tokens: 0,
      documents: 0,
      textBytes: 0,
      firstTokenBytes: 0,
      payloadSha256: "0".repeat(64),
      tokenizerFingerprint: options.tokenizerFingerprint,
      provenance: options.provenance ?? null,
    };
    this.position = encodeHeader(this.header).length;
  }

  /** @throws DataError when the disk refuses. */
  static async create(path: string, options: ShardWriterOptions): Promise<ShardWriter> {
    const fs = options.fs ?? nodeFileSystem;
    try {
      await fs.mkdir(dirname(path), { recursive: true });
      const temporary = temporaryName(path);
      return new ShardWriter(path, temporary, await fs.open(temporary, "wx"), fs, options);
    } catch (error) {
      throw await diskError(error, `token shard ${basename(path)}`, dirname(path));
    }
  }

  /** Tokens written so far. */
  get tokens(): number {
    return this.header.tokens;
  }

  /** Marks the next token as the first of a document. */
  beginDocument(): void {
    if (this.documentStarts.at(-1) !== this.header.tokens) this.documentStarts.push(this.header.tokens);
  }

  /**
   * Appends tokens.
   * @param textBytes bytes of UTF-8 text that these tokens stand for
   * @param firstTokenBytes bytes of text of the first of them; kept for the first token of the shard
   * @throws DataError when an id lies outside the vocabulary, or the disk refuses.
   */
  async write(ids: ArrayLike<number>, textBytes: number, firstTokenBytes = 0): Promise<void> {
    if (this.header.tokens === 0 && ids.length > 0) this.header.firstTokenBytes = firstTokenBytes;
    this.check(ids);
    for (let begin = 0; begin < ids.length; ) {
      const end = Math.min(ids.length, begin + this.buffer.length - this.buffered);
      if (ids instanceof Int32Array) this.buffer.set(ids.subarray(begin, end), this.buffered);
      else for (let i = begin; i < end; i++) this.buffer[this.buffered + i - begin] = ids[i];
      this.buffered += end - begin;
      begin = end;
      if (this.buffered === this.buffer.length) await this.flush();
    }
    this.header.tokens += ids.length;
    this.header.textBytes += textBytes;
  }

  /**
   * Completes the file and gives it its name.
   * @throws DataError when the disk refuses; nothing is left behind then.
   */
  async close(): Promise<ShardHeader> {
    try {
      await this.flush();
      const { tokens, bytesPerToken } = this.header;
      await this.append(Buffer.alloc(tokenSectionBytes(tokens, bytesPerToken) - tokens * bytesPerToken));
      // A document that was begun but has no token is none.
      const documents = this.documentStarts.length - (this.documentStarts.at(-1) === tokens ? 1 : 0);
      const offsets = new Uint32Array(documents * 2);
      for (let i = 0; i < documents; i++) {
        offsets[2 * i] = this.documentStarts[i] >>> 0;
        offsets[2 * i + 1] = this.documentStarts[i] / 0x100000000;
      }
      await this.append(Buffer.from(offsets.buffer));
      this.header.documents = documents;
      this.header.payloadSha256 = this.hash.digest("hex");
      await writeFully(this.file, encodeHeader(this.header), 0);
      await this.file.sync();
      await this.file.close();
      await this.fs.rename(this.temporary, this.path);
      await syncDirectory(this.fs, dirname(this.path));
      return this.header;
    } catch (error) {
      await this.abort();
      throw await this.explained(error);
    }
  }

  /** Gives up: the temporary file is removed. */
  async abort(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await removeQuietly(this.fs, this.temporary);
  }

  private check(ids: ArrayLike<number>): void {
    const { vocabSize } = this.options;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (id >= 0 && id < vocabSize) continue;
      throw new DataError(
        `Token id ${id} lies outside the vocabulary of ${vocabSize} while writing ${this.path}.`,
        { id, vocabSize },
      );
    }
  }

  private async flush(): Promise<void> {
    if (this.buffered === 0) return;
    const bytes = Buffer.from(this.buffer.buffer, 0, this.buffered * this.buffer.BYTES_PER_ELEMENT);
    this.buffered = 0;
    await this.append(bytes);
  }

  private async append(bytes: Uint8Array): Promise<void> {
    try {
      await writeFully(this.file, bytes, this.position, this.hash);
    } catch (error) {
      throw await this.explained(error);
    }
    this.position += bytes.length;
  }

  private explained(error: unknown): Promise<unknown> {
    return diskError(error, `token shard ${basename(this.path)}`, dirname(this.path));
  }
}
