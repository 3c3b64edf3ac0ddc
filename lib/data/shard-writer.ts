/** Writes token shards: under a temporary name, then fsync and rename, so that a shard is whole or not there. */
import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { DataError } from "../errors.js";
import { encodeHeader, type ShardHeader, tokenSectionBytes } from "./shard-format.js";

export interface ShardWriterOptions {
  /** Size of the vocabulary; decides whether a token takes 2 or 4 bytes. */
  vocabSize: number;
  /** Fingerprint of the tokenizer (64 hexadecimal digits). */
  tokenizerFingerprint: string;
  /** Where the tokens come from: any JSON value. */
  provenance?: unknown;
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
    private readonly file: FileHandle,
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

  static async create(path: string, options: ShardWriterOptions): Promise<ShardWriter> {
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.tmp-${randomUUID()}`;
    return new ShardWriter(path, temporary, await open(temporary, "wx"), options);
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
   * @throws DataError when an id lies outside the vocabulary.
   */
  async write(ids: ArrayLike<number>, textBytes: number, firstTokenBytes = 0): Promise<void> {
    if (this.header.tokens === 0 && ids.length > 0) this.header.firstTokenBytes = firstTokenBytes;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (!(id >= 0 && id < this.options.vocabSize)) {
        throw new DataError(
          `Token id ${id} lies outside the vocabulary of ${this.options.vocabSize} while writing ${this.path}.`,
          { id, vocabSize: this.options.vocabSize },
        );
      }
      this.buffer[this.buffered++] = id;
      if (this.buffered === this.buffer.length) await this.flush();
    }
    this.header.tokens += ids.length;
    this.header.textBytes += textBytes;
  }

  /** Completes the file and gives it its name. */
  async close(): Promise<ShardHeader> {
    try {
      await this.flush();
      const { tokens, bytesPerToken } = this.header;
      await this.append(Buffer.alloc(tokenSectionBytes(tokens, bytesPerToken) - tokens * bytesPerToken));
      // A document that was begun but has no token is none.
      const starts = this.documentStarts.filter((start) => start < tokens);
      const offsets = Buffer.alloc(starts.length * 8);
      starts.forEach((start, i) => {
        offsets.writeBigUInt64LE(BigInt(start), i * 8);
      });
      await this.append(offsets);
      this.header.documents = starts.length;
      this.header.payloadSha256 = this.hash.digest("hex");
      const head = encodeHeader(this.header);
      await this.file.write(head, 0, head.length, 0);
      await this.file.sync();
      await this.file.close();
      await rename(this.temporary, this.path);
      await syncFolder(dirname(this.path));
      return this.header;
    } catch (error) {
      await this.abort();
      throw this.explained(error);
    }
  }

  /** Gives up: the temporary file is removed. */
  async abort(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await rm(this.temporary, { force: true });
  }

  private async flush(): Promise<void> {
    if (this.buffered === 0) return;
    const { buffer } = this.buffer;
    const bytes = Buffer.from(buffer, 0, this.buffered * this.buffer.BYTES_PER_ELEMENT);
    this.buffered = 0;
    await this.append(bytes);
  }

  private async append(bytes: Buffer): Promise<void> {
    this.hash.update(bytes);
    let written = 0;
    while (written < bytes.length) {
      const result = await this.file
        .write(bytes, written, bytes.length - written, this.position + written)
        .catch((error) => {
          throw this.explained(error);
        });
      written += result.bytesWritten;
    }
    this.position += bytes.length;
  }

  private explained(error: unknown): unknown {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOSPC" && code !== "EDQUOT") return error;
    return new DataError(
      `No space left for ${this.path}: free some, or prepare the data in a folder on another disk.`,
      { path: this.path },
      { cause: error },
    );
  }
}

/** Makes a rename durable. Some systems cannot open folders; there the rename is as durable as it gets. */
export async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, "r").catch(() => undefined);
  if (handle === undefined) return;
  try {
    await handle.sync();
  } catch {
    // Not supported by this file system.
  } finally {
    await handle.close();
  }
}
