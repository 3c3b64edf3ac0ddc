// regex.h — the room of regular expressions: compiler and matcher for the Oniguruma syntax that
// tokenizer.json files use, on UTF-8. This file is the room's interface.
//
// Syntax: alternation, groups ((…), (?:…), (?<name>…), (?i:…), (?i), atomic (?>…)), classes with ranges,
// negation, nesting and &&, POSIX brackets, \p{…} \P{…} \p{^…} (general categories, binary properties,
// scripts), \s \S \d \D \w \W \h \H \N \O \R, greedy, lazy and possessive repetition, lookahead, lookbehind
// of alternatives of fixed length, anchors ^ $ \A \z \Z \b \B \G, escapes \t \n … \uHHHH \x{H…} \xHH. Not
// supported: back references, calls, conditions, \K, \X; compiling them is a TextError that says so. (?i)
// compares single characters: ß is not ss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace anneal::text {

class Program;

// The same text means different things to different engines.
enum class Dialect {
  kOniguruma,  // HF tokenizers. {n,m}+ repeats {n,m}; ^ and $ are about lines; (?m) lets . match line ends
  kRust,       // fancy-regex, of tiktoken. {n,m}+ is possessive; ^ and $ are about lines with (?m) only; (?s)
};

struct Match {
  size_t begin = 0;
  size_t end = 0;
};

// Immutable, for any number of threads at once.
class Regex {
 public:
  // Throws TextError (ERR_TOKENIZER) with the place of the mistake.
  explicit Regex(const std::string& pattern, Dialect dialect = Dialect::kOniguruma);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  const std::string& pattern() const { return pattern_; }

  // Steps that searches in a text of this many bytes may take together.
  static uint64_t budget(size_t bytes) { return (uint64_t{1} << 26) + 1000 * static_cast<uint64_t>(bytes); }

  // The first match that begins at byte `from` of `text` or later; false where there is none. Takes its steps
  // from `budget`, and throws TextError (ERR_TOKENIZER) when nothing is left of it.
  bool find(std::string_view text, size_t from, Match& match, uint64_t& budget) const;

 private:
  std::string pattern_;
  std::unique_ptr<const Program> program_;
};

// All matches in a text, one after the other; an empty match directly behind another match is passed over.
class Matches {
 public:
  Matches(const Regex& regex, std::string_view text)
      : regex_(regex), text_(text), budget_(Regex::budget(text.size())) {}
  bool next(Match& match);

 private:
  const Regex& regex_;
  std::string_view text_;
  uint64_t budget_;
  size_t from_ = 0;
  size_t lastEnd_ = SIZE_MAX;
};

}  // namespace anneal::text
