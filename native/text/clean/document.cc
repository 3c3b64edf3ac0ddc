// document.cc — one document: what all rules share, Gopher's rules, and masking. Lines are in
// document_lines.cc.
#include "text/clean/document.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "text/clean/document_state.h"
#include "text/clean/pii.h"

namespace anneal::text::clean {
namespace {

std::vector<std::string> phrasesOf(const CleanOptions& options) {
  std::vector<std::string> phrases = {"lorem ipsum", "javascript", "{"};
  phrases.insert(phrases.end(), options.policyPhrases.begin(), options.policyPhrases.end());
  return phrases;
}

size_t countOf(std::string_view text, std::string_view part, const char*& first) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) {
    if (count++ == 0) first = text.data() + at;
  }
  return count;
}

// The same for a character of three bytes. Without branches, so that it is vectorized: the first byte of "…"
// is that of quotes and dashes too, of which some texts are full.
size_t countCharacter(std::string_view text, std::string_view character, const char*& first) {
  const char a = character[0];
  const char b = character[1];
  const char c = character[2];
  size_t count = 0;
  for (size_t block = 0; block + 2 < text.size(); block += 128) {
    const size_t end = std::min(text.size() - 2, block + 128);
    uint8_t found = 0;
    for (size_t at = block; at < end; ++at) {
      found += static_cast<uint8_t>((text[at] == a) & (text[at + 1] == b) & (text[at + 2] == c));
    }
    count += found;
  }
  if (count > 0) first = text.data() + text.find(character);
  return count;
}

bool endsInEllipsis(std::string_view line) { return line.ends_with("...") || line.ends_with("…"); }

}  // namespace

double shareOf(double part, double whole) { return whole > 0 ? part / whole : 0; }

Excerpt excerptOf(int subject, std::string_view text, std::string_view passage) {
  constexpr size_t kBefore = 120;
  constexpr size_t kPassage = 320;
  constexpr size_t kAfter = 160;
  const size_t mark = static_cast<size_t>(passage.data() - text.data());
  size_t markEnd = mark + std::min(passage.size(), kPassage);
  size_t begin = mark > kBefore ? mark - kBefore : 0;
  size_t end = std::min(text.size(), markEnd + kAfter);
  const auto inside = [&](size_t at) { return at < text.size() && isContinuation(text[at]); };
  while (markEnd > mark && inside(markEnd)) --markEnd;
  // Cut at white space, so that no part of an address is left that would not be known for one.
  const auto blank = [&](size_t at) { return text[at] == ' ' || text[at] == '\n'; };
  if (begin > 0) {
    while (begin < mark && !blank(begin)) ++begin;
  }
  if (end < text.size()) {
    while (end > markEnd && !blank(end)) --end;
  }
  return {subject, std::string(text.substr(begin, end - begin)), static_cast<uint32_t>(mark - begin),
          static_cast<uint32_t>(markEnd - begin)};
}

DocumentRules::DocumentRules(CleanOptions options)
    : options_(std::move(options)),
      splitter_({.english = options_.english, .ideographs = options_.ideographs, .exceptions = true}),
      phrases_(phrasesOf(options_)),
      table_(CharacterTable::instance()),
      stopWords_(options_.stopWords) {
  std::sort(stopWords_.begin(), stopWords_.end());
  stopWords_.erase(std::unique(stopWords_.begin(), stopWords_.end()), stopWords_.end());
  if (!stopWords_.empty() && stopWords_[0].empty()) stopWords_.erase(stopWords_.begin());
  for (const std::string& word : stopWords_) {
    stopBits_[static_cast<unsigned char>(word[0])] |= 1U << std::min<size_t>(word.size(), 31);
  }
  for (const char *at = options_.terminalMarks.data(), *end = at + options_.terminalMarks.size(); at < end;) {
    terminalMarks_.push_back(decode(at));
  }
}

