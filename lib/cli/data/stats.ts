/** `anneal data stats`: what a corpus consists of. */
import { formatDuration, formatRate } from "../../train/progress.js";
import type { Command } from "../command.js";
import { INPUT_OPTIONS, INPUT_PATHS, inputPaths, sourceOptions } from "./input-options.js";

const count = (value: number): string => Math.round(value).toLocaleString("en");

export const command: Command = {
  name: "data stats",
  summary: "Count documents, bytes, characters, lines, words and, with a tokenizer, tokens",
  usage: "data stats PATH… [options]",
  options: {
    ...INPUT_OPTIONS,
    tokenizer: { type: "string", placeholder: "DIR", summary: "Count the tokens of this tokenizer as well" },
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
  },
  positionals: INPUT_PATHS,
  examples: [
    "anneal data stats corpus/",
    "anneal data stats 'crawl/*.warc.gz' --tokenizer tokenizers/mine --json",
  ],
  async run(context) {
    const { options, out, progress, signal } = context;
    const paths = inputPaths(context, "data stats corpus/");
    const [{ corpusStatistics }, { loadTokenizer }] = await Promise.all([
      import("../../data/statistics.js"),
      import("../../tokenizer/index.js"),
    ]);
    const tokenizer = options.tokenizer === undefined ? undefined : await loadTokenizer(options.tokenizer);
    const startedAt = performance.now();
    const seconds = () => (performance.now() - startedAt) / 1000;
    const result = await corpusStatistics(paths, {
      source: sourceOptions(context),
      tokenizer,
      threads: options.threads,
      signal,
      onProgress: ({ documents, bytes }) =>
        progress(
          `${count(documents)} documents, ${(bytes / 1e6).toFixed(0)} MB, ${formatRate(bytes / seconds())}B/s`,
        ),
    });
    const { length } = result;
    out(`documents   ${count(result.documents)}`);
    out(`bytes       ${count(result.bytes)} (${(100 * result.ascii).toFixed(1)} % ASCII)`);
    out(`characters  ${count(result.characters)}`);
    out(`lines       ${count(result.lines)} (the longest has ${count(result.longestLine)} bytes)`);
    out(`words       ${count(result.words)}`);
    if (result.tokens !== undefined) {
      out(`tokens      ${count(result.tokens)} (${result.bytesPerToken?.toFixed(3)} bytes each)`);
    }
    out("");
    out("Characters of a document:");
    out(`  least ${count(length.least)}, 5 % below ${count(length.p5)}, 25 % below ${count(length.p25)},`);
    out(
      `  median ${count(length.median)}, 75 % below ${count(length.p75)}, 95 % below ${count(length.p95)}, largest ${count(length.largest)}`,
    );
    if (result.sites.length > 0) {
      out("");
      out("Sites with most documents:");
      for (const { site, documents } of result.sites) out(`  ${count(documents).padStart(9)}  ${site}`);
    }
    out("");
    out(`Read in ${formatDuration(seconds())}.`);
    return result;
  },
};
