// code_set.h — sets of code points: as sorted ranges while a pattern is compiled, as pages of bits while it
// is matched.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "text/unicode/tables.h"

namespace anneal::text {

// Ranges [first, last], sorted, apart from one another.
class CodeRanges {
 public:
  CodeRanges() = default;
  static CodeRanges all() { return CodeRanges({{0, 0x10FFFF}}); }
  static CodeRanges of(char32_t first, char32_t last) { return CodeRanges({{first, last}}); }
  // The characters whose bits in characterTable satisfy holds(bits).
  template <typename Holds>
  static CodeRanges where(const Holds& holds) {
    CodeRanges set;
    for (size_t run = 0; run < kCharacterRunsSize; ++run) {
      if (!holds(static_cast<uint8_t>(kCharacterRuns[run]))) continue;
      const char32_t first = kCharacterRuns[run] >> 8;
      const char32_t last = (run + 1 < kCharacterRunsSize ? kCharacterRuns[run + 1] >> 8 : kCodePoints) - 1;
      if (!set.ranges_.empty() && set.ranges_.back().second + 1 == first) {
        set.ranges_.back().second = last;
      } else {
        set.ranges_.emplace_back(first, last);
      }
    }
    return set;
  }

  void add(char32_t first, char32_t last);
  // The same without putting the ranges in order, which `settle` must do before anything else is asked.
  void collect(char32_t first, char32_t last) { ranges_.emplace_back(first, last); }
  void collect(const CodeRanges& other) {
    ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  }
  void settle();
  void add(const CodeRanges& other);
  CodeRanges complement() const;
  CodeRanges intersection(const CodeRanges& other) const;
  // With every character that (?i) takes for the same as one in the set.
  CodeRanges folded() const;
  bool contains(char32_t code) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<std::pair<char32_t, char32_t>>& ranges() const { return ranges_; }

 private:
  explicit CodeRanges(std::vector<std::pair<char32_t, char32_t>> ranges) : ranges_(std::move(ranges)) {}
  std::vector<std::pair<char32_t, char32_t>> ranges_;
};

// Membership in two look-ups; ASCII in one.
class CodeSet {
 public:
  explicit CodeSet(const CodeRanges& ranges);
  bool ascii(unsigned char byte) const { return ascii_[byte]; }
  bool contains(char32_t code) const {
    if (code < 0x80) return ascii_[code];
    const std::array<uint64_t, 4>& page = pages_[first_[code >> 8]];
    return ((page[(code >> 6) & 3] >> (code & 63)) & 1) != 0;
  }
  // Adds the first bytes of the UTF-8 of all members to a set of 256.
  void addFirstBytes(std::array<bool, 256>& bytes) const;

 private:
  std::array<bool, 128> ascii_;
  std::array<uint16_t, 0x1100> first_;
  std::vector<std::array<uint64_t, 4>> pages_;
};

// The property that \p{name} stands for in Oniguruma: general categories by short and long name, scripts, and
// the binary properties and POSIX names that its documentation lists. Letter case, spaces, '-' and '_' do not
// matter. False where the name is unknown.
bool namedProperty(std::string_view name, CodeRanges& set);
// The class of a POSIX bracket [:name:].
bool posixClass(std::string_view name, CodeRanges& set);

// \s, \d, \w, \h.
const CodeRanges& whitespaceSet();
const CodeRanges& digitSet();
const CodeRanges& wordSet();
const CodeRanges& hexadecimalSet();
// \w of Rust's engines: no superscripts and fractions, but the two joiners.
const CodeRanges& rustWordSet();

}  // namespace anneal::text
