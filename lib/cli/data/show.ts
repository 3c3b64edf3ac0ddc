/** `anneal data show`: documents of a corpus, or rows of token shards as text. */
import { type Command, type CommandContext, UsageError } from "../command.js";
import { INPUT_OPTIONS, INPUT_PATHS, inputPaths, sourceOptions } from "./input-options.js";

/** Text as a terminal takes it: no control characters but line ends and tabs. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, "·");
}

/** At most so many characters, with a note of what is missing. */
function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  return `${text.slice(0, most)} … (${(text.length - most).toLocaleString("en")} characters more)`;
}

function body(text: string, most: number): string[] {
  return printable(shortened(text, most))
    .split("\n")
    .map((line) => `  │ ${line}`);
}

interface ShownTokens {
  path: string;
  document: number;
  tokens: number;
  text: string;
}

/** The first documents of token shards, decoded. */
async function showShards(
  paths: string[],
  tokenizerPath: string | undefined,
  context: CommandContext,
): Promise<unknown> {
  const { options, out } = context;
  const [{ TokenShard }, { TokenCopies }, { loadTokenizer }] = await Promise.all([
    import("../../data/index.js"),
    import("../../native/text/shards.js"),
    import("../../tokenizer/index.js"),
  ]);
  if (tokenizerPath === undefined) {
    throw new UsageError(
      "Token shards hold ids: name the tokenizer they were made with by --tokenizer DIR.",
      {
        option: "tokenizer",
      },
    );
  }
  const tokenizer = await loadTokenizer(tokenizerPath);
  const shown: ShownTokens[] = [];
  for (const path of paths) {
    const shard = await TokenShard.open(path, { checksum: false });
    try {
      shard.requireTokenizer(tokenizer);
      const wanted = Math.min(options.number - shown.length, shard.documents);
      const starts = shard.startsOf(0, Math.min(wanted + 1, shard.documents));
      for (let document = 0; document < wanted; document++) {
        const ids = new Int32Array((starts[document + 1] ?? shard.length) - starts[document]);
        const copies = new TokenCopies();
        shard.copy(copies, starts[document], ids.length, 0);
        await copies.run(ids);
        const text = tokenizer.decode(ids);
        shown.push({ path, document, tokens: ids.length, text });
        out(`${path}, document ${document}: ${ids.length.toLocaleString("en")} tokens`);
        for (const line of body(text, options.characters)) out(line);
        out("");
      }
    } finally {
      await shard.close();
    }
  }
  return { documents: shown };
}

export const command: Command = {
  name: "data show",
  summary:
    "Show documents of a corpus: the first ones, a random sample, or those that match; or token shards as text",
  usage: "data show PATH… [options]",
  options: {
    ...INPUT_OPTIONS,
    number: { type: "integer", short: "n", default: 5, summary: "Documents to show" },
    random: {
      type: "integer",
      placeholder: "SEED",
      summary: "A random sample instead of the first documents",
    },
    match: { type: "string", placeholder: "REGEX", summary: "Only documents whose text matches" },
    characters: { type: "integer", default: 1000, summary: "Characters of each document at most" },
    tokenizer: {
      type: "string",
      placeholder: "DIR",
      summary: "For token shards: the tokenizer they were made with",
    },
  },
  positionals: INPUT_PATHS,
  examples: [
    "anneal data show corpus/",
    "anneal data show clean/ --random 7 --number 3",
    "anneal data show packed/",
  ],
  async run(context) {
    const { options, out, signal } = context;
    const paths = inputPaths(context, "data show corpus/");
    if (options.number < 1) {
      throw new UsageError(`--number must be at least 1, got ${options.number}.`, { option: "number" });
    }
    if (paths.every((path) => path.endsWith(".tokens"))) return showShards(paths, options.tokenizer, context);
    const { isPackedFolder, openPacked } = await import("../../data/pack.js");
    if (paths.length === 1 && (await isPackedFolder(paths[0]))) {
      const { data, tokenizerDir } = await openPacked(paths[0]);
      return showShards(data.train.shards, options.tokenizer ?? tokenizerDir, context);
    }
    let pattern: RegExp | undefined;
    try {
      pattern = options.match === undefined ? undefined : new RegExp(options.match, "u");
    } catch (error) {
      throw new UsageError(`--match: ${(error as Error).message}.`, {
        option: "match",
        value: options.match,
      });
    }
    const { sampleDocuments } = await import("../../data/sample.js");
    const found = await sampleDocuments(paths, {
      source: sourceOptions(context),
      count: options.number,
      seed: options.random,
      pattern,
      signal,
    });
    for (const { number, source, id, url, text, metadata } of found) {
      out(`Document ${number.toLocaleString("en")} (${source})`);
      if (id !== undefined) out(`  id: ${id}`);
      if (url !== undefined) out(`  url: ${url}`);
      for (const [name, value] of Object.entries(metadata ?? {}))
        out(`  ${name}: ${shortened(JSON.stringify(value), 200)}`);
      for (const line of body(text, options.characters)) out(line);
      out("");
    }
    if (found.length === 0) out("No document matches.");
    return { documents: found };
  },
};
