#include "text/count/count.h"

#include <algorithm>
#include <array>

#include "text/parallel.h"

namespace anneal::text {
namespace {

// What a byte adds to the counts, as bits.
enum : uint8_t { kStartsCharacter = 1, kAscii = 2, kLetter = 4, kDigit = 8, kSpace = 16 };

constexpr std::array<uint8_t, 256> classes() {
  std::array<uint8_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    uint8_t bits = 0;
    if (byte < 128) bits |= kAscii | kStartsCharacter;
    if (byte >= 0xC0) bits |= kStartsCharacter | kLetter;
    if ((byte | 32) >= 'a' && (byte | 32) <= 'z') bits |= kLetter;
    if (byte >= '0' && byte <= '9') bits |= kDigit;
    if (byte == ' ' || (byte >= 9 && byte <= 13)) bits |= kSpace;
    table[byte] = bits;
  }
  return table;
}

constexpr std::array<uint8_t, 256> kClasses = classes();

}  // namespace

TextCounts countText(std::string_view text) {
  size_t characters = 0, newlines = 0, words = 0, ascii = 0, letters = 0, digits = 0, longest = 0,
         lineStart = 0;
  bool inWord = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const uint8_t bits = kClasses[static_cast<unsigned char>(text[at])];
    characters += bits & kStartsCharacter;
    ascii += (bits & kAscii) != 0;
    letters += (bits & kLetter) != 0;
    digits += (bits & kDigit) != 0;
    const bool word = (bits & kSpace) == 0;
    words += word && !inWord;
    inWord = word;
    if (text[at] == '\n') {
      ++newlines;
      longest = std::max(longest, at - lineStart);
      lineStart = at + 1;
    }
  }
  longest = std::max(longest, text.size() - lineStart);
  const size_t lines = newlines + (lineStart < text.size() ? 1 : 0);
  const auto number = [](size_t value) { return static_cast<double>(value); };
  return {number(characters), number(lines),  number(words),  number(ascii),
          number(letters),    number(digits), number(longest)};
}

void countBatch(const TextBatch& batch, unsigned threads, TextCounts* out) {
  parallelFor(batch.count, threads, 16,
              [&](size_t index, unsigned) { out[index] = countText(batch[index]); });
}

}  // namespace anneal::text
