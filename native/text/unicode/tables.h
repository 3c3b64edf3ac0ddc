// tables.h — the generated data, and the two-stage tables that are built from it when the addon is loaded.
//
// The data are what HF tokenizers 0.23.2 does, asked code point by code point (scripts/unicode-tables.py).
// Its parts differ in age: Oniguruma (patterns, (?i), scripts) and the regex crate have Unicode 16, as
// tiktoken has; Rust's char methods (lowercase, numeric) 17; decompositions and combining marks are those of
// Unicode 9, and BERT's punctuation, controls and accents those of about 2015.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace anneal::text {

extern const uint32_t kCharacterRuns[];
extern const size_t kCharacterRunsSize;
extern const uint32_t kOtherUppercase[];
extern const size_t kOtherUppercaseSize;
extern const uint32_t kOtherLowercase[];
extern const size_t kOtherLowercaseSize;
extern const uint32_t kScriptRanges[];
extern const size_t kScriptRangesSize;
extern const char* const kScriptNames[];
extern const size_t kScriptNamesSize;
extern const int32_t kLowercaseRuns[];
extern const size_t kLowercaseRunsSize;
extern const int32_t kFoldRuns[];
extern const size_t kFoldRunsSize;
extern const uint32_t kDecompositions[];
extern const size_t kDecompositionsSize;
extern const uint32_t kCombiningRuns[];
extern const size_t kCombiningRunsSize;
extern const uint32_t kFrontEndRuns[];
extern const size_t kFrontEndRunsSize;
extern const uint32_t kSegmentRuns[];
extern const size_t kSegmentRunsSize;

constexpr char32_t kCodePoints = 0x110000;

// A value for every code point: pages of 256, of which equal ones that hold a single value share their
// memory.
template <typename Value>
class PageTable {
 public:
  PageTable() { clear(); }

  Value operator[](char32_t code) const { return values_[first_[code >> 8] + (code & 0xFF)]; }

  void set(char32_t code, Value value) {
    const size_t page = code >> 8;
    if (first_[page] == 0) {
      first_[page] = static_cast<uint32_t>(values_.size());
      values_.insert(values_.end(), 256, Value());
    }
    values_[first_[page] + (code & 0xFF)] = value;
  }

  // From data of the form code << 8 | value.
  static PageTable fromRuns(const uint32_t* runs, size_t size) {
    PageTable table;
    table.values_.clear();
    std::array<uint32_t, 256> uniform;
    uniform.fill(UINT32_MAX);
    size_t run = 0;
    for (size_t page = 0; page < kPages; ++page) {
      const char32_t begin = static_cast<char32_t>(page << 8);
      while (run + 1 < size && (runs[run + 1] >> 8) <= begin) ++run;
      const Value value = static_cast<Value>(runs[run] & 0xFF);
      const bool single = run + 1 == size || (runs[run + 1] >> 8) >= begin + 256;
      if (single && uniform[runs[run] & 0xFF] != UINT32_MAX) {
        table.first_[page] = uniform[runs[run] & 0xFF];
        continue;
      }
      table.first_[page] = static_cast<uint32_t>(table.values_.size());
      if (single) uniform[runs[run] & 0xFF] = table.first_[page];
      size_t at = run;
      Value current = value;
      for (char32_t code = begin; code < begin + 256; ++code) {
        if (at + 1 < size && (runs[at + 1] >> 8) == code) current = static_cast<Value>(runs[++at] & 0xFF);
        table.values_.push_back(current);
      }
    }
    return table;
  }

 private:
  static constexpr size_t kPages = kCodePoints >> 8;
  void clear() {
    first_.fill(0);
    values_.assign(256, Value());
  }
  std::array<uint32_t, kPages> first_;
  std::vector<Value> values_;
};

// Of every character what kCharacterRuns and kFrontEndRuns say.
extern const PageTable<uint8_t> characterTable;
extern const PageTable<uint8_t> frontEndTable;

constexpr uint8_t kCategoryBits = 0x1F;
constexpr uint8_t kSpaceBit = 1 << 5;
constexpr uint8_t kWordBit = 1 << 6;
constexpr uint8_t kAlphabeticBit = 1 << 7;

constexpr uint8_t kFrontWhite = 1 << 0;
constexpr uint8_t kFrontNumeric = 1 << 1;
constexpr uint8_t kFrontPunctuation = 1 << 2;
constexpr uint8_t kFrontWord = 1 << 3;
constexpr uint8_t kFrontControl = 1 << 4;
constexpr uint8_t kFrontNonspacing = 1 << 5;
constexpr uint8_t kFrontMark = 1 << 6;
constexpr uint8_t kFrontChinese = 1 << 7;

}  // namespace anneal::text
