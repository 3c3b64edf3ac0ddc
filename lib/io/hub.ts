/**
 * Datasets and models from the Hugging Face Hub as local folders: which commit a revision means and what files it has
 * (`@huggingface/hub`), then each file into the cache that Python's huggingface_hub shares.
 */

import { ConfigError, HubError } from "../errors.js";
import { cleanTemporaryFiles } from "./atomic.js";
import { errnoOf, type FileSystem, nodeFileSystem } from "./filesystem.js";
import { globFilter } from "./glob.js";
import {
  checkFile,
  HubCache,
  type HubFile,
  hubCacheFolder,
  hubEndpoint,
  hubOffline,
  hubToken,
} from "./hub-cache.js";
import { checkSpace, downloadBlob } from "./hub-download.js";
import { HubClient } from "./hub-http.js";
import {
  checkRepositoryName,
  checkRevision,
  describeRepository,
  type HubRepository,
  isCommit,
  parseHubPath,
} from "./hub-path.js";

/** How far a snapshot is. */
export interface HubProgress {
  /** Bytes on the disk, of `bytes` together. */
  readonly bytesDone: number;
  readonly bytes: number;
  /** Files in place, of `files` together. */
  readonly filesDone: number;
  readonly files: number;
}

/** What to fetch, from where, to where. */
export interface SnapshotOptions {
  /** Branch, tag or commit; default: `main`. */
  revision?: string;
  /** Patterns (lib/io/glob.ts) of the files wanted; default: all. */
  include?: string | readonly string[];
  /** Patterns of files not wanted. */
  exclude?: string | readonly string[];
  /** Access token; default: HF_TOKEN, or that of `hf auth login`. `false`: none. */
  token?: string | false;
  /** The Hub's address; default: HF_ENDPOINT, or https://huggingface.co. */
  endpoint?: string;
  /** Default: HF_HUB_CACHE, or `hub` in HF_HOME, or ~/.cache/huggingface/hub. */
  cacheDir?: string;
  /** Use the cache alone; default: HF_HUB_OFFLINE. */
  offline?: boolean;
  /** Files at a time; default 8. */
  concurrency?: number;
  /** Further attempts after a lost connection, 429 or 5xx; attempts that moved bytes do not count. Default 6. */
  retries?: number;
  /** Milliseconds before the first further attempt, doubled each time; default 1000. */
  retryDelay?: number;
  /** Milliseconds without a byte after which a connection counts as lost; default 30 000. */
  timeout?: number;
  signal?: AbortSignal;
  /** Called at most ten times a second, and at the end. */
  onProgress?: (progress: HubProgress) => void;
  fs?: FileSystem;
}

/** A repository's files on the disk. */
export interface Snapshot {
  /** Folder with the files under their names in the repository. */
  readonly folder: string;
  /** The commit, 40 hexadecimal digits. */
  readonly revision: string;
  /** Paths of the files asked for, in the repository, with `/`; sorted. */
  readonly files: string[];
}

const PROGRESS_MS = 100;

/**
 * A dataset's files, downloaded as far as they are not in the cache. A call that was interrupted, by whatever, is
 * continued by the same call.
 * @param name `owner/name`
 * @throws HubError when it does not exist, may not be read, is out of reach or does not fit the disk; ConfigError for
 *   a name, revision or pattern that cannot be; the signal's reason
 */
export function snapshotDataset(name: string, options: SnapshotOptions = {}): Promise<Snapshot> {
  return snapshot({ type: "dataset", name }, options);
}

/** A model's files; like `snapshotDataset`. */
export function snapshotModel(name: string, options: SnapshotOptions = {}): Promise<Snapshot> {
  return snapshot({ type: "model", name }, options);
}

/**
 * The files that an `hf://` path names; like `snapshotDataset`. The path's revision and file pattern take the place of
 * those in the options.
 * @throws ConfigError also for a path that does not parse
 */
export async function snapshotHubPath(path: string, options: SnapshotOptions = {}): Promise<Snapshot> {
  const { path: pattern, revision = options.revision, ...repository } = parseHubPath(path);
  const include = pattern === undefined ? options.include : `/${pattern}`;
  return snapshot(repository, { ...options, revision, include });
}

