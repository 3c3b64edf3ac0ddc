/**
 * The engine below exact and near-duplicate search: documents get keys; keys are sorted in runs; runs are merged; documents
 * that share a key become one cluster. Memory is bounded, and the result depends on the documents and the settings
 * alone: not on threads, batches or runs.
 */
import { ConfigError, DataError } from "../../errors.js";
import { formatBytes } from "../../io/filesystem.js";
import { TextBatch } from "../../native/text/batch.js";
import {
  mergeRuns,
  type RecordTable,
  recordBytes,
  type StoredSignatures,
  sortLanes,
} from "../../native/text/dedup.js";
import { type JobOptions, jobThreads } from "../../native/text/job.js";
import type { CheckedCommon } from "./options.js";
import { DedupResult } from "./result.js";
import { RunStore } from "./run-store.js";

/** What keys a kind of deduplication gives its documents. */
export interface Keying {
  /** `minhash` or `exact`. */
  method: string;
  /** Everything that decides the keys, for reports and work folders. */
  settings: Record<string, unknown>;
  /** 32-bit words of a key. */
  words: number;
  /** Keys of a document. */
  lanes: number;
  /** Values of a signature that is kept for the check of pairs; 0 when none is. */
  functions: number;
  /** Share of equal values that a pair needs. */
  verify: number;
  /** Writes the keys of a batch; gives the number of records. */
  add(
    batch: TextBatch,
    first: number,
    table: RecordTable,
    signatures: Uint32Array | undefined,
    options: JobOptions,
  ): Promise<number>;
}

/** A run under way, or a whole one in memory. */
interface Pending {
  table: RecordTable;
  signatures?: Uint32Array;
  first: number;
  documents: number;
}

/** A run of this size is about a gigabyte of web text with FineWeb's settings. */
const RUN_BYTES = 64 * 2 ** 20;
const MOST_DOCUMENTS = 2 ** 32 - 1;

/** Takes documents batch by batch, then finds the clusters. */
export class KeyDeduplicator {
  private pending: Pending | undefined;
  private readonly kept: Pending[] = [];
  private bytes = 0;
  private queue: Promise<unknown> = Promise.resolve();
  private seconds = { keys: 0, merge: 0 };

  protected constructor(
    private readonly keying: Keying,
    private readonly options: CheckedCommon,
    private readonly store: RunStore | undefined,
  ) {}

  protected static async prepare(
    keying: Keying,
    options: CheckedCommon,
  ): Promise<[Keying, CheckedCommon, RunStore | undefined]> {
    const { workDir, fingerprint, fs } = options;
    const { method, settings, words, lanes, functions } = keying;
    const store =
      workDir === undefined
        ? undefined
        : await RunStore.open({
            dir: workDir,
            // Signatures that are kept are part of what a folder holds; how they are compared is not.
            key: JSON.stringify({ method, ...settings, verify: functions > 0 }),
            fingerprint,
            words,
            lanes,
            ...(fs && { fs }),
          });
    return [keying, options, store];
  }

