/** What the rules need to know of a language: its frequent words, and whether white space separates its words. */

/** Gopher's eight words, as FineWeb uses them. */
const ENGLISH = ["the", "be", "to", "of", "and", "that", "have", "with"];

/** Frequent function words by ISO 639-1 code; own lists, of the length of Gopher's. */
const STOP_WORDS: Readonly<Record<string, readonly string[]>> = {
  en: ENGLISH,
  de: ["der", "die", "und", "in", "den", "von", "zu", "das", "mit", "nicht", "ist"],
  fr: ["de", "la", "le", "et", "les", "des", "en", "que", "est", "pour", "dans"],
  es: ["de", "la", "que", "el", "en", "y", "los", "se", "del", "las", "por", "con"],
  it: ["di", "e", "il", "la", "che", "in", "un", "per", "non", "una", "del"],
  pt: ["de", "a", "o", "que", "e", "do", "da", "em", "um", "para", "com", "não"],
  nl: ["de", "het", "een", "van", "en", "in", "is", "dat", "op", "te", "niet"],
  sv: ["och", "i", "att", "det", "som", "en", "på", "är", "av", "för", "med"],
  pl: ["i", "w", "na", "z", "się", "do", "nie", "że", "to", "jest", "o"],
  cs: ["a", "v", "se", "na", "je", "že", "to", "s", "z", "do", "i"],
  ru: ["и", "в", "не", "на", "что", "с", "по", "как", "это", "из", "для"],
  uk: ["і", "в", "на", "не", "що", "з", "до", "та", "як", "це", "за"],
  tr: ["ve", "bir", "bu", "için", "ile", "da", "de", "olarak", "çok", "daha"],
};

/** The languages that stop words are known of. */
export const STOP_WORD_LANGUAGES: readonly string[] = Object.keys(STOP_WORDS);

/** Languages that white space does not separate words in; every Han or kana character counts as a word there. */
const UNSPACED = ["zh", "ja", "yue", "wuu"];

/** The code without script and region: `en-GB` and `en_Latn` become `en`. */
export function baseLanguage(language: string): string {
  return language.toLowerCase().split(/[-_]/)[0];
}

/** Stop words of a language; undefined where none are known. */
export function stopWordsOf(language: string): readonly string[] | undefined {
  return STOP_WORDS[baseLanguage(language)];
}

/** How words of a language are split. */
export function wordsOf(language: string): { english: boolean; ideographs: boolean } {
  const base = baseLanguage(language);
  return { english: base === "en", ideographs: UNSPACED.includes(base) };
}
