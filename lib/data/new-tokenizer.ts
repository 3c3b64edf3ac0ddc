/** A tokenizer by its name, for data that it is to encode. */
import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";
import { documents, type SourceOptions } from "./sources.js";

/**
 * Loads a tokenizer; `char` takes its vocabulary from all of the text, which is read for it.
 * @throws TokenizerError when there is none of that name; DataError as for reading.
 */
export async function newTokenizer(
  choice: string,
  paths: string | readonly string[],
  source: SourceOptions = {},
): Promise<Tokenizer> {
  if (choice !== "char") return loadTokenizer(choice);
  async function* texts(): AsyncGenerator<string> {
    for await (const { text } of documents(paths, { ...source, metadata: false })) yield text;
  }
  return loadTokenizer("char", { texts: texts() });
}
