/** Tidying decoded text, which tokenizer_config.json asks for with `clean_up_tokenization_spaces`. */

/** What transformers replaces, in its order: spaces before punctuation and English contractions. */
const RULES: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** A decoded text without the spaces that word-piece vocabularies leave before punctuation. */
export function cleanUpSpaces(text: string): string {
  let tidy = text;
  for (const [from, to] of RULES) tidy = tidy.replaceAll(from, to);
  return tidy;
}
