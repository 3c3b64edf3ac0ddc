/**
 * The command line: one file per command that parses, calls the library and prints; no logic of its own.
 * This file says what a command is and what it is given; main.ts holds the table of commands, run.ts runs one,
 * arguments.ts reads its options, help.ts writes its help and console.ts is its way to the terminal.
 */

/** One option, keyed in `Command.options` by its name in kebab-case without dashes. */
export interface OptionSpec {
  /** `integer` and `number` are parsed and checked to be finite; a `boolean` takes no value (`--no-name` is false). */
  type: "string" | "boolean" | "integer" | "number";
  /** Value when the option is not given; shown in the help. A `boolean` without one is false, others are undefined. */
  default?: string | number | boolean | readonly string[] | readonly number[];
  /** One letter for the short form, such as `m` for `-m`. */
  short?: string;
  /** May be given several times; the value is an array, empty when there is none and no default. */
  multiple?: boolean;
  /** The values allowed. */
  choices?: readonly string[];
  /** One line for the help, with units. */
  summary: string;
  /** What stands for the value in the help, for example `DIR`; default by type. */
  placeholder?: string;
  /** The command cannot run without it. */
  required?: boolean;
}

/** What follows the options on the command line. */
export interface PositionalSpec {
  /** Its name in the help, for example `WHAT`. */
  name: string;
  summary: string;
  /** Any number of them; otherwise at most one. */
  many?: boolean;
}

/** What a command is given to run. */
export interface CommandContext {
  /** Parsed and checked values with defaults, by the option's name in camelCase (`batch-size` → `batchSize`). */
  // biome-ignore lint/suspicious/noExplicitAny: the types follow from the option table, which is checked at parsing
  options: Record<string, any>;
  positionals: string[];
  /** `--json` was given: standard output belongs to the one result line. */
  json: boolean;
  /** A line of the command's output: standard output, or standard error with `--json`. */
  out(line: string): void;
  /** Text of the command's output without a line end, for streams of text; same places as `out`. */
  write(text: string): void;
  /** A line that is not output, on standard error. */
  info(line: string): void;
  /** The state of a long task: one line rewritten in place on a terminal, a plain line now and then elsewhere. */
  progress(line: string): void;
  /** Aborted by the first SIGINT or SIGTERM; a second SIGINT ends the process with status 130. */
  signal: AbortSignal;
}

/** One command of `anneal`. Each lib/cli/NAME.ts exports one as `command`, and imports what is slow to load inside `run`. */
export interface Command {
  name: string;
  /** One line for the list of commands. */
  summary: string;
  /** The synopsis after `anneal `, for example `eval --model DIR --text FILE [options]`. */
  usage: string;
  /** `--help`, `--json` and `--version` belong to every command and are not listed. */
  options: Record<string, OptionSpec>;
  positionals?: PositionalSpec;
  /** Complete command lines that work as they stand. */
  examples: string[];
  /** Does the work. The result is printed as one line of JSON with `--json` and not at all without. */
  run(context: CommandContext): Promise<unknown>;
}

/** Wrong usage: an unknown command or option, a bad value, something missing. Exit status 2. */
export class UsageError extends Error {
  readonly code = "ERR_USAGE";
  /** What was wrong, by name. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = "UsageError";
    this.details = details;
  }
}

/** `batch-size` → `batchSize`. */
export function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
