/** The bytes of a file in pieces, and a queue over pieces for formats that ask for so many bytes or for a line. */
import type { FileHandle } from "node:fs/promises";
import { DataError } from "../../errors.js";

/** Bytes of one read: large enough for full disk speed, small enough to be worked through in a few milliseconds. */
export const READ_BYTES = 2 ** 20;

/**
 * The contents of an open file, from the beginning to the length that it had when reading began (pipes and devices: to
 * their end). Every piece is its own buffer.
 * @throws DataError when the file cannot be read, or becomes shorter meanwhile.
 */
export async function* fileChunks(
  handle: FileHandle,
  path: string,
  onRead?: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const info = await handle.stat();
  const size = info.isFile() ? info.size : Number.POSITIVE_INFINITY;
  let position = 0;
  while (position < size) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, size - position));
    const bytesRead = await readAt(handle, path, buffer, info.isFile() ? position : null);
    if (bytesRead === 0) {
      if (size === Number.POSITIVE_INFINITY) return;
      throw shrunk(path, size, position);
    }
    position += bytesRead;
    onRead?.(bytesRead);
    yield buffer.subarray(0, bytesRead);
  }
}

/** One read that turns the system's errors into typed ones. */
async function readAt(
  handle: FileHandle,
  path: string,
  buffer: Buffer,
  position: number | null,
): Promise<number> {
  try {
    return (await handle.read(buffer, 0, buffer.length, position)).bytesRead;
  } catch (error) {
    throw unreadable(path, error, position ?? undefined);
  }
}

/**
 * A range of an open file.
 * @throws DataError when the file ends before the range does.
 */
export async function readRange(
  handle: FileHandle,
  path: string,
  start: number,
  length: number,
): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const bytesRead = await readAt(handle, path, buffer.subarray(filled), start + filled);
    if (bytesRead === 0) throw shrunk(path, start + length, start + filled);
    filled += bytesRead;
  }
  return buffer;
}

/** The error for a file that the system does not let be read. */
export function unreadable(path: string, error: unknown, offset?: number): DataError {
  const { message, code } = error as NodeJS.ErrnoException;
  const fix =
    code === "EISDIR"
      ? "It is a folder: name the files in it, or list the folder with listSources."
      : code === "EACCES" || code === "EPERM"
        ? "Give this user permission to read it."
        : "Check the path and the disk, then try again.";
  const at = offset === undefined ? "" : ` at byte ${offset}`;
  return new DataError(`Cannot read ${path}${at}: ${message}. ${fix}`, { path, offset }, { cause: error });
}

function shrunk(path: string, size: number, position: number): DataError {
  return new DataError(
    `${path} became shorter while it was read: it had ${size} bytes and ends at byte ${position} now. ` +
      "Let whatever writes it finish, then read it again.",
    { path, offset: position, size },
  );
}

/** A queue of bytes over pieces that come in time. */
export class ByteQueue {
  private readonly pieces: AsyncIterator<Buffer>;
  private buffer: Buffer = Buffer.alloc(0);
  private start = 0;
  private ended = false;
  /** Offset of the next byte from the beginning of all pieces. */
  position = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.pieces = chunks[Symbol.asyncIterator]();
  }

  /** Bytes that are at hand without waiting. */
  get available(): number {
    return this.buffer.length - this.start;
  }

  /** Waits until so many bytes are at hand; false when the end comes before. */
  async fill(length: number): Promise<boolean> {
    if (this.available >= length) return true;
    const parts = [this.buffer.subarray(this.start)];
    let total = this.available;
    while (total < length && !this.ended) {
      const { value, done } = await this.pieces.next();
      if (done) this.ended = true;
      else {
        parts.push(value);
        total += value.length;
      }
    }
    this.buffer = parts.length === 1 ? parts[0] : Buffer.concat(parts, total);
    this.start = 0;
    return total >= length;
  }

  /** The next bytes, which must be at hand, without taking them. */
  peek(length: number): Buffer {
    return this.buffer.subarray(this.start, this.start + length);
  }

  /** Takes bytes, which must be at hand. */
  take(length: number): Buffer {
    const bytes = this.peek(length);
    this.start += length;
    this.position += length;
    return bytes;
  }

  /** Passes over bytes without keeping them; returns how many there were. */
  async skip(length: number): Promise<number> {
    let left = length;
    while (left > 0 && (this.available > 0 || (await this.fill(1)))) {
      left -= this.take(Math.min(left, this.available)).length;
    }
    return length - left;
  }

  /**
   * Takes a line with its line feed; without one at the end of the data. Undefined at the end.
   * @param limit longest line in bytes; a longer one is given in part, without its line feed
   */
  async line(limit: number): Promise<Buffer | undefined> {
    let searched = 0;
    for (;;) {
      const window = this.peek(Math.min(limit, this.available));
      const end = window.indexOf(0x0a, searched);
      if (end !== -1) return this.take(end + 1);
      searched = window.length;
      if (searched >= limit) return this.take(limit);
      if (!(await this.fill(Math.min(limit, Math.max(2 * searched, searched + 1))))) {
        const rest = this.peek(this.available);
        const feed = rest.indexOf(0x0a);
        if (feed === -1) return rest.length === 0 ? undefined : this.take(rest.length);
      }
    }
  }

  /** Ends the pieces early. */
  async close(): Promise<void> {
    this.ended = true;
    await this.pieces.return?.();
  }
}
