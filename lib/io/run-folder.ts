/** The folder of a training run: config.json, metrics.jsonl, checkpoints/, model/ and a lock against a second writer. */

import { join } from "node:path";
import { ConfigError } from "../errors.js";
import { atomically, cleanTemporaryFiles } from "./atomic.js";
import { cleanCheckpoints } from "./checkpoint.js";
import { errnoOf, type FileSystem, nodeFileSystem, saveError, writeWholeFile } from "./filesystem.js";
import { readJsonObject } from "./json.js";
import { JsonlWriter } from "./jsonl.js";
import { acquireLock, type RunLock } from "./lock.js";

/** Options of {@link RunFolder.create} and {@link RunFolder.open}. */
export interface RunFolderOptions {
  /** Take the run's lock, which writers need; readers set it to false. Default true. */
  lock?: boolean;
  /** Take the lock even when its holder is on another machine and may still run. Default false. */
  takeOver?: boolean;
  /** Another file system, for tests. */
  fs?: FileSystem;
}

/** An open run folder. Close it to give its lock back. */
export class RunFolder {
  private constructor(
    /** The folder. */
    readonly dir: string,
    /** The run's configuration as it was stored at its start. */
    readonly config: Readonly<Record<string, unknown>>,
    private readonly fs: FileSystem,
    private readonly lock: RunLock | undefined,
  ) {}

  /** Where the configuration lies. */
  get configPath(): string {
    return join(this.dir, "config.json");
  }

  /** Where the metrics lie, one JSON record per line. */
  get metricsPath(): string {
    return join(this.dir, "metrics.jsonl");
  }

  /** The root for saveCheckpoint and loadCheckpoint. */
  get checkpointsDir(): string {
    return join(this.dir, "checkpoints");
  }

  /** Where the Hugging Face model folder is exported to. */
  get modelDir(): string {
    return join(this.dir, "model");
  }

  /**
   * Starts a new run in `dir`, which is created when missing.
   * @param config stored as config.json
   * @throws ConfigError when the folder holds a run already or is locked, CheckpointError when the disk refuses
   */
  static async create(
    dir: string,
    config: Record<string, unknown>,
    options: RunFolderOptions = {},
  ): Promise<RunFolder> {
    const { fs = nodeFileSystem } = options;
    const path = join(dir, "config.json");
    let lock: RunLock | undefined;
    try {
      await fs.mkdir(dir, { recursive: true });
      lock = await takeLock(dir, options);
      if ((await fs.stat(path).catch(() => undefined)) !== undefined) {
        throw new ConfigError(`${dir} holds a run already. Resume it, or choose another output folder.`, {
          dir,
        });
      }
      await cleanTemporaryFiles(dir, { fs, exclusive: lock !== undefined });
      await fs.mkdir(join(dir, "checkpoints"), { recursive: true });
      await atomically(fs, path, (temporary) =>
        writeWholeFile(fs, temporary, `${JSON.stringify(config, null, 2)}\n`),
      );
    } catch (error) {
      await lock?.release();
      throw await saveError(fs, error, "run's configuration", dir, 0);
    }
    return new RunFolder(dir, config, fs, lock);
  }

  /**
   * Opens an existing run. With the lock, what killed processes left behind is removed first.
   * @throws ConfigError when `dir` holds no run or is locked, FormatError when config.json is damaged
   */
  static async open(dir: string, options: RunFolderOptions = {}): Promise<RunFolder> {
    const { fs = nodeFileSystem } = options;
    const path = join(dir, "config.json");
    let lock: RunLock | undefined;
    try {
      await fs.stat(path);
      lock = await takeLock(dir, options);
      const config = await readJsonObject(path, fs);
      if (lock !== undefined) {
        await cleanTemporaryFiles(dir, { fs, exclusive: true });
        await cleanCheckpoints(join(dir, "checkpoints"), { fs, exclusive: true });
      }
      return new RunFolder(dir, config, fs, lock);
    } catch (error) {
      await lock?.release();
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      if (errno === "ENOENT" || errno === "ENOTDIR") {
        throw new ConfigError(
          `${dir} is not a run folder: it has no config.json. Check the path, or start a new run there.`,
          { dir, errno },
        );
      }
      throw new ConfigError(
        `Cannot open the run ${dir}: ${(error as Error).message}. Check the folder's permissions and the disk.`,
        { dir, errno },
        { cause: error },
      );
    }
  }

  /** Opens metrics.jsonl for appending; a torn last line is cut off. */
  openMetrics(): Promise<JsonlWriter> {
    return JsonlWriter.open(this.metricsPath, { fs: this.fs });
  }

  /** Gives the lock back; may be called twice. */
  async close(): Promise<void> {
    await this.lock?.release();
  }
}

/** Takes the run's lock unless the options say not to. */
async function takeLock(dir: string, options: RunFolderOptions): Promise<RunLock | undefined> {
  const { fs, lock = true, takeOver } = options;
  return lock ? acquireLock(join(dir, ".lock"), { fs, takeOver }) : undefined;
}
