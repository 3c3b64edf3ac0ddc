/** Reads token shards: from memory when they are small, else by positioned reads with a read-ahead. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { DataError, FormatError, TokenizerError } from "../errors.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { checkOptions } from "./options.js";
import {
  decodeHeader,
  FIXED_BYTES,
  payloadOffset,
  provenanceLength,
  type ShardHeader,
  tokenSectionBytes,
} from "./shard-format.js";

export interface OpenShardOptions {
  /** Compare the payload with its SHA-256. Default true for shards kept in memory, false for larger ones. */
  checksum?: boolean;
  /** Shards whose payload has at most this many bytes are kept in memory. Default 1 GiB. */
  memoryLimit?: number;
}

const DEFAULT_MEMORY_LIMIT = 2 ** 30;
const READ_AHEAD_BYTES = 2 ** 20;
const HASH_BYTES = 8 * 2 ** 20;

/** Tokens of a shard: either the file's content or a window of it. */
type Tokens = Uint16Array | Uint32Array;

/** An open token shard. */
export class TokenShard {
  /** Tokens in the shard. */
  readonly length: number;
  private window: Tokens;
  private windowStart = 0;
  private nextStart = -1;

  private constructor(
    readonly path: string,
    readonly header: ShardHeader,
    /** Index of the first token of each document, increasing. */
    readonly documentStarts: Float64Array,
    private readonly tokensOffset: number,
    private file: FileHandle | undefined,
    memory: Tokens | undefined,
  ) {
    this.length = header.tokens;
    this.window = memory ?? typed(Buffer.alloc(0), header.bytesPerToken);
  }

  /**
   * Opens a shard and checks it.
   * @throws DataError when the file is missing; FormatError when it is no shard, truncated or damaged.
   */
  static async open(path: string, options: OpenShardOptions = {}): Promise<TokenShard> {
    checkOptions("TokenShard.open", options, ["checksum", "memoryLimit"]);
    const file = await open(path).catch((error) => {
      throw new DataError(
        `Cannot open the token shard ${path}: ${error.message}. Prepare the data again.`,
        { path },
        { cause: error },
      );
    });
    let keep = false;
    try {
      const { size } = await file.stat();
      const fixed = await readBytes(file, 0, Math.min(size, FIXED_BYTES), path);
      const start = payloadOffset(provenanceLength(fixed, path, size));
      const header = decodeHeader(await readBytes(file, 0, start, path), path, size);
      const tokenBytes = tokenSectionBytes(header.tokens, header.bytesPerToken);
      const inMemory = size - start <= (options.memoryLimit ?? DEFAULT_MEMORY_LIMIT);
      const payload = inMemory ? await readBytes(file, start, size - start, path) : undefined;
      if (options.checksum ?? inMemory) await verify(file, start, size, header, path, payload);
      const offsets =
        payload?.subarray(tokenBytes) ??
        (await readBytes(file, start + tokenBytes, header.documents * 8, path));
      const documentStarts = decodeStarts(offsets, header, path);
      keep = !inMemory;
      return new TokenShard(
        path,
        header,
        documentStarts,
        start,
        keep ? file : undefined,
        payload && typed(payload.subarray(0, header.tokens * header.bytesPerToken), header.bytesPerToken),
      );
    } finally {
      if (!keep) await file.close();
    }
  }

  /** Whether the tokens are kept in memory. */
  get inMemory(): boolean {
    return this.file === undefined;
  }

  /**
   * Copies tokens `start` … `start + length − 1` to `out` from `offset` on.
   * @throws DataError when the range lies outside the shard.
   */
  async read(start: number, length: number, out: Int32Array, offset = 0): Promise<void> {
    if (start < 0 || length < 0 || start + length > this.length) {
      throw new DataError(
        `Tokens ${start} to ${start + length} lie outside ${this.path} of ${this.length} tokens.`,
        {
          start,
          length,
          tokens: this.length,
        },
      );
    }
    const inside = start >= this.windowStart && start + length <= this.windowStart + this.window.length;
    if (inside) {
      out.set(this.window.subarray(start - this.windowStart, start - this.windowStart + length), offset);
      this.nextStart = start + length;
      return;
    }
    if (this.file === undefined)
      throw new DataError(`The token shard ${this.path} is closed.`, { path: this.path });
    const { bytesPerToken } = this.header;
    // Windows of a text read in order overlap by a token at most: then the next ones are fetched along.
    const sequential = start === this.nextStart || start === this.nextStart - 1 || start === 0;
    const count = sequential ? Math.max(length, READ_AHEAD_BYTES / bytesPerToken) : length;
    const bytes = await readBytes(
      this.file,
      this.tokensOffset + start * bytesPerToken,
      Math.min(count, this.length - start) * bytesPerToken,
      this.path,
    );
    const tokens = typed(bytes, bytesPerToken);
    if (sequential) {
      this.window = tokens;
      this.windowStart = start;
    }
    this.nextStart = start + length;
    out.set(tokens.subarray(0, length), offset);
  }

