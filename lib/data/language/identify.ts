/** Choosing an identifier by name, and identifying without choosing. */

import type { JobOptions } from "../../native/text/job.js";
import { builtInIdentifier } from "./built-in.js";
import { FastText } from "./fasttext.js";
import type { IdentifiedLanguage, LanguageIdentifier } from "./identifier.js";

/**
 * An identifier: `built-in`, or the path of a fastText model whose labels are languages.
 * @throws DataError or FormatError when the model cannot be read
 */
export async function languageIdentifier(
  choice = "built-in",
  options: Pick<JobOptions, "threads"> = {},
): Promise<LanguageIdentifier> {
  if (choice === "built-in") return builtInIdentifier(options);
  return (await FastText.load(choice)).identifier(options);
}

/**
 * The language of every text.
 * @param identifier default: the built-in one
 */
export function identifyLanguage(
  texts: readonly string[],
  identifier: LanguageIdentifier = builtInIdentifier(),
): Promise<IdentifiedLanguage[]> {
  return identifier.identify(texts);
}
