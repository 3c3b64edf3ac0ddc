// document_state.h — a document while it goes through the rules. Only for document.cc and document_lines.cc.
#pragma once

#include "text/clean/document.h"
#include "text/unicode/utf8.h"

namespace anneal::text::clean {

struct DocumentRules::State {
  State(std::string_view original, Scratch& memory, const WordSplitter& words)
      : text(original),
        scratch(memory),
        splitter(words),
        characters(static_cast<double>(countCodePoints(original))) {}

  // Of the text as it came; edits come after the last use.
  const std::vector<Word>& words() {
    if (!split) {
      scratch.words.clear();
      splitter.split(text, scratch.words);
      wordCount = scratch.words.size();
      split = true;
    }
    return scratch.words;
  }
  const std::vector<std::string_view>& lines() {
    if (!cut) {
      scratch.lines.clear();
      splitLines(text, scratch.lines);
      cut = true;
    }
    return scratch.lines;
  }

  std::string_view text;  // as it is now
  std::string owned;      // where the edited text lives
  Scratch& scratch;
  const WordSplitter& splitter;
  double characters;     // of the text as it came
  size_t wordCount = 0;  // of the text as it is now, once words were split
  bool split = false;
  bool cut = false;
  DocumentResult result;
};

// part / whole, 0 where there is nothing to have a share of.
double shareOf(double part, double whole);

// `passage` lies in `text`.
Excerpt excerptOf(int subject, std::string_view text, std::string_view passage);

}  // namespace anneal::text::clean
