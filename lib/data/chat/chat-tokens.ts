/** A chat template for a tokenizer that is about to be trained, with the special tokens that its turns need. */
import { readFile } from "node:fs/promises";
import { ConfigError, DataError, didYouMean } from "../../errors.js";
import { BUILTIN_TEMPLATES, type BuiltinTemplate } from "./builtin-templates.js";
import { ChatTemplate } from "./template.js";

/** The template and its tokens; of a file only the template is known. */
export type ChatTokens = Pick<BuiltinTemplate, "source"> & Partial<BuiltinTemplate>;

/**
 * A template by the name of one of anneal's own, or from a `.jinja` file.
 * @throws ConfigError for a name that is not known; DataError for a file that cannot be read; TokenizerError when it is no template.
 */
export async function chatTokens(choice: string): Promise<ChatTokens> {
  if (choice in BUILTIN_TEMPLATES) return BUILTIN_TEMPLATES[choice as keyof typeof BUILTIN_TEMPLATES];
  const names = Object.keys(BUILTIN_TEMPLATES);
  if (!choice.endsWith(".jinja")) {
    throw new ConfigError(
      `There is no chat template "${choice}".${didYouMean(choice, names)} There are ${names.join(", ")}; or give a .jinja file.`,
      { template: choice, names },
    );
  }
  const source = await readFile(choice, "utf8").catch((error: Error) => {
    throw new DataError(
      `Cannot read the chat template ${choice}: ${error.message}`,
      { path: choice },
      { cause: error },
    );
  });
  new ChatTemplate(source, { name: choice });
  return { source };
}
