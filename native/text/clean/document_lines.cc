// document_lines.cc — the rules that look at lines: C4's, which drop lines and documents, and FineWeb's.
#include <algorithm>
#include <cstring>

#include "text/clean/document_state.h"

namespace anneal::text::clean {
namespace {

// Phrases that document.cc puts before the policy phrases.
enum Phrase : uint32_t { kLorem, kScript, kBracket, kFirstPolicy };

// End of a citation ([12], [], [edit], [citation needed]) that begins at `at`; `at` where there is none.
size_t citationAt(std::string_view line, size_t at) {
  for (const std::string_view mark : {"[edit]", "[citation needed]"}) {
    if (line.substr(at).starts_with(mark)) return at + mark.size();
  }
  size_t end = at + 1;
  while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
  return end < line.size() && line[end] == ']' ? end + 1 : at;
}

// `line` without citations, in `out`; the number of citations, and the first of them.
uint32_t cutCitations(std::string_view line, std::string& out, std::string_view& first) {
  uint32_t count = 0;
  size_t from = 0;
  for (size_t at = line.find('['); at != std::string_view::npos; at = line.find('[', at)) {
    const size_t end = citationAt(line, at);
    if (end == at) {
      ++at;
      continue;
    }
    if (count++ == 0) {
      out.clear();
      first = line.substr(at, end - at);
    }
    out.append(line, from, at - from);
    from = at = end;
  }
  if (count > 0) out.append(line, from);
  return count;
}

// Words of a line as white space separates them.
struct Chunks {
  uint32_t count = 0;
  uint32_t longest = 0;  // characters
};

Chunks chunksOf(const Word* first, const Word* last) {
  Chunks chunks;
  uint32_t length = 0;
  for (const Word* word = first; word < last; ++word) {
    if (word == first || word->begin != word[-1].end) {
      ++chunks.count;
      length = 0;
    }
    length += word->characters;
    chunks.longest = std::max(chunks.longest, length);
  }
  return chunks;
}

bool endsLikeC4(std::string_view line) {
  return !line.empty() && std::strchr(".?!\"'", line.back()) != nullptr && line.back() != '\0' &&
         !line.ends_with("...");
}

}  // namespace

// An example of a dropped line or citation; the first of each kind in the document.
void DocumentRules::cite(State& state, int lineRule, std::string_view passage) const {
  if (options_.examples == 0 || state.result.lineCounts[static_cast<size_t>(lineRule)] != 0) return;
  state.result.excerpts.push_back(excerptOf(kRuleCount + lineRule, state.text, passage));
}

// C4: drops lines, cuts citations out of them, and removes documents for what stands in a line or for having
// too few sentences. The words of the whole text serve all lines: words do not depend on what lies behind
// white space.
bool DocumentRules::checkLines(State& state) const {
  Scratch& scratch = state.scratch;
  DocumentResult& result = state.result;
  const std::string_view text = state.text;
  const std::vector<Word>& words = state.words();
  const std::vector<std::string_view>& lines = state.lines();
  scratch.hits.clear();
  phrases_.find(text, scratch.hits);
  std::sort(scratch.hits.begin(), scratch.hits.end(),
            [](const PhraseHit& a, const PhraseHit& b) { return a.at < b.at; });

  std::string& kept = scratch.edited;
  kept.clear();
  size_t keptWords = 0;
  bool any = false;
  double sentences = 0;
  double lorems = 0;
  double brackets = 0;
  // These two end the walk as soon as they remove the document.
  const auto breaches = [this](Rule rule, double value) {
    return value > options_.thresholds[static_cast<size_t>(rule)];
  };
  const Word* word = words.data();
  const Word* const lastWord = word + words.size();
  size_t hit = 0;
  const auto drop = [&](LineRule rule, std::string_view line) {
    cite(state, rule, line);
    ++result.lineCounts[rule];
    result.lineBytes[rule] += static_cast<uint32_t>(line.size());
  };
  for (const std::string_view whole : lines) {
    ++result.lines;
    const std::string_view original = strip(whole);
    const auto begin = static_cast<uint32_t>(original.data() - text.data());
    const auto end = static_cast<uint32_t>(begin + original.size());
    while (word < lastWord && word->begin < begin) ++word;
    const Word* first = word;
    while (word < lastWord && word->begin < end) ++word;
    const Word* last = word;
    std::string_view line = original;
    const Chunks chunks = chunksOf(first, last);
    if (chunks.longest > options_.maxWordLength) {
      drop(kLongWord, original);
      continue;
    }
    std::string_view citation;
    const uint32_t citations = options_.citations ? cutCitations(original, scratch.line, citation) : 0;
    if (citations > 0) {
      line = scratch.line;
      cite(state, kCitation, citation);
      result.lineCounts[kCitation] += citations;
      result.lineBytes[kCitation] += static_cast<uint32_t>(original.size() - line.size());
    }
    if (options_.terminalPunctuation && !endsLikeC4(line)) {
      drop(kNoTerminalPunctuation, original);
      continue;
    }
    if (chunks.count < options_.minWordsPerLine) {
      drop(kFewWords, original);
      continue;
    }
    // What stands in the line, each at its first place.
    uint32_t places[4];
    std::fill(std::begin(places), std::end(places), UINT32_MAX);
    const auto place = [&](const PhraseHit& found) {
      const uint32_t kind = std::min<uint32_t>(found.phrase, kFirstPolicy);
      places[kind] = std::min(places[kind], found.at);
    };
    if (citations > 0) {
      std::vector<PhraseHit> own;
      phrases_.find(line, own);
      for (const PhraseHit& found : own) place(found);
    } else {
      while (hit < scratch.hits.size() && scratch.hits[hit].at < begin) ++hit;
      for (; hit < scratch.hits.size() && scratch.hits[hit].at < end; ++hit) place(scratch.hits[hit]);
    }
    const auto passage = [&](Phrase kind) {
      return citations > 0 ? original : text.substr(places[kind], phrases_.length(kind));
    };
    if (places[kLorem] != UINT32_MAX && breaches(kLoremIpsum, ++lorems) &&
        test(state, kLoremIpsum, lorems, passage(kLorem))) {
      return true;
    }
    if (options_.javascript && places[kScript] != UINT32_MAX) {
      drop(kJavascript, original);
      continue;
    }
    if (places[kBracket] != UINT32_MAX && breaches(kCurlyBracket, ++brackets) &&
        test(state, kCurlyBracket, brackets, passage(kBracket))) {
      return true;
    }
    if (places[kFirstPolicy] != UINT32_MAX) {
      drop(kPolicy, original);
      continue;
    }
    if (citations > 0) {
      scratch.lineWords.clear();
      splitter_.split(line, scratch.lineWords);
      first = scratch.lineWords.data();
      last = first + scratch.lineWords.size();
    }
    sentences += countSentences(citations > 0 ? line : text, first, last,
                                citations > 0 ? static_cast<uint32_t>(line.size()) : end);
    keptWords += static_cast<size_t>(last - first);
    if (any) kept += '\n';
    any = true;
    kept += line;
  }
  test(state, kLoremIpsum, lorems, {});
  test(state, kCurlyBracket, brackets, {});
  if (test(state, kMinSentences, sentences, {})) return true;
  const std::string_view stripped = strip(kept);
  if (stripped != text) {
    state.owned = stripped;
    state.text = state.owned;
    state.wordCount = keptWords;
    result.edited = true;
  }
  if (!options_.asks(kLongParagraphs)) return false;
  scratch.pieces.clear();
  splitNewlines(state.text, 1, scratch.pieces);
  const auto longOnes = std::count_if(
      scratch.pieces.begin(), scratch.pieces.end(),
      [this](std::string_view line) { return countCodePoints(line) >= options_.longParagraph; });
  return test(state, kLongParagraphs, static_cast<double>(longOnes), {});
}

bool DocumentRules::endsWell(std::string_view line) const {
  if (line.empty()) return false;
  const char* end = line.data() + line.size();
  if (terminalMarks_.empty()) return (table_.previous(line.data(), end) & kTerminal) != 0;
  const char32_t last = decodeBackward(line.data(), end);
  return std::find(terminalMarks_.begin(), terminalMarks_.end(), last) != terminalMarks_.end();
}

bool DocumentRules::checkFineWeb(State& state) const {
  Scratch& scratch = state.scratch;
  scratch.pieces.clear();
  double characters = 0;
  double newlines = 0;
  double wellEnded = 0;
  double shortLines = 0;
  std::string_view badEnd;
  std::string_view shortOne;
  std::vector<std::string_view>& lines = scratch.pieces;
  for (size_t begin = 0;;) {
    const size_t newline = state.text.find('\n', begin);
    const std::string_view line =
        state.text.substr(begin, newline == std::string_view::npos ? newline : newline - begin);
    const auto length = static_cast<double>(countCodePoints(line));
    characters += length;
    if (!strip(line).empty()) {
      lines.push_back(line);
      if (endsWell(line)) {
        ++wellEnded;
      } else if (badEnd.empty()) {
        badEnd = line;
      }
      if (length <= options_.shortLine) {
        if (shortLines++ == 0) shortOne = line;
      }
    }
    if (newline == std::string_view::npos) break;
    ++newlines;
    begin = newline + 1;
  }
  const auto count = static_cast<double>(lines.size());
  if (test(state, kEmpty, count, {})) return true;
  if (lines.empty()) return false;
  if (test(state, kTerminalPunctuationLines, wellEnded / count, badEnd)) return true;
  if (test(state, kShortLines, shortLines / count, shortOne)) return true;
  if (options_.asks(kLineDuplicateCharacters)) {
    const Duplicates found = scratch.duplicates.find(lines);
    if (test(state, kLineDuplicateCharacters, shareOf(static_cast<double>(found.characters), characters),
             found.first)) {
      return true;
    }
  }
  if (!options_.asks(kNewlinesPerWord)) return false;
  if (!state.split) state.words();
  return test(state, kNewlinesPerWord, shareOf(newlines, static_cast<double>(state.wordCount)), {});
}

}  // namespace anneal::text::clean
