/** Files of tokens mapped into memory: what is read is copied out, and a page that is lost is an error, never the end of the process. */
import { addon } from "../addon.js";
import { runJob, runNow } from "./job.js";

/** A mapped file in the addon. */
export type MapHandle = object & { readonly mapped: unique symbol };

declare module "../addon.js" {
  interface Addon {
    mapFile(path: string): MapHandle;
    unmapFile(handle: MapHandle): void;
    mappedBytes(handle: MapHandle): number;
    readMappedWords(handle: MapHandle, offset: number, target: Float64Array): void;
    readMappedBytes(handle: MapHandle, offset: number, target: Uint8Array): void;
    mappedWordsBetween(
      handle: MapHandle,
      offset: number,
      count: number,
      low: number,
      high: number,
    ): Float64Array;
    copyTokensNow(handles: readonly MapHandle[], copies: Float64Array, target: Int32Array): void;
    copyTokens(
      words: Float64Array,
      handles: readonly MapHandle[],
      copies: Float64Array,
      target: Int32Array,
    ): Promise<void>;
  }
}

/** Up to so many tokens are copied at once on the calling thread: a few microseconds from the page cache. */
const SMALL_COPY = 2 ** 14;

/**
 * A file mapped for reading. Methods throw DataError when the file was cut short since, when the disk fails, or after
 * `close`.
 */
export class MappedFile {
  private constructor(
    private readonly handle: MapHandle,
    /** Bytes of the file when it was mapped. */
    readonly size: number,
  ) {}

  /** @throws DataError when the file cannot be opened or mapped. */
  static open(path: string): MappedFile {
    return runNow(() => {
      const handle = addon().mapFile(path);
      return new MappedFile(handle, addon().mappedBytes(handle));
    });
  }

  /** Fills `target` from a byte on. */
  read(offset: number, target: Uint8Array): void {
    runNow(() => addon().readMappedBytes(this.handle, offset, target));
  }

  /** `count` little-endian unsigned 64-bit integers, each below 2^53. */
  words(offset: number, count: number): Float64Array {
    const target = new Float64Array(count);
    runNow(() => addon().readMappedWords(this.handle, offset, target));
    return target;
  }

  /** Of `count` ascending 64-bit integers at `offset` those in [low, high), less `low`. */
  wordsBetween(offset: number, count: number, low: number, high: number): Float64Array {
    return runNow(() => addon().mappedWordsBetween(this.handle, offset, count, low, high));
  }

  /** Lets the file go; copies under way end first. */
  close(): void {
    addon().unmapFile(this.handle);
  }

  /** The handles of files, for `TokenCopies`. */
  static handles(files: readonly MappedFile[]): MapHandle[] {
    return files.map((file) => file.handle);
  }
}

/** A list of stretches of tokens and where they go, run as one call. */
export class TokenCopies {
  private readonly files: MappedFile[] = [];
  private readonly indices = new Map<MappedFile, number>();
  private readonly words: number[] = [];
  private tokens = 0;

  /**
   * Adds a stretch.
   * @param offset byte in the file
   * @param count tokens
   * @param width bytes per token: 2 or 4
   * @param place index in the target
   */
  add(file: MappedFile, offset: number, count: number, width: 2 | 4, place: number): void {
    if (count === 0) return;
    let index = this.indices.get(file);
    if (index === undefined) {
      index = this.files.push(file) - 1;
      this.indices.set(file, index);
    }
    this.words.push(index, offset, count, width, place);
    this.tokens += count;
  }

  /** Copies all stretches to `target`: small ones here and now, others on a thread of their own. */
  async run(target: Int32Array): Promise<void> {
    const handles = MappedFile.handles(this.files);
    const words = Float64Array.from(this.words);
    if (this.tokens <= SMALL_COPY) runNow(() => addon().copyTokensNow(handles, words, target));
    else await runJob({}, (control) => addon().copyTokens(control, handles, words, target));
  }
}
