/**
 * Exact substring deduplication (Lee et al.: "Deduplicating Training Data Makes Language Models Better", 2022): passages that
 * occurred before are cut out, the first occurrence stays. Texts and anchors go to a work folder; suffix arrays are built of
 * what may be repeated alone, in parts that fit into memory.
 */
import { DataError } from "../../errors.js";
import { type FileSystem, formatBytes, nodeFileSystem, readFully } from "../../io/filesystem.js";
import { TextBatch } from "../../native/text/batch.js";
import { type RecordTable, recordBytes, sortLanes } from "../../native/text/dedup.js";
import { type JobOptions, jobThreads } from "../../native/text/job.js";
import { type CorpusPiece, findRepeats, winnowTexts } from "../../native/text/repeats.js";
import { checkInteger } from "../options.js";
import { type CheckedCommon, checkCommon, checkNames, type DedupCommon } from "./options.js";
import { RunStore } from "./run-store.js";
import { SubstringResult } from "./substring-result.js";

/** Options of substring deduplication. */
export interface SubstringOptions extends DedupCommon {
  /** Bytes of UTF-8 from which on an equal passage is cut out. Default 200, about 50 tokens of English. */
  minLength?: number;
  /** A document that lost something and has fewer bytes left is dropped. Default 100. */
  minDocument?: number;
}

/** Texts and anchors that are not on the disk yet. */
interface Pending {
  texts: Uint8Array[];
  textBytes: number;
  anchors: Uint8Array[];
  anchorBytes: number;
  /** Byte of the corpus after each document. */
  ends: number[];
}

const RECORD = recordBytes(3);
const RUN_BYTES = 256 * 2 ** 20;

/** Takes documents batch by batch, then finds what to cut out of them. */
export class SubstringDeduplicator {
  private pending: Pending = empty();
  private readonly kept: { table: RecordTable; texts: Uint8Array[] }[] = [];
  private queue: Promise<unknown> = Promise.resolve();
  private seconds = { keys: 0, merge: 0 };

  private constructor(
    private readonly options: CheckedCommon & { minLength: number; minDocument: number },
    private readonly store: RunStore | undefined,
    /** Ends of the documents that are in runs. */
    private ends: Float64Array<ArrayBuffer>[],
  ) {}