/** A repository's files, of either kind; like `snapshotDataset`. */
export async function snapshot(repository: HubRepository, options: SnapshotOptions = {}): Promise<Snapshot> {
  const { revision = "main", fs = nodeFileSystem, concurrency = 8, signal } = options;
  checkRepositoryName(repository.name);
  checkRevision(revision);
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new ConfigError(`concurrency: expected a whole number from 1 on, got ${concurrency}.`, {
      concurrency,
    });
  }
  const chosen = globFilter(options.include, options.exclude);
  const cache = new HubCache(fs, options.cacheDir ?? hubCacheFolder(), repository);
  signal?.throwIfAborted();
  try {
    return (options.offline ?? hubOffline())
      ? await fromCache(repository, revision, cache, chosen, options)
      : await fromHub(repository, revision, cache, chosen, options);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw new HubError(
      `The cache ${cache.folder} does not work: ${(error as Error).message}. Free space there or give this user permission, or choose another folder with HF_HUB_CACHE; then run the same command again.`,
      { errno, folder: cache.folder },
      { cause: error },
    );
  }
}

/** A snapshot with the network. */
async function fromHub(
  repository: HubRepository,
  revision: string,
  cache: HubCache,
  chosen: (path: string) => boolean,
  options: SnapshotOptions,
): Promise<Snapshot> {
  const client = new HubClient(repository, revision, {
    endpoint: (options.endpoint ?? hubEndpoint()).replace(/\/+$/, ""),
    token: options.token === false ? undefined : (options.token ?? (await hubToken(cache.fs))),
    signal: options.signal,
    retries: options.retries ?? 6,
    retryDelay: options.retryDelay ?? 1000,
    timeout: options.timeout ?? 30_000,
  });
  const commit = await resolveCommit(client);
  const tree = (await cache.readTree(commit)) ?? (await fetchTree(client, cache, commit));
  const files = tree.filter((file) => chosen(file.path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  if (files.length === 0) throw nothingChosen(repository, commit, tree, options);
  await cache.writeRef(revision, commit);
  await fetchFiles(client, cache, commit, files, options);
  return { folder: cache.snapshot(commit), revision: commit, files: files.map(({ path }) => path) };
}

/** The commit that the client's revision means now. */
async function resolveCommit(client: HubClient): Promise<string> {
  const { repository, revision } = client;
  if (isCommit(revision)) return revision;
  const hub = await import("@huggingface/hub");
  const query = {
    name: repository.name,
    revision,
    hubUrl: client.options.endpoint,
    additionalFields: ["sha" as const],
    fetch: client.fetch,
  };
  const { sha } = repository.type === "dataset" ? await hub.datasetInfo(query) : await hub.modelInfo(query);
  if (typeof sha !== "string" || !isCommit(sha)) {
    throw new HubError(
      `${client.options.endpoint} does not say which commit the revision ${revision} of the ${describeRepository(repository)} is (got ${JSON.stringify(sha)}). Check HF_ENDPOINT.`,
      { repository: repository.name, revision },
    );
  }
  return sha;
}

/** The listing of a commit; kept, because a commit never changes. */
async function fetchTree(client: HubClient, cache: HubCache, commit: string): Promise<HubFile[]> {
  const { listFiles } = await import("@huggingface/hub");
  const files: HubFile[] = [];
  const listing = listFiles({
    repo: { type: client.repository.type, name: client.repository.name },
    recursive: true,
    revision: commit,
    hubUrl: client.options.endpoint,
    fetch: client.fetch,
  });
  const names = new Set<string>();
  for await (const entry of listing) {
    if (entry.type !== "file") continue;
    files.push(
      checkFile({
        path: entry.path,
        size: entry.lfs?.size ?? entry.size,
        blobId: entry.oid ?? "",
        sha256: entry.lfs?.oid,
        xetHash: entry.xetHash,
      }),
    );
    if (names.has(entry.path)) {
      throw new HubError(
        `The listing of the ${describeRepository(client.repository)} names ${entry.path} twice. Check HF_ENDPOINT and any proxy in between.`,
        { path: entry.path },
      );
    }
    names.add(entry.path);
  }
  await cache.writeTree(commit, files);
  return files;
}

/** Brings all files into the snapshot, several at a time. */
async function fetchFiles(
  client: HubClient,
  cache: HubCache,
  commit: string,
  files: readonly HubFile[],
  options: SnapshotOptions,
): Promise<void> {
  const { concurrency = 8, onProgress, signal } = options;
  const missing: HubFile[] = [];
  let bytesDone = 0;
  for (const file of files) {
    if (await cache.has(commit, file)) bytesDone += file.size;
    else missing.push(file);
  }
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  let filesDone = files.length - missing.length;
  let told = 0;
  const tell = (always: boolean) => {
    if (onProgress === undefined || (!always && Date.now() - told < PROGRESS_MS)) return;
    told = Date.now();
    onProgress({ bytesDone, bytes, filesDone, files: files.length });
  };
  if (missing.length > 0) {
    await checkSpace(client, cache, missing);
    await cleanTemporaryFiles(`${cache.folder}/blobs`, { fs: cache.fs });
  }

  // The first failure stops the others, which keep what they have.
  const stop = new AbortController();
  const joined = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const shared = new HubClient(client.repository, client.revision, { ...client.options, signal: joined });
  let next = 0;
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    while (next < missing.length && failure === undefined) {
      const file = missing[next++];
      try {
        await downloadBlob({
          client: shared,
          cache,
          commit,
          file,
          onBytes: (more) => {
            bytesDone += more;
            tell(false);
          },
        });
        await cache.point(commit, file);
        filesDone++;
      } catch (error) {
        failure ??= { error };
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, missing.length) }, worker));
  if (failure !== undefined) {
    signal?.throwIfAborted();
    throw failure.error;
  }
  tell(true);
}

