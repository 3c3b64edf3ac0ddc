// pieces.cc — cutting a text into lines and paragraphs, and finding repeated ones.
#include "text/clean/pieces.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace anneal::text::clean {

std::string_view stripLeft(std::string_view text) {
  const CharacterTable& table = CharacterTable::instance();
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const char* next = at;
    if ((table.next(next) & kSpace) == 0) break;
    at = next;
  }
  return {at, static_cast<size_t>(end - at)};
}

std::string_view stripRight(std::string_view text) {
  const CharacterTable& table = CharacterTable::instance();
  const char* const begin = text.data();
  const char* end = begin + text.size();
  while (end > begin) {
    const char* before = end;
    if ((table.previous(begin, before) & kSpace) == 0) break;
    end = before;
  }
  return {begin, static_cast<size_t>(end - begin)};
}

std::string_view strip(std::string_view text) { return stripRight(stripLeft(text)); }

namespace {

// Whether a line may end otherwise than with a newline. Without branches, so that it is vectorized.
bool hasOddLineEnds(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const size_t size = text.size();
  unsigned char odd = 0;
  size_t at = 0;
  for (; at + 2 < size; ++at) {
    const unsigned char byte = bytes[at];
    const unsigned char next = bytes[at + 1];
    odd |= static_cast<unsigned char>((byte >= 0x0B) & (byte <= 0x1E));
    odd |= static_cast<unsigned char>((byte == 0xC2) & (next == 0x85));
    odd |= static_cast<unsigned char>((byte == 0xE2) & (next == 0x80) & (bytes[at + 2] >= 0xA8));
  }
  for (; at < size; ++at) odd |= bytes[at] < 0x20 || bytes[at] >= 0x80 ? 1 : 0;
  return odd != 0;
}

}  // namespace

void splitLines(std::string_view text, std::vector<std::string_view>& lines) {
  if (!hasOddLineEnds(text)) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t newline = std::min(text.find('\n', begin), text.size());
      lines.push_back(text.substr(begin, newline - begin));
      begin = newline + 1;
    }
    return;
  }
  const CharacterTable& table = CharacterTable::instance();
  const char* at = text.data();
  const char* const end = at + text.size();
  const char* begin = at;
  while (at < end) {
    const auto byte = static_cast<unsigned char>(*at);
    // Ends of lines are control characters, or begin with C2 or E2.
    if (byte >= 0x20 && byte != 0xC2 && byte != 0xE2) {
      ++at;
      continue;
    }
    const char* next = at;
    if ((table.next(next) & kLineEnd) != 0) {
      lines.emplace_back(begin, static_cast<size_t>(at - begin));
      if (byte == '\r' && next < end && *next == '\n') ++next;
      begin = next;
    }
    at = next;
  }
  if (begin < end) lines.emplace_back(begin, static_cast<size_t>(end - begin));
}

void splitNewlines(std::string_view text, size_t least, std::vector<std::string_view>& pieces) {
  const char* const end = text.data() + text.size();
  const char* begin = text.data();
  const char* at = begin;
  while (at < end) {
    const auto* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    if (newline == nullptr) break;
    const char* next = newline + 1;
    while (next < end && *next == '\n') ++next;
    if (static_cast<size_t>(next - newline) >= least) {
      pieces.emplace_back(begin, static_cast<size_t>(newline - begin));
      begin = next;
    }
    at = next;
  }
  pieces.emplace_back(begin, static_cast<size_t>(end - begin));
}

uint64_t hashBytes(const char* bytes, size_t count) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15ULL;
  uint64_t hash = count * kFactor;
  uint64_t word;
  while (count >= 8) {
    std::memcpy(&word, bytes, 8);
    hash = std::rotl((hash ^ word) * kFactor, 31);
    bytes += 8;
    count -= 8;
  }
  word = 0;
  std::memcpy(&word, bytes, count);
  hash = (hash ^ word) * kFactor;
  hash ^= hash >> 32;
  hash *= 0xD6E8FEB86659FD93ULL;
  return hash ^ hash >> 32;
}

Duplicates DuplicateFinder::find(const std::vector<std::string_view>& pieces) {
  Duplicates found;
  if (pieces.size() < 2) return found;
  const size_t capacity = std::bit_ceil(std::max<size_t>(8, 2 * pieces.size()));
  slots_.assign(capacity, Slot{0, 0});
  for (size_t piece = 0; piece < pieces.size(); ++piece) {
    const std::string_view text = pieces[piece];
    const uint64_t hash = hashBytes(text.data(), text.size());
    for (size_t slot = hash & (capacity - 1);; slot = (slot + 1) & (capacity - 1)) {
      Slot& entry = slots_[slot];
      if (entry.piece == 0) {
        entry = {hash, static_cast<uint32_t>(piece + 1)};
        break;
      }
      if (entry.hash == hash && pieces[entry.piece - 1] == text) {
        if (found.count++ == 0) found.first = text;
        found.characters += countCodePoints(text);
        break;
      }
    }
  }
  return found;
}

}  // namespace anneal::text::clean
