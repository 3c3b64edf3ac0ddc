/**
 * One file from the Hugging Face Hub into the cache: resumed where an earlier run stopped, verified against the
 * checksum of the listing, and put in place by a rename, so that a file under its final name is always whole.
 *
 * Large files that the Hub keeps in its chunked storage (Xet) come from the same `resolve` addresses as all others,
 * through a redirect; no other protocol is needed.
 */

import { createHash, type Hash } from "node:crypto";
import { dirname } from "node:path";
import { ConfigError, HubError } from "../errors.js";
import { temporaryName } from "./atomic.js";
import {
  CHUNK_BYTES,
  errnoOf,
  type FileSystemHandle,
  formatBytes,
  removeQuietly,
  syncDirectory,
  writeFully,
} from "./filesystem.js";
import type { HubCache, HubFile } from "./hub-cache.js";
import { type HubClient, Transient } from "./hub-http.js";
import { describeRepository } from "./hub-path.js";
import { acquireLock, type RunLock } from "./lock.js";

/** Bytes gathered before they are written. */
const WRITE_BYTES = 2 ** 20;
/** Another process's download counts as stuck when its partial file has not grown for this long. */
const STUCK_MS = 60_000;
const LOCK_POLL_MS = 200;
/** Whole downloads with wrong contents before giving up. */
const MAX_MISMATCHES = 2;

/** What a download needs to know. */
export interface BlobDownload {
  client: HubClient;
  cache: HubCache;
  commit: string;
  file: HubFile;
  /** Told how many more bytes are on the disk; negative when a part had to be thrown away. */
  onBytes?: (bytes: number) => void;
  /** Milliseconds after which another process's download that does not grow is no longer waited for. */
  stuckAfter?: number;
}

/** The address of a file's contents. */
export function resolveUrl(client: HubClient, commit: string, path: string): URL {
  const { type, name } = client.repository;
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return new URL(
    `${client.options.endpoint}/${type === "dataset" ? "datasets/" : ""}${name}/resolve/${commit}/${encoded}`,
  );
}

/**
 * Fetches a file's contents into the cache's blobs/, unless they are there already.
 * @throws HubError when the Hub refuses, sends wrong bytes or is out of reach, or when the disk is full; what came
 *   before stays and is continued by the next call
 */
export async function downloadBlob(download: BlobDownload): Promise<void> {
  const { cache, file, client } = download;
  const blob = cache.blob(file);
  const { fs } = cache;
  if (await cache.isWhole(blob, file)) {
    download.onBytes?.(file.size);
    return;
  }
  try {
    await fs.mkdir(dirname(blob), { recursive: true });
    await fs.mkdir(cache.locks, { recursive: true });
    const partial = `${blob}.anneal.incomplete`;
    const lock = await waitForLock(download, partial);
    if (lock === "present") {
      download.onBytes?.(file.size);
      return;
    }
    // Without the lock the partial file is somebody else's: this download goes its own way, to the same end.
    const path = lock === undefined ? temporaryName(blob) : partial;
    try {
      if (!(await cache.isWhole(blob, file))) await new Transfer(download, path).run();
      else download.onBytes?.(file.size);
    } finally {
      if (lock === undefined) await removeQuietly(fs, path);
      await lock?.release();
    }
  } catch (error) {
    throw await diskError(error, download, client.repository.name);
  }
}

/** The lock on a blob's partial file; `present` when another process finished it; undefined when it is stuck. */
async function waitForLock(
  download: BlobDownload,
  partial: string,
): Promise<RunLock | "present" | undefined> {
  const { cache, file, client, stuckAfter = STUCK_MS } = download;
  const blob = cache.blob(file);
  const name = `${cache.locks}/${file.sha256 ?? file.blobId}.anneal.lock`;
  let size = -1;
  let since = Date.now();
  for (;;) {
    client.options.signal?.throwIfAborted();
    try {
      return await acquireLock(name, { fs: cache.fs });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
    }
    if (await cache.isWhole(blob, file)) return "present";
    const now = (await cache.fs.stat(partial).catch(() => undefined))?.size ?? 0;
    if (now !== size) {
      size = now;
      since = Date.now();
    } else if (Date.now() - since > stuckAfter) return undefined;
    await new Promise((wake) => setTimeout(wake, LOCK_POLL_MS));
  }
}

/** The bytes of one file on their way: what is on the disk, its running checksum, and the entity it belongs to. */
class Transfer {
  private handle!: FileSystemHandle;
  private hash!: Hash;
  /** Bytes on the disk and in the checksum. */
  private position = 0;
  /** Most bytes that were ever there: attempts count as progress only beyond them. */
  private furthest = 0;
  /** The server's mark of the contents that the bytes so far belong to. */
  private etag: string | undefined;
  private mismatches = 0;

