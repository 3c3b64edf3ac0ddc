// rules.h — the rules by number, and everything that can be set about them. Names, defaults and units are in
// lib/data/clean/rules.ts, in the same order.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anneal::text::clean {

// Rules that remove a document, in the order in which they are asked. X(name, breached when above: 1, below:
// 0)
#define ANNEAL_CLEAN_RULES(X)                              \
  X("text.replacement-characters", 1)                      \
  X("gopher-repetition.duplicate-paragraphs", 1)           \
  X("gopher-repetition.duplicate-paragraph-characters", 1) \
  X("gopher-repetition.duplicate-lines", 1)                \
  X("gopher-repetition.duplicate-line-characters", 1)      \
  X("gopher-repetition.top-2-gram", 1)                     \
  X("gopher-repetition.top-3-gram", 1)                     \
  X("gopher-repetition.top-4-gram", 1)                     \
  X("gopher-repetition.duplicate-5-grams", 1)              \
  X("gopher-repetition.duplicate-6-grams", 1)              \
  X("gopher-repetition.duplicate-7-grams", 1)              \
  X("gopher-repetition.duplicate-8-grams", 1)              \
  X("gopher-repetition.duplicate-9-grams", 1)              \
  X("gopher-repetition.duplicate-10-grams", 1)             \
  X("gopher-quality.min-words", 0)                         \
  X("gopher-quality.max-words", 1)                         \
  X("gopher-quality.min-mean-word-length", 0)              \
  X("gopher-quality.max-mean-word-length", 1)              \
  X("gopher-quality.hashes-per-word", 1)                   \
  X("gopher-quality.ellipses-per-word", 1)                 \
  X("gopher-quality.bullet-lines", 1)                      \
  X("gopher-quality.ellipsis-lines", 1)                    \
  X("gopher-quality.alphabetic-words", 0)                  \
  X("gopher-quality.stop-words", 0)                        \
  X("c4.lorem-ipsum", 1)                                   \
  X("c4.curly-bracket", 1)                                 \
  X("c4.min-sentences", 0)                                 \
  X("c4.long-paragraphs", 0)                               \
  X("fineweb.empty", 0)                                    \
  X("fineweb.terminal-punctuation-lines", 0)               \
  X("fineweb.short-lines", 1)                              \
  X("fineweb.duplicate-line-characters", 1)                \
  X("fineweb.newlines-per-word", 1)

enum Rule : int {
  kReplacementCharacters,
  kDuplicateParagraphs,
  kDuplicateParagraphCharacters,
  kDuplicateLines,
  kDuplicateLineCharacters,
  kTopTwoGram,
  kTopThreeGram,
  kTopFourGram,
  kDuplicateFiveGrams,
  kDuplicateTenGrams = kDuplicateFiveGrams + 5,
  kMinWords,
  kMaxWords,
  kMinMeanWordLength,
  kMaxMeanWordLength,
  kHashesPerWord,
  kEllipsesPerWord,
  kBulletLines,
  kEllipsisLines,
  kAlphabeticWords,
  kStopWords,
  kLoremIpsum,
  kCurlyBracket,
  kMinSentences,
  kLongParagraphs,
  kEmpty,
  kTerminalPunctuationLines,
  kShortLines,
  kLineDuplicateCharacters,
  kNewlinesPerWord,
  kRuleCount,
};

struct RuleFacts {
  std::string_view name;
  bool above;  // breached by a value above the threshold; otherwise by one below it
};

inline constexpr RuleFacts kRules[] = {
#define X(name, above) {name, above != 0},
    ANNEAL_CLEAN_RULES(X)
#undef X
};
static_assert(std::size(kRules) == kRuleCount);

// Rules that remove a line or a part of one.
enum LineRule : int {
  kLongWord,
  kNoTerminalPunctuation,
  kFewWords,
  kJavascript,
  kPolicy,
  kCitation,  // only the citation goes
  kLineRuleCount,
};

// What is masked.
enum Mask : int { kEmail, kIpv4, kIpv6, kPhone, kMaskCount };

struct CleanOptions {
  // Thresholds; a rule with NaN is not asked.
  std::array<double, kRuleCount> thresholds;
  bool asks(int rule) const { return !std::isnan(thresholds[static_cast<size_t>(rule)]); }

  bool english = true;  // exceptions of the word splitter
  bool ideographs = false;
  std::vector<std::string> stopWords;

  // Line rules. NaN or false: not asked.
  bool lines = true;  // false: no line rule, no citations, and no document rule of C4
  double maxWordLength = 1000;
  bool terminalPunctuation = false;
  double minWordsPerLine = 3;
  bool javascript = true;
  std::vector<std::string> policyPhrases;  // in small letters
  bool citations = true;

  uint32_t shortLine = 30;       // characters of a short line
  uint32_t longParagraph = 200;  // characters of a long one
  std::string terminalMarks;     // ends of lines; empty: all that Unicode knows

  // Placeholders by Mask; none: left as it is.
  std::array<std::vector<std::string>, kMaskCount> placeholders;
  bool publicAddressesOnly = true;

  uint32_t examples = 0;  // kept per rule and batch
};

}  // namespace anneal::text::clean
