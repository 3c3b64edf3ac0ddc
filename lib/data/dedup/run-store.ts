/**
 * Sorted runs of document keys in a work folder. A run counts once it stands in state.json, which is replaced in one step: a
 * process that is killed goes on after the last one, and what a half-written run left behind is removed.
 */
import { join } from "node:path";
import { ConfigError, FormatError } from "../../errors.js";
import { atomically, listNames } from "../../io/atomic.js";
import {
  type FileSystem,
  nodeFileSystem,
  readWholeFile,
  removeQuietly,
  writeFully,
  writeWholeFile,
} from "../../io/filesystem.js";
import { acquireLock, type RunLock } from "../../io/lock.js";
import type { RecordFile, RecordTable } from "../../native/text/dedup.js";
import { recordBytes } from "../../native/text/dedup.js";
import { diskError } from "../disk-error.js";

const STATE = "state.json";
const LOCK = "lock";
const FORMAT = 1;
const OURS = /^(state\.json|lock|run-\d{6}\.(keys|data)|\..+\.tmp-\d+-[0-9a-f]{8})$/;

/** One run on the disk. */
export interface StoredRun {
  /** Number of its first document, and how many it accounts for. */
  first: number;
  documents: number;
  /** Records of each lane. */
  records: number;
  /** Checksum of each lane, in hexadecimal. */
  checksums: string[];
  /** Bytes of what is kept beside the keys. */
  dataBytes: number;
}

interface State {
  format: number;
  /** What the keys mean. */
  key: string;
  /** What the documents are, as the caller named it. */
  fingerprint: string;
  runs: StoredRun[];
}

export interface RunStoreOptions {
  /** The folder; made if missing. */
  dir: string;
  /** What the keys mean: settings as JSON. */
  key: string;
  /** What the documents are. */
  fingerprint: string;
  /** 32-bit words of a key. */
  words: number;
  lanes: number;
  fs?: FileSystem;
}

/** The runs of one deduplication. One process at a time. */
export class RunStore {
  private constructor(
    private readonly options: Required<RunStoreOptions>,
    private readonly lock: RunLock,
    private state: State,
  ) {}

  /**
   * Opens a work folder, with the runs that an earlier process finished.
   * @throws ConfigError when it belongs to other settings, other documents or another process; FormatError when it is
   * damaged; DataError when the disk refuses.
   */
  static async open(options: RunStoreOptions): Promise<RunStore> {
    const { dir, key, fingerprint, fs = nodeFileSystem } = options;
    try {
      await fs.mkdir(dir, { recursive: true });
      const lock = await acquireLock(join(dir, LOCK), { fs });
      try {
        const found = await readState(fs, dir);
        if (found !== undefined && (found.key !== key || found.fingerprint !== fingerprint)) {
          throw new ConfigError(
            `The work folder ${dir} belongs to ${found.key !== key ? "other settings" : "other documents"}. ` +
              "Remove it to start again, or name another one.",
            {
              dir,
              found: found.key === key ? found.fingerprint : found.key,
              expected: found.key === key ? fingerprint : key,
            },
          );
        }
        const state = found ?? { format: FORMAT, key, fingerprint, runs: [] };
        const store = new RunStore({ ...options, fs }, lock, state);
        await store.removeStrays();
        return store;
      } catch (error) {
        await lock.release();
        throw error;
      }
    } catch (error) {
      throw await diskError(error, "state of the deduplication", dir);
    }
  }

  /** Documents that the runs account for. */
  get documents(): number {
    return this.state.runs.reduce((sum, run) => sum + run.documents, 0);
  }

  /** Records of a lane. */
  get records(): number {
    return this.state.runs.reduce((sum, run) => sum + run.records, 0);
  }

  get count(): number {
    return this.state.runs.length;
  }

  /** Bytes on the disk. */
  get bytes(): number {
    const { words, lanes } = this.options;
    return this.state.runs.reduce(
      (sum, run) => sum + run.records * recordBytes(words) * lanes + run.dataBytes,
      0,
    );
  }

  /** The runs as the merge takes them. */
  files(): RecordFile[] {
    return this.state.runs.map((run, index) => ({
      path: this.path(index, "keys"),
      count: run.records,
      checksums: BigUint64Array.from(run.checksums, (hex) => BigInt(`0x${hex}`)),
    }));
  }

