// words.cc — the word splitter: white space, then both ends of every chunk, then its middle.
#include "text/clean/words.h"

#include <algorithm>

#include "text/clean/exceptions.h"

namespace anneal::text::clean {
namespace {

bool isDigit(char byte) { return byte >= '0' && byte <= '9'; }
bool isSmall(char byte) { return byte >= 'a' && byte <= 'z'; }
bool isLetter(char byte) { return static_cast<unsigned char>((byte | 0x20) - 'a') < 26; }
bool isPlainMark(char byte) {
  return byte == ',' || byte == '.' || byte == ';' || byte == ':' || byte == '!' || byte == '?';
}
bool isPlainSpace(char byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }

// Where suffixes begin; few chunks have more than a handful.
class Cuts {
 public:
  explicit Cuts(const char* end) : end_(end) {}
  void push(const char* cut) {
    if (count_ < kInline) {
      few_[count_] = cut;
    } else {
      many_.push_back(cut);
    }
    ++count_;
  }
  const char* pop() {
    const char* cut = last();
    if (count_ > kInline) many_.pop_back();
    --count_;
    return cut;
  }
  // The innermost cut, or the chunk's end.
  const char* last() const {
    if (count_ == 0) return end_;
    return count_ > kInline ? many_.back() : few_[count_ - 1];
  }
  bool empty() const { return count_ == 0; }

