/** `anneal tokenizer eval`: how well tokenizers compress texts, beside each other. */
import { formatRate } from "../../train/progress.js";
import type { Command } from "../command.js";
import { INPUT_OPTIONS, INPUT_PATHS, inputPaths, sourceOptions } from "../data/input-options.js";

export const command: Command = {
  name: "tokenizer eval",
  summary: "Compare tokenizers on texts: tokens, bytes per token, share of the vocabulary in use, speed",
  usage: "tokenizer eval PATH… --tokenizer DIR [--tokenizer DIR …] [options]",
  options: {
    tokenizer: {
      type: "string",
      multiple: true,
      required: true,
      placeholder: "DIR",
      summary: "char, byte, a tokenizer.json or its folder, or a .tiktoken file (with --pattern)",
    },
    pattern: {
      type: "string",
      placeholder: "NAME",
      summary: "Pattern of .tiktoken files: gpt2, gpt4, gpt4o; default gpt4",
    },
    megabytes: { type: "number", default: 64, summary: "Text to read at most, in megabytes" },
    ...INPUT_OPTIONS,
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
  },
  positionals: INPUT_PATHS,
  examples: [
    "anneal tokenizer eval heldout.txt --tokenizer tokenizers/mine --tokenizer ./gpt2",
    "anneal tokenizer eval heldout.txt --tokenizer tokenizers/mine --tokenizer cl100k_base.tiktoken --pattern gpt4",
  ],
  async run(context) {
    const { options, out, signal } = context;
    const paths = inputPaths(context, "tokenizer eval heldout.txt --tokenizer tokenizers/mine");
    const [{ documents }, { evaluateTokenizers }, { loadTokenizer }] = await Promise.all([
      import("../../data/index.js"),
      import("../../tokenizer/evaluate.js"),
      import("../../tokenizer/index.js"),
    ]);
    const tokenizers = [];
    for (const path of options.tokenizer) {
      const pattern = path.endsWith(".tiktoken") ? { pattern: options.pattern ?? "gpt4" } : {};
      tokenizers.push(await loadTokenizer(path, pattern));
    }
    const texts: string[] = [];
    let length = 0;
    for await (const { text } of documents(paths, { ...sourceOptions(context), metadata: false })) {
      signal.throwIfAborted();
      texts.push(text);
      length += Buffer.byteLength(text);
      if (length >= options.megabytes * 1e6) break;
    }
    const scores = await evaluateTokenizers(tokenizers, texts, { threads: options.threads, signal });
    out(`${(length / 1e6).toFixed(1)} MB of text in ${texts.length.toLocaleString("en")} documents`);
    out("");
    const width = Math.max(9, ...scores.map(({ name }) => name.length));
    out(
      `${"tokenizer".padEnd(width)}  vocabulary       tokens  bytes/token  tokens/word  in use      speed  exact`,
    );
    for (const score of scores) {
      out(
        [
          score.name.padEnd(width),
          score.vocabSize.toLocaleString("en").padStart(10),
          score.tokens.toLocaleString("en").padStart(11),
          score.bytesPerToken.toFixed(3).padStart(11),
          score.tokensPerWord.toFixed(3).padStart(11),
          `${(100 * score.used).toFixed(1)} %`.padStart(6),
          `${formatRate(score.bytesPerSecond)}B/s`.padStart(9),
          (score.exact ? "yes" : "no").padStart(5),
        ].join("  "),
      );
    }
    return { documents: texts.length, bytes: length, tokenizers: scores };
  },
};
