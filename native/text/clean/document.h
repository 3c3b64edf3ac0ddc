// document.h — all rules over one document, in FineWeb's order: repetition, quality, C4 with its edits,
// FineWeb's own, masking.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/clean/ngrams.h"
#include "text/clean/phrases.h"
#include "text/clean/pieces.h"
#include "text/clean/rules.h"
#include "text/clean/words.h"

namespace anneal::text::clean {

// A passage that a rule objected to, with some text around it.
struct Excerpt {
  int subject = 0;  // a Rule; from kRuleCount on line rules; behind them masks
  std::string text;
  uint32_t begin = 0;  // of the passage in `text`, bytes
  uint32_t end = 0;
};
inline constexpr int kFirstMaskSubject = static_cast<int>(kRuleCount) + static_cast<int>(kLineRuleCount);
inline constexpr int kSubjectCount = kFirstMaskSubject + kMaskCount;

struct DocumentResult {
  int rule = -1;  // the rule that removes it
  // What the rules looked at; NaN where a rule was not asked.
  std::array<double, kRuleCount> values;
  uint32_t lines = 0;
  // Lines dropped (for citations: cut out) by each line rule, and their bytes.
  std::array<uint32_t, kLineRuleCount> lineCounts{};
  std::array<uint32_t, kLineRuleCount> lineBytes{};
  std::array<uint32_t, kMaskCount> masked{};
  bool edited = false;
  std::string text;  // where it was edited and kept
  std::vector<Excerpt> excerpts;
};

// What the check of one document leaves for the next to use again; one per thread.
struct Scratch {
  std::vector<Word> words;
  std::vector<Word> lineWords;
  std::vector<std::string_view> pieces;
  std::vector<std::string_view> lines;
  std::vector<PhraseHit> hits;
  std::vector<Span> spans;
  DuplicateFinder duplicates;
  NGrams ngrams;
  std::string edited;
  std::string line;
};

// The rules with their options; immutable, for any number of threads with a scratch each.
class DocumentRules {
 public:
  explicit DocumentRules(CleanOptions options);

  DocumentResult check(std::string_view text, Scratch& scratch) const;
  // `text` as masking leaves it.
  std::string masked(std::string_view text) const;
  const CleanOptions& options() const { return options_; }

 private:
  struct State;
  bool test(State& state, int rule, double value, std::string_view passage) const;
  bool checkRepetition(State& state) const;
  bool checkQuality(State& state) const;
  bool checkLines(State& state) const;
  bool checkFineWeb(State& state) const;
  DocumentResult checked(State& state) const;
  void find(int kind, std::string_view text, std::vector<Span>& spans) const;
  std::string replaced(int kind, std::string_view text, const std::vector<Span>& spans) const;
  void mask(State& state) const;
  void hide(Excerpt& excerpt) const;
  void cite(State& state, int lineRule, std::string_view passage) const;
  uint32_t distinctStopWords(std::string_view text, const std::vector<Word>& words) const;
  bool endsWell(std::string_view line) const;

  CleanOptions options_;
  WordSplitter splitter_;
  PhraseFinder phrases_;
  const CharacterTable& table_;
  std::vector<std::string> stopWords_;
  // Stop words by length and first byte: numbers from `first` on, in the order of stopWords_.
  std::array<uint32_t, 256> stopBits_{};
  std::vector<char32_t> terminalMarks_;
};

}  // namespace anneal::text::clean
