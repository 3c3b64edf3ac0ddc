// words.h — words as FineWeb counts them: the rules of spaCy's blank pipelines, which datatrove splits text
// with.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/clean/characters.h"

namespace anneal::text::clean {

class WordExceptions;

enum WordFlag : uint32_t {
  kHasLetter = 1,      // some character is a letter
  kIsWord = 2,         // some character is not punctuation
  kEndsSentence = 4,   // one character, which ends sentences
  kIsPunctuation = 8,  // every character is of general category P
};

// A word's place in its text (bytes), its length in characters, and what it is made of.
struct Word {
  uint32_t begin;
  uint32_t end;
  uint32_t characters;
  uint32_t flags;
};

struct WordOptions {
  // English contractions ("do|n't") and abbreviations ("Mr."); without them the rules that all languages
  // share.
  bool english = true;
  // Every Han or kana character is a word, for languages that do not separate words.
  bool ideographs = false;
  // Contractions, abbreviations and smileys; off only to see how these would be split.
  bool exceptions = true;
};

// Splits at white space; takes punctuation, quotes, symbols, currencies before numbers and units after them
// off the ends of what remains; leaves known exceptions and addresses (URLs) whole; splits the rest at
// hyphens, commas, slashes and the like between letters; at last joins what makes an exception with other
// characters around it
// ("so:)" is two words). Words contain no white space. Immutable, for any number of threads.
class WordSplitter {
 public:
  explicit WordSplitter(WordOptions options = {});
  WordSplitter(WordOptions options, const WordExceptions& exceptions)
      : options_(options), table_(CharacterTable::instance()), exceptions_(exceptions) {}

  // Appends the words of `text` to `words`.
  void split(std::string_view text, std::vector<Word>& words) const;

 private:
  void chunk(const char* base, const char* begin, const char* end, std::vector<Word>& words) const;
  void plain(const char* base, const char* begin, const char* stop, bool mark, bool letters,
             std::vector<Word>& words) const;
  void rejoin(const char* base, size_t first, std::vector<Word>& words) const;
  void middle(const char* base, const char* begin, const char* end, std::vector<Word>& words) const;
  void emit(const char* base, const char* begin, const char* end, std::vector<Word>& words) const;
  bool exception(const char* base, const char* begin, const char* end, std::vector<Word>* words) const;
  size_t prefix(const char* begin, const char* end) const;
  size_t suffix(const char* begin, const char* end) const;
  size_t infix(const char* begin, const char* at, const char* end) const;
  size_t hyphen(const char* at, const char* end) const;

  WordOptions options_;
  const CharacterTable& table_;
  const WordExceptions& exceptions_;
};

// Sentences in a stretch of `text` that ends at byte `end` and has the words `first` to `last` (spaCy's
// sentencizer): a new one begins with whatever follows an end of sentence and is no punctuation, white space
// other than a single space included. At least 1.
uint32_t countSentences(std::string_view text, const Word* first, const Word* last, uint32_t end);

// Whether `text`, which has no white space, is an address: scheme, user, host with a top-level domain or a
// public IPv4 address, port, path.
bool isAddress(std::string_view text);

}  // namespace anneal::text::clean