  constructor(
    private readonly download: BlobDownload,
    private readonly path: string,
  ) {}

  async run(): Promise<void> {
    const { cache, client, file } = this.download;
    const { fs } = cache;
    await this.openPartial();
    try {
      await client.attempts(
        () => this.attempt(),
        () => this.furthest,
      );
      await this.handle.sync();
    } catch (error) {
      // What could be written is worth keeping, but a second error must not hide the first.
      await this.handle.close().catch(() => undefined);
      throw error;
    }
    await this.handle.close();
    const blob = cache.blob(file);
    await fs.rename(this.path, blob);
    await syncDirectory(fs, dirname(blob));
  }

  private newHash(): Hash {
    const { file } = this.download;
    return file.sha256 === undefined
      ? createHash("sha1").update(`blob ${file.size}\0`)
      : createHash("sha256");
  }

  /** Opens what an earlier run left, and takes it into the checksum. */
  private async openPartial(): Promise<void> {
    const { cache, client, file } = this.download;
    try {
      this.handle = await cache.fs.open(this.path, "r+");
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      this.handle = await cache.fs.open(this.path, "wx+");
    }
    this.hash = this.newHash();
    try {
      const { size } = await this.handle.stat();
      if (size > file.size) {
        await this.handle.truncate(0);
        return;
      }
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size));
      while (this.position < size) {
        client.options.signal?.throwIfAborted();
        const length = Math.min(chunk.length, size - this.position);
        const { bytesRead } = await this.handle.read(chunk, 0, length, this.position);
        if (bytesRead === 0) break;
        this.hash.update(chunk.subarray(0, bytesRead));
        this.advance(bytesRead);
      }
    } catch (error) {
      await this.handle.close().catch(() => undefined);
      throw error;
    }
  }

  private advance(bytes: number): void {
    this.position += bytes;
    this.furthest = Math.max(this.furthest, this.position);
    this.download.onBytes?.(bytes);
  }

  /** Throws away what is there. */
  private async restart(): Promise<void> {
    await this.handle.truncate(0);
    this.download.onBytes?.(-this.position);
    this.position = 0;
    this.hash = this.newHash();
    this.etag = undefined;
  }

  /** Fetches what is missing and checks the whole. */
  private async attempt(): Promise<void> {
    const { file } = this.download;
    const resumed = this.position > 0;
    if (this.position < file.size) await this.fetchRest();
    const digest = this.hash.copy().digest("hex");
    const expected = file.sha256 ?? file.blobId;
    if (digest === expected) return;
    await this.restart();
    // Bytes of an earlier run are suspected first: only a whole download with wrong contents counts.
    if (!resumed) this.mismatches++;
    if (this.mismatches >= MAX_MISMATCHES) throw this.wrongContents(expected, digest);
    throw new Transient(`${file.path} arrived with a wrong checksum`);
  }

  private async fetchRest(): Promise<void> {
    const { client, commit, file } = this.download;
    // Compressed transfers have no stable byte positions.
    const headers = new Headers({ "accept-encoding": "identity" });
    if (this.position > 0) {
      headers.set("range", `bytes=${this.position}-`);
      if (this.etag !== undefined && !this.etag.startsWith("W/")) headers.set("if-range", this.etag);
    }
    const url = resolveUrl(client, commit, file.path);
    const opened = await this.open(url, headers);
    if (opened === undefined) return this.fetchRest();
    try {
      const { response } = opened;
      const etag = response.headers.get("etag") ?? undefined;
      if (response.status !== 206) {
        if (this.position > 0) await this.restart();
        this.checkLength(response.headers.get("content-length"));
      } else {
        const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
        const changed = this.etag !== undefined && etag !== undefined && etag !== this.etag;
        if (range === null || Number(range[1]) !== this.position || changed) {
          await this.restart();
          throw new Transient(
            `${url.host} ${changed ? "changed the file in the middle of the download" : "sent another part of the file than was asked for"}`,
          );
        }
        if (range[2] !== "*") this.checkLength(range[2]);
      }
      this.etag = etag;
      await this.receive(opened.read());
    } finally {
      opened.close();
    }
    if (this.position < file.size) {
      throw new Transient(
        `the connection ended after ${this.position} of ${file.size} bytes of ${file.path}`,
      );
    }
  }

  /** Opens the response; undefined when the server has nothing from the position on, and the partial file was dropped. */
  private async open(url: URL, headers: Headers) {
    try {
      return await this.download.client.open(url, headers);
    } catch (error) {
      if (!(error instanceof HubError) || error.details.status !== 416 || this.position === 0) throw error;
      await this.restart();
      return undefined;
    }
  }

  /** Writes what comes, in pieces large enough for the disk. */
  private async receive(chunks: AsyncGenerator<Uint8Array>): Promise<void> {
    const { file } = this.download;
    const gathered = new Uint8Array(Math.min(WRITE_BYTES, file.size - this.position));
    let length = 0;
    const flush = async () => {
      if (length === 0) return;
      const part = gathered.subarray(0, length);
      await writeFully(this.handle, part, this.position);
      this.hash.update(part);
      this.advance(length);
      length = 0;
    };
    try {
      for await (const chunk of chunks) {
        if (this.position + length + chunk.length > file.size) {
          throw new Transient(`more than the ${file.size} bytes of ${file.path} arrived`);
        }
        for (let from = 0; from < chunk.length; ) {
          const taken = Math.min(chunk.length - from, gathered.length - length);
          gathered.set(chunk.subarray(from, from + taken), length);
          length += taken;
          from += taken;
          if (length === gathered.length) await flush();
        }
      }
    } catch (error) {
      // What came before the connection was lost is kept; an error of the disk would only come again.
      if (error instanceof Transient) await flush();
      throw error;
    }
    await flush();
  }

  private checkLength(length: string | null): void {
    const { client, file } = this.download;
    if (length === null || Number(length) === file.size) return;
    throw new HubError(
      `${file.path} of the ${describeRepository(client.repository)} has ${length} bytes at ${client.options.endpoint}, but its listing says ${file.size}. Try again later; if it stays so, check HF_ENDPOINT and proxies.`,
      { path: file.path, expected: file.size, actual: Number(length) },
    );
  }

  private wrongContents(expected: string, actual: string): HubError {
    const { client, file } = this.download;
    return new HubError(
      `${file.path} of the ${describeRepository(client.repository)} arrived ${MAX_MISMATCHES} times with wrong contents: expected ${file.sha256 === undefined ? "git SHA-1" : "SHA-256"} ${expected}, got ${actual}. Nothing of it was kept. Check HF_ENDPOINT and any proxy in between.`,
      { path: file.path, expected, actual },
    );
  }
}

