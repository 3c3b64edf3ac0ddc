/** `anneal data pack`: documents to token shards. */

import type { PackedData } from "../../data/pack.js";
import { PACKINGS } from "../../data/packing/options.js";
import type { Command } from "../command.js";
import { prepareLine } from "../training-output.js";
import { INPUT_OPTIONS, INPUT_PATHS, inputPaths, sourceOptions } from "./input-options.js";

const count = (value: number): string => value.toLocaleString("en");

/** What was made, as lines. */
function packedLines({ train, validation, plan, dir, reused }: PackedData): string[] {
  const split = (name: string, { tokens, documents, bytes, shards }: PackedData["train"]) =>
    `${name}  ${count(tokens)} tokens of ${count(documents)} documents (${(bytes / tokens).toFixed(3)} bytes each), ${shards.length} shards`;
  return [
    split("train     ", train),
    ...(validation.tokens > 0 ? [split("validation", validation)] : []),
    ...(plan === null
      ? []
      : [
          `rows        ${count(plan.rows)}; ${(100 * plan.efficiency).toFixed(2)} % of their places hold a token, ` +
            `${(100 * plan.droppedShare).toFixed(2)} % of the tokens are in no row, ${(100 * plan.cutShare).toFixed(2)} % of the documents are cut`,
        ]),
    reused ? `${dir} was complete already.` : `Written to ${dir}.`,
  ];
}

export const command: Command = {
  name: "data pack",
  summary:
    "Turn documents into token shards and rows for training; `anneal pretrain --data` takes the folder",
  usage: "data pack PATH… --tokenizer DIR --out DIR [options]",
  options: {
    out: { type: "string", short: "o", required: true, placeholder: "DIR", summary: "Folder for the shards" },
    tokenizer: {
      type: "string",
      required: true,
      placeholder: "DIR",
      summary: "char, byte, or the path of a tokenizer.json or its folder",
    },
    ...INPUT_OPTIONS,
    packing: {
      type: "string",
      choices: PACKINGS,
      summary:
        "windows: the stream of all documents is cut into rows; best-fit: whole documents in a row; best-fit-crop: " +
        "rows begin with a document and are full; default windows",
    },
    "sequence-length": { type: "integer", summary: "Tokens per row; needed for best-fit" },
    "validation-fraction": { type: "number", summary: "Share of the text kept for validation; default 0.1" },
    bos: { type: "boolean", summary: "Put the tokenizer's begin token before each document" },
    eos: { type: "boolean", default: true, summary: "Put the tokenizer's end token after each document" },
    "fim-rate": { type: "number", summary: "Share of the documents whose middle comes last; default 0" },
    "shard-tokens": { type: "integer", summary: "Tokens per shard; default 134217728" },
    seed: { type: "integer", summary: "Decides which documents are for validation; default 0" },
    force: { type: "boolean", summary: "Make the shards anew even if they are there" },
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
  },
  positionals: INPUT_PATHS,
  examples: [
    "anneal data pack deduplicated/ --tokenizer tokenizers/mine --out packed/",
    "anneal data pack corpus.jsonl.zst --tokenizer byte --packing best-fit --sequence-length 1024 --out packed/",
  ],
  async run(context) {
    const { options, out, progress, signal } = context;
    const paths = inputPaths(context, "data pack deduplicated/ --tokenizer tokenizers/mine --out packed/");
    const [{ packTokens }, { newTokenizer }] = await Promise.all([
      import("../../data/pack.js"),
      import("../../data/new-tokenizer.js"),
    ]);
    const {
      out: outDir,
      tokenizer,
      textField: _,
      format: __,
      extension: ___,
      skipDamaged: ____,
      ...rest
    } = options;
    const result = await packTokens({
      ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
      ...sourceOptions(context),
      paths,
      outDir,
      tokenizer: await newTokenizer(tokenizer, paths, sourceOptions(context)),
      onProgress: (state) => progress(prepareLine(state)),
      onPlan: (documents) => progress(`Planning rows: ${count(documents)} documents`),
      signal,
    });
    for (const line of packedLines(result)) out(line);
    return result;
  },
};
