// utf8.h — the room of Unicode: UTF-8, and tables of what characters are. This file decodes and encodes,
// counts code points and UTF-16 units, and finds the first invalid byte. Everything but `firstInvalid` takes
// valid UTF-8, which lib/native/text/batch.ts sees to for every text that comes from JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace anneal::text {

// Bytes of the character that begins with `lead`; 1 for bytes that begin none.
inline unsigned characterLength(unsigned char lead) {
  if (lead < 0xC0) return 1;
  return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

// Bytes of a code point.
inline unsigned encodedLength(char32_t code) {
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

inline bool isContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The code point at `at`, which it moves behind it.
inline char32_t decode(const char*& at) {
  const auto byte = [&at](int index) { return static_cast<char32_t>(static_cast<unsigned char>(at[index])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    at += 1;
    return lead;
  }
  if (lead < 0xE0) {
    const char32_t code = ((lead & 0x1F) << 6) | (byte(1) & 0x3F);
    at += 2;
    return code;
  }
  if (lead < 0xF0) {
    const char32_t code = ((lead & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
    at += 3;
    return code;
  }
  const char32_t code =
      ((lead & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F);
  at += 4;
  return code;
}

// The code point that ends at `at` (which lies behind `begin`); moves `at` to its first byte.
inline char32_t decodeBackward(const char* begin, const char*& at) {
  --at;
  while (at > begin && isContinuation(*at)) --at;
  const char* copy = at;
  return decode(copy);
}

// Writes a code point to `out` (room for 4 bytes) and says its length.
inline unsigned encode(char32_t code, char* out) {
  if (code < 0x80) {
    out[0] = static_cast<char>(code);
    return 1;
  }
  if (code < 0x800) {
    out[0] = static_cast<char>(0xC0 | (code >> 6));
    out[1] = static_cast<char>(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = static_cast<char>(0xE0 | (code >> 12));
    out[1] = static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out[2] = static_cast<char>(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = static_cast<char>(0xF0 | (code >> 18));
  out[1] = static_cast<char>(0x80 | ((code >> 12) & 0x3F));
  out[2] = static_cast<char>(0x80 | ((code >> 6) & 0x3F));
  out[3] = static_cast<char>(0x80 | (code & 0x3F));
  return 4;
}

inline void append(std::string& text, char32_t code) {
  char bytes[4];
  text.append(bytes, encode(code, bytes));
}

// Whether every byte is below 0x80.
bool isAscii(std::string_view text);

// Bytes before the first one that is not ASCII; text.size() where there is none.
size_t asciiPrefix(std::string_view text);

// The byte at which the first ill-formed sequence begins (overlong forms, surrogates and values above
// U+10FFFF included; an incomplete sequence at the end too); text.size() where all is valid.
size_t firstInvalid(std::string_view text);

size_t countCodePoints(std::string_view text);
size_t countUtf16(std::string_view text);

// Byte offsets → offsets in UTF-16 code units or in code points, for `count` byte offsets in any order,
// written over them. An offset inside a character counts as the character's beginning.
void bytesToUtf16(std::string_view text, uint32_t* offsets, size_t count);
void bytesToCodePoints(std::string_view text, uint32_t* offsets, size_t count);

}  // namespace anneal::text
