// classes.cc — pre-tokenizers that cut by classes of characters.
#include "text/error.h"
#include "text/pretokenize/folder.h"
#include "text/unicode/properties.h"

namespace anneal::text {

namespace {

template <typename IsDelimiter>
class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(SplitBehavior behavior, IsDelimiter isDelimiter)
      : behavior_(behavior), isDelimiter_(isDelimiter) {}
  bool covers() const override { return behavior_ != SplitBehavior::kRemoved; }
  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    cutAtCharacters(text, whole, behavior_, isDelimiter_, out);
  }

 private:
  const SplitBehavior behavior_;
  const IsDelimiter isDelimiter_;
};

template <typename IsDelimiter>
PreTokenizerPointer characterSplit(SplitBehavior behavior, IsDelimiter isDelimiter) {
  return std::make_shared<CharacterSplit<IsDelimiter>>(behavior, isDelimiter);
}

uint32_t offset(const char* at, std::string_view text) { return static_cast<uint32_t>(at - text.data()); }

// Runs of characters with the same value of `kind`; those of kind 0 are dropped.
template <typename Kind>
void cutRuns(std::string_view text, Piece whole, const Kind& kind, std::vector<Piece>& out) {
  int last = 0;
  const char* const end = text.data() + whole.end;
  for (const char* at = text.data() + whole.begin; at < end;) {
    const uint32_t begin = offset(at, text);
    const int current = kind(decode(at));
    if (current != 0) {
      if (current == last) {
        out.back().end = offset(at, text);
      } else {
        out.push_back({begin, offset(at, text)});
      }
    }
    last = current;
  }
}

class Whitespace final : public PreTokenizer {
 public:
  bool covers() const override { return false; }
  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    const auto kind = [](char32_t code) {
      const uint8_t bits = frontEndTable[code];
      return (bits & kFrontWhite) != 0 ? 0 : (bits & kFrontWord) != 0 ? 1 : 2;
    };
    cutRuns(text, whole, kind, out);
  }
};

class BertPreTokenizer final : public PreTokenizer {
 public:
  bool covers() const override { return false; }
  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    int sign = 1;
    const auto kind = [&sign](char32_t code) {
      const uint8_t bits = frontEndTable[code];
      // No two signs are of the same kind, so that each is a piece.
      if ((bits & kFrontPunctuation) != 0) return sign = sign == 2 ? 3 : 2;
      return (bits & kFrontWhite) != 0 ? 0 : 1;
    };
    cutRuns(text, whole, kind, out);
  }
};

class UnicodeScripts final : public PreTokenizer {
 public:
  bool covers() const override { return false; }
  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    static const PageTable<uint8_t> scripts = PageTable<uint8_t>::fromRuns(kSegmentRuns, kSegmentRunsSize);
    uint8_t last = 0;
    const char* const end = text.data() + whole.end;
    for (const char* at = text.data() + whole.begin; at < end;) {
      const uint32_t begin = offset(at, text);
      const uint8_t script = scripts[decode(at)];
      if (script != 0 && script != last) {
        out.push_back({begin, offset(at, text)});
        last = script;
      } else if (last != 0) {
        // What comes before the first script belongs to no piece.
        out.back().end = offset(at, text);
      }
    }
  }
};

class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(uint32_t length) : length_(length) {}
  bool covers() const override { return true; }
  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    const char* const end = text.data() + whole.end;
    for (const char* at = text.data() + whole.begin; at < end;) {
      const uint32_t begin = offset(at, text);
      for (uint32_t i = 0; i < length_ && at < end; ++i) decode(at);
      out.push_back({begin, offset(at, text)});
    }
  }

 private:
  const uint32_t length_;
};

}  // namespace

PreTokenizerPointer makeWhitespace() { return std::make_shared<Whitespace>(); }
PreTokenizerPointer makeUnicodeScripts() { return std::make_shared<UnicodeScripts>(); }
PreTokenizerPointer makeBertPreTokenizer() { return std::make_shared<BertPreTokenizer>(); }

PreTokenizerPointer makeWhitespaceSplit() {
  return characterSplit(SplitBehavior::kRemoved, [](char32_t code) { return isWhitespace(code); });
}

PreTokenizerPointer makePunctuation(SplitBehavior behavior) {
  return characterSplit(behavior, [](char32_t code) { return isBertPunctuation(code); });
}

PreTokenizerPointer makeDigits(bool individualDigits) {
  return characterSplit(individualDigits ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
                        [](char32_t code) { return isNumeric(code); });
}

PreTokenizerPointer makeCharDelimiterSplit(char32_t delimiter) {
  return characterSplit(SplitBehavior::kRemoved, [delimiter](char32_t code) { return code == delimiter; });
}

PreTokenizerPointer makeFixedLength(uint32_t length) {
  if (length == 0) {
    throw TextError("ERR_TOKENIZER", "The pre-tokenizer FixedLength needs a length of at least 1, but got 0.",
                    {{"length", 0.0}});
  }
  return std::make_shared<FixedLength>(length);
}

}  // namespace anneal::text
