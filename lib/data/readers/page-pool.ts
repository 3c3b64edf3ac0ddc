/**
 * Threads that take the text from web pages, which costs far more than reading them. Pages go out in messages of a few
 * hundred kilobytes, their texts come back in whatever order; those who ask keep the order.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { NativeError } from "../../errors.js";
import type { PageText } from "./main-text.js";
import type { PageEntry, PagesMessage, TextsMessage } from "./page-worker.js";

/** Bytes of pages that come before the first thread starts, which takes as long as they do (50 ms). */
const FEW_BYTES = 2 ** 19;
/** Bytes of pages in one message: some 10 ms of work. */
const MESSAGE_BYTES = 2 ** 18;
/** Messages a thread that may be under way, so that it has work while its texts are taken. */
const MESSAGES_AHEAD = 4;
/** Most threads by default: more than these are not fed by the one that unpacks a file. */
const MOST_THREADS = 8;

/** Memory of a thread for what is soon forgotten: as fast as with Node's default, with 35 MB less a thread. */
const YOUNG_MEGABYTES = 12;

/** A page whose text is being taken. */
export interface PageTask {
  /**
   * Its text.
   * @throws Error when this page fails, NativeError when its thread does
   */
  result(): Promise<PageText>;
}

/** A page on its way. */
class Page implements PageTask {
  resolve!: (text: PageText) => void;
  reject!: (error: Error) => void;
  private readonly text: Promise<PageText>;

  constructor(
    /** Until they are sent. */
    public bytes: Uint8Array | undefined,
    readonly charset: string | undefined,
    private readonly send: () => void,
  ) {
    this.text = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Nobody may ask any more for the text of a page that fails.
    this.text.catch(() => undefined);
  }

  result(): Promise<PageText> {
    if (this.bytes !== undefined) this.send();
    return this.text;
  }
}

/** One thread and the messages that it has not answered. */
class PageThread {
  private readonly worker: Worker;
  private readonly open = new Map<number, Page[]>();
  private next = 0;
  private failure: NativeError | undefined;

  constructor(program: URL, mode: "main" | "all") {
    this.worker = new Worker(program, {
      workerData: { mode },
      // Options of the process, such as --input-type, are not for this program.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MEGABYTES },
    });
    // A thread without work does not keep the process alive.
    this.worker.unref();
    this.worker.on("message", ({ id, texts }: TextsMessage) => {
      const pages = this.close(id);
      pages.forEach((page, i) => {
        const text = texts[i];
        if ("problem" in text) page.reject(new Error(text.problem));
        else page.resolve(text);
      });
    });
    this.worker.on("error", (error) => this.fail(error.message, error));
    this.worker.on("exit", (code) => this.fail(`the thread ended with code ${code}`));
  }

  /** Messages that are not answered. */
  get load(): number {
    return this.open.size;
  }

  send(pages: Page[], length: number): void {
    const bytes = new Uint8Array(length);
    let at = 0;
    const entries = pages.map((page): PageEntry => {
      const content = page.bytes as Uint8Array;
      bytes.set(content, at);
      at += content.length;
      page.bytes = undefined;
      return [content.length, page.charset];
    });
    if (this.failure !== undefined) {
      for (const page of pages) page.reject(this.failure);
      return;
    }
    if (this.open.size === 0) this.worker.ref();
    const id = this.next++;
    this.open.set(id, pages);
    const message: PagesMessage = { id, bytes: bytes.buffer, pages: entries };
    this.worker.postMessage(message, [bytes.buffer]);
  }

  /** Ends the thread; pages that it has not answered fail. */
  async end(): Promise<void> {
    this.fail("reading has ended");
    await this.worker.terminate();
  }

  private close(id: number): Page[] {
    const pages = this.open.get(id) ?? [];
    this.open.delete(id);
    if (this.open.size === 0) this.worker.unref();
    return pages;
  }

  private fail(problem: string, cause?: Error): void {
    this.failure ??= failed(problem, cause);
    for (const id of [...this.open.keys()]) for (const page of this.close(id)) page.reject(this.failure);
  }
}

function failed(problem: string, cause?: Error): NativeError {
  return new NativeError(
    `A thread that takes the text from web pages failed: ${problem}. Give the process more memory, or let it use fewer ` +
      "threads with the option threads.",
    {},
    { cause },
  );
}

/** Where the compiled program of the threads is; undefined in a bundle, which holds it nowhere. */
function compiledProgram(): URL | undefined {
  const own = import.meta.url;
  // A thread takes no TypeScript: where the sources run themselves, what was compiled of them serves.
  const place = own.endsWith(".ts") ? "../../../dist/data/readers/page-worker.js" : "./page-worker.js";
  const program = new URL(place, own);
  return existsSync(program) ? program : undefined;
}

/** Options of a pool. */
export interface PagePoolOptions {
  /** Default: the usable cores, up to 8. */
  threads?: number;
  /** Bytes of pages that are left to the caller before the first thread starts. Default 512 KiB. */
  few?: number;
  /** Another program for the threads, for tests. */
  program?: URL;
}

/** Threads for the pages of one reading. They start with work and must be ended by `close`. */
export class PagePool {
  /** Bytes of pages that may be under way or wait to be taken: work for all threads, and no more memory than that. */
  readonly window: number;
  private readonly most: number;
  private readonly few: number;
  private readonly program: URL | undefined;
  private readonly threads: PageThread[] = [];
  private unsent: Page[] = [];
  private unsentBytes = 0;
  private seen = 0;
  private closed = false;

  /** @param mode what is taken: the main text of a page or all its text */
  constructor(
    private readonly mode: "main" | "all",
    options: PagePoolOptions = {},
  ) {
    this.most = options.threads ?? Math.min(MOST_THREADS, availableParallelism());
    this.window = this.most * MESSAGES_AHEAD * MESSAGE_BYTES;
    this.few = options.few ?? FEW_BYTES;
    this.program = options.program ?? compiledProgram();
  }

  /**
   * Takes a page on; undefined when the pages so far are so few that the caller is quicker by itself.
   * @param bytes must not change until the result is there
   * @param charset as the HTTP header declares it
   */
  add(bytes: Uint8Array, charset?: string): PageTask | undefined {
    this.seen += bytes.length;
    if (this.seen <= this.few || this.program === undefined) return undefined;
    const page = new Page(bytes, charset, () => this.flush());
    this.unsent.push(page);
    this.unsentBytes += bytes.length;
    if (this.unsentBytes >= MESSAGE_BYTES) this.flush();
    return page;
  }

  /** Ends all threads; pages under way fail. */
  async close(): Promise<void> {
    this.closed = true;
    this.flush();
    await Promise.all(this.threads.map((thread) => thread.end()));
  }

  /** Sends what is gathered to the thread with least to do. */
  private flush(): void {
    if (this.unsent.length === 0) return;
    const pages = this.unsent;
    const bytes = this.unsentBytes;
    this.unsent = [];
    this.unsentBytes = 0;
    if (!this.closed) this.idlest().send(pages, bytes);
    else for (const page of pages) page.reject(failed("reading has ended"));
  }

  private idlest(): PageThread {
    let best = this.threads[0];
    for (const thread of this.threads) if (thread.load < best.load) best = thread;
    if (best !== undefined && (best.load === 0 || this.threads.length === this.most)) return best;
    const thread = new PageThread(this.program as URL, this.mode);
    this.threads.push(thread);
    return thread;
  }
}
