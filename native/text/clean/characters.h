// characters.h — the room of cleaning: FineWeb's rules over whole documents, on all cores, with the figures
// that each rule looked at. This file says what characters are: alphabets and punctuation of the word
// splitter, white space and letters as Python has them, the ends of sentences.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "text/unicode/utf8.h"

namespace anneal::text::clean {

// Bits of a character, in the order in which scripts/clean-characters.py writes them.
enum CharacterClass : uint16_t {
  kAlpha = 1 << 0,        // letter of the word splitter's alphabets
  kLower = 1 << 1,        // small, or without case
  kUpper = 1 << 2,        // capital, or without case
  kPunctuation = 1 << 3,  // splits off either end of a word
  kQuote = 1 << 4,        // likewise
  kCurrency = 1 << 5,     // splits off the beginning, and the end after a digit
  kIcon = 1 << 6,         // splits off everywhere
  kInfix = 1 << 7,        // may split a word in its middle
  kSpace = 1 << 8,        // Python's str.isspace
  kLetter = 1 << 9,       // Python's str.isalpha: general category L
  kMark = 1 << 10,        // general category P
  kNoWord = 1 << 11,      // does not make a string a word
  kTerminal = 1 << 12,    // ends a line well
  kSentence = 1 << 13,    // ends a sentence
  kLineEnd = 1 << 14,     // ends a line for Python's str.splitlines
  kIdeograph = 1 << 15,   // Han and kana, a word each where words are not separated
};

class CharacterTable {
 public:
  static const CharacterTable& instance();

  uint16_t operator()(char32_t code) const { return blocks_[index_[code >> 7] * 128U + (code & 127U)]; }
  uint16_t ascii(unsigned char byte) const { return ascii_[byte]; }
  // Classes of the character at `at`, which it moves behind it.
  uint16_t next(const char*& at) const {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte < 0x80) {
      ++at;
      return ascii_[byte];
    }
    return (*this)(decode(at));
  }
  // Classes of the character before `at`, which it moves to its beginning.
  uint16_t previous(const char* begin, const char*& at) const { return (*this)(decodeBackward(begin, at)); }

 private:
  CharacterTable();
  std::array<uint16_t, 0x110000 / 128> index_{};
  std::vector<uint16_t> blocks_;
  // Bytes of longer characters have no class here.
  std::array<uint16_t, 256> ascii_{};
};

}  // namespace anneal::text::clean
