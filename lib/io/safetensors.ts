/** Safetensors files: positioned reads of single tensors from an open file, and streaming atomic writes. */

import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { ConfigError, DisposedError, didYouMean, FormatError, ShapeError } from "../errors.js";
import { checkArrays, checkLength, type NamedArray } from "./arrays.js";
import { atomically } from "./atomic.js";
import {
  CHUNK_BYTES,
  errnoOf,
  type FileSystem,
  type FileSystemHandle,
  nodeFileSystem,
  readFully,
  saveError,
  type WrittenFile,
  writeFully,
} from "./filesystem.js";
import {
  layoutFile,
  parseHeader,
  parseHeaderLength,
  type SafetensorsHeader,
  type TensorEntry,
} from "./safetensors-header.js";

export type { WrittenFile } from "./filesystem.js";

/** An open safetensors file. Only its header is in memory. Close it when done. */
export class SafetensorsFile {
  /** String pairs that the writer stored, usually `{format: "pt"}`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors by name, in file order. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  #handle: FileSystemHandle | undefined;

  /** @internal Use {@link openSafetensors}. */
  constructor(
    /** The path the file was opened by. */
    readonly path: string,
    handle: FileSystemHandle,
    header: SafetensorsHeader,
    private readonly dataStart: number,
    /** Length of the file in bytes. */
    readonly bytes: number,
  ) {
    this.#handle = handle;
    this.metadata = header.metadata;
    this.tensors = header.tensors;
  }

  private get handle(): FileSystemHandle {
    if (this.#handle === undefined) {
      throw new DisposedError(`${this.path} was closed. Open it again before reading.`, { path: this.path });
    }
    return this.#handle;
  }

  private entry(name: string): TensorEntry {
    const entry = this.tensors.get(name);
    if (entry === undefined) {
      throw new FormatError(
        `${this.path} has no tensor "${name}".${didYouMean(name, this.tensors.keys())} It holds ${this.tensors.size} tensors.`,
        { path: this.path, tensor: name },
      );
    }
    return entry;
  }

  /** The bytes of one tensor, row-major and little-endian, in new memory. */
  async read(name: string): Promise<Uint8Array> {
    const { begin, end } = this.entry(name);
    const target = new Uint8Array(end - begin);
    await this.readInto(name, target);
    return target;
  }

  /**
   * Reads a tensor's bytes into memory of the caller, for example memory shared with a device.
   * @param target receives `target.byteLength` bytes
   * @param offset first byte of the tensor to read; with a smaller `target` a large tensor is read piece by piece
   */
  async readInto(name: string, target: Uint8Array, offset = 0): Promise<void> {
    const { begin, end } = this.entry(name);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.byteLength > end - begin) {
      throw new ShapeError(
        `Tensor "${name}" of ${this.path} has ${end - begin} bytes; ${target.byteLength} bytes from ${offset} on are outside it.`,
        { path: this.path, tensor: name, expected: end - begin, got: offset + target.byteLength },
      );
    }
    if (offset === 0 && target.byteLength === 0 && end > begin) {
      throw new ShapeError(
        `Tensor "${name}" of ${this.path} has ${end - begin} bytes, but the target is empty.`,
        {
          path: this.path,
          tensor: name,
        },
      );
    }
    const got = await readFully(this.handle, target, this.dataStart + begin + offset);
    if (got < target.byteLength) {
      throw new FormatError(
        `${this.path}: tensor "${name}": the file became shorter while it was open: expected ${target.byteLength} bytes, got ${got}. Do not change model files while they are in use.`,
        { path: this.path, tensor: name, expected: target.byteLength, got },
      );
    }
  }

  /** The file's tensors as named arrays, whose bytes are read when they are asked for. The file must stay open until then. */
  arrays(): NamedArray[] {
    return [...this.tensors].map(([name, { dtype, shape }]) => ({
      name,
      dtype,
      shape,
      data: () => this.read(name),
    }));
  }

  /** SHA-256 of the whole file in hexadecimal. */
  async sha256(signal?: AbortSignal): Promise<string> {
    const hash = createHash("sha256");
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, this.bytes));
    for (let at = 0; at < this.bytes; ) {
      signal?.throwIfAborted();
      const got = await readFully(this.handle, chunk.subarray(0, this.bytes - at), at);
      if (got === 0) break;
      hash.update(chunk.subarray(0, got));
      at += got;
    }
    return hash.digest("hex");
  }

  /** Closes the file; may be called twice. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

/**
 * Opens a safetensors file and validates its header; no tensor is read yet.
 * @throws FormatError naming file, tensor, expected, got and fix when anything in the file contradicts the format, or
 *   when the file does not exist or cannot be read
 */