// Notes what a rule looked at; true where it removes the document.
bool DocumentRules::test(State& state, int rule, double value, std::string_view passage) const {
  if (!options_.asks(rule)) return false;
  state.result.values[static_cast<size_t>(rule)] = value;
  const double threshold = options_.thresholds[static_cast<size_t>(rule)];
  if (!(kRules[rule].above ? value > threshold : value < threshold)) return false;
  state.result.rule = rule;
  if (options_.examples > 0) {
    state.result.excerpts.push_back(
        excerptOf(rule, state.text, passage.data() == nullptr ? state.text.substr(0, 0) : passage));
  }
  return true;
}

bool DocumentRules::checkRepetition(State& state) const {
  const auto wanted = [this](int first, int last) {
    while (first <= last && !options_.asks(first)) ++first;
    return first <= last;
  };
  Scratch& scratch = state.scratch;
  const double characters = state.characters;
  if (wanted(kDuplicateParagraphs, kDuplicateParagraphCharacters)) {
    scratch.pieces.clear();
    splitNewlines(strip(state.text), 2, scratch.pieces);
    const Duplicates found = scratch.duplicates.find(scratch.pieces);
    const double share =
        shareOf(static_cast<double>(found.count), static_cast<double>(scratch.pieces.size()));
    if (test(state, kDuplicateParagraphs, share, found.first)) return true;
    if (test(state, kDuplicateParagraphCharacters, shareOf(static_cast<double>(found.characters), characters),
             found.first)) {
      return true;
    }
  }
  if (wanted(kDuplicateLines, kDuplicateLineCharacters)) {
    scratch.pieces.clear();
    splitNewlines(state.text, 1, scratch.pieces);
    const Duplicates found = scratch.duplicates.find(scratch.pieces);
    const double share =
        shareOf(static_cast<double>(found.count), static_cast<double>(scratch.pieces.size()));
    if (test(state, kDuplicateLines, share, found.first)) return true;
    if (test(state, kDuplicateLineCharacters, shareOf(static_cast<double>(found.characters), characters),
             found.first)) {
      return true;
    }
  }
  if (!wanted(kTopTwoGram, kDuplicateTenGrams)) return false;
  scratch.ngrams.prepare(state.text, state.words());
  const auto passage = [&state](const RepeatedWords& found) {
    return state.text.substr(found.where.begin, found.where.end - found.where.begin);
  };
  for (unsigned n = 2; n <= 4; ++n) {
    const int rule = kTopTwoGram + static_cast<int>(n) - 2;
    if (!wanted(rule, kTopFourGram)) break;
    const RepeatedWords found = scratch.ngrams.mostFrequent(n);
    if (state.words().size() < n) continue;
    if (test(state, rule, shareOf(static_cast<double>(found.characters), characters), passage(found)))
      return true;
  }
  for (unsigned n = 5; n <= 10; ++n) {
    const int rule = kDuplicateFiveGrams + static_cast<int>(n) - 5;
    if (!options_.asks(rule)) continue;
    const RepeatedWords found = scratch.ngrams.duplicated(n);
    if (test(state, rule, shareOf(static_cast<double>(found.characters), characters), passage(found)))
      return true;
  }
  return false;
}

uint32_t DocumentRules::distinctStopWords(std::string_view text, const std::vector<Word>& words) const {
  std::vector<bool> seen(stopWords_.size());
  size_t longest = 0;
  for (const std::string& word : stopWords_) longest = std::max(longest, word.size());
  const auto bit = [](size_t length) { return 1U << std::min<size_t>(length, 31); };
  // What was seen need not be looked for again; most texts have soon seen all.
  auto wanted = stopBits_;
  uint32_t distinct = 0;
  for (const Word& word : words) {
    const uint32_t length = word.end - word.begin;
    const auto first = static_cast<unsigned char>(text[word.begin]);
    if (length > longest || (wanted[first] & bit(length)) == 0) continue;
    const std::string_view written = text.substr(word.begin, length);
    const auto found = std::lower_bound(stopWords_.begin(), stopWords_.end(), written);
    if (found == stopWords_.end() || *found != written) continue;
    const auto number = static_cast<size_t>(found - stopWords_.begin());
    if (seen[number]) continue;
    seen[number] = true;
    if (++distinct == stopWords_.size()) break;
    wanted[first] = 0;
    for (size_t other = 0; other < stopWords_.size(); ++other) {
      const std::string& left = stopWords_[other];
      if (!seen[other] && static_cast<unsigned char>(left[0]) == first) wanted[first] |= bit(left.size());
    }
  }
  return distinct;
}

