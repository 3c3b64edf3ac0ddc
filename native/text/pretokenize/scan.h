// scan.h — what the hand-written scanners share: kinds of characters as bits, and runs of them. ASCII costs
// one table look-up per byte, and letters less than that where the processor compares 16 bytes at once.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "text/pretokenize/pretokenizer.h"
#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text::scan {

// Kinds of characters. Those with kSpace have no other bit; each of the rest has kLetter, kNumber or kOther.
constexpr uint8_t kLetter = 1 << 0;  // L
constexpr uint8_t kNumber = 1 << 1;  // N
constexpr uint8_t kSpace = 1 << 2;   // \s
constexpr uint8_t kOther = 1 << 3;   // [^\s\p{L}\p{N}]
constexpr uint8_t kMark = 1 << 4;    // M; has kOther too
constexpr uint8_t kSign = 1 << 5;    // P and S; have kOther too
constexpr uint8_t kUpper = 1 << 6;   // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
constexpr uint8_t kLower = 1 << 7;   // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

constexpr uint8_t kindOf(unsigned category, bool space) {
  if (space) return kSpace;
  const uint32_t bit = 1U << category;
  if ((bit & 0x3) != 0) return kLetter | (category == 0 ? kUpper : kLower);
  if (category == 2) return kLetter | kUpper;
  if ((bit & kLetterMask) != 0) return kLetter | kUpper | kLower;
  if ((bit & kMarkMask) != 0) return kOther | kMark | kUpper | kLower;
  if ((bit & kNumberMask) != 0) return kNumber;
  if ((bit & (kPunctuationMask | kSymbolMask)) != 0) return kOther | kSign;
  return kOther;
}

// By category and the bit of White_Space, as characterTable has them.
constexpr std::array<uint8_t, 64> kKinds = [] {
  std::array<uint8_t, 64> kinds{};
  for (unsigned i = 0; i < 64; ++i) kinds[i] = kindOf(i & 31, i >= 32);
  return kinds;
}();

// By byte; 0 for bytes of longer characters.
constexpr std::array<uint8_t, 256> kAsciiKinds = [] {
  std::array<uint8_t, 256> kinds{};
  for (unsigned byte = 0; byte < 0x80; ++byte) {
    const bool upper = byte >= 'A' && byte <= 'Z';
    const bool lower = byte >= 'a' && byte <= 'z';
    kinds[byte] = upper                                      ? kLetter | kUpper
                  : lower                                    ? kLetter | kLower
                  : byte >= '0' && byte <= '9'               ? kNumber
                  : byte == ' ' || (byte >= 9 && byte <= 13) ? kSpace
                  : byte > ' ' && byte < 0x7F                ? kOther | kSign
                                                             : kOther;
  }
  return kinds;
}();

inline uint8_t kindOf(char32_t code) { return kKinds[characterTable[code] & 63]; }

// A character: its kind (0 at the end of the text) and where it ends.
struct Character {
  uint8_t kind;
  const char* end;
};

inline Character look(const char* at, const char* end) {
  if (at == end) return {0, at};
  const uint8_t kind = kAsciiKinds[static_cast<unsigned char>(*at)];
  if (kind != 0) return {kind, at + 1};
  const char32_t code = decode(at);
  return {kindOf(code), at};
}

// Behind the characters of these kinds that follow.
inline const char* run(uint8_t kinds, const char* at, const char* end) {
  for (;;) {
    while (at < end && (kAsciiKinds[static_cast<unsigned char>(*at)] & kinds) != 0) ++at;
    if (at == end || static_cast<unsigned char>(*at) < 0x80) return at;
    do {
      const char* next = at;
      if ((kindOf(decode(next)) & kinds) == 0) return at;
      at = next;
    } while (at < end && static_cast<unsigned char>(*at) >= 0x80);
  }
}

// Behind the ASCII letters that follow.
inline const char* asciiLetters(const char* at, const char* end) {
#if defined(__SSE2__)
  while (end - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i small = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    // As signed bytes, 'a' … 'z' become the least 26 values.
    const __m128i shifted = _mm_sub_epi8(small, _mm_set1_epi8(static_cast<char>('a' + 128)));
    const __m128i letter = _mm_cmplt_epi8(shifted, _mm_set1_epi8(-128 + 26));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(letter));
    if (mask != 0xFFFF) return at + std::countr_one(mask);
    at += 16;
  }
#endif
  while (at < end && (kAsciiKinds[static_cast<unsigned char>(*at)] & kLetter) != 0) ++at;
  return at;
}

// Behind the letters that follow.
inline const char* letters(const char* at, const char* end) {
  for (;;) {
    at = asciiLetters(at, end);
    if (at == end || static_cast<unsigned char>(*at) < 0x80) return at;
    do {
      const char* next = at;
      if ((kindOf(decode(next)) & kLetter) == 0) return at;
      at = next;
    } while (at < end && static_cast<unsigned char>(*at) >= 0x80);
  }
}

inline const char* lineEnds(const char* at, const char* end) {
  while (at < end && (*at == '\n' || *at == '\r')) ++at;
  return at;
}

// 's 't 'm 'd 'll 've 're behind the apostrophe at `at`; `at` where there is none. With `foldCase` letters of
// both cases and ſ, which (?i) takes for s.
template <bool foldCase>
inline const char* contraction(const char* at, const char* end) {
  if (end - at < 2) return at;
  const auto letter = [](char c) { return foldCase && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const char first = letter(at[1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (end - at < 3) return at;
  const char second = letter(at[2]);
  if ((first == 'l' && second == 'l') || ((first == 'v' || first == 'r') && second == 'e')) return at + 3;
  if (foldCase && at[1] == '\xC5' && at[2] == '\xBF') return at + 3;
  return at;
}

// `\s+(?!\S)|\s+`: whitespace without its last character where something follows it. `at` is at the first
// one.
inline const char* spaces(const char* at, const char* end) {
  const char* stop = run(kSpace, at, end);
  if (stop == end) return stop;
  const char* last = stop;
  decodeBackward(at, last);
  return last == at ? stop : last;
}

// `\s*[\r\n]+|\s+(?!\S)|\s+`.
inline const char* spacesAndLines(const char* at, const char* end) {
  const char* stop = run(kSpace, at, end);
  for (const char* line = stop; line > at; --line) {
    if (line[-1] == '\n' || line[-1] == '\r') return line;
  }
  if (stop == end) return stop;
  const char* last = stop;
  decodeBackward(at, last);
  return last == at ? stop : last;
}

// Cuts a text by `next(at, end)`, which gives the end of the piece at `at`.
template <typename Next>
inline void pieces(std::string_view text, Piece whole, std::vector<Piece>& out, const Next& next) {
  const char* base = text.data();
  const char* at = base + whole.begin;
  const char* end = base + whole.end;
  while (at < end) {
    const char* stop = next(at, end);
    out.push_back({static_cast<uint32_t>(at - base), static_cast<uint32_t>(stop - base)});
    at = stop;
  }
}

}  // namespace anneal::text::scan