export async function openSafetensors(
  path: string,
  options: { fs?: FileSystem } = {},
): Promise<SafetensorsFile> {
  const fs = options.fs ?? nodeFileSystem;
  let handle: FileSystemHandle | undefined;
  try {
    handle = await fs.open(path, "r");
    const fileBytes = (await handle.stat()).size;
    const start = new Uint8Array(8);
    const length = parseHeaderLength(start.subarray(0, await readFully(handle, start, 0)), fileBytes, path);
    const json = new Uint8Array(length);
    const got = await readFully(handle, json, 8);
    const header = parseHeader(json.subarray(0, got), fileBytes - 8 - length, path);
    return new SafetensorsFile(path, handle, header, 8 + length, fileBytes);
  } catch (error) {
    await handle?.close().catch(() => undefined);
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const fix = errno === "ENOENT" ? "Check the path." : "Check the path, its permissions and the disk.";
    throw new FormatError(
      `Cannot read ${path}: ${(error as Error).message}. ${fix}`,
      { path, errno },
      { cause: error },
    );
  }
}

/**
 * Creates a safetensors file at `path`, which must not exist, array by array, and forces it to the disk. Not atomic:
 * for writers that rename a whole folder afterwards.
 */
export async function streamSafetensors(
  fs: FileSystem,
  path: string,
  arrays: readonly NamedArray[],
  metadata: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<WrittenFile> {
  const sizes = checkArrays(arrays);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== "string") {
      throw new ConfigError(
        `Metadata "${key}" must be a string, got ${typeof value}. Store JSON text for other values.`,
        { key },
      );
    }
  }
  const { head, order, fileBytes } = layoutFile(arrays, sizes, metadata);
  const hash = createHash("sha256");
  const handle = await fs.open(path, "wx");
  try {
    await writeFully(handle, head, 0, hash, signal);
    let at = head.byteLength;
    for (const index of order) {
      signal?.throwIfAborted();
      const { data } = arrays[index];
      const bytes = data instanceof Uint8Array ? data : await data();
      checkLength(arrays[index], sizes[index], bytes);
      await writeFully(handle, bytes, at, hash, signal);
      at += bytes.byteLength;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { bytes: fileBytes, sha256: hash.digest("hex") };
}

/**
 * Writes arrays to a safetensors file that Hugging Face libraries load. Atomic: a temporary file next to `path` is
 * written, forced to the disk and renamed, so that `path` is the old file or the whole new one. One array is in memory
 * at a time.
 * @param metadata string pairs for the header; `format: "pt"` is added
 * @returns length and SHA-256 of the file
 * @throws FormatError, ShapeError or DtypeError for arrays that cannot be stored, CheckpointError for disk errors
 */
export async function writeSafetensors(
  path: string,
  arrays: readonly NamedArray[],
  metadata: Readonly<Record<string, string>> = {},
  options: { fs?: FileSystem; signal?: AbortSignal } = {},
): Promise<WrittenFile> {
  const { fs = nodeFileSystem, signal } = options;
  const needed = checkArrays(arrays).reduce((sum, size) => sum + size, 0);
  try {
    return await atomically(fs, path, (temporary) =>
      streamSafetensors(fs, temporary, arrays, metadata, signal),
    );
  } catch (error) {
    throw await saveError(fs, error, "safetensors file", dirname(path), needed);
  }
}
