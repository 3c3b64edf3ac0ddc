/** `anneal data prepare`: reads text of any sort and cleans it. */
import { join } from "node:path";
import type { CleanOptions } from "../../data/clean/index.js";
import { type Command, UsageError } from "../command.js";
import { INPUT_OPTIONS, INPUT_PATHS, inputPaths, sourceOptions } from "./input-options.js";
import { STAGE_OPTIONS, stageLines, stageProgress } from "./stage-options.js";

const count = (value: number): string => value.toLocaleString("en");

/** `gopher-quality.min-words=40`, `c4=off`, `fineweb.newlines=on` as names and values. */
function ruleValues(given: readonly string[]): Record<string, number | boolean> {
  return Object.fromEntries(
    given.map((text) => {
      const [name, value = "", ...rest] = text.split("=");
      const number = Number(value);
      if (rest.length > 0 || value === "" || (Number.isNaN(number) && value !== "on" && value !== "off")) {
        throw new UsageError(`--rule needs NAME=NUMBER, NAME=on or NAME=off, got "${text}".`, {
          option: "rule",
          value: text,
        });
      }
      return [name, Number.isNaN(number) ? value === "on" : number];
    }),
  );
}

export const command: Command = {
  name: "data prepare",
  summary:
    "Read text of any sort and keep what is worth training on, by FineWeb's rules; a report says what each rule removed",
  usage: "data prepare PATH… --out DIR [options]",
  options: {
    ...STAGE_OPTIONS,
    ...INPUT_OPTIONS,
    language: {
      type: "string",
      placeholder: "CODE",
      summary: "Language of the texts, which splits words; default en",
    },
    identify: {
      type: "string",
      placeholder: "MODEL",
      summary:
        "Remove texts in other languages: built-in, or the path of a fastText model such as lid.176.bin",
    },
    languages: {
      type: "string",
      placeholder: "CODES",
      summary: "With --identify: languages to keep; default --language",
    },
    rule: {
      type: "string",
      multiple: true,
      placeholder: "NAME=VALUE",
      summary:
        "A rule's threshold, or on or off; a step's name (gopher-repetition, gopher-quality, c4, fineweb) stands for all its rules",
    },
    repair: {
      type: "string",
      placeholder: "STEPS",
      summary:
        "Make texts uniform first: some of mojibake,lineEnds,controls,invisible,spaces,compose,blankLines",
    },
    mask: { type: "boolean", default: true, summary: "Mask mail and IP addresses" },
    "block-domains": {
      type: "string",
      multiple: true,
      placeholder: "FILE",
      summary: "Domains whose pages are removed",
    },
    "block-addresses": {
      type: "string",
      multiple: true,
      placeholder: "FILE",
      summary: "Pages that are removed",
    },
    "block-words": {
      type: "string",
      multiple: true,
      placeholder: "FILE",
      summary: "Words of which none may be in a page's address",
    },
    decontaminate: {
      type: "string",
      multiple: true,
      placeholder: "FILE",
      summary: "Evaluation set (JSON lines, CSV or parquet); documents with a run of its words are removed",
    },
    "decontaminate-words": { type: "integer", summary: "Words of such a run; default 13" },
    examples: { type: "integer", summary: "Examples per rule in the report; default 5" },
  },
  positionals: INPUT_PATHS,
  examples: [
    "anneal data prepare 'crawl/*.warc.gz' --identify built-in --out clean/",
    "anneal data prepare hf://datasets/owner/name --text-field content --rule gopher-quality.min-words=20 --out clean/",
    "anneal data prepare corpus/ --decontaminate gsm8k-test.jsonl --out clean/",
    "anneal data prepare notes/ --rule gopher-quality=off --rule c4=off --rule fineweb=off --rule gopher-repetition=off --out documents/",
  ],
  async run(context) {
    const { options, out, signal } = context;
    const paths = inputPaths(context, "data prepare crawl/ --out clean/");
    const rules = ruleValues(options.rule);
    if (options.languages !== undefined && options.identify === undefined) {
      throw new UsageError("--languages needs --identify, which says what language a text is in.", {
        option: "languages",
      });
    }
    const [{ cleanCorpus }, { loadDecontaminator }, { UrlFilter }, { languageIdentifier }] =
      await Promise.all([
        import("../../data/stages/clean.js"),
        import("../../data/stages/evaluation-sets.js"),
        import("../../data/clean/index.js"),
        import("../../data/language/index.js"),
      ]);
    const { threads, language, identify, languages, repair, mask, examples } = options;
    const lists = {
      domains: options.blockDomains,
      addresses: options.blockAddresses,
      bannedWords: options.blockWords,
    };
    const clean: CleanOptions = {
      rules,
      ...(language !== undefined && { language }),
      ...(identify !== undefined && { identifier: await languageIdentifier(identify, { threads }) }),
      ...(languages !== undefined && { languages: languages.split(",") }),
      ...(repair !== undefined && {
        repair: Object.fromEntries(repair.split(",").map((step: string) => [step, true])),
      }),
      ...(!mask && { mask: false }),
      ...(Object.values(lists).some((files) => files.length > 0) && { url: await UrlFilter.load(lists) }),
      ...(examples !== undefined && { examples }),
      ...(threads !== undefined && { threads }),
    };
    const { decontaminate, decontaminateWords: words } = options;
    const result = await cleanCorpus({
      inputs: paths,
      source: sourceOptions(context),
      out: options.out,
      force: options.force,
      clean,
      ...(decontaminate.length > 0 && {
        decontaminator: await loadDecontaminator(decontaminate, {
          ...(words !== undefined && { words }),
          ...(threads !== undefined && { threads }),
        }),
      }),
      signal,
      onProgress: stageProgress(context, "Cleaning"),
    });
    for (const line of stageLines(result)) out(line);
    const removing = result.report.rules.filter(({ removed }) => removed > 0);
    if (removing.length > 0) {
      out("");
      out("Removed, each document by the first rule that it breaks:");
      for (const { name, removed, comparison, threshold } of removing) {
        out(`  ${count(removed).padStart(9)}  ${name} ${comparison} ${threshold}`);
      }
    }
    for (const { name, documents, found, items } of result.decontamination?.sets ?? []) {
      out(
        `  ${count(documents).padStart(9)}  with words of ${count(found)} of the ${count(items)} items of ${name}`,
      );
    }
    out(`Report: ${join(options.out, "report.html")}`);
    return result;
  },
};
