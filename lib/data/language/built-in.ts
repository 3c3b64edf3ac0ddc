/**
 * The identifier that needs no model file: 60 languages by the n-gram profiles of the package `eld`, on threads of its
 * own. Its scores are not fastText's; see detector-source.ts for what they mean.
 */

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { NativeError } from "../../errors.js";
import { DETECTOR_SOURCE } from "./detector-source.js";
import type { IdentifiedLanguage, LanguageIdentifier } from "./identifier.js";

/** Code units per excerpt of a long text; eld reads at most some 350 bytes of each. */
const EXCERPT = 200;
/** Texts per message: a few milliseconds of work. */
const MESSAGE_TEXTS = 64;
/** Profiles take 50 MB in each thread; more threads than this are rarely worth it. */
const MOST_THREADS = 8;

interface Answer {
  id: number;
  results?: [language: string, score: number][];
  problem?: string;
}

/**
 * What is looked at of a text: all of a short one; of a longer one its beginning, middle and end, where a page's menu or
 * a quotation in another language does not decide alone.
 */
export function excerptsOf(text: string): string[] {
  if (text.length <= 2 * EXCERPT) return [text];
  const last = text.length - EXCERPT;
  return [0, last >> 1, last].map((start) => text.slice(start, start + EXCERPT));
}

/** One thread and the batches that it has not answered. */
class Detector {
  private readonly worker: Worker;
  private readonly open = new Map<number, (answer: Answer) => void>();
  private next = 0;
  /** Why the thread ended, once it has. */
  failure: Error | undefined;

  constructor() {
    this.worker = new Worker(DETECTOR_SOURCE, {
      eval: true,
      workerData: { eld: import.meta.resolve("eld/small") },
    });
    // A thread without work does not keep the process alive.
    this.worker.unref();
    this.worker.on("message", (answer: Answer) => this.settle(answer));
    this.worker.on("error", (error) => this.end(error));
    this.worker.on("exit", (code) => this.end(new Error(`the thread ended with code ${code}`)));
  }

  async identify(texts: string[][]): Promise<[string, number][]> {
    const answer = await new Promise<Answer>((resolve) => {
      const id = this.next++;
      if (this.failure !== undefined) return resolve({ id, problem: this.failure.message });
      if (this.open.size === 0) this.worker.ref();
      this.open.set(id, resolve);
      this.worker.postMessage({ id, texts });
    });
    if (answer.results === undefined) {
      throw new NativeError(
        `Languages cannot be identified: ${answer.problem}. Install anneal's dependencies again, or use a fastText model.`,
      );
    }
    return answer.results;
  }

  private settle(answer: Answer): void {
    this.open.get(answer.id)?.(answer);
    this.open.delete(answer.id);
    if (this.open.size === 0) this.worker.unref();
  }

  private end(error: Error): void {
    this.failure ??= error;
    for (const id of [...this.open.keys()]) this.settle({ id, problem: error.message });
  }
}

// One set of threads for the process: the profiles are the same for everybody.
const detectors: Detector[] = [];

function detector(index: number): Detector {
  if (detectors[index] === undefined || detectors[index].failure !== undefined) {
    detectors[index] = new Detector();
  }
  return detectors[index];
}

/**
 * The built-in identifier. It knows Amharic, Arabic, Azerbaijani, Belarusian, Bulgarian, Bengali, Catalan, Czech, Danish,
 * German, Greek, English, Spanish, Estonian, Basque, Persian, Finnish, French, Gujarati, Hebrew, Hindi, Croatian,
 * Hungarian, Armenian, Icelandic, Italian, Japanese, Georgian, Kannada, Korean, Kurdish, Lao, Lithuanian, Latvian,
 * Malayalam, Marathi, Malay (also for Indonesian), Dutch, Norwegian, Oriya, Punjabi, Polish, Portuguese, Romanian,
 * Russian, Slovak, Slovene, Albanian, Serbian, Swedish, Tamil, Telugu, Thai, Tagalog, Turkish, Ukrainian, Urdu,
 * Vietnamese, Yoruba and Chinese.
 * @param options.threads default: the usable cores, up to 8
 */
export function builtInIdentifier(options: { threads?: number } = {}): LanguageIdentifier {
  const threads = Math.max(1, options.threads ?? Math.min(MOST_THREADS, availableParallelism()));
  return {
    name: "built-in",
    identify: async (batch) => {
      const results: IdentifiedLanguage[] = new Array(batch.length);
      let next = 0;
      const run = async (thread: number) => {
        while (next < batch.length) {
          const from = next;
          next = Math.min(batch.length, from + MESSAGE_TEXTS);
          const texts = batch.slice(from, next).map(excerptsOf);
          const found = await detector(thread).identify(texts);
          found.forEach(([language, score], i) => {
            results[from + i] = { language, score };
          });
        }
      };
      const used = Math.min(threads, Math.ceil(batch.length / MESSAGE_TEXTS));
      await Promise.all(Array.from({ length: used }, (_, thread) => run(thread)));
      return results;
    },
  };
}
