/** Plans of rows by best fit: made once from the documents' lengths, kept in a file, and looked up row by row. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../errors.js";
import { cleanTemporaryFiles } from "../../io/atomic.js";
import { errnoOf, type FileSystem } from "../../io/filesystem.js";
import { packDocuments } from "../../native/text/packing.js";
import { MappedFile } from "../../native/text/shards.js";
import { diskError } from "../disk-error.js";
import type { TokenStream } from "../stream.js";
import { type BestFitOptions, checkSequenceLength, type PackingReport, packingReport } from "./options.js";
import { endsOffset, PIECES_OFFSET, type PlanHeader, readPlanHeader, writePlan } from "./plan-file.js";

/** Documents that are packed together: more of them gain nothing (2,048 tokens a row: 0.01 % padding), and these take 15 MB. */
const STRETCH = 2 ** 18;
/** With `crop`: documents at hand at a time. */
const BUFFER = 2 ** 14;
/** Bits of a piece's length. */
const LENGTH_RANGE = 2 ** 24;
/** Tokens that a plan can name. */
const MOST_TOKENS = 2 ** 40;

export interface OpenPlanOptions extends BestFitOptions {
  /** Folders that may have the plan's file, the one where it would best be first; made there, or in the next where that cannot be written. */
  dirs: readonly string[];
  /** Beginning of the file's name, for example `train`. */
  name: string;
  /** Called with the documents that are planned so far. */
  onProgress?: (documents: number) => void;
  signal?: AbortSignal;
  /** Another file system, for tests. */
  fs?: FileSystem;
}

/** The rows of a dataset. */
export class PackingPlan {
  private map: MappedFile | undefined;

  private constructor(
    readonly path: string,
    readonly header: PlanHeader,
    map: MappedFile,
  ) {
    this.map = map;
  }

  /**
   * The plan of a stream by these options: the one of last time where shards and options are the same, else a new one.
   * @throws DataError when it can be written nowhere, or there is no document
   */
  static async open(stream: TokenStream, options: OpenPlanOptions): Promise<PackingPlan> {
    const { dirs, name, fs } = options;
    const wanted = {
      sequenceLength: checkSequenceLength(options.sequenceLength),
      aligned: options.aligned ?? false,
      crop: options.crop ?? false,
    };
    const key = planKey(stream, wanted);
    const file = `${name}-${key.slice(0, 12)}.rows`;
    for (const dir of dirs) {
      const found = await PackingPlan.existing(join(dir, file), key);
      if (found !== undefined) return found;
    }
    let failure: unknown;
    for (const dir of dirs) {
      try {
        await mkdir(dir, { recursive: true });
        await cleanTemporaryFiles(dir, { fs, name: file });
        const path = join(dir, file);
        const header = await writePlan(path, (sink) => plan(stream, key, wanted, options, sink), fs);
        return new PackingPlan(path, header, MappedFile.open(path));
      } catch (error) {
        if (errnoOf(error) === undefined) throw error;
        failure ??= await diskError(error, `packing plan ${file}`, dir);
      }
    }
    throw failure;
  }

  private static async existing(path: string, key: string): Promise<PackingPlan | undefined> {
    try {
      const header = await readPlanHeader(path);
      return header.key === key ? new PackingPlan(path, header, MappedFile.open(path)) : undefined;
    } catch {
      // Not there, or not whole: it is made again.
      return undefined;
    }
  }

  /** Rows of the plan. */
  get rows(): number {
    return this.header.report.rows;
  }

  get report(): PackingReport {
    return this.header.report;
  }

  /** Stretches of the stream that a row holds: start, length, start, length, … */
  row(index: number): number[] {
    const { map, header } = this;
    if (map === undefined)
      throw new DataError(`The packing plan ${this.path} is closed.`, { path: this.path });
    const at = endsOffset(header) + index * 8;
    const [begin, end] = index === 0 ? [0, map.words(at, 1)[0]] : map.words(at - 8, 2);
    const bytes = new Uint8Array((end - begin) * 8);
    map.read(PIECES_OFFSET + begin * 8, bytes);
    const words = new Uint32Array(bytes.buffer);
    const pieces: number[] = [];
    for (let i = 0; i < words.length; i += 2) {
      // start · 2^24 + length in two halves of 32 bits.
      pieces.push(words[i + 1] * 256 + (words[i] >>> 24), words[i] % LENGTH_RANGE);
    }
    return pieces;
  }

  close(): void {
    this.map?.close();
    this.map = undefined;
  }
}

type Wanted = Required<BestFitOptions>;

function planKey(stream: TokenStream, wanted: Wanted): string {
  const shards = stream.shards.map(({ header }) => [header.payloadSha256, header.tokens, header.documents]);
  return createHash("sha256")
    .update(JSON.stringify({ version: 1, shards, ...wanted, stretch: STRETCH, buffer: BUFFER }))
    .digest("hex");
}

/** Packs all documents, a stretch of them at a time. */
async function plan(
  stream: TokenStream,
  key: string,
  wanted: Wanted,
  options: OpenPlanOptions,
  sink: { add(pieces: BigUint64Array, ends: Uint32Array): Promise<void> },
): Promise<Omit<PlanHeader, "pieces">> {
  if (stream.length >= MOST_TOKENS) {
    throw new DataError(`A packing plan holds fewer than 2^40 tokens, the data has ${stream.length}.`, {
      tokens: stream.length,
    });
  }
  const { sequenceLength, aligned, crop } = wanted;
  const counts = { rows: 0, documents: 0, tokens: stream.length, padding: 0, dropped: 0, cutDocuments: 0 };
  for (const bounds of stream.documentBounds(STRETCH)) {
    options.signal?.throwIfAborted();
    const packed = await packDocuments(bounds, {
      capacity: sequenceLength + 1,
      aligned,
      crop,
      buffer: BUFFER,
      signal: options.signal,
    });
    await sink.add(packed.pieces, packed.ends);
    counts.rows += packed.ends.length;
    counts.documents += bounds.length - 1;
    counts.padding += packed.padding;
    counts.dropped += packed.dropped;
    counts.cutDocuments += packed.cut;
    options.onProgress?.(counts.documents);
  }
  if (counts.rows === 0) throw new DataError("There is no document to pack: the shards are empty.");
  return { key, ...wanted, report: packingReport(counts, sequenceLength) };
}