bool DocumentRules::checkQuality(State& state) const {
  const std::string_view text = state.text;
  const std::vector<Word>& words = state.words();
  const auto count = static_cast<double>(words.size());
  double meaningful = 0;
  double characters = 0;
  double alphabetic = 0;
  const Word* odd = nullptr;
  for (const Word& word : words) {
    if ((word.flags & kIsWord) != 0) {
      ++meaningful;
      characters += word.characters;
    }
    if ((word.flags & kHasLetter) != 0) {
      ++alphabetic;
    } else if (odd == nullptr) {
      odd = &word;
    }
  }
  if (test(state, kMinWords, meaningful, {})) return true;
  if (test(state, kMaxWords, meaningful, {})) return true;
  if (meaningful > 0) {
    if (test(state, kMinMeanWordLength, characters / meaningful, {})) return true;
    if (test(state, kMaxMeanWordLength, characters / meaningful, {})) return true;
  }
  const char* first = nullptr;
  const auto hashes = static_cast<double>(countOf(text, "#", first));
  if (test(state, kHashesPerWord, shareOf(hashes, count), {first, first == nullptr ? 0U : 1U})) return true;
  const char* dots = nullptr;
  const char* sign = nullptr;
  const auto ellipses = static_cast<double>(countOf(text, "...", dots) + countCharacter(text, "…", sign));
  if (test(state, kEllipsesPerWord, shareOf(ellipses, count),
           {dots == nullptr ? sign : dots, dots == nullptr && sign == nullptr ? 0U : 3U})) {
    return true;
  }
  const std::vector<std::string_view>& lines = state.lines();
  const auto lineCount = static_cast<double>(lines.size());
  double bullets = 0;
  double endings = 0;
  std::string_view bullet;
  std::string_view ending;
  for (const std::string_view line : lines) {
    const std::string_view left = stripLeft(line);
    if (left.starts_with("•") || left.starts_with("-")) {
      if (bullets++ == 0) bullet = left;
    }
    const std::string_view right = stripRight(line);
    if (endsInEllipsis(right)) {
      if (endings++ == 0) ending = right;
    }
  }
  if (test(state, kBulletLines, shareOf(bullets, lineCount), bullet)) return true;
  if (test(state, kEllipsisLines, shareOf(endings, lineCount), ending)) return true;
  if (!words.empty()) {
    const std::string_view passage =
        odd == nullptr ? std::string_view() : text.substr(odd->begin, odd->end - odd->begin);
    if (test(state, kAlphabeticWords, alphabetic / count, passage)) return true;
  }
  if (!options_.asks(kStopWords)) return false;
  return test(state, kStopWords, distinctStopWords(text, words), {});
}

void DocumentRules::find(int kind, std::string_view text, std::vector<Span>& spans) const {
  switch (kind) {
    case kEmail:
      return findEmails(text, spans);
    case kIpv4:
      return findIpv4(text, options_.publicAddressesOnly, spans);
    case kIpv6:
      return findIpv6(text, options_.publicAddressesOnly, spans);
    default:
      return findPhones(text, spans);
  }
}

std::string DocumentRules::replaced(int kind, std::string_view text, const std::vector<Span>& spans) const {
  const std::vector<std::string>& placeholders = options_.placeholders[static_cast<size_t>(kind)];
  std::string masked;
  masked.reserve(text.size() + 16 * spans.size());
  size_t from = 0;
  for (size_t span = 0; span < spans.size(); ++span) {
    masked += text.substr(from, spans[span].begin - from);
    masked += placeholders[span % placeholders.size()];
    from = spans[span].end;
  }
  masked += text.substr(from);
  return masked;
}

