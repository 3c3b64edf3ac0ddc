/** Logs of one JSON record per line (metrics.jsonl) that survive kills and full disks without a torn line. */

import { constants } from "node:fs";
import { basename, dirname } from "node:path";
import { DisposedError } from "../errors.js";
import {
  CHUNK_BYTES,
  type FileSystem,
  type FileSystemHandle,
  nodeFileSystem,
  readFully,
  saveError,
  writeFully,
} from "./filesystem.js";

const NEWLINE = 10;

/** One line of a log and where it lies. `end` includes the newline, if there is one. */
interface Line {
  readonly begin: number;
  readonly end: number;
  readonly bytes: Uint8Array;
  readonly terminated: boolean;
}

/** All lines of a file, read in chunks; only the current line is kept. */
async function* lines(handle: FileSystemHandle, size: number): AsyncGenerator<Line> {
  let rest = new Uint8Array(0);
  let begin = 0;
  for (let at = 0; at < size; ) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size - at));
    const got = await readFully(handle, chunk, at);
    if (got === 0) break;
    at += got;
    const joined = new Uint8Array(rest.length + got);
    joined.set(rest);
    joined.set(chunk.subarray(0, got), rest.length);
    let from = 0;
    for (let newline = joined.indexOf(NEWLINE); newline !== -1; newline = joined.indexOf(NEWLINE, from)) {
      const end = begin + (newline + 1 - from);
      yield { begin, end, bytes: joined.subarray(from, newline), terminated: true };
      begin = end;
      from = newline + 1;
    }
    rest = joined.slice(from);
  }
  if (rest.length > 0) yield { begin, end: begin + rest.length, bytes: rest, terminated: false };
}

/** The record of a line, or undefined when it is not a JSON object. */
function recordOf(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Appends records to a JSON-lines file. One writer per file; calls are carried out in order. */
export class JsonlWriter {
  #handle: FileSystemHandle | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  /** Set when a write failed: bytes beyond `size` may exist and go before the next write. */
  #torn = false;

  private constructor(
    /** The file's path. */
    readonly path: string,
    private readonly fs: FileSystem,
    handle: FileSystemHandle,
    private size: number,
  ) {
    this.#handle = handle;
  }

  /**
   * Opens or creates a log. A last line that a kill or a power cut left incomplete is cut off: one without newline that
   * is not a whole record, and lines of zero bytes, which some file systems leave at the end after a power cut.
   */
  static async open(path: string, options: { fs?: FileSystem } = {}): Promise<JsonlWriter> {
    const fs = options.fs ?? nodeFileSystem;
    let handle: FileSystemHandle | undefined;
    try {
      handle = await fs.open(path, constants.O_RDWR | constants.O_CREAT);
      const { size } = await handle.stat();
      let good = 0;
      let completed = false;
      for await (const line of lines(handle, size)) {
        if (!line.bytes.includes(0) && (line.terminated || recordOf(line.bytes) !== undefined)) {
          good = line.end;
          completed = !line.terminated;
        }
      }
      const writer = new JsonlWriter(path, fs, handle, good);
      if (good < size) await handle.truncate(good);
      if (completed) await writer.#write(new Uint8Array([NEWLINE]));
      return writer;
    } catch (error) {
      await handle?.close().catch(() => undefined);
      throw await saveError(fs, error, `log ${basename(path)}`, dirname(path), 0);
    }
  }

  /** Appends one record. The promise settles when the system has it, so that a kill afterwards cannot lose it. */
  append(record: object): Promise<void> {
    const line = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
    return this.#enqueue(() => this.#write(line));
  }

  /**
   * Drops the first record for which `predicate` holds and everything after it. After a resume from step s:
   * `truncateAfter((record) => record.step > s)`.
   * @returns how many lines were dropped
   */
  truncateAfter(predicate: (record: Record<string, unknown>) => boolean): Promise<number> {
    return this.#enqueue(async (handle) => {
      let cut: number | undefined;
      let dropped = 0;
      for await (const line of lines(handle, this.size)) {
        if (cut === undefined) {
          const record = recordOf(line.bytes);
          if (record === undefined || !predicate(record)) continue;
          cut = line.begin;
        }
        dropped++;
      }
      if (cut !== undefined) {
        await handle.truncate(cut);
        this.size = cut;
      }
      return dropped;
    });
  }

  /** Forces all records so far to the disk, as is due before a checkpoint that relies on them. */
  sync(): Promise<void> {
    return this.#enqueue((handle) => handle.sync());
  }

  /** Finishes what was asked and closes the file; may be called twice. */
  async close(): Promise<void> {
    await this.#queue;
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** Runs tasks one after another; a failed one does not stop those behind it. */
  #enqueue<T>(task: (handle: FileSystemHandle) => Promise<T>): Promise<T> {
    const result = this.#queue.then(async () => {
      if (this.#handle === undefined) {
        throw new DisposedError(`${this.path} was closed. Open the log again before writing.`, {
          path: this.path,
        });
      }
      try {
        return await task(this.#handle);
      } catch (error) {
        throw await saveError(this.fs, error, "log record", dirname(this.path), 0);
      }
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #write(line: Uint8Array): Promise<void> {
    const handle = this.#handle as FileSystemHandle;
    if (this.#torn) {
      await handle.truncate(this.size);
      this.#torn = false;
    }
    try {
      await writeFully(handle, line, this.size);
    } catch (error) {
      this.#torn = true;
      throw error;
    }
    this.size += line.byteLength;
  }
}
