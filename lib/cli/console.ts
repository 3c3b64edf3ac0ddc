/** The way of a command to the terminal: output, messages, and a progress line that does not get in their way. */

/** The part of a stream that is written to here. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Inputs of `Console`; the defaults are this process's own. */
export interface ConsoleOptions {
  json: boolean;
  stdout?: Sink;
  stderr?: Sink;
  /** Milliseconds, for the throttle; default `performance.now`. */
  now?: () => number;
}

/** Milliseconds between two progress lines: on a terminal, and elsewhere. */
const TERMINAL_INTERVAL = 100;
const PLAIN_INTERVAL = 5_000;

/** Output, messages and progress of one run of a command. */
export class Console {
  readonly #output: Sink;
  readonly #errors: Sink;
  readonly #now: () => number;
  #shownAt = Number.NEGATIVE_INFINITY;
  /** The progress text on the terminal's last line, "" when there is none. */
  #shown = "";
  /** The latest progress text that the throttle held back. */
  #held = "";
  /** The cursor stands behind text that `write` left without a line end. */
  #midLine = false;

  constructor({ json, stdout = process.stdout, stderr = process.stderr, now }: ConsoleOptions) {
    this.#output = json ? stderr : stdout;
    this.#errors = stderr;
    this.#now = now ?? (() => performance.now());
  }

  /** A line of output. */
  out(line: string): void {
    this.write(`${line}\n`);
  }

  /** Output without a line end. */
  write(text: string): void {
    if (text === "") return;
    this.#erase();
    // What was held back is older than this output.
    this.#held = "";
    this.#output.write(text);
    this.#midLine = !text.endsWith("\n");
  }

  /** A line on standard error. */
  info(line: string): void {
    this.#erase();
    this.#finishLine();
    this.#errors.write(`${line}\n`);
  }

  /** The state of a long task. */
  progress(line: string): void {
    const terminal = this.#errors.isTTY === true;
    const now = this.#now();
    if (now - this.#shownAt < (terminal ? TERMINAL_INTERVAL : PLAIN_INTERVAL)) {
      this.#held = line;
      return;
    }
    this.#shownAt = now;
    this.#show(line);
  }

  /** Ends the progress line; the latest state stays visible. */
  close(): void {
    if (this.#held !== "") this.#show(this.#held);
    if (this.#shown !== "") this.#errors.write("\n");
    this.#shown = "";
    this.#finishLine();
  }

  #show(line: string): void {
    this.#held = "";
    this.#finishLine();
    if (this.#errors.isTTY !== true) {
      this.#errors.write(`${line}\n`);
      return;
    }
    const width = (this.#errors.columns ?? 80) - 1;
    this.#shown = line.length > width ? `${line.slice(0, width - 1)}…` : line;
    this.#errors.write(`\r\x1b[2K${this.#shown}`);
  }

  #erase(): void {
    if (this.#shown === "") return;
    this.#errors.write("\r\x1b[2K");
    this.#shown = "";
  }

  /** On a terminal, messages start on a line of their own; elsewhere output is left as it was written. */
  #finishLine(): void {
    if (!this.#midLine || this.#output.isTTY !== true) return;
    this.#output.write("\n");
    this.#midLine = false;
  }
}