 private:
  static constexpr size_t kInline = 8;
  const char* end_;
  size_t count_ = 0;
  const char* few_[kInline];
  std::vector<const char*> many_;
};

}  // namespace

WordSplitter::WordSplitter(WordOptions options) : WordSplitter(options, WordExceptions::instance()) {}

void WordSplitter::emit(const char* base, const char* begin, const char* end,
                        std::vector<Word>& words) const {
  uint32_t flags = kIsPunctuation;
  uint32_t characters = 0;
  uint16_t classes = 0;
  for (const char* at = begin; at < end; ++characters) {
    classes = table_.next(at);
    if ((classes & kLetter) != 0) flags |= kHasLetter;
    if ((classes & kNoWord) == 0) flags |= kIsWord;
    if ((classes & kMark) == 0) flags &= ~static_cast<uint32_t>(kIsPunctuation);
  }
  if (characters == 1 && (classes & kSentence) != 0) flags |= kEndsSentence;
  words.push_back(
      {static_cast<uint32_t>(begin - base), static_cast<uint32_t>(end - base), characters, flags});
}

// Whether the stretch is an exception; emits its words where `words` is given.
bool WordSplitter::exception(const char* base, const char* begin, const char* end,
                             std::vector<Word>* words) const {
  if (!options_.exceptions) return false;
  const WordException* found = exceptions_.find({begin, static_cast<size_t>(end - begin)});
  if (found == nullptr || (found->english && !options_.english)) return false;
  if (words != nullptr) {
    const char* from = begin;
    for (const uint8_t cut : found->cuts) {
      emit(base, from, begin + cut, *words);
      from = begin + cut;
    }
    emit(base, from, end, *words);
  }
  return true;
}

// What is left between prefixes and suffixes.
void WordSplitter::middle(const char* base, const char* begin, const char* end,
                          std::vector<Word>& words) const {
  if (exception(base, begin, end, &words)) return;
  bool infixes = false;
  bool dot = false;
  for (const char* at = begin; at < end;) {
    dot |= *at == '.';
    infixes |= (table_.next(at) & kInfix) != 0;
  }
  if (!infixes || (dot && isAddress({begin, static_cast<size_t>(end - begin)}))) {
    emit(base, begin, end, words);
    return;
  }
  const char* from = begin;
  for (const char* at = begin; at < end;) {
    const char* next = at;
    if ((table_.next(next) & kInfix) == 0) {
      at = next;
      continue;
    }
    const size_t length = infix(begin, at, end);
    if (length == 0) {
      at = next;
      continue;
    }
    if (at != begin) {
      if (at > from) emit(base, from, at, words);
      emit(base, at, at + length, words);
      from = at + length;
    }
    at += length;
  }
  if (from < end) emit(base, from, end, words);
}

// A stretch without white space.
void WordSplitter::chunk(const char* base, const char* begin, const char* end,
                         std::vector<Word>& words) const {
  const size_t first = words.size();
  // Suffixes are found from the outside in and emitted from the inside out.
  Cuts cuts(end);
  while (begin < end) {
    if (exception(base, begin, end, nullptr)) break;
    const size_t front = prefix(begin, end);
    if (front != 0 && begin + front < end && exception(base, begin + front, end, nullptr)) {
      emit(base, begin, begin + front, words);
      begin += front;
      break;
    }
    const size_t back = suffix(begin + front, end);
    if (front == 0 && back == 0) break;
    if (back != 0 && begin < end - back && exception(base, begin, end - back, nullptr)) {
      end -= back;
      cuts.push(end);
      break;
    }
    if (front != 0) {
      emit(base, begin, begin + front, words);
      begin += front;
    }
    if (back != 0) {
      end -= back;
      cuts.push(end);
    }
  }
  if (begin < end) middle(base, begin, end, words);
  while (!cuts.empty()) {
    const char* from = cuts.pop();
    emit(base, from, cuts.last(), words);
  }
  if (options_.exceptions && words.size() > first + 1) rejoin(base, first, words);
}

// Words of a chunk that make an exception together, with other words around them, become what the exception
// says: the longest first, of equals the leftmost.
void WordSplitter::rejoin(const char* base, size_t first, std::vector<Word>& words) const {
  struct Join {
    size_t from;
    size_t count;
    const WordException* exception;
  };
  std::vector<Join> joins;
  for (size_t from = first; from + 1 < words.size(); ++from) {
    for (size_t last = from + 1; last < words.size(); ++last) {
      const uint32_t bytes = words[last].end - words[from].begin;
      if (bytes > exceptions_.longest()) break;
      const WordException* found = exceptions_.find({base + words[from].begin, bytes});
      if (found == nullptr || (found->english && !options_.english)) continue;
      // Only what would be split in just this way.
      bool same = found->plain.size() == last - from;
      for (size_t cut = 0; same && cut < found->plain.size(); ++cut) {
        same = words[from + 1 + cut].begin - words[from].begin == found->plain[cut];
      }
      if (same) joins.push_back({from, last - from + 1, found});
    }
  }
  if (joins.empty()) return;
  std::stable_sort(joins.begin(), joins.end(),
                   [](const Join& a, const Join& b) { return a.count > b.count; });
  std::vector<bool> taken(words.size() - first);
  std::vector<Join> chosen;
  for (const Join& join : joins) {
    if (!taken[join.from - first] && !taken[join.from + join.count - 1 - first]) chosen.push_back(join);
    std::fill_n(taken.begin() + static_cast<ptrdiff_t>(join.from - first), join.count, true);
  }
  std::sort(chosen.begin(), chosen.end(), [](const Join& a, const Join& b) { return a.from < b.from; });
  const std::vector<Word> old(words.begin() + static_cast<ptrdiff_t>(first), words.end());
  words.resize(first);
  size_t at = first;
  for (const Join& join : chosen) {
    for (; at < join.from; ++at) words.push_back(old[at - first]);
    const char* const begin = base + old[at - first].begin;
    exception(base, begin, begin + join.exception->text.size(), &words);
    at += join.count;
  }
  for (; at < first + old.size(); ++at) words.push_back(old[at - first]);
}

void WordSplitter::split(std::string_view text, std::vector<Word>& words) const {
  const char* const base = text.data();
  const char* const end = base + text.size();
  for (const char* at = base; at < end;) {
    const char* const begin = at;
    // Most of a text: letters or digits, perhaps with one mark behind them, and white space.
    while (at < end && isLetter(*at)) ++at;
    const bool letters = at > begin;
    if (!letters) {
      while (at < end && isDigit(*at)) ++at;
    }
    if (at > begin) {
      const char* const stop = at;
      const bool mark = at < end && isPlainMark(*at);
      if (mark) ++at;
      if (at == end || isPlainSpace(*at)) {
        plain(base, begin, stop, mark, letters, words);
        ++at;
        continue;
      }
    }
    const char* last = at;
    uint16_t classes = 0;
    while (at < end) {
      last = at;
      classes = table_.next(at);
      if ((classes & kSpace) != 0 || (options_.ideographs && (classes & kIdeograph) != 0)) break;
      last = at;
    }
    if (last > begin) chunk(base, begin, last, words);
    if (options_.ideographs && (classes & kIdeograph) != 0 && last < at) emit(base, last, at, words);
  }
}

// The chunk `begin` to `stop` of nothing but letters or nothing but digits, with one mark behind it or
// without.
void WordSplitter::plain(const char* base, const char* begin, const char* stop, bool mark, bool letters,
                         std::vector<Word>& words) const {
  const auto from = static_cast<uint32_t>(begin - base);
  auto length = static_cast<uint32_t>(stop - begin);
  if (letters) {
    if (mark && exceptions_.maybe({begin, length + 1}) && exception(base, begin, stop + 1, &words)) return;
    if (mark && *stop == '.' && !isSmall(stop[-1]) && (length == 1 || isSmall(stop[-2]))) {
      // An initial keeps its full stop.
      words.push_back({from, from + length + 1, length + 1, kHasLetter | kIsWord});
      return;
    }
    const size_t first = words.size();
    if (!exceptions_.maybe({begin, length}) || !exception(base, begin, stop, &words)) {
      words.push_back({from, from + length, length, kHasLetter | kIsWord});
    } else if (mark) {
      emit(base, stop, stop + 1, words);
      rejoin(base, first, words);
      return;
    }
  } else {
    words.push_back({from, from + length, length, kIsWord});
  }
  if (mark) {
    const bool ends = *stop == '.' || *stop == '!' || *stop == '?';
    words.push_back(
        {from + length, from + length + 1, 1,
         static_cast<uint32_t>(kIsPunctuation) | (ends ? static_cast<uint32_t>(kEndsSentence) : 0)});
  }
}

uint32_t countSentences(std::string_view text, const Word* first, const Word* last, uint32_t end) {
  uint32_t sentences = 1;
  bool ended = false;
  // A single space belongs to the word before it; any other white space counts like a word.
  const auto gap = [&](uint32_t from, uint32_t to) {
    if (ended && from != to && !(to - from == 1 && text[from] == ' ')) {
      ++sentences;
      ended = false;
    }
  };
  for (const Word* word = first; word < last; ++word) {
    if (word > first) gap(word[-1].end, word->begin);
    if ((word->flags & kEndsSentence) != 0) {
      ended = true;
    } else if (ended && (word->flags & kIsPunctuation) == 0) {
      ++sentences;
      ended = false;
    }
  }
  if (first < last) gap(last[-1].end, end);
  return sentences;
}

}  // namespace anneal::text::clean
