// pattern_reader.h — the smaller parts of patterns: escapes and classes.
#pragma once

#include <string>
#include <string_view>

#include "text/regex/syntax.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

// What holds at a place of a pattern.
struct PatternOptions {
  bool ignoreCase = false;
  bool lines = false;  // ^ and $ are about lines
  bool dotAll = false;
  bool extended = false;
};

// Groups and classes inside one another, and repetitions of repetitions.
constexpr int kDeepestPattern = 200;

class PatternReader {
 public:
  PatternReader(const std::string& pattern, Dialect dialect);

 protected:
  [[noreturn]] void fail(size_t at, const std::string& problem) const { patternError(pattern_, at, problem); }
  bool atEnd() const { return at_ == pattern_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  bool startsWith(std::string_view text) const {
    return std::string_view(pattern_).substr(at_).starts_with(text);
  }
  bool take(std::string_view text) {
    if (!startsWith(text)) return false;
    at_ += text.size();
    return true;
  }
  char32_t takeCode() {
    const char* from = pattern_.data() + at_;
    const char* to = from;
    const char32_t code = decode(to);
    at_ += static_cast<size_t>(to - from);
    return code;
  }

  uint32_t hexadecimal(size_t least, size_t most);
  char32_t checkedCode(uint32_t value, size_t start) const;
  // \xHH above 0x7F are bytes of UTF-8, of which whole characters must be given.
  char32_t bytes(uint32_t lead, size_t start);
  // The character that an escape stands for; false where it stands for something else (nothing is taken
  // then).
  bool escapedCode(char32_t& code);
  // \s, \p{…} and the like; false where the escape is none of them.
  bool escapedSet(CodeRanges& set);
  // A single character of a class: its code, or false for a set (in `set`).
  bool classAtom(PatternOptions options, int depth, char32_t& code, CodeRanges& set);
  // Behind '['.
  CodeRanges characterClass(PatternOptions options, int depth);

  const std::string& pattern_;
  const bool rust_;
  size_t at_ = 0;
};

}  // namespace anneal::text