  /**
   * Documents that count already. In a fresh work folder 0; after a kill the caller goes on with the document of this
   * number: the first ones must be the same as before.
   */
  get documents(): number {
    return (
      (this.store?.documents ?? 0) +
      this.kept.reduce((sum, run) => sum + run.documents, 0) +
      (this.pending?.documents ?? 0)
    );
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

  /**
   * Finds the clusters of all documents. The deduplicator takes no more documents afterwards; a work folder keeps its runs
   * until `discard`.
   */
  finish(): Promise<DedupResult> {
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

  /** Documents that a run may hold. */
  private get room(): number {
    const { words, lanes, functions } = this.keying;
    const bytes = Math.min(RUN_BYTES, this.options.memoryLimit / 4);
    return Math.max(1, Math.floor(bytes / (lanes * recordBytes(words) + functions * 4)));
  }

  private async addNow(batch: TextBatch): Promise<void> {
    const { onProgress, signal } = this.options;
    const begin = performance.now();
    if (this.documents + batch.length > MOST_DOCUMENTS) {
      throw new DataError(
        `More than ${MOST_DOCUMENTS} documents cannot be compared at once. Deduplicate the corpus in parts.`,
        { documents: this.documents + batch.length },
      );
    }
    for (let from = 0; from < batch.length; ) {
      signal?.throwIfAborted();
      if (this.pending !== undefined && this.pending.documents >= this.room) await this.flush();
      this.pending ??= this.fresh();
      const { pending } = this;
      const to = Math.min(batch.length, from + this.room - pending.documents);
      const slice = sliceOf(batch, from, to);
      const { functions } = this.keying;
      const signatures = pending.signatures?.subarray(
        pending.documents * functions,
        (pending.documents + slice.length) * functions,
      );
      const first = pending.first + pending.documents;
      const records = await this.keying.add(slice, first, pending.table, signatures, this.job);
      pending.table.used += records;
      pending.documents += slice.length;
      this.bytes += slice.bytes.length;
      from = to;
    }
    if (this.pending !== undefined && this.pending.documents >= this.room) await this.flush();
    this.seconds.keys += (performance.now() - begin) / 1000;
    onProgress?.({ phase: "keys", documents: this.documents, bytes: this.bytes, share: 0 });
  }

  private fresh(): Pending {
    const { words, lanes, functions } = this.keying;
    const stride = this.room * recordBytes(words);
    return {
      table: { bytes: new Uint8Array(stride * lanes), stride, used: 0 },
      ...(functions > 0 && { signatures: new Uint32Array(this.room * functions) }),
      first: this.documents,
      documents: 0,
    };
  }

  /** Sorts the run under way and puts it where it stays. On failure it is as before and can be tried again. */
  private async flush(): Promise<void> {
    const { pending, store } = this;
    if (pending === undefined) return;
    const { words, lanes, functions } = this.keying;
    const checksums = await sortLanes(pending.table, words, lanes, this.job);
    if (store !== undefined) {
      const { signatures, table, documents } = pending;
      const data =
        signatures === undefined ? [] : [new Uint8Array(signatures.buffer, 0, documents * functions * 4)];
      await store.add(table, checksums, documents, data, this.options.signal);
    } else {
      const used = this.kept.length + 1;
      const runBytes = pending.table.bytes.length + (pending.signatures?.byteLength ?? 0);
      // Three quarters of the limit are for keys, the rest for clusters.
      if (used * runBytes > this.options.memoryLimit * 0.75) {
        throw new DataError(
          `The keys of ${this.documents} documents do not fit into ${formatBytes(this.options.memoryLimit)} of memory. ` +
            "Name a work folder (workDir), or raise memoryLimit.",
          { documents: this.documents, memoryLimit: this.options.memoryLimit },
        );
      }
      this.kept.push(pending);
    }
    this.pending = undefined;
  }

  private async finishNow(): Promise<DedupResult> {
    await this.flush();
    const begin = performance.now();
    const { store, kept, keying } = this;
    const { memoryLimit, onProgress, signal } = this.options;
    const { documents } = this;
    const threads = jobThreads(this.job);
    if (documents * 4 > memoryLimit) {
      throw new ConfigError(
        `The clusters of ${documents} documents need ${formatBytes(documents * 4)} of memory; memoryLimit is ` +
          `${formatBytes(memoryLimit)}. Raise it.`,
        { documents, memoryLimit },
      );
    }
    const parents = new Uint32Array(documents);
    const runs = store?.files() ?? kept.map((run) => run.table);
    const signatures: StoredSignatures[] =
      keying.verify === 0
        ? []
        : (store?.data().map(({ path, run }) => ({ path, first: run.first, count: run.documents })) ??
          kept.map(({ first, documents: count, signatures: values }) => ({
            first,
            count,
            values: values as Uint32Array,
          })));
    const merged = await mergeRuns(
      runs,
      {
        words: keying.words,
        lanes: keying.lanes,
        bufferBytes: Math.floor(memoryLimit / 4),
        threads,
        verify: keying.verify,
        functions: keying.functions,
        signatures,
      },
      parents,
      {
        signal,
        onProgress:
          onProgress && ((share) => onProgress({ phase: "merge", documents, bytes: this.bytes, share })),
      },
    );
    this.seconds.merge = (performance.now() - begin) / 1000;
    const records = store?.records ?? kept.reduce((sum, run) => sum + run.table.used, 0);
    return new DedupResult(parents, merged, {
      method: keying.method,
      settings: keying.settings,
      keyed: records,
      bytes: this.bytes,
      runs: runs.length,
      runBytes: store?.bytes ?? 0,
      threads,
      seconds: { ...this.seconds },
    });
  }
}

/** Texts [from, to) of a batch; a view. */
function sliceOf(batch: TextBatch, from: number, to: number): TextBatch {
  if (from === 0 && to === batch.length) return batch;
  const start = batch.start(from);
  const end = to === from ? start : batch.ends[to - 1];
  return new TextBatch(
    batch.bytes.subarray(start, end),
    batch.ends.subarray(from, to).map((at) => at - start),
  );
}
