/** Native work that runs on threads of its own: progress, cancelling, and typed errors. */
import { availableParallelism } from "node:os";
import { typedError } from "../addon.js";

/** The words that JavaScript and a job share. Words 3 to 7 mean what each job says. */
export type JobWords = Float64Array;

export interface JobOptions {
  /** Threads; default: the usable cores. */
  threads?: number;
  signal?: AbortSignal;
  /** Called about ten times a second while the work runs, and once at its end. */
  onProgress?: (done: number, total: number, words: JobWords) => void;
}

const PROGRESS_MILLISECONDS = 100;

/** Threads that a job may use. */
export function jobThreads(options: JobOptions = {}): number {
  return options.threads ?? availableParallelism();
}

/**
 * Starts native work and waits for it.
 * @param start calls the addon with the words and gives its promise
 * @throws the typed error of the work, or the signal's reason when it was cancelled.
 */
export async function runJob<T>(options: JobOptions, start: (words: JobWords) => Promise<T>): Promise<T> {
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const words = new Float64Array(8);
  const cancel = () => {
    words[0] = 1;
  };
  signal?.addEventListener("abort", cancel, { once: true });
  const report = () => onProgress?.(words[1], words[2], words);
  const timer = onProgress && setInterval(report, PROGRESS_MILLISECONDS);
  try {
    const result = await start(words);
    report();
    return result;
  } catch (error) {
    signal?.throwIfAborted();
    throw typedError(error);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

/** Runs a short native call here and now, with typed errors. */
export function runNow<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw typedError(error);
  }
}
