/** Reads token shards: mapped into memory, so that tokens and documents' beginnings are copied out of the page cache. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { DataError, FormatError, TokenizerError } from "../errors.js";
import { MappedFile, TokenCopies } from "../native/text/shards.js";
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
  /**
   * Compare the payload with its SHA-256 by reading it once. Default: true for payloads of at most 1 GiB, which takes
   * less than a second.
   */
  checksum?: boolean;
}

const CHECKED_BYTES = 2 ** 30;
const HASH_BYTES = 4 * 2 ** 20;

/** An open token shard. Its tokens stay on the disk; a shard of any size takes no memory of its own. */
export class TokenShard {
  /** Tokens in the shard. */
  readonly length: number;
  /** Documents that begin in the shard. */
  readonly documents: number;
  private map: MappedFile | undefined;
  private readonly startsOffset: number;

  private constructor(
    readonly path: string,
    readonly header: ShardHeader,
    private readonly tokensOffset: number,
    map: MappedFile,
  ) {
    this.length = header.tokens;
    this.documents = header.documents;
    this.startsOffset = tokensOffset + tokenSectionBytes(header.tokens, header.bytesPerToken);
    this.map = map;
  }

  /**
   * Opens a shard and checks it.
   * @throws DataError when the file is missing; FormatError when it is no shard, truncated or damaged.
   */
  static async open(path: string, options: OpenShardOptions = {}): Promise<TokenShard> {
    checkOptions("TokenShard.open", options, ["checksum"]);
    const file = await open(path).catch((error) => {
      throw new DataError(
        `Cannot open the token shard ${path}: ${error.message}. Prepare the data again.`,
        { path },
        { cause: error },
      );
    });
    try {
      const { size } = await file.stat();
      const fixed = await readBytes(file, 0, Math.min(size, FIXED_BYTES), path);
      const start = payloadOffset(provenanceLength(fixed, path, size));
      const header = decodeHeader(await readBytes(file, 0, start, path), path, size);
      if (options.checksum ?? size - start <= CHECKED_BYTES) await verify(file, start, size, header, path);
      const map = MappedFile.open(path);
      const shard = new TokenShard(path, header, start, map);
      if (map.size !== size) {
        map.close();
        throw new FormatError(`${path} changed while it was opened. Try again.`, { path });
      }
      shard.checkStarts();
      return shard;
    } finally {
      await file.close();
    }
  }

  private get file(): MappedFile {
    if (this.map !== undefined) return this.map;
    throw new DataError(`The token shard ${this.path} is closed.`, { path: this.path });
  }

  /** Index of the first token of each document, increasing: a copy of all of them. */
  get documentStarts(): Float64Array {
    return this.startsOf(0, this.documents);
  }

  /** First tokens of `count` documents from document `first` on. */
  startsOf(first: number, count: number): Float64Array {
    return this.file.words(this.startsOffset + first * 8, count);
  }

  /** Of the documents' first tokens those in [low, high), less `low`. */
  startsBetween(low: number, high: number): Float64Array {
    return this.file.wordsBetween(this.startsOffset, this.documents, low, high);
  }

  /**
   * Notes that tokens `start` … `start + length − 1` are to be copied to index `place` of the target.
   * @throws DataError when the range lies outside the shard.
   */
  copy(copies: TokenCopies, start: number, length: number, place: number): void {
    if (!(start >= 0 && length >= 0 && start + length <= this.length)) {
      throw new DataError(
        `Tokens ${start} to ${start + length} lie outside ${this.path} of ${this.length} tokens.`,
        { start, length, tokens: this.length },
      );
    }
    const { bytesPerToken } = this.header;
    copies.add(this.file, this.tokensOffset + start * bytesPerToken, length, bytesPerToken, place);
  }

  /**
   * Copies tokens `start` … `start + length − 1` to `out` from `offset` on.
   * @throws DataError when the range lies outside the shard, or the file was cut short.
   */
  async read(start: number, length: number, out: Int32Array, offset = 0): Promise<void> {
    const copies = new TokenCopies();
    this.copy(copies, start, length, offset);
    await copies.run(out);
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

  /** Lets the file go. */
  async close(): Promise<void> {
    this.map?.close();
    this.map = undefined;
  }

  /** Documents must begin inside the shard, one after the other; a sample where there are very many. */
  private checkStarts(): void {
    const stretch = 2 ** 14;
    let previous = -1;
    let step = stretch;
    // Every stretch of a shard with up to a million documents, else 64 of them.
    if (this.documents > 2 ** 20) step = Math.floor(this.documents / 64);
    try {
      for (let first = 0; first < this.documents; first += step) {
        const count = Math.min(stretch, this.documents - first);
        this.startsOf(first, count).forEach((start, i) => {
          if (!(start > previous && start < this.length)) {
            throw new FormatError(
              `${this.path} is damaged: document ${first + i} begins at token ${start}, after one at ${previous}. Prepare the data again.`,
              { path: this.path, document: first + i },
            );
          }
          previous = start;
        });
      }
    } catch (error) {
      this.map?.close();
      throw error;
    }
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

async function readBytes(file: FileHandle, position: number, length: number, path: string): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) {
      throw new FormatError(
        `${path} ended while it was read, at byte ${position + filled}. Prepare the data again.`,
        { path, offset: position + filled },
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
): Promise<void> {
  const hash = createHash("sha256");
  for (let at = start; at < size; at += HASH_BYTES) {
    hash.update(await readBytes(file, at, Math.min(HASH_BYTES, size - at), path));
  }
  if (hash.digest("hex") !== header.payloadSha256) {
    throw new FormatError(
      `${path} is damaged: its tokens do not match their checksum. Prepare the data again.`,
      { path },
    );
  }
}
