// folder.h — what Split's behaviors make of delimiters and the text between them.
#pragma once

#include <vector>

#include "text/pretokenize/pretokenizer.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

// Takes the stretches of a text in order, each marked as delimiter or not (empty ones included, as empty
// matches of a pattern are), and appends the pieces.
class Folder {
 public:
  Folder(SplitBehavior behavior, std::vector<Piece>& pieces) : behavior_(behavior), pieces_(pieces) {}

  void add(Piece stretch, bool delimiter) {
    switch (behavior_) {
      case SplitBehavior::kRemoved:
        if (!delimiter) emit(stretch);
        return;
      case SplitBehavior::kIsolated:
        emit(stretch);
        return;
      case SplitBehavior::kContiguous:
        join(stretch, delimiter == lastWasDelimiter_);
        break;
      case SplitBehavior::kMergedWithPrevious:
        join(stretch, delimiter && !lastWasDelimiter_);
        break;
      case SplitBehavior::kMergedWithNext:
        // The held stretch is a delimiter where there is one that still wants its next.
        if (held_ && lastWasDelimiter_ && !delimiter) {
          holding_.end = stretch.end;
        } else {
          join(stretch, false);
        }
        break;
    }
    lastWasDelimiter_ = delimiter;
  }

  void finish() {
    if (held_) emit(holding_);
    held_ = false;
  }

 private:
  void emit(Piece piece) {
    if (piece.begin != piece.end) pieces_.push_back(piece);
  }
  void join(Piece stretch, bool extend) {
    if (held_ && extend) {
      holding_.end = stretch.end;
      return;
    }
    if (held_) emit(holding_);
    holding_ = stretch;
    held_ = true;
  }

  SplitBehavior behavior_;
  std::vector<Piece>& pieces_;
  Piece holding_;
  bool held_ = false;
  bool lastWasDelimiter_ = false;
};

// Cuts at single characters, those for which isDelimiter(code) holds.
template <typename IsDelimiter>
void cutAtCharacters(std::string_view text, Piece whole, SplitBehavior behavior,
                     const IsDelimiter& isDelimiter, std::vector<Piece>& pieces) {
  Folder folder(behavior, pieces);
  uint32_t behind = whole.begin;
  const char* const end = text.data() + whole.end;
  for (const char* at = text.data() + whole.begin; at < end;) {
    const auto begin = static_cast<uint32_t>(at - text.data());
    if (!isDelimiter(decode(at))) continue;
    const auto after = static_cast<uint32_t>(at - text.data());
    if (behind < begin) folder.add({behind, begin}, false);
    folder.add({begin, after}, true);
    behind = after;
  }
  if (behind < whole.end) folder.add({behind, whole.end}, false);
  folder.finish();
}

}  // namespace anneal::text
