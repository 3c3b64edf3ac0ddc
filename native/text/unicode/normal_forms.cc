#include "text/unicode/normal_forms.h"

#include <map>
#include <unordered_map>
#include <vector>

#include "text/unicode/tables.h"

namespace anneal::text {

namespace {

constexpr uint32_t kCodeBits = 0x1FFFFF;

// What quick checks ask.
constexpr uint8_t kDecomposes = 1 << 0;            // canonically
constexpr uint8_t kDecomposesCompatibly = 1 << 1;  // by NFKD; set with kDecomposes too
constexpr uint8_t kStaysDecomposed = 1 << 2;       // NFC does not put it together again
constexpr uint8_t kSecond = 1 << 3;                // may become one with the character before it

uint64_t pairKey(char32_t first, char32_t second) { return (static_cast<uint64_t>(first) << 32) | second; }

struct Tables {
  PageTable<uint16_t> canonical;  // place of the first code in kDecompositions; 0: none
  PageTable<uint16_t> compatible;
  PageTable<uint8_t> flags;
  PageTable<uint8_t> combining;
  std::unordered_map<uint64_t, char32_t> pairs;

  Tables() : combining(PageTable<uint8_t>::fromRuns(kCombiningRuns, kCombiningRunsSize)) {
    std::map<std::vector<uint32_t>, char32_t> composites;
    const auto add = [this](char32_t code, uint8_t bits) { flags.set(code, flags[code] | bits); };
    for (size_t at = 0; at < kDecompositionsSize;) {
      const uint32_t header = kDecompositions[at];
      const char32_t code = header & kCodeBits;
      const uint32_t length = (header >> 24) & 0x3F;
      const auto place = static_cast<uint16_t>(at + 1);
      if ((header >> 31) != 0) {
        compatible.set(code, place);
        add(code, kDecomposesCompatibly);
      } else {
        canonical.set(code, place);
        if (compatible[code] == 0) compatible.set(code, place);
        add(code, kDecomposes | kDecomposesCompatibly);
        if ((header & (1U << 30)) != 0) {
          composites[{kDecompositions + place, kDecompositions + place + length}] = code;
        } else {
          add(code, kStaysDecomposed);
        }
      }
      at += 1 + length;
    }
    // A composite of more than two parts is the composite of all but the last, and the last.
    for (const auto& [parts, code] : composites) {
      const char32_t first = parts.size() == 2 ? parts[0] : composites.at({parts.begin(), parts.end() - 1});
      pairs[pairKey(first, parts.back())] = code;
      add(parts.back(), kSecond);
    }
    for (char32_t i = 0; i < kVowelCount; ++i) add(kVowelFirst + i, kSecond);
    for (char32_t i = 1; i < kTrailingCount; ++i) add(kTrailingBefore + i, kSecond);
  }
};

const Tables& tables() {
  static const Tables instance;
  return instance;
}

}  // namespace

uint8_t combiningClass(char32_t code) { return tables().combining[code]; }

Decomposition decomposition(char32_t code, bool compatibility) {
  const uint16_t place = compatibility ? tables().compatible[code] : tables().canonical[code];
  if (place == 0) return {nullptr, 0};
  return {kDecompositions + place, (kDecompositions[place - 1] >> 24) & 0x3F};
}

char32_t composition(char32_t first, char32_t second) {
  if ((tables().flags[second] & kSecond) == 0) return 0;
  if (first - kLeadingFirst < 19 && second - kVowelFirst < kVowelCount) {
    return kHangulFirst + ((first - kLeadingFirst) * kVowelCount + (second - kVowelFirst)) * kTrailingCount;
  }
  if (isHangulSyllable(first) && (first - kHangulFirst) % kTrailingCount == 0 &&
      second - kTrailingBefore - 1 < kTrailingCount - 1) {
    return first + (second - kTrailingBefore);
  }
  const auto found = tables().pairs.find(pairKey(first, second));
  return found == tables().pairs.end() ? 0 : found->second;
}

bool normalInForm(char32_t code, bool compatibility, bool composed) {
  const uint8_t flags = tables().flags[code];
  if (!composed) {
    return !isHangulSyllable(code) && (flags & (compatibility ? kDecomposesCompatibly : kDecomposes)) == 0;
  }
  if ((flags & (kStaysDecomposed | kSecond)) != 0) return false;
  // With a compatibility decomposition of its own the character changes even where NFC leaves it.
  return !compatibility || (flags & kDecomposesCompatibly) == 0 ||
         tables().compatible[code] == tables().canonical[code];
}

}  // namespace anneal::text
