/**
 * The few file-system functions that this room uses, behind one interface, so that tests can let any single one of
 * them fail; and the helpers that are built on them.
 */

import { createHash } from "node:crypto";
import * as node from "node:fs/promises";
import { AnnealError, CheckpointError } from "../errors.js";

/** An open file or directory. */
export interface FileSystemHandle {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>;
  truncate(length: number): Promise<void>;
  sync(): Promise<void>;
  stat(): Promise<{ size: number }>;
  close(): Promise<void>;
}

/** What io needs of a file system; `node:fs/promises` has all of it. */
export interface FileSystem {
  open(path: string, flags: string | number): Promise<FileSystemHandle>;
  mkdir(path: string, options?: { recursive?: boolean }): Promise<string | undefined>;
  rename(from: string, to: string): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  copyFile(from: string, to: string): Promise<void>;
  rm(path: string, options: { recursive: boolean; force: boolean }): Promise<void>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ size: number; mtimeMs: number; isFile(): boolean; isDirectory(): boolean }>;
  realpath(path: string): Promise<string>;
  statfs(path: string): Promise<{ bavail: number; bsize: number }>;
}

/** The real file system. */
export const nodeFileSystem: FileSystem = {
  open: node.open,
  mkdir: node.mkdir,
  rename: node.rename,
  link: node.link,
  copyFile: node.copyFile,
  rm: node.rm,
  readdir: (path) => node.readdir(path),
  stat: (path) => node.stat(path),
  realpath: (path) => node.realpath(path),
  statfs: (path) => node.statfs(path),
};

/** Bytes moved per call: large enough for full disk speed, small enough that hashing one chunk takes a few milliseconds. */
export const CHUNK_BYTES = 4 * 2 ** 20;

/** The system's error name (`ENOENT`, …) of a thrown value, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof AnnealError) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return typeof code === "string" && (typeof syscall === "string" || /^E[A-Z0-9]+$/.test(code))
    ? code
    : undefined;
}

/** Fills `target` from `position` on, in chunks, so that no size is beyond what one system call may read. Returns the bytes read. */
export async function readFully(
  handle: FileSystemHandle,
  target: Uint8Array,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(target.byteLength - done, 16 * CHUNK_BYTES);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Writes all of `source` at `position`, in chunks. `hash`, when given, takes each chunk while the system writes it. */
export async function writeFully(
  handle: FileSystemHandle,
  source: Uint8Array,
  position: number,
  hash?: { update(data: Uint8Array): unknown },
  signal?: AbortSignal,
): Promise<void> {
  for (let begin = 0; begin < source.byteLength; begin += CHUNK_BYTES) {
    signal?.throwIfAborted();
    const end = Math.min(begin + CHUNK_BYTES, source.byteLength);
    let done = begin;
    const first = handle.write(source, done, end - done, position + done);
    hash?.update(source.subarray(begin, end));
    done += (await first).bytesWritten;
    while (done < end) done += (await handle.write(source, done, end - done, position + done)).bytesWritten;
  }
}

/** The whole contents of a file. */
export async function readWholeFile(fs: FileSystem, path: string): Promise<Uint8Array> {
  const handle = await fs.open(path, "r");
  try {
    const bytes = new Uint8Array((await handle.stat()).size);
    return bytes.subarray(0, await readFully(handle, bytes, 0));
  } finally {
    await handle.close();
  }
}

/** Size and checksum of a file that was written. */
export interface WrittenFile {
  /** Length in bytes. */
  readonly bytes: number;
  /** SHA-256 of the contents in lower-case hexadecimal. */
  readonly sha256: string;
}

/** Creates `path` (which must not exist) with `contents` and forces it to the disk. */
export async function writeWholeFile(
  fs: FileSystem,
  path: string,
  contents: string | Uint8Array,
): Promise<WrittenFile> {
  const bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
  const hash = createHash("sha256");
  const handle = await fs.open(path, "wx");
  try {
    await writeFully(handle, bytes, 0, hash);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { bytes: bytes.byteLength, sha256: hash.digest("hex") };
}

/** Forces a directory's entries to the disk, so that a rename in it survives a power cut. */
export async function syncDirectory(fs: FileSystem, path: string): Promise<void> {
  // Windows cannot open a directory for this and orders its own metadata.
  if (process.platform === "win32") return;
  const handle = await fs.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a file or folder as far as possible; failures are swallowed because another error is on its way to the caller. */
export async function removeQuietly(fs: FileSystem, path: string): Promise<void> {
  await fs.rm(path, { recursive: true, force: true }).catch(() => undefined);
}

const FIXES: Readonly<Record<string, string>> = {
  ENOSPC: "Free space on that disk, keep fewer checkpoints, or choose an output folder on another disk.",
  EDQUOT: "The disk quota is used up: free space, or choose an output folder on another disk.",
  EIO: "The disk reports a read or write fault: check it (system log, SMART), and choose an output folder on another disk.",
  EACCES: "Give this user write permission on the folder, or choose another output folder.",
  EPERM: "Give this user write permission on the folder, or choose another output folder.",
  EROFS: "The file system is mounted read-only: remount it, or choose another output folder.",
  ENOTDIR: "A part of the path is a file: choose another output folder.",
  EMFILE: "Too many files are open: raise the limit (ulimit -n) or close some.",
};

/** Bytes with a unit, for messages. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toPrecision(3)} ${units[power]}`;
}

/**
 * Turns a system error met while saving into a CheckpointError that names cause, place and fix; errors of other kinds
 * come back unchanged. Details: errno, syscall, path, bytesNeeded, bytesFree.
 * @param what what was being written, for example `checkpoint of step 100`
 * @param root a folder on the disk in question
 */
export async function saveError(
  fs: FileSystem,
  error: unknown,
  what: string,
  root: string,
  bytesNeeded: number,
): Promise<unknown> {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const { syscall, path = root } = error as NodeJS.ErrnoException;
  const bytesFree = await fs.statfs(root).then(
    (info) => info.bavail * info.bsize,
    () => undefined,
  );
  const space =
    bytesNeeded > 0 && (errno === "ENOSPC" || errno === "EDQUOT")
      ? ` It needs ${formatBytes(bytesNeeded)}${bytesFree === undefined ? "" : `; ${formatBytes(bytesFree)} are free`}.`
      : "";
  const fix = FIXES[errno] ?? "Check the path and the disk, then try again.";
  return new CheckpointError(
    `Could not write the ${what} to ${root}: ${(error as Error).message}.${space} ${fix}`,
    { errno, syscall, path, bytesNeeded, bytesFree },
    { cause: error },
  );
}
