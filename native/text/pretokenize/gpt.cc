// gpt.cc — scanners of the patterns of GPT-2, of GPT-4 and its relatives, and of GPT-4o.
#include "text/pretokenize/patterns.h"
#include "text/pretokenize/scan.h"

namespace anneal::text {

namespace {

using namespace scan;

class Scanner : public PreTokenizer {
 public:
  bool covers() const override { return true; }
};

const char* nextGpt2(const char* at, const char* end) {
  if (*at == '\'') {
    const char* stop = contraction<false>(at, end);
    if (stop != at) return stop;
  }
  const char* from = at;
  Character first = look(at, end);
  if (*at == ' ') {
    const Character second = look(first.end, end);
    if (second.kind == 0) return end;
    if ((second.kind & kSpace) == 0) {
      from = first.end;
      first = second;
    }
  }
  if ((first.kind & kLetter) != 0) return letters(from, end);
  if ((first.kind & kSpace) != 0) return spaces(at, end);
  return run(first.kind & (kNumber | kOther), from, end);
}

class Gpt2Scanner final : public Scanner {
 public:
  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    pieces(text, whole, out, nextGpt2);
  }
};

const char* digitsOf(uint32_t most, const char* at, const char* end) {
  if (most == 0) return run(kNumber, at, end);
  for (uint32_t i = 0; i < most; ++i) {
    const Character digit = look(at, end);
    if ((digit.kind & kNumber) == 0) break;
    at = digit.end;
  }
  return at;
}

// '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
class Gpt4Scanner final : public Scanner {
 public:
  explicit Gpt4Scanner(const Gpt4Rules& rules) : rules_(rules) {}
  using PreTokenizer::split;

  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    pieces(text, whole, out, [this](const char* at, const char* end) { return next(at, end); });
  }

 private:
  const char* next(const char* at, const char* end) const {
    const Character first = look(at, end);
    if ((first.kind & kLetter) != 0) return letters(at, end);
    if ((first.kind & kNumber) != 0) return digitsOf(rules_.digits, at, end);
    if (*at == '\'') {
      const char* stop = contraction<true>(at, end);
      if (stop != at) return stop;
    }
    if (*at == '\r' || *at == '\n') return whitespace(at, end);
    const Character second = look(first.end, end);
    if ((second.kind & kLetter) != 0) return letters(first.end, end);
    if ((first.kind & kOther) != 0 || (*at == ' ' && (second.kind & kOther) != 0)) {
      return lineEnds(run(kOther, first.end, end), end);
    }
    return whitespace(at, end);
  }

  const char* whitespace(const char* at, const char* end) const {
    return rules_.wholeTail && run(kSpace, at, end) == end ? end : spacesAndLines(at, end);
  }

  const Gpt4Rules rules_;
};

// Of [kUpper]*[kLower]+ at `at`: where the match ends; null where there is none.
const char* lowerWord(const char* at, const char* end) {
  const char* upper = run(kUpper, at, end);
  const char* lower = run(kLower, upper, end);
  if (lower != upper) return lower;
  // Back to the last of the characters that are of both kinds.
  while (upper > at) {
    const char* last = upper;
    if ((kindOf(decodeBackward(at, last)) & kLower) != 0) return upper;
    upper = last;
  }
  return nullptr;
}

// Of [kUpper]+[kLower]*.
const char* upperWord(const char* at, const char* end) {
  const char* upper = run(kUpper, at, end);
  return upper == at ? nullptr : run(kLower, upper, end);
}

class Gpt4oScanner final : public Scanner {
 public:
  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    pieces(text, whole, out, next);
  }

 private:
  static const char* withContraction(const char* at, const char* end) {
    return at < end && *at == '\'' ? contraction<true>(at, end) : at;
  }

  // The first two alternatives, both with [^\r\n\p{L}\p{N}]? before them.
  static const char* word(const char* at, const Character& first, const char* end) {
    const bool prefix = (first.kind & (kLetter | kNumber)) == 0 && *at != '\r' && *at != '\n';
    if (!prefix && (first.kind & (kUpper | kLower)) == 0) return nullptr;
    if (prefix && (first.kind & kMark) == 0 && (look(first.end, end).kind & (kUpper | kLower)) == 0)
      return nullptr;
    const char* stop = nullptr;
    if (prefix) stop = lowerWord(first.end, end);
    if (stop == nullptr) stop = lowerWord(at, end);
    if (stop == nullptr && prefix) stop = upperWord(first.end, end);
    if (stop == nullptr) stop = upperWord(at, end);
    return stop == nullptr ? nullptr : withContraction(stop, end);
  }

  static const char* next(const char* at, const char* end) {
    const Character first = look(at, end);
    if (const char* stop = word(at, first, end)) return stop;
    if ((first.kind & kNumber) != 0) return digitsOf(3, at, end);
    if ((first.kind & kOther) != 0 || (*at == ' ' && (look(first.end, end).kind & kOther) != 0)) {
      const char* stop = run(kOther, first.end, end);
      while (stop < end && (*stop == '\n' || *stop == '\r' || *stop == '/')) ++stop;
      return stop;
    }
    return spacesAndLines(at, end);
  }
};

}  // namespace

PreTokenizerPointer makeGpt2Scanner() { return std::make_shared<Gpt2Scanner>(); }
PreTokenizerPointer makeGpt4Scanner(const Gpt4Rules& rules) { return std::make_shared<Gpt4Scanner>(rules); }
PreTokenizerPointer makeGpt4oScanner() { return std::make_shared<Gpt4oScanner>(); }

}  // namespace anneal::text