  /**
   * @throws ConfigError for options that do not exist or are out of range, or a work folder of other settings.
   */
  static async open(options: SubstringOptions = {}): Promise<SubstringDeduplicator> {
    checkNames("Substring deduplication", options, ["minLength", "minDocument"]);
    const { minLength = 200, minDocument = 100, ...rest } = options;
    checkInteger("minLength", minLength, 2, 2 ** 20);
    checkInteger("minDocument", minDocument, 0);
    const common = checkCommon(rest);
    const { workDir, fingerprint, fs } = common;
    if (workDir === undefined)
      return new SubstringDeduplicator({ ...common, minLength, minDocument }, undefined, []);
    const key = JSON.stringify({ method: "substring", minLength });
    const store = await RunStore.open({
      dir: workDir,
      key,
      fingerprint,
      words: 3,
      lanes: 1,
      ...(fs && { fs }),
    });
    try {
      const ends: Float64Array<ArrayBuffer>[] = [];
      for (const { path, run } of store.data()) ends.push(await readEnds(fs ?? nodeFileSystem, path, run));
      return new SubstringDeduplicator({ ...common, minLength, minDocument }, store, ends);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** Documents that count already; after a kill the caller goes on with the document of this number. */
  get documents(): number {
    return this.ends.reduce((sum, ends) => sum + ends.length, 0) + this.pending.ends.length;
  }

  /** Bytes of UTF-8 text of them. */
  get bytes(): number {
    return this.pending.ends.at(-1) ?? this.ends.at(-1)?.at(-1) ?? 0;
  }

  /**
   * Takes the next documents, in order. Calls are carried out one after the other.
   * @throws DataError when memory or disk do not suffice; documents that counted before still do.
   */
  add(texts: readonly string[] | TextBatch): Promise<void> {
    const work = this.queue.then(() =>
      this.addNow(texts instanceof TextBatch ? texts : TextBatch.from(texts)),
    );
    this.queue = work.catch(() => undefined);
    return work;
  }

  /** Finds all repeated passages. The deduplicator takes no more documents afterwards. */
  finish(): Promise<SubstringResult> {
    const work = this.queue.then(() => this.finishNow());
    this.queue = work.catch(() => undefined);
    return work;
  }

  /** Ends the work and leaves the work folder as it is, so that another process can go on. */
  async close(): Promise<void> {
    await this.queue;
    await this.store?.close();
  }

  /** Ends the work and removes the work folder's contents. */
  async discard(): Promise<void> {
    await this.queue;
    await this.store?.discard();
  }

  private get job(): JobOptions {
    const { threads, signal } = this.options;
    return { threads, signal };
  }

  private async addNow(batch: TextBatch): Promise<void> {
    const { memoryLimit, minLength, onProgress } = this.options;
    const begin = performance.now();
    const { pending, bytes: start } = this;
    const anchors = await winnowTexts(batch, minLength, start, this.job);
    pending.anchors.push(anchors);
    pending.anchorBytes += anchors.length;
    // The batch's memory may be used again by whoever made it.
    pending.texts.push(Uint8Array.prototype.slice.call(batch.bytes));
    pending.textBytes += batch.bytes.length;
    for (const end of batch.ends) pending.ends.push(start + end);
    // Anchors are there twice while they are sorted.
    const held = pending.textBytes + 2 * pending.anchorBytes;
    if (held >= Math.min(RUN_BYTES, memoryLimit / 4)) await this.flush();
    this.seconds.keys += (performance.now() - begin) / 1000;
    onProgress?.({ phase: "keys", documents: this.documents, bytes: this.bytes, share: 0 });
  }

  private async flush(): Promise<void> {
    const { pending, store } = this;
    if (pending.ends.length === 0) return;
    const table: RecordTable = {
      bytes: new Uint8Array(pending.anchorBytes),
      stride: pending.anchorBytes,
      used: 0,
    };
    for (const piece of pending.anchors) {
      table.bytes.set(piece, table.used * RECORD);
      table.used += piece.length / RECORD;
    }
    const checksums = await sortLanes(table, 3, 1, this.job);
    const ends = Float64Array.from(pending.ends);
    if (store !== undefined) {
      const data = [...pending.texts, new Uint8Array(ends.buffer)];
      await store.add(table, checksums, ends.length, data, this.options.signal);
    } else {
      const held = [...this.kept, { table, texts: pending.texts }].reduce(
        (sum, run) =>
          sum + run.table.bytes.length + run.texts.reduce((bytes, text) => bytes + text.length, 0),
        0,
      );
      if (held > this.options.memoryLimit * 0.75) {
        throw new DataError(
          `${formatBytes(this.bytes)} of text and its anchors do not fit into ` +
            `${formatBytes(this.options.memoryLimit)} of memory. Name a work folder (workDir), or raise memoryLimit.`,
          { bytes: this.bytes, memoryLimit: this.options.memoryLimit },
        );
      }
      this.kept.push({ table, texts: pending.texts });
    }
    this.ends.push(ends);
    this.pending = empty();
  }

  private async finishNow(): Promise<SubstringResult> {
    await this.flush();
    const begin = performance.now();
    const { store, kept, documents, bytes } = this;
    const { memoryLimit, minLength, minDocument, signal, onProgress } = this.options;
    const ends = new Float64Array(documents);
    let at = 0;
    for (const part of this.ends) {
      ends.set(part, at);
      at += part.length;
    }
    this.ends = [ends];
    const corpus: CorpusPiece[] =
      store === undefined
        ? kept.flatMap((run) => run.texts.map((text) => ({ bytes: text })))
        : store.data().map(({ path, run }) => ({ path, length: run.dataBytes - 8 * run.documents }));
    const threads = jobThreads(this.job);
    const runs = store?.files() ?? kept.map((run) => run.table);
    const found = await findRepeats(
      runs,
      corpus,
      ends,
      {
        length: minLength,
        memory: Math.floor(memoryLimit / 2),
        bufferBytes: Math.floor(memoryLimit / 8),
        threads,
      },
      {
        signal,
        onProgress: onProgress && ((share) => onProgress({ phase: "merge", documents, bytes, share })),
      },
    );
    this.seconds.merge = (performance.now() - begin) / 1000;
    return new SubstringResult(ends, found.spans, minDocument, {
      method: "substring",
      settings: { minLength, minDocument },
      bytes,
      hotAnchors: found.hotAnchors,
      sortedBytes: found.sortedBytes,
      incomplete: found.incomplete,
      runs: runs.length,
      runBytes: store?.bytes ?? 0,
      threads,
      seconds: { ...this.seconds },
    });
  }
}

function empty(): Pending {
  return { texts: [], textBytes: 0, anchors: [], anchorBytes: 0, ends: [] };
}

/** The documents' ends at the end of a run's texts. */
async function readEnds(
  fs: FileSystem,
  path: string,
  run: { documents: number; dataBytes: number },
): Promise<Float64Array<ArrayBuffer>> {
  const ends = new Float64Array(run.documents);
  const handle = await fs.open(path, "r").catch((error) => {
    throw new DataError(
      `${path} cannot be opened: ${error.message}. Remove the work folder to start again.`,
      { path },
    );
  });
  try {
    const bytes = new Uint8Array(ends.buffer);
    if ((await readFully(handle, bytes, run.dataBytes - bytes.length)) < bytes.length) {
      throw new DataError(`${path} is too short. Remove the work folder to start again.`, { path });
    }
    return ends;
  } finally {
    await handle.close();
  }
}
