/** The table of commands. Each is imported only when it is run; summaries are repeated here so that the list needs no import. */
import type { Command } from "./command.js";

/** A command, or a group of them such as `anneal data`. */
export interface Entry {
  name: string;
  summary: string;
  /** Imports the command; a group has `commands` instead. */
  load?(): Promise<{ command: Command }>;
  commands?: readonly Entry[];
}

const DATA: readonly Entry[] = [
  {
    name: "prepare",
    summary: "Read text of any sort, clean it, and say what each rule removed",
    load: () => import("./data/prepare.js"),
  },
  {
    name: "dedup",
    summary: "Remove equal and nearly equal documents, and passages that occur again",
    load: () => import("./data/dedup.js"),
  },
  {
    name: "pack",
    summary: "Turn documents into token shards for training",
    load: () => import("./data/pack.js"),
  },
  {
    name: "stats",
    summary: "Count documents, bytes, lines and words",
    load: () => import("./data/stats.js"),
  },
  { name: "show", summary: "Show documents, or rows of token shards", load: () => import("./data/show.js") },
];

const TOKENIZER: readonly Entry[] = [
  {
    name: "train",
    summary: "Train a BPE or WordPiece vocabulary; transformers loads it",
    load: () => import("./tokenizer/train.js"),
  },
  {
    name: "encode",
    summary: "Show the tokens of a text, or write the ids of files",
    load: () => import("./tokenizer/encode.js"),
  },
  {
    name: "eval",
    summary: "Compare how well tokenizers compress texts",
    load: () => import("./tokenizer/eval.js"),
  },
];

/** All commands, in the order of the list. */
export const COMMANDS: readonly Entry[] = [
  {
    name: "doctor",
    summary: "Show what was found on this machine and what is missing",
    load: () => import("./doctor.js"),
  },
  { name: "build", summary: "Compile the native addon from its sources", load: () => import("./build.js") },
  { name: "data", summary: "Clean, deduplicate, count, show and pack text", commands: DATA },
  { name: "tokenizer", summary: "Train, use and compare tokenizers", commands: TOKENIZER },
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
