/** The help of `anneal` and of each command, as text. */

import { COMMON_OPTIONS, optionLabel } from "./arguments.js";
import type { Command, OptionSpec } from "./command.js";

/** Rows of two columns: names, then texts that begin below each other. */
function columns(rows: [string, string][]): string[] {
  const width = Math.min(34, Math.max(...rows.map(([name]) => name.length)) + 2);
  return rows.map(([name, text]) =>
    name.length + 2 > width ? `  ${name}\n  ${" ".repeat(width)}${text}` : `  ${name.padEnd(width)}${text}`,
  );
}

function optionRow(name: string, spec: OptionSpec): [string, string] {
  const short = spec.short === undefined ? "" : `-${spec.short}, `;
  const notes: string[] = [];
  if (spec.required) notes.push("required");
  if (spec.multiple) notes.push("may be repeated");
  const { default: value } = spec;
  if (value !== undefined && value !== false) {
    notes.push(`default ${Array.isArray(value) ? value.join(" ") : value}`);
  }
  return [short + optionLabel(name, spec), spec.summary + (notes.length > 0 ? ` (${notes.join("; ")})` : "")];
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const options = Object.entries({ ...command.options, ...COMMON_OPTIONS });
  const lines = [command.summary, "", "Usage:", `  anneal ${command.usage}`];
  const { positionals } = command;
  if (positionals !== undefined) {
    lines.push("", "Arguments:", ...columns([[positionals.name, positionals.summary]]));
  }
  lines.push("", "Options:", ...columns(options.map(([name, spec]) => optionRow(name, spec))));
  lines.push("", "Examples:", ...command.examples.map((example) => `  ${example}`));
  return lines.join("\n");
}

/** The list of commands. */
export function overview(commands: readonly { name: string; summary: string }[], version: string): string {
  return [
    `anneal ${version} trains DeepSeek-style language models from Node.js.`,
    "",
    "Usage:",
    "  anneal <command> [options]",
    "",
    "Commands:",
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    "",
    "`anneal <command> --help` shows options and examples. Every command takes --json.",
  ].join("\n");
}

/** The list of a group's commands. */
export function groupHelp(group: string, commands: readonly { name: string; summary: string }[]): string {
  return [
    "Usage:",
    `  anneal ${group} <command> [options]`,
    "",
    "Commands:",
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    "",
    `\`anneal ${group} <command> --help\` shows options and examples. Every command takes --json.`,
  ].join("\n");
}
