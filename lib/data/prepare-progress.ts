/** Progress of the preparation: counts, rate and time left; and room for other work in between. */
import { setImmediate } from "node:timers/promises";
import type { PrepareOptions, PrepareProgress } from "./prepare-options.js";

/** Longest time the event loop is kept busy, in milliseconds. */
const SLICE_MILLISECONDS = 15;

export class PreparationProgress {
  private phase: PrepareProgress["phase"] = "scan";
  private bytes = 0;
  private documents = 0;
  private sliceStart = performance.now();
  private phaseStart = performance.now();
  /** Bytes of this phase that were done by an earlier run: they say nothing about the rate. */
  private skipped = 0;
  /** Bytes of all text, once they are known. */
  private textBytes: number | undefined;
  /** Bytes read from files in this phase, and bytes of the text that came out of them. */
  private readBytes = 0;
  private takenBytes = 0;

  /** @param fileBytes size of all files */
  constructor(
    private readonly options: Pick<PrepareOptions, "onProgress" | "signal">,
    private readonly fileBytes: number,
    private readonly tokens: () => number,
  ) {}

  /**
   * Starts the second phase.
   * @param textBytes size of all text where it is known by now
   */
  scanned(textBytes: number | undefined): void {
    this.phase = "tokenize";
    this.textBytes = textBytes;
    this.bytes = 0;
    this.readBytes = 0;
    this.takenBytes = 0;
    this.documents = 0;
    this.phaseStart = performance.now();
  }

  /** Counts bytes that were read from a file. */
  read(bytes: number): void {
    this.readBytes += bytes;
  }

  /** Counts bytes of text that came out of the files. */
  take(bytes: number): void {
    this.takenBytes += bytes;
  }

  /** Counts documents that are done. */
  async advance(documents: number, bytes: number, skipped = false): Promise<void> {
    this.documents += documents;
    this.bytes += bytes;
    if (skipped) this.skipped += bytes;
    this.report();
    await this.breathe();
  }

  /** The end of all: now the size of the text is known. */
  ended(): void {
    this.textBytes = this.bytes;
    this.report();
  }

  /** Lets other work run where this has gone on for long. */
  async breathe(): Promise<void> {
    if (performance.now() - this.sliceStart > SLICE_MILLISECONDS) {
      await setImmediate();
      this.sliceStart = performance.now();
    }
    this.options.signal?.throwIfAborted();
  }

  /** Bytes of text in this phase. */
  get done(): number {
    return this.bytes;
  }

  /** Size of all text by what the files gave so far: packed ones hold more than their size, records less. */
  private estimate(): number {
    const { fileBytes, readBytes, takenBytes } = this;
    return takenBytes > 0 && readBytes > 0 ? (takenBytes * fileBytes) / readBytes : fileBytes;
  }

  private report(): void {
    const { phase, bytes, documents } = this;
    const seconds = (performance.now() - this.phaseStart) / 1000;
    const totalBytes = Math.max(this.textBytes ?? this.estimate(), bytes);
    const bytesPerSecond = seconds > 0 ? (bytes - this.skipped) / seconds : 0;
    this.options.onProgress?.({
      phase,
      bytes,
      totalBytes,
      documents,
      tokens: this.tokens(),
      bytesPerSecond,
      secondsLeft: bytesPerSecond > 0 ? (totalBytes - bytes) / bytesPerSecond : null,
    });
  }
}
