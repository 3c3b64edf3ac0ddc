/** What cleaning asks of a language identifier, whichever is behind it. */

/** The language of one text. */
export interface IdentifiedLanguage {
  /** ISO 639-1 code where the language has one, otherwise ISO 639-3; `und` when the identifier cannot tell. */
  readonly language: string;
  /** How sure the identifier is, in [0, 1]; 0 with `und`. Scores of different identifiers are on different scales. */
  readonly score: number;
}

/** Says the language of texts; the work does not block the event loop. */
export interface LanguageIdentifier {
  /** Name for reports: `built-in`, or the model file's name. */
  readonly name: string;
  /**
   * The language of every text of a batch, in its order.
   * @param batch documents; an empty text gives `und` with score 0
   */
  identify(batch: readonly string[]): Promise<IdentifiedLanguage[]>;
}
