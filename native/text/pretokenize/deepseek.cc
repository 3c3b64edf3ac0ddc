// deepseek.cc — scanner of DeepSeek-V3's pre-tokenizer: three Splits, one inside the pieces of the other,
//   1. \p{N}{1,3}
//   2. [一-龥぀-ゟ゠-ヿ]+
//   3. [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// in one pass. For the third the text ends where a number or one of the second's characters stands, and the
// other way round; what it does not match (controls, unassigned characters) is a piece too.
#include "text/pretokenize/patterns.h"
#include "text/pretokenize/scan.h"

namespace anneal::text {

namespace {

using namespace scan;

constexpr uint8_t kWord = kLetter | kMark;

bool isEastAsian(char32_t code) {
  return code >= 0x3040 && code <= 0x9FA5 && (code <= 0x30FF || code >= 0x4E00);
}

// As `look`, but blind to numbers and, between East Asian stretches, to their characters.
template <bool outside>
Character lookInside(const char* at, const char* end) {
  if (at == end) return {0, at};
  const uint8_t ascii = kAsciiKinds[static_cast<unsigned char>(*at)];
  if (ascii != 0) return {ascii == kNumber ? uint8_t{0} : ascii, at + 1};
  const char* next = at;
  const char32_t code = decode(next);
  if (outside && isEastAsian(code)) return {0, at};
  const uint8_t kind = kindOf(code);
  return {kind == kNumber ? uint8_t{0} : kind, next};
}

template <bool outside>
const char* runInside(uint8_t kinds, const char* at, const char* end) {
  for (;;) {
    if (kinds == kWord) {
      at = asciiLetters(at, end);
    } else {
      while (at < end && (kAsciiKinds[static_cast<unsigned char>(*at)] & kinds) != 0) ++at;
    }
    if (at == end || static_cast<unsigned char>(*at) < 0x80) return at;
    do {
      const char* next = at;
      const char32_t code = decode(next);
      if ((outside && isEastAsian(code)) || (kindOf(code) & kinds) == 0) return at;
      at = next;
    } while (at < end && static_cast<unsigned char>(*at) >= 0x80);
  }
}

template <bool outside>
const char* next(const char* at, const char* end) {
  const Character first = lookInside<outside>(at, end);
  if ((first.kind & kWord) != 0) return runInside<outside>(kWord, at, end);
  const bool ascii = static_cast<unsigned char>(*at) < 0x80;
  if ((first.kind & kSign) != 0) {
    if (ascii) {
      const char* stop = asciiLetters(first.end, end);
      if (stop != first.end) return stop;
    }
    return lineEnds(runInside<outside>(kSign, first.end, end), end);
  }
  const Character second = lookInside<outside>(first.end, end);
  if ((second.kind & kWord) != 0 && *at != '\r' && *at != '\n')
    return runInside<outside>(kWord, first.end, end);
  if (*at == ' ' && (second.kind & kSign) != 0)
    return lineEnds(runInside<outside>(kSign, first.end, end), end);
  if ((first.kind & kSpace) != 0) {
    const char* stop = runInside<outside>(kSpace, at, end);
    for (const char* line = stop; line > at; --line) {
      if (line[-1] == '\n' || line[-1] == '\r') return line;
    }
    if (lookInside<outside>(stop, end).kind == 0) return stop;
    const char* last = stop;
    decodeBackward(at, last);
    return last == at ? stop : last;
  }
  // Nothing matches here: up to where something does.
  Character unmatched = first;
  for (;;) {
    const Character after = lookInside<outside>(unmatched.end, end);
    if (after.kind != kOther) return unmatched.end;
    if ((lookInside<outside>(after.end, end).kind & kWord) != 0) return unmatched.end;
    unmatched = after;
  }
}

class DeepSeekScanner final : public PreTokenizer {
 public:
  bool covers() const override { return true; }
  using PreTokenizer::split;

  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    const char* base = text.data();
    const char* at = base + whole.begin;
    const char* end = base + whole.end;
    const char* eastAsianEnd = at;
    const auto stopOf = [&]() {
      if (at < eastAsianEnd) return next<false>(at, eastAsianEnd);
      const auto byte = static_cast<unsigned char>(*at);
      if (byte >= 0x80 || kAsciiKinds[byte] == kNumber) {
        const char* stop = at;
        for (int digits = 0; digits < 3; ++digits) {
          const Character digit = look(stop, end);
          if (digit.kind != kNumber) break;
          stop = digit.end;
        }
        if (stop != at) return stop;
        for (const char* after = at; stop < end && static_cast<unsigned char>(*stop) >= 0x80; stop = after) {
          if (!isEastAsian(decode(after))) break;
        }
        eastAsianEnd = stop;
        if (at < eastAsianEnd) return next<false>(at, eastAsianEnd);
      }
      return next<true>(at, end);
    };
    while (at < end) {
      const char* stop = stopOf();
      out.push_back({static_cast<uint32_t>(at - base), static_cast<uint32_t>(stop - base)});
      at = stop;
    }
  }
};

}  // namespace

PreTokenizerPointer makeDeepSeekScanner() { return std::make_shared<DeepSeekScanner>(); }

}  // namespace anneal::text
