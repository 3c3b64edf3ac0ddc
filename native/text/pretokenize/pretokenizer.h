// pretokenizer.h — the room of pre-tokenizers: they cut text into the pieces that a model then encodes one by
// one. This file is the room's interface; pieces are those of HF tokenizers 0.23.2.
//
// Two ways to use one. Most only cut: `split` gives the pieces of an unchanged text, at full speed. Some
// rewrite (Metaspace, ByteLevel with a prefix space): `apply` does both sorts and keeps offsets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalize/alignment.h"

namespace anneal::text {

// Bytes [begin, end) of the text; never empty.
using Piece = ByteRange;

// A stretch of text between added tokens, on its way through pre-tokenizers. Texts are below 4 GiB.
struct Section {
  std::string text;
  std::vector<Piece> pieces;       // in order; `wholeSection` makes the first one
  Alignment* alignment = nullptr;  // of `text`, kept in step; null where offsets are not wanted
  bool first = true;               // whether the section begins at byte 0 of the original
};

// Immutable, for any number of threads at once.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;

  // Whether pieces may hold other bytes than the text did. Then only `apply` may be called.
  virtual bool rewrites() const { return false; }

  // Whether the pieces, one after the other, always are the whole text: piece i begins where piece i - 1
  // ends.
  virtual bool covers() const = 0;

  // Whether it does nothing to any text.
  virtual bool idle() const { return false; }

  // Appends the pieces of text[whole.begin, whole.end) to `pieces`. Patterns see nothing outside `whole`.
  virtual void split(std::string_view text, Piece whole, std::vector<Piece>& pieces) const = 0;

  // Cuts every piece of the section further (and rewrites it where `rewrites()`).
  virtual void apply(Section& section) const;

  // All pieces of a text, in place of what `pieces` held.
  void split(std::string_view text, std::vector<Piece>& pieces) const {
    pieces.clear();
    if (!text.empty()) split(text, {0, static_cast<uint32_t>(text.size())}, pieces);
  }
};

using PreTokenizerPointer = std::shared_ptr<const PreTokenizer>;

// What becomes of a delimiter: dropped, a piece of its own, part of the piece before or after it, or
// (contiguous) a piece together with the delimiters beside it.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

enum class PrependScheme { kFirst, kNever, kAlways };

// `pattern` is a literal text or a regular expression (Oniguruma syntax); its matches are the delimiters, or
// with `invert` what lies between them. The published patterns (see patterns.h) get scanners of their own. A
// regular expression that cannot be compiled is a TextError.
PreTokenizerPointer makeSplit(const std::string& pattern, bool isRegex, SplitBehavior behavior, bool invert);

// What tiktoken makes of a pattern: the syntax is that of fancy-regex, and the pieces are the matches; what
// lies between them is lost (the patterns of OpenAI's encodings leave nothing out).
PreTokenizerPointer makeTiktokenSplit(const std::string& pattern);

// `useRegex` cuts by GPT-2's pattern. `mapBytes`: each byte becomes the character that stands for it in
// byte-level vocabularies; false leaves the bytes as they are, for byte-level BPE that works on raw bytes
// (right only where no other pre-tokenizer follows).
PreTokenizerPointer makeByteLevel(bool addPrefixSpace, bool useRegex, bool mapBytes);

PreTokenizerPointer makeMetaspace(char32_t replacement, PrependScheme scheme, bool split);
PreTokenizerPointer makeWhitespace();       // \w+|[^\w\s]+
PreTokenizerPointer makeWhitespaceSplit();  // what lies between whitespace
PreTokenizerPointer makeBertPreTokenizer();
PreTokenizerPointer makePunctuation(SplitBehavior behavior);
PreTokenizerPointer makeDigits(bool individualDigits);
PreTokenizerPointer makeCharDelimiterSplit(char32_t delimiter);
PreTokenizerPointer makeUnicodeScripts();
// Pieces of `length` code points, the last one shorter.
PreTokenizerPointer makeFixedLength(uint32_t length);
// One after the other. The published sequences of Splits (DeepSeek-V3's) become one scanner.
PreTokenizerPointer makePreTokenizerSequence(std::vector<PreTokenizerPointer> members);

// The piece of a fresh section.
inline void wholeSection(Section& section) {
  section.pieces.clear();
  if (!section.text.empty()) section.pieces.push_back({0, static_cast<uint32_t>(section.text.size())});
}

}  // namespace anneal::text
