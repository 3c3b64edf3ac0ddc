/**
 * Runs one command: reads its arguments, connects signals and the terminal, prints the result or the error.
 * Exit status: 0 done, 1 failed, 2 wrong usage, 130 ended by a second interrupt.
 */

import { writeSync } from "node:fs";
import { constants } from "node:os";
import { AnnealError } from "../errors.js";
import { parseDevice, setDefaultDevice } from "../native/device.js";
import { packageVersion } from "../native/locate.js";
import { parseArguments } from "./arguments.js";
import { type Command, UsageError } from "./command.js";
import { Console } from "./console.js";
import { commandHelp } from "./help.js";

/** Writes all of `text` to a file descriptor before it returns, so that `process.exit` after it loses nothing. */
function writeAll(descriptor: number, text: string): void {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A pipe whose reader has gone has nobody to tell.
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** JSON text of a result; numbers that JSON does not have are null, 64-bit integers are numbers. */
export function resultLine(value: unknown): string {
  const text = JSON.stringify(value ?? {}, (_, item: unknown) =>
    typeof item === "bigint" ? Number(item) : item,
  );
  return `${text}\n`;
}

/** What is printed of an error without ANNEAL_DEBUG: its message, and the fix for failures of the system. */
function messageOf(error: unknown): string {
  if (process.env.ANNEAL_DEBUG === "1" && error instanceof Error) {
    const cause = error.cause instanceof Error ? `\nCaused by: ${error.cause.stack}` : "";
    return `${error.stack}${cause}`;
  }
  if (error instanceof AnnealError || error instanceof UsageError) return error.message;
  const text = error instanceof Error ? error.message : String(error);
  return `${text}\nThis is unexpected; run again with ANNEAL_DEBUG=1 for the place in the code.`;
}

/** Prints an error for people on standard error and, with `--json`, for programs on standard output. */
export function reportError(error: unknown, json: boolean): number {
  writeAll(2, `anneal: ${messageOf(error)}\n`);
  if (json) {
    const { code = "ERR_UNEXPECTED", details = {} } = error as { code?: unknown; details?: unknown };
    const message = error instanceof Error ? error.message : String(error);
    writeAll(1, resultLine({ error: { code, message, details } }));
  }
  return error instanceof UsageError ? 2 : 1;
}

/** Milliseconds within which a second signal is the same key press: npm passes on to its child what the terminal sends to both. */
const SAME_PRESS = 500;

/** An AbortSignal for the first SIGINT or SIGTERM; a second SIGINT ends the process at once. */
function listenForSignals(): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  let abortedAt = 0;
  const onSignal = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      abortedAt = performance.now();
      controller.abort(new AnnealError("ERR_INTERRUPTED", `Interrupted by ${name}.`, { signal: name }));
    } else if (name === "SIGINT" && performance.now() - abortedAt > SAME_PRESS) {
      process.exit(128 + constants.signals.SIGINT);
    }
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    stop: () => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}

/**
 * Runs a command with the arguments after its name, and prints.
 * @returns the exit status
 */
export async function runCommand(command: Command, args: string[]): Promise<number> {
  // Known before parsing, because parsing may fail and its error must reach the right place.
  const end = args.indexOf("--");
  const json = (end < 0 ? args : args.slice(0, end)).includes("--json");
  let interrupts: ReturnType<typeof listenForSignals> | undefined;
  let terminal: Console | undefined;
  try {
    const parsed = parseArguments(command, args);
    if (parsed.help || parsed.version) {
      writeAll(1, `${parsed.help ? commandHelp(command) : packageVersion()}\n`);
      return 0;
    }
    // A reader that goes away (`anneal … | head`) ends the process quietly.
    process.stdout.on("error", (error: NodeJS.ErrnoException) =>
      process.exit(error.code === "EPIPE" ? 0 : 1),
    );
    interrupts = listenForSignals();
    const { device } = parsed.options;
    if (typeof device === "string") setDefaultDevice(parseDevice(device));
    const console = new Console({ json });
    terminal = console;
    const result = await command.run({
      options: parsed.options,
      positionals: parsed.positionals,
      json,
      out: (line) => console.out(line),
      write: (text) => console.write(text),
      info: (line) => console.info(line),
      progress: (line) => console.progress(line),
      signal: interrupts.signal,
    });
    console.close();
    if (json) writeAll(1, resultLine(result));
    return 0;
  } catch (error) {
    terminal?.close();
    return reportError(error, json);
  } finally {
    interrupts?.stop();
  }
}
