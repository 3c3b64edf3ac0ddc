/**
 * Room `data/language`: which language a text is written in. Cleaning asks any `LanguageIdentifier`; there is a
 * built-in one that needs no model file, and one over fastText models (lid.176 and other classifiers). It reads texts
 * and model files and knows nothing of documents or corpora.
 */

export { builtInIdentifier } from "./built-in.js";
export { languageCode } from "./codes.js";
export { FastText, type FastTextPrediction, type FastTextPredictOptions } from "./fasttext.js";
export type { IdentifiedLanguage, LanguageIdentifier } from "./identifier.js";
export { identifyLanguage, languageIdentifier } from "./identify.js";