const FIXES: Readonly<Record<string, string>> = {
  ENOSPC: "Free space on that disk, or choose another cache folder with HF_HUB_CACHE.",
  EDQUOT: "The disk quota is used up: free space, or choose another cache folder with HF_HUB_CACHE.",
  EACCES: "Give this user write permission on the cache, or choose another folder with HF_HUB_CACHE.",
  EPERM: "Give this user write permission on the cache, or choose another folder with HF_HUB_CACHE.",
  EROFS: "That file system is mounted read-only: choose another cache folder with HF_HUB_CACHE.",
};

/** A system error as a HubError with cause, place and fix; other errors come back unchanged. */
async function diskError(error: unknown, download: BlobDownload, repository: string): Promise<unknown> {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const { cache, file } = download;
  const bytesFree = await freeBytes(cache);
  const space =
    (errno === "ENOSPC" || errno === "EDQUOT") && bytesFree !== undefined
      ? ` The file has ${formatBytes(file.size)}; ${formatBytes(bytesFree)} are free.`
      : "";
  const fix = FIXES[errno] ?? "Check that disk.";
  return new HubError(
    `Could not write ${file.path} of ${repository} to ${cache.folder}: ${(error as Error).message}.${space} ${fix} What was downloaded is kept: run the same command again to continue.`,
    { errno, path: file.path, folder: cache.folder, bytes: file.size, bytesFree },
    { cause: error },
  );
}

/** Bytes free where the cache is, if the system tells. */
async function freeBytes(cache: HubCache): Promise<number | undefined> {
  return cache.fs.statfs(cache.folder).then(
    (info) => info.bavail * info.bsize,
    () => undefined,
  );
}

/**
 * Refuses a download that cannot fit, before it begins.
 * @throws HubError with the bytes needed and free
 */
export async function checkSpace(
  client: HubClient,
  cache: HubCache,
  missing: readonly HubFile[],
): Promise<void> {
  // Two names may share contents.
  const blobs = new Map(missing.map((file) => [cache.blob(file), file.size]));
  let needed = 0;
  for (const [blob, size] of blobs) {
    const partial = await cache.fs.stat(`${blob}.anneal.incomplete`).catch(() => undefined);
    const whole = await cache.fs.stat(blob).catch(() => undefined);
    if (whole?.size !== size) needed += Math.max(0, size - (partial?.size ?? 0));
  }
  if (needed === 0) return;
  await cache.fs.mkdir(cache.folder, { recursive: true });
  const free = await freeBytes(cache);
  if (free === undefined || needed <= free) return;
  throw new HubError(
    `The ${describeRepository(client.repository)} needs ${formatBytes(needed)} more in ${cache.folder}, where ${formatBytes(free)} are free. Free space, choose another cache folder with HF_HUB_CACHE, or fewer files with include patterns.`,
    { errno: "ENOSPC", bytesNeeded: needed, bytesFree: free, folder: cache.folder },
  );
}
