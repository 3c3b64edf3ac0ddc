#!/usr/bin/env node
/** The entry of `anneal`: the table of commands, each in a file of its own that is imported only when it is run. */

import { didYouMean } from "../errors.js";
import { packageVersion } from "../native/locate.js";
import { type Command, UsageError } from "./command.js";
import { overview } from "./help.js";
import { reportError, runCommand } from "./run.js";

interface Entry {
  name: string;
  summary: string;
  load(): Promise<{ command: Command }>;
}

/** Summaries are repeated here so that the list needs no import. */
const COMMANDS: readonly Entry[] = [
  {
    name: "doctor",
    summary: "Show what was found on this machine and what is missing",
    load: () => import("./doctor.js"),
  },
  { name: "build", summary: "Compile the native addon from its sources", load: () => import("./build.js") },
  { name: "pretrain", summary: "Train a model from scratch on text", load: () => import("./pretrain.js") },
  {
    name: "eval",
    summary: "Measure a model's loss and bits per byte on a text",
    load: () => import("./eval.js"),
  },
  { name: "generate", summary: "Continue a text with a model", load: () => import("./generate.js") },
  {
    name: "bench",
    summary: "Measure the speed of training steps, kernels and dispatch",
    load: () => import("./bench.js"),
  },
  {
    name: "start",
    summary: "Train a small DeepSeek-style model here in minutes, then let it write",
    load: () => import("./start.js"),
  },
];

/** Runs the command that the arguments name. */
async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  const json = args.includes("--json");
  if (name === "--version" || name === "-v") {
    console.log(packageVersion());
    return 0;
  }
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const topic = name === "help" ? rest[0] : undefined;
    if (topic !== undefined) return main([topic, "--help"]);
    console.log(overview(COMMANDS, packageVersion()));
    return 0;
  }
  const entry = COMMANDS.find((candidate) => candidate.name === name);
  if (entry === undefined) {
    const names = COMMANDS.map((candidate) => candidate.name);
    const hint = didYouMean(name, names) || ` There are ${names.join(", ")}.`;
    const kind = name.startsWith("-") ? "option" : "command";
    return reportError(new UsageError(`Unknown ${kind} "${name}".${hint}`, { [kind]: name }), json);
  }
  try {
    const { command } = await entry.load();
    return await runCommand(command, rest);
  } catch (error) {
    return reportError(error, json);
  }
}

const args = process.argv.slice(2);
process.on("uncaughtException", (error) => process.exit(reportError(error, args.includes("--json"))));
process.exitCode = await main(args);
