#include "text/unicode/utf8.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

namespace anneal::text {

namespace {

constexpr uint64_t kHighBits = 0x8080808080808080ULL;

uint64_t word(const char* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Calls count(lead byte) for every character and writes the running sum over the offsets, whose order is
// restored.
template <typename Units>
void convert(std::string_view text, uint32_t* offsets, size_t count, const Units& units) {
  std::vector<uint32_t> order;
  const bool sorted = std::is_sorted(offsets, offsets + count);
  if (!sorted) {
    order.resize(count);
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return offsets[a] < offsets[b]; });
  }
  size_t byte = 0;
  uint32_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t& offset = offsets[sorted ? i : order[i]];
    const size_t target = std::min<size_t>(offset, text.size());
    while (byte < target) {
      if (byte + 8 <= target && (word(text.data() + byte) & kHighBits) == 0) {
        byte += 8;
        total += 8;
        continue;
      }
      const unsigned length = characterLength(static_cast<unsigned char>(text[byte]));
      if (byte + length > target) break;
      total += units(length);
      byte += length;
    }
    offset = total;
  }
}

}  // namespace

size_t asciiPrefix(std::string_view text) {
  size_t at = 0;
  while (at + 8 <= text.size() && (word(text.data() + at) & kHighBits) == 0) at += 8;
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

bool isAscii(std::string_view text) { return asciiPrefix(text) == text.size(); }

size_t firstInvalid(std::string_view text) {
  size_t at = 0;
  const auto byte = [&text](size_t index) { return static_cast<unsigned char>(text[index]); };
  for (;;) {
    at += asciiPrefix(text.substr(at));
    if (at == text.size()) return at;
    const unsigned char lead = byte(at);
    // The second byte's bounds rule out overlong forms, surrogates and what lies above U+10FFFF.
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t length = 2;
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return at;
    }
    if (at + length > text.size() || byte(at + 1) < low || byte(at + 1) > high) return at;
    for (size_t i = 2; i < length; ++i) {
      if (!isContinuation(text[at + i])) return at;
    }
    at += length;
  }
}

size_t countCodePoints(std::string_view text) {
  size_t count = 0;
  for (const char byte : text) count += isContinuation(byte) ? 0 : 1;
  return count;
}

size_t countUtf16(std::string_view text) {
  size_t count = 0;
  for (const char byte : text) {
    count += isContinuation(byte) ? 0 : static_cast<unsigned char>(byte) >= 0xF0 ? 2 : 1;
  }
  return count;
}

void bytesToUtf16(std::string_view text, uint32_t* offsets, size_t count) {
  convert(text, offsets, count, [](unsigned length) { return length == 4 ? 2U : 1U; });
}

void bytesToCodePoints(std::string_view text, uint32_t* offsets, size_t count) {
  convert(text, offsets, count, [](unsigned) { return 1U; });
}

}  // namespace anneal::text