  /**
   * Holds the shard to a tokenizer.
   * @throws TokenizerError when the tokens were made by another one.
   */
  requireTokenizer(tokenizer: Tokenizer): void {
    if (this.header.tokenizerFingerprint === tokenizer.fingerprint) return;
    throw new TokenizerError(
      `${this.path} was made with another tokenizer than "${tokenizer.name}". ` +
        "Use the tokenizer that the data was prepared with, or prepare the data again.",
      { path: this.path, shard: this.header.tokenizerFingerprint, tokenizer: tokenizer.fingerprint },
    );
  }

  /** Closes the file, if one is open. Tokens in memory stay readable. */
  async close(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    if (file !== undefined) this.window = this.window.subarray(0, 0);
    await file?.close();
  }
}

/** Opens several shards; if one fails the others are closed again. */
export async function openShards(
  paths: readonly string[],
  options: OpenShardOptions = {},
): Promise<TokenShard[]> {
  const shards: TokenShard[] = [];
  try {
    for (const path of paths) shards.push(await TokenShard.open(path, options));
    return shards;
  } catch (error) {
    for (const shard of shards) await shard.close();
    throw error;
  }
}

/** View of little-endian bytes as tokens; copies when the bytes are not aligned. */
function typed(bytes: Buffer, bytesPerToken: 2 | 4): Tokens {
  const aligned = bytes.byteOffset % bytesPerToken === 0 ? bytes : Buffer.from(new Uint8Array(bytes).buffer);
  const count = Math.floor(bytes.length / bytesPerToken);
  return bytesPerToken === 2
    ? new Uint16Array(aligned.buffer, aligned.byteOffset, count)
    : new Uint32Array(aligned.buffer, aligned.byteOffset, count);
}

async function readBytes(file: FileHandle, position: number, length: number, path: string): Promise<Buffer> {
  const bytes = Buffer.from(new ArrayBuffer(length));
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(
      bytes,
      filled,
      Math.min(length - filled, 2 ** 30),
      position + filled,
    );
    if (bytesRead === 0) {
      throw new FormatError(
        `${path} ended while it was read, at byte ${position + filled}. Prepare the data again.`,
        {
          path,
          offset: position + filled,
        },
      );
    }
    filled += bytesRead;
  }
  return bytes;
}

async function verify(
  file: FileHandle,
  start: number,
  size: number,
  header: ShardHeader,
  path: string,
  payload: Buffer | undefined,
): Promise<void> {
  const hash = createHash("sha256");
  if (payload !== undefined) {
    hash.update(payload);
  } else {
    for (let at = start; at < size; at += HASH_BYTES) {
      hash.update(await readBytes(file, at, Math.min(HASH_BYTES, size - at), path));
    }
  }
  if (hash.digest("hex") !== header.payloadSha256) {
    throw new FormatError(
      `${path} is damaged: its tokens do not match their checksum. Prepare the data again.`,
      { path },
    );
  }
}

function decodeStarts(bytes: Buffer, header: ShardHeader, path: string): Float64Array {
  const starts = new Float64Array(header.documents);
  let previous = -1;
  for (let i = 0; i < starts.length; i++) {
    const start = Number(bytes.readBigUInt64LE(i * 8));
    if (start <= previous || start >= header.tokens) {
      throw new FormatError(
        `${path} is damaged: document ${i} begins at token ${start}, after one at ${previous}. Prepare the data again.`,
        { path, document: i },
      );
    }
    starts[i] = start;
    previous = start;
  }
  return starts;
}
