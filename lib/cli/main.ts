#!/usr/bin/env node
/** The entry of `anneal`: finds the command that the arguments name and runs it. */

import { didYouMean } from "../errors.js";
import { packageVersion } from "../native/locate.js";
import { UsageError } from "./command.js";
import { COMMANDS, type Entry } from "./commands.js";
import { groupHelp, overview } from "./help.js";
import { reportError, runCommand } from "./run.js";

const HELP = ["--help", "-h", "help"];

/** The error for a name that no command of the list has. */
function unknown(name: string, entries: readonly Entry[], group: string): UsageError {
  const names = entries.map((entry) => entry.name);
  const hint = didYouMean(name, names) || ` There are ${names.join(", ")}.`;
  const kind = name.startsWith("-") ? "option" : "command";
  return new UsageError(`Unknown ${kind} "${group}${name}".${hint}`, { [kind]: name });
}

/** Runs the command that the arguments name, within the group called `group` ("" for all, else with a space behind it). */
async function main(args: string[], entries: readonly Entry[] = COMMANDS, group = ""): Promise<number> {
  const [name, ...rest] = args;
  const json = args.includes("--json");
  if (group === "" && (name === "--version" || name === "-v")) {
    console.log(packageVersion());
    return 0;
  }
  if (name === undefined || HELP.includes(name)) {
    if (name === "help" && rest.length > 0) return main([...rest, "--help"], entries, group);
    console.log(group === "" ? overview(entries, packageVersion()) : groupHelp(group.trimEnd(), entries));
    return 0;
  }
  const entry = entries.find((candidate) => candidate.name === name);
  if (entry === undefined) return reportError(unknown(name, entries, group), json);
  if (entry.commands !== undefined) return main(rest, entry.commands, `${group}${name} `);
  try {
    const { command } = await (entry.load as NonNullable<Entry["load"]>)();
    return await runCommand(command, rest);
  } catch (error) {
    return reportError(error, json);
  }
}

const args = process.argv.slice(2);
process.on("uncaughtException", (error) => process.exit(reportError(error, args.includes("--json"))));
process.exitCode = await main(args);