/** A snapshot without the network. */
async function fromCache(
  repository: HubRepository,
  revision: string,
  cache: HubCache,
  chosen: (path: string) => boolean,
  options: SnapshotOptions,
): Promise<Snapshot> {
  const what = describeRepository(repository);
  const commit = await cache.readRef(revision);
  const present = commit === undefined ? [] : await cache.listSnapshot(commit);
  if (commit === undefined || present.length === 0) {
    throw new HubError(
      `Revision ${revision} of the ${what} is not in ${cache.folder}, and the network is not to be used. Run once without HF_HUB_OFFLINE.`,
      { repository: repository.name, revision, folder: cache.folder },
    );
  }
  const tree = await cache.readTree(commit);
  if (tree === undefined) {
    const files = present.filter(chosen);
    if (files.length === 0)
      throw nothingChosen(
        repository,
        commit,
        present.map((path) => ({ path })),
        options,
      );
    return { folder: cache.snapshot(commit), revision: commit, files };
  }
  const files = tree.filter((file) => chosen(file.path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  if (files.length === 0) throw nothingChosen(repository, commit, tree, options);
  const missing: string[] = [];
  for (const file of files) if (!(await cache.has(commit, file))) missing.push(file.path);
  if (missing.length > 0) {
    throw new HubError(
      `${missing.length} of ${files.length} files of the ${what} are not in ${cache.folder} (the first: ${missing[0]}), and the network is not to be used. Run once without HF_HUB_OFFLINE.`,
      { repository: repository.name, missing: missing.slice(0, 20), folder: cache.folder },
    );
  }
  return { folder: cache.snapshot(commit), revision: commit, files: files.map(({ path }) => path) };
}

function nothingChosen(
  repository: HubRepository,
  commit: string,
  files: readonly { path: string }[],
  { include = [], exclude = [] }: SnapshotOptions,
): Error {
  const what = describeRepository(repository);
  if (files.length === 0) {
    return new HubError(`The ${what} has no files at commit ${commit}.`, { repository: repository.name });
  }
  const some = files
    .slice(0, 5)
    .map(({ path }) => path)
    .join(", ");
  return new HubError(
    `No file of the ${what} fits include ${JSON.stringify(include)}, exclude ${JSON.stringify(exclude)}. It has ${files.length} files, among them ${some}.`,
    { repository: repository.name, include, exclude },
  );
}
