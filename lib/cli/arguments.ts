/** Reads a command line against a command's option table: types, choices, defaults, and errors that name the fix. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { didYouMean, suggest } from "../errors.js";
import { type Command, camelCase, type OptionSpec, UsageError } from "./command.js";

/** Options that every command has. */
export const COMMON_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  json: { type: "boolean", summary: "Print one machine-readable result on stdout, all else on stderr" },
  help: { type: "boolean", short: "h", summary: "Show this help" },
  version: { type: "boolean", summary: "Show the version of anneal" },
};

/** A command line that was read. */
export interface ParsedArguments {
  options: Record<string, unknown>;
  positionals: string[];
  json: boolean;
  help: boolean;
  version: boolean;
}

/** How an option is written in messages and help: `--steps N`. */
export function optionLabel(name: string, spec: OptionSpec): string {
  return spec.type === "boolean" ? `--${name}` : `--${name} ${placeholder(spec)}`;
}

/** The word that stands for an option's value. */
export function placeholder(spec: OptionSpec): string {
  if (spec.placeholder !== undefined) return spec.placeholder;
  if (spec.choices !== undefined) return spec.choices.join("|");
  return { string: "TEXT", integer: "N", number: "X", boolean: "" }[spec.type];
}

/** One value as its type says, or a UsageError. */
function convert(name: string, spec: OptionSpec, text: string): string | number {
  if (spec.type === "integer" || spec.type === "number") {
    const value = Number(text);
    const good =
      text.trim() !== "" && (spec.type === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value));
    if (!good) {
      const expected = spec.type === "integer" ? "an integer" : "a number";
      throw new UsageError(`--${name} needs ${expected}, got "${text}".`, { option: name, value: text });
    }
    return value;
  }
  if (spec.choices !== undefined && !spec.choices.includes(text)) {
    throw new UsageError(
      `--${name} must be one of ${spec.choices.join(", ")}, got "${text}".${didYouMean(text, spec.choices)}`,
      { option: name, value: text, choices: spec.choices },
    );
  }
  return text;
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];
type OptionToken = Extract<Token, { kind: "option" }>;

/** The error for an option that no table has, with the nearest one that exists. */
function unknownOption(rawName: string, names: string[], command: string): UsageError {
  const near = suggest(rawName.replace(/^-+/, ""), names);
  const hint = near === undefined ? ` See \`anneal ${command} --help\`.` : ` Did you mean "--${near}"?`;
  return new UsageError(`Unknown option "${rawName}".${hint}`, { option: rawName, suggestion: near });
}

/** Name and sense of an option token: `--no-name` negates a boolean. */
function resolveOption(token: OptionToken, table: Record<string, OptionSpec>, command: string) {
  const spec = Object.hasOwn(table, token.name) ? table[token.name] : undefined;
  if (spec !== undefined) return { name: token.name, spec, negated: false };
  const positive = token.name.startsWith("no-") ? token.name.slice(3) : "";
  if (Object.hasOwn(table, positive) && table[positive].type === "boolean") {
    return { name: positive, spec: table[positive], negated: true };
  }
  throw unknownOption(token.rawName, Object.keys(table), command);
}

/** The value as text of an option that takes one; a value that looks like an option must be joined by `=`. */
function textOf(token: OptionToken, spec: OptionSpec): string {
  const { value } = token;
  const looksLikeOption = value !== undefined && !token.inlineValue && /^-(?![\d.]|$)/.test(value);
  if (value === undefined || looksLikeOption) {
    const example = `\`${token.rawName}=${looksLikeOption ? value : placeholder(spec)}\``;
    throw new UsageError(
      looksLikeOption
        ? `${token.rawName} needs a value, but "${value}" follows. If that is the value, write ${example}.`
        : `${token.rawName} needs a value, for example ${example}.`,
      { option: token.name },
    );
  }
  return value;
}

/** The values of an option that was not given. */
function defaultValue(spec: OptionSpec): unknown {
  if (spec.default !== undefined) return Array.isArray(spec.default) ? [...spec.default] : spec.default;
  if (spec.multiple) return [];
  return spec.type === "boolean" ? false : undefined;
}

function checkPositionals(command: Command, positionals: string[]): void {
  const { positionals: spec } = command;
  const allowed = spec === undefined ? 0 : spec.many ? Number.POSITIVE_INFINITY : 1;
  if (positionals.length > allowed) {
    const extra = positionals[allowed];
    throw new UsageError(
      `Unexpected argument "${extra}". Options start with "--"; see \`anneal ${command.name} --help\`.`,
      { argument: extra },
    );
  }
}

/**
 * Reads the arguments after the command's name. Required options are not asked for with `--help` or `--version`.
 * @throws UsageError naming the option, what was expected and what was got
 */
export function parseArguments(command: Command, args: string[]): ParsedArguments {
  const table: Record<string, OptionSpec> = { ...command.options, ...COMMON_OPTIONS };
  const config: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, spec] of Object.entries(table)) {
    config[name] = {
      type: spec.type === "boolean" ? "boolean" : "string",
      ...(spec.short === undefined ? {} : { short: spec.short }),
    };
  }
  // Not strict: the tokens are judged here, so that messages name the fix and negative numbers need no `=`.
  const { tokens, positionals } = parseArgs({
    args,
    options: config,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given = new Map<string, unknown>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name, spec, negated } = resolveOption(token, table, command.name);
    if (spec.type === "boolean") {
      if (token.value !== undefined) {
        throw new UsageError(`${token.rawName} takes no value, got "${token.value}".`, { option: name });
      }
      given.set(name, !negated);
      continue;
    }
    const value = convert(name, spec, textOf(token, spec));
    if (spec.multiple) {
      given.set(name, [...((given.get(name) as unknown[] | undefined) ?? []), value]);
    } else {
      given.set(name, value);
    }
  }
  const help = given.get("help") === true;
  const version = given.get("version") === true;
  const options: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(command.options)) {
    if (spec.required && !given.has(name) && !help && !version) {
      throw new UsageError(
        `${optionLabel(name, spec)} is missing (${spec.summary}). See \`anneal ${command.name} --help\`.`,
        { option: name },
      );
    }
    options[camelCase(name)] = given.has(name) ? given.get(name) : defaultValue(spec);
  }
  if (!help && !version) checkPositionals(command, positionals);
  return { options, positionals, json: given.get("json") === true, help, version };
}
