/**
 * The folder in which downloads from the Hugging Face Hub are kept, laid out as Python's huggingface_hub does, so that
 * both use one copy: `datasets--owner--name/` with blobs/<checksum>, snapshots/<commit>/<file> → blobs, refs/<revision>
 * and trees/<commit>.json (the listing, which says whether a snapshot is whole).
 */

import { lstat, readlink, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { FormatError } from "../errors.js";
import { atomically, listNames } from "./atomic.js";
import { errnoOf, type FileSystem, readWholeFile, writeWholeFile } from "./filesystem.js";
import { type HubRepository, isCommit } from "./hub-path.js";
import { isObject, parseJson } from "./json.js";

/** A file of a repository as the Hub lists it. */
export interface HubFile {
  /** Path in the repository, with `/`. */
  readonly path: string;
  /** Length in bytes. */
  readonly size: number;
  /** Git's SHA-1 of the file or, for a large one, of the note that stands for it. */
  readonly blobId: string;
  /** SHA-256 of a large file's contents. */
  readonly sha256?: string;
  /** Name in the Hub's chunked storage. */
  readonly xetHash?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `~` and `$NAME` as huggingface_hub expands them. */
function expand(path: string, env: Environment): string {
  const whole = path.replace(/\$(?:(\w+)|\{(\w+)\})/g, (text, plain, braced) => env[plain ?? braced] ?? text);
  return /^~(?=$|[/\\])/.test(whole) ? join(homedir(), whole.slice(1)) : whole;
}

function home(env: Environment): string {
  return expand(env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"), env);
}

/** The cache folder: HF_HUB_CACHE, or `hub` in HF_HOME, or `~/.cache/huggingface/hub`. */
export function hubCacheFolder(env: Environment = process.env): string {
  return resolve(expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home(env), "hub"), env));
}

/** The Hub's address: HF_ENDPOINT, or https://huggingface.co. */
export function hubEndpoint(env: Environment = process.env): string {
  return (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
}

const isTrue = (value: string | undefined) => /^(1|true|yes|on)$/i.test(value ?? "");

/** Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network. */
export function hubOffline(env: Environment = process.env): boolean {
  return isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE);
}

/** The token: HF_TOKEN, or the file that `hf auth login` writes. */
export async function hubToken(fs: FileSystem, env: Environment = process.env): Promise<string | undefined> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const given = (env.HF_TOKEN ?? env.HUGGING_FACE_HUB_TOKEN)?.trim();
  if (given) return given;
  const path = expand(env.HF_TOKEN_PATH || join(home(env), "token"), env);
  const text = await readWholeFile(fs, path).then(
    (bytes) => new TextDecoder().decode(bytes).trim(),
    () => "",
  );
  return text === "" ? undefined : text;
}

/** One repository's part of the cache. */
export class HubCache {
  /** Folder of the repository. */
  readonly folder: string;
  /** Folder of locks, apart from the contents. */
  readonly locks: string;

  constructor(
    readonly fs: FileSystem,
    cacheDir: string,
    repository: HubRepository,
  ) {
    const name = [`${repository.type}s`, ...repository.name.split("/")].join("--");
    this.folder = join(cacheDir, name);
    this.locks = join(cacheDir, ".locks", name);
  }

  /** Where a file's contents are, under their checksum. */
  blob(file: HubFile): string {
    return join(this.folder, "blobs", file.sha256 ?? file.blobId);
  }

  /** Folder of a commit's files. */
  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The commit that a revision meant when it was last fetched. */
  async readRef(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await this.readText(join(this.folder, "refs", ...revision.split("/")));
    return text !== undefined && isCommit(text.trim()) ? text.trim() : undefined;
  }

  /** Notes which commit a revision means. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || (await this.readRef(revision)) === commit) return;
    await this.writeText(join(this.folder, "refs", ...revision.split("/")), commit);
  }

  /** The listing of a commit, when it is kept. A damaged one counts as absent: it can be fetched again. */
  async readTree(commit: string): Promise<HubFile[] | undefined> {
    const path = join(this.folder, "trees", `${commit}.json`);
    const text = await this.readText(path);
    if (text === undefined) return undefined;
    try {
      const value = parseJson(text, path);
      if (!isObject(value) || value.format_version !== 1 || !isObject(value.files)) return undefined;
      return Object.entries(value.files).map(([name, info]) => {
        const facts = info as Record<string, unknown>;
        return checkFile({
          path: name,
          size: (facts.lfs_size ?? facts.size) as number,
          blobId: facts.blob_id as string,
          sha256: facts.lfs_sha256 as string | undefined,
          xetHash: facts.xet_hash as string | undefined,
        });
      });
    } catch {
      return undefined;
    }
  }

