// fold.h — the room of deduplication: equal and nearly equal documents, passages and evaluation items. This
// file folds text so that what differs only in case, punctuation, numbers, accents or spacing becomes equal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anneal::text::dedup {

// What is a word.
enum class Words {
  kSpaced,   // whatever stands between spaces
  kScripts,  // the same, and every character of a script written without spaces (Han, kana, Thai, Lao, Khmer,
             // …)
};

// Words of a text, one space between two of them.
struct FoldedText {
  std::string text;
  // Byte of `text` at which each word begins, and at the end the one at which another word would begin.
  std::vector<uint32_t> starts;
  // Bytes of the original that each word came from; filled only when asked for.
  std::vector<uint32_t> sourceBegins;
  std::vector<uint32_t> sourceEnds;

  size_t words() const { return starts.size() - 1; }
  // Words [first, first + count) with their spaces.
  std::string_view span(size_t first, size_t count) const {
    return std::string_view(text).substr(starts[first], starts[first + count] - 1 - starts[first]);
  }
};

// FineWeb's folding, in the order of datatrove's `simplify_text`: lower case; decimal numbers of any script,
// with one fraction, become "0"; the punctuation of fold_tables.h becomes a space; white space collapses;
// canonical decomposition, of which nonspacing marks are dropped. (The 25 spacing marks with a combining
// class keep their order.) `text` is valid UTF-8 below 1 GiB.
void fold(std::string_view text, Words words, bool sources, FoldedText& out);

}  // namespace anneal::text::dedup