  /** Where the data beside the keys lies, run by run. */
  data(): { path: string; run: StoredRun }[] {
    return this.state.runs.map((run, index) => ({ path: this.path(index, "data"), run }));
  }

  /**
   * Writes a sorted run and counts it.
   * @param documents how many documents it accounts for
   * @param data what is kept beside the keys, in pieces
   * @throws DataError when the disk refuses; what was there before stays.
   */
  async add(
    table: RecordTable,
    checksums: BigUint64Array,
    documents: number,
    data: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<void> {
    const { dir, fs, lanes, words } = this.options;
    const index = this.state.runs.length;
    const length = table.used * recordBytes(words);
    const written: string[] = [];
    try {
      const write = async (kind: "keys" | "data", pieces: readonly Uint8Array[]) => {
        const path = this.path(index, kind);
        await atomically(fs, path, (temporary) => writePieces(fs, temporary, pieces, signal));
        written.push(path);
      };
      if (data.length > 0) await write("data", data);
      await write(
        "keys",
        Array.from({ length: lanes }, (_, lane) =>
          table.bytes.subarray(lane * table.stride, lane * table.stride + length),
        ),
      );
      const run: StoredRun = {
        first: this.documents,
        documents,
        records: table.used,
        checksums: Array.from(checksums, (sum) => sum.toString(16)),
        dataBytes: data.reduce((sum, piece) => sum + piece.byteLength, 0),
      };
      const next = { ...this.state, runs: [...this.state.runs, run] };
      await atomically(fs, join(dir, STATE), (temporary) =>
        writeWholeFile(fs, temporary, `${JSON.stringify(next)}\n`),
      );
      this.state = next;
    } catch (error) {
      for (const path of written) await removeQuietly(fs, path);
      throw await diskError(error, "keys of documents", dir);
    }
  }

  /** Gives the folder back to other processes; what is in it stays. */
  async close(): Promise<void> {
    await this.lock.release();
  }

  /** Removes all that this room wrote to the folder, and the folder if nothing else is in it. */
  async discard(): Promise<void> {
    const { dir, fs } = this.options;
    for (const name of await listNames(fs, dir)) {
      if (name !== LOCK && OURS.test(name)) await removeQuietly(fs, join(dir, name));
    }
    await this.lock.release();
    if ((await listNames(fs, dir)).length === 0) await removeQuietly(fs, dir);
  }

  private path(index: number, kind: "keys" | "data"): string {
    return join(this.options.dir, `run-${String(index).padStart(6, "0")}.${kind}`);
  }

  /** Removes what a killed process left and no state names. */
  private async removeStrays(): Promise<void> {
    const { dir, fs } = this.options;
    const known = new Set([STATE, LOCK]);
    for (let index = 0; index < this.state.runs.length; index++) {
      known.add(`run-${String(index).padStart(6, "0")}.keys`);
      known.add(`run-${String(index).padStart(6, "0")}.data`);
    }
    for (const name of await listNames(fs, dir)) {
      if (OURS.test(name) && !known.has(name)) await fs.rm(join(dir, name), { recursive: true, force: true });
    }
  }
}

/** Writes a file from pieces, one after the other, and forces it to the disk. */
async function writePieces(
  fs: FileSystem,
  path: string,
  pieces: readonly Uint8Array[],
  signal?: AbortSignal,
): Promise<void> {
  const handle = await fs.open(path, "wx");
  try {
    let at = 0;
    for (const piece of pieces) {
      await writeFully(handle, piece, at, undefined, signal);
      at += piece.byteLength;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readState(fs: FileSystem, dir: string): Promise<State | undefined> {
  if (!(await listNames(fs, dir)).includes(STATE)) return undefined;
  const path = join(dir, STATE);
  const text = new TextDecoder().decode(await readWholeFile(fs, path));
  let state: State | undefined;
  try {
    state = JSON.parse(text) as State;
  } catch (error) {
    throw new FormatError(
      `${path} is damaged (${(error as Error).message}). Remove the work folder to start again.`,
      { path },
      { cause: error },
    );
  }
  if (state?.format !== FORMAT || !Array.isArray(state.runs)) {
    throw new FormatError(
      `${path} was written by another version of anneal. Remove the work folder to start again.`,
      { path, format: state?.format, expected: FORMAT },
    );
  }
  return state;
}