  /** Keeps the listing of a commit. */
  async writeTree(commit: string, files: readonly HubFile[]): Promise<void> {
    const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
    const entries = sorted.map(({ path, size, blobId, sha256, xetHash }) => [
      path,
      {
        size,
        blob_id: blobId,
        ...(sha256 === undefined ? {} : { lfs_sha256: sha256, lfs_size: size }),
        ...(xetHash === undefined ? {} : { xet_hash: xetHash }),
      },
    ]);
    const text = JSON.stringify({ format_version: 1, files: Object.fromEntries(entries) }, null, 1);
    await this.writeText(join(this.folder, "trees", `${commit}.json`), text);
  }

  /** Whether a commit's file is in the snapshot with the length it must have. */
  async has(commit: string, file: HubFile): Promise<boolean> {
    return this.isWhole(join(this.snapshot(commit), file.path), file);
  }

  /** Whether a path holds a file of the right length. */
  async isWhole(path: string, file: HubFile): Promise<boolean> {
    const info = await this.fs.stat(path).catch(() => undefined);
    return info?.isFile() === true && info.size === file.size;
  }

  /** Puts a file whose contents are in blobs/ into a snapshot: a relative link or, where links are not allowed, a copy. */
  async point(commit: string, file: HubFile): Promise<void> {
    const blob = this.blob(file);
    const pointer = join(this.snapshot(commit), file.path);
    const target = relative(dirname(pointer), blob);
    await this.fs.mkdir(dirname(pointer), { recursive: true });
    if ((await readlink(pointer).catch(() => undefined)) === target) return;
    await atomically(this.fs, pointer, async (temporary) => {
      try {
        await symlink(target, temporary);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === undefined || !["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"].includes(errno)) {
          throw error;
        }
        await this.fs.copyFile(blob, temporary);
      }
    });
  }

  /** All files in a commit's snapshot, sorted, whatever the listing says. */
  async listSnapshot(commit: string): Promise<string[]> {
    const root = this.snapshot(commit);
    const found: string[] = [];
    const walk = async (folder: string) => {
      for (const name of await listNames(this.fs, folder)) {
        const path = join(folder, name);
        if (/\.tmp-\d+-[0-9a-f]{8}$/.test(name)) continue;
        const info = await lstat(path).catch(() => undefined);
        if (info?.isDirectory()) await walk(path);
        else if ((await this.fs.stat(path).catch(() => undefined))?.isFile()) {
          found.push(relative(root, path).split(sep).join("/"));
        }
      }
    };
    await walk(root);
    return found.sort();
  }

  private async readText(path: string): Promise<string | undefined> {
    try {
      return new TextDecoder().decode(await readWholeFile(this.fs, path));
    } catch (error) {
      if (["ENOENT", "ENOTDIR", "EISDIR"].includes(errnoOf(error) ?? "")) return undefined;
      throw error;
    }
  }

  private async writeText(path: string, text: string): Promise<void> {
    await this.fs.mkdir(dirname(path), { recursive: true });
    await atomically(this.fs, path, (temporary) => writeWholeFile(this.fs, temporary, text));
  }
}

/**
 * Checks what a listing says about a file before anything is written under its name.
 * @throws FormatError
 */
export function checkFile(file: HubFile): HubFile {
  const fail = (problem: string) =>
    new FormatError(
      `The Hub's listing names the file ${JSON.stringify(file.path)}, ${problem}. It is not downloaded: report it to the repository's owner.`,
      { path: file.path },
    );
  const { path, size, blobId, sha256 } = file;
  const parts = typeof path === "string" ? path.split("/") : [];
  if (parts.length === 0 || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw fail("which leaves the folder of the repository");
  }
  if (path.includes("\0") || (sep === "\\" && /[\\:]/.test(path))) {
    throw fail("which is not a name on this system");
  }
  if (!Number.isSafeInteger(size) || size < 0) throw fail(`with the length ${size}`);
  if (typeof blobId !== "string" || !/^[0-9a-f]{40}$/.test(blobId)) throw fail("without a git checksum");
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) throw fail("with a broken SHA-256");
  return file;
}