// Every kind of mask goes over the text that the one before it left.
void DocumentRules::mask(State& state) const {
  std::vector<Span>& spans = state.scratch.spans;
  for (int kind = 0; kind < kMaskCount; ++kind) {
    const std::vector<std::string>& placeholders = options_.placeholders[static_cast<size_t>(kind)];
    if (placeholders.empty()) continue;
    spans.clear();
    find(kind, state.text, spans);
    if (spans.empty()) continue;
    state.owned = replaced(kind, state.text, spans);
    state.text = state.owned;
    state.result.masked[static_cast<size_t>(kind)] = static_cast<uint32_t>(spans.size());
    state.result.edited = true;
    // The report shows what stands there now.
    if (options_.examples > 0) {
      const std::string_view first = state.text.substr(spans[0].begin, placeholders[0].size());
      state.result.excerpts.push_back(excerptOf(kFirstMaskSubject + kind, state.text, first));
    }
  }
}

std::string DocumentRules::masked(std::string_view text) const {
  std::string current(text);
  std::vector<Span> spans;
  for (int kind = 0; kind < kMaskCount; ++kind) {
    if (options_.placeholders[static_cast<size_t>(kind)].empty()) continue;
    spans.clear();
    find(kind, current, spans);
    if (!spans.empty()) current = replaced(kind, current, spans);
  }
  return current;
}

// What is hidden in documents is hidden in the report too.
void DocumentRules::hide(Excerpt& excerpt) const {
  std::vector<Span> spans;
  // An example of a mask was taken before those behind it went over the text.
  for (int kind = std::max(0, excerpt.subject - kFirstMaskSubject + 1); kind < kMaskCount; ++kind) {
    const std::vector<std::string>& placeholders = options_.placeholders[static_cast<size_t>(kind)];
    if (placeholders.empty()) continue;
    spans.clear();
    find(kind, excerpt.text, spans);
    if (spans.empty()) continue;
    // A bound of the passage inside of what is replaced moves out of it.
    const auto moved = [&](uint32_t bound, bool isEnd) {
      size_t shift = 0;  // modulo 2⁶⁴
      for (size_t span = 0; span < spans.size() && bound > spans[span].begin; ++span) {
        const size_t length = placeholders[span % placeholders.size()].size();
        if (bound < spans[span].end)
          return static_cast<uint32_t>(spans[span].begin + shift + (isEnd ? length : 0));
        shift += length - (spans[span].end - spans[span].begin);
      }
      return static_cast<uint32_t>(bound + shift);
    };
    excerpt.begin = moved(excerpt.begin, false);
    excerpt.end = moved(excerpt.end, true);
    excerpt.text = replaced(kind, excerpt.text, spans);
  }
}

DocumentResult DocumentRules::check(std::string_view text, Scratch& scratch) const {
  State state(text, scratch, splitter_);
  DocumentResult result = checked(state);
  for (Excerpt& excerpt : result.excerpts) hide(excerpt);
  return result;
}

DocumentResult DocumentRules::checked(State& state) const {
  const std::string_view text = state.text;
  state.result.values.fill(std::numeric_limits<double>::quiet_NaN());
  if (options_.asks(kReplacementCharacters)) {
    const char* first = nullptr;
    const auto replaced = static_cast<double>(countCharacter(text, "\uFFFD", first));
    if (test(state, kReplacementCharacters, shareOf(replaced, state.characters),
             {first, first == nullptr ? 0U : 3U})) {
      return std::move(state.result);
    }
  }
  const auto asksAny = [this](int first, int last) {
    for (int rule = first; rule <= last; ++rule) {
      if (options_.asks(rule)) return true;
    }
    return false;
  };
  if (asksAny(kDuplicateParagraphs, kDuplicateTenGrams) && checkRepetition(state))
    return std::move(state.result);
  if (asksAny(kMinWords, kStopWords) && checkQuality(state)) return std::move(state.result);
  if (options_.lines && checkLines(state)) return std::move(state.result);
  if (asksAny(kEmpty, kNewlinesPerWord) && checkFineWeb(state)) return std::move(state.result);
  mask(state);
  if (state.result.edited) state.result.text = std::move(state.owned);
  return std::move(state.result);
}

}  // namespace anneal::text::clean
