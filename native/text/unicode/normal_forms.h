// normal_forms.h — decompositions, combining classes and compositions of Unicode 9, with which HF tokenizers
// works.
#pragma once

#include <cstdint>

namespace anneal::text {

// Canonical combining class; 0 for characters that do not move.
uint8_t combiningClass(char32_t code);

// The full decomposition of a character other than a Hangul syllable: `length` code points, 0 where it has
// none.
struct Decomposition {
  const uint32_t* codes;
  uint32_t length;
};
Decomposition decomposition(char32_t code, bool compatibility);

// The character that two others make in NFC and NFKC; 0 where they make none.
char32_t composition(char32_t first, char32_t second);

// Whether a text is sure to be in a normal form already, as far as this character alone tells.
bool normalInForm(char32_t code, bool compatibility, bool composed);

constexpr char32_t kHangulFirst = 0xAC00;
constexpr char32_t kHangulCount = 11172;
constexpr char32_t kLeadingFirst = 0x1100;
constexpr char32_t kVowelFirst = 0x1161;
constexpr char32_t kTrailingBefore = 0x11A7;
constexpr char32_t kVowelCount = 21;
constexpr char32_t kTrailingCount = 28;

inline bool isHangulSyllable(char32_t code) { return code - kHangulFirst < kHangulCount; }

}  // namespace anneal::text
