// properties.h — what characters are: general categories, white space, the classes of BERT's front end,
// letter case. As HF tokenizers 0.23.2 has them, which is from several Unicode versions: see tables.h.
#pragma once

#include <cstdint>

#include "text/unicode/tables.h"

namespace anneal::text {

// General categories, in the order of the masks below.
enum class Category : uint8_t {
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCs,
  kCo,
  kCn,
};

constexpr uint32_t categoryBit(Category category) { return 1U << static_cast<unsigned>(category); }

constexpr uint32_t kLetterMask = 0x1FU;             // L
constexpr uint32_t kMarkMask = 0x7U << 5;           // M
constexpr uint32_t kNumberMask = 0x7U << 8;         // N
constexpr uint32_t kPunctuationMask = 0x7FU << 11;  // P
constexpr uint32_t kSymbolMask = 0xFU << 18;        // S
constexpr uint32_t kSeparatorMask = 0x7U << 22;     // Z
constexpr uint32_t kOtherMask = 0x1FU << 25;        // C

// \p{…} of Oniguruma.
inline Category category(char32_t code) {
  return static_cast<Category>(characterTable[code] & kCategoryBits);
}
inline bool inCategories(char32_t code, uint32_t mask) {
  return ((mask >> (characterTable[code] & kCategoryBits)) & 1) != 0;
}

// White_Space: \s of every engine, char::is_whitespace of Rust.
inline bool isWhitespace(char32_t code) { return (characterTable[code] & kSpaceBit) != 0; }
// [[:word:]] of Oniguruma: Alphabetic, marks, decimal digits, connectors. Its \w has six more, see
// regex/classes.
inline bool isWord(char32_t code) { return (characterTable[code] & kWordBit) != 0; }
// char::is_numeric of Rust, which Digits splits at.
inline bool isNumeric(char32_t code) { return (frontEndTable[code] & kFrontNumeric) != 0; }

// BERT's front end. Control characters are those that clean_text removes: U+0000 and U+FFFD are among them,
// tab and line ends are not.
inline bool isBertPunctuation(char32_t code) { return (frontEndTable[code] & kFrontPunctuation) != 0; }
inline bool isBertControl(char32_t code) { return (frontEndTable[code] & kFrontControl) != 0; }
inline bool isChinese(char32_t code) { return (frontEndTable[code] & kFrontChinese) != 0; }

// The lowercase of one character, without regard to its neighbours; U+0130 becomes two, `second` (else 0).
char32_t lowercase(char32_t code, char32_t& second);

// The least of the characters that (?i) takes for the same as this one.
char32_t simpleFold(char32_t code);

}  // namespace anneal::text
