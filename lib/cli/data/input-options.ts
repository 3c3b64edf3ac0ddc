/** Options that all commands share which read documents. */
import { FORMATS } from "../../data/readers/formats.js";
import type { SourceOptions } from "../../data/sources.js";
import { type CommandContext, type OptionSpec, UsageError } from "../command.js";

/** How documents are read. */
export const INPUT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  "text-field": {
    type: "string",
    placeholder: "NAME",
    summary: "Field with the text, in JSON lines, CSV and parquet; default text",
  },
  format: {
    type: "string",
    choices: FORMATS,
    placeholder: "NAME",
    summary: `Read all files as this format, whatever their names end in: ${FORMATS.join(", ")}`,
  },
  extension: {
    type: "string",
    multiple: true,
    placeholder: ".EXT",
    summary: "Take files with these endings from folders; default all that can be read",
  },
  "skip-damaged": {
    type: "boolean",
    summary: "Pass over damaged records and files and say which, instead of ending with an error",
  },
};

/** The help text of the paths. */
export const INPUT_PATHS = {
  name: "PATH",
  summary:
    "Files, folders, globs, and hf://datasets/OWNER/NAME; text, Markdown, HTML, JSON lines, CSV, parquet, WARC and WET, also .gz and .zst",
  many: true,
};

/** The paths of a command line. */
export function inputPaths({ positionals }: Pick<CommandContext, "positionals">, usage: string): string[] {
  if (positionals.length === 0) {
    throw new UsageError(`No input: name files or folders, as in \`anneal ${usage}\`.`, { option: "PATH" });
  }
  return positionals;
}

/** What the options say about reading; what is skipped is said on standard error. */
export function sourceOptions({ options, info }: Pick<CommandContext, "options" | "info">): SourceOptions {
  const { textField, format, extension, skipDamaged, threads } = options;
  return {
    ...(threads !== undefined && { threads }),
    ...(textField !== undefined && { textField }),
    ...(format !== undefined && { format }),
    ...(extension.length > 0 && { extensions: extension }),
    ...(skipDamaged && {
      onError: "skip",
      onSkip: ({ source, reason }) => info(`skipped ${source}: ${reason}`),
    }),
  };
}
