#include "text/language/fasttext_dictionary.h"

#include <algorithm>

namespace anneal::text {
namespace {

constexpr std::string_view kEndOfLine = "</s>";
// Files do not say their label prefix; this is fastText's default, which published models use.
constexpr std::string_view kLabelPrefix = "__label__";
constexpr uint32_t kFnvStart = 2166136261U;
constexpr uint32_t kFnvFactor = 16777619U;
constexpr uint64_t kWordNgramFactor = 116049371U;
// Longer entries can only come from a damaged file.
constexpr size_t kMaxEntryBytes = 1 << 20;
// An entry takes at least its NUL, its count and its type.
constexpr uint64_t kLeastEntryBytes = 10;

// FNV-1a with one deviation that all models depend on: bytes are sign-extended.
uint32_t fnvByte(uint32_t hash, char byte) {
  return (hash ^ static_cast<uint32_t>(static_cast<int32_t>(static_cast<int8_t>(byte)))) * kFnvFactor;
}

uint32_t fnv(std::string_view word) {
  uint32_t hash = kFnvStart;
  for (const char byte : word) hash = fnvByte(hash, byte);
  return hash;
}

bool isSpace(char byte) {
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t' || byte == '\v' || byte == '\f' ||
         byte == '\0';
}

bool isContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0U) == 0x80U; }

}  // namespace

void FastTextDictionary::load(ModelFile& file, const FastTextSettings& settings) {
  settings_ = settings;
  const auto size = file.value<int32_t>("the dictionary");
  words_ = file.value<int32_t>("the dictionary");
  const auto labels = file.value<int32_t>("the dictionary");
  file.value<int64_t>("the dictionary");  // tokens of the training text
  pruned_ = file.value<int64_t>("the dictionary");
  if (words_ < 0 || labels < 1 || int64_t{words_} + labels != size) {
    file.fail("the dictionary is said to have " + std::to_string(size) + " entries, of them " +
              std::to_string(words_) + " words and " + std::to_string(labels) + " labels");
  }
  if (pruned_ < -1 || pruned_ > settings.buckets) {
    file.fail("the dictionary is said to keep " + std::to_string(pruned_) + " of " +
              std::to_string(settings.buckets) + " n-grams");
  }
  file.require(size, kLeastEntryBytes, "the dictionary");
  ends_.reserve(size);
  for (int32_t i = 0; i < size; ++i) {
    file.string(&bytes_, kMaxEntryBytes, "the dictionary");
    ends_.push_back(bytes_.size());
    const auto count = file.value<int64_t>("the dictionary");
    const auto type = file.value<int8_t>("the dictionary");
    if (type != (i < words_ ? 0 : 1)) {
      file.fail("entry " + std::to_string(i) + " of the dictionary is of type " + std::to_string(type) +
                "; expected " + std::to_string(words_) + " words (0), then labels (1)");
    }
    if (i >= words_) labelCounts_.push_back(count);
  }
  loadPruned(file);

  // At most 7 of 10 places are taken.
  table_.assign(static_cast<size_t>(size) * 10 / 7 + 1, -1);
  for (int32_t i = 0; i < size; ++i) table_[place(entry(i), fnv(entry(i)))] = i;
}

void FastTextDictionary::loadPruned(ModelFile& file) {
  if (pruned_ <= 0) return;
  file.require(pruned_, 2 * sizeof(int32_t), "the list of n-grams");
  size_t places = 16;
  while (places < static_cast<size_t>(pruned_) * 2) places *= 2;
  prunedKeys_.assign(places, -1);
  prunedRows_.assign(places, 0);
  for (int64_t i = 0; i < pruned_; ++i) {
    const auto bucket = file.value<int32_t>("the list of n-grams");
    const auto row = file.value<int32_t>("the list of n-grams");
    if (bucket < 0 || bucket >= settings_.buckets || row < 0) {
      file.fail("the list of n-grams sends bucket " + std::to_string(bucket) + " to row " +
                std::to_string(row));
    }
    size_t at = static_cast<uint32_t>(bucket) * 2654435761U & (places - 1);
    while (prunedKeys_[at] != -1 && prunedKeys_[at] != bucket) at = (at + 1) & (places - 1);
    prunedKeys_[at] = bucket;
    prunedRows_[at] = row;
    maxPrunedRow_ = std::max(maxPrunedRow_, row);
  }
}

int64_t FastTextDictionary::rowsNeeded() const {
  if (pruned_ >= 0) return int64_t{words_} + maxPrunedRow_ + 1;
  const bool buckets = settings_.maxCharacters > 0 || settings_.wordNgrams > 1;
  return int64_t{words_} + (buckets ? settings_.buckets : 0);
}

uint64_t FastTextDictionary::bytes() const {
  return bytes_.size() + ends_.size() * sizeof(uint64_t) +
         (table_.size() + prunedKeys_.size() + prunedRows_.size()) * sizeof(int32_t);
}

size_t FastTextDictionary::place(std::string_view word, uint32_t hash) const {
  size_t at = hash % table_.size();
  while (table_[at] != -1 && entry(table_[at]) != word) at = at + 1 == table_.size() ? 0 : at + 1;
  return at;
}

void FastTextDictionary::pushBucket(int32_t bucket, std::vector<int32_t>* rows) const {
  if (pruned_ < 0) {
    rows->push_back(words_ + bucket);
    return;
  }
  if (pruned_ == 0) return;
  const size_t mask = prunedKeys_.size() - 1;
  size_t at = static_cast<uint32_t>(bucket) * 2654435761U & mask;
  for (; prunedKeys_[at] != -1; at = (at + 1) & mask) {
    if (prunedKeys_[at] == bucket) {
      rows->push_back(words_ + prunedRows_[at]);
      return;
    }
  }
}

// N-grams of minCharacters to maxCharacters code points of "<word>", but never "<" or ">" alone.
void FastTextDictionary::pushCharacters(std::string_view word, std::vector<int32_t>* rows,
                                        std::string* padded) const {
  padded->clear();
  padded->push_back('<');
  padded->append(word);
  padded->push_back('>');
  const std::string& text = *padded;
  for (size_t begin = 0; begin < text.size(); ++begin) {
    if (isContinuation(text[begin])) continue;
    uint32_t hash = kFnvStart;
    size_t end = begin;
    for (int32_t length = 1; end < text.size() && length <= settings_.maxCharacters; ++length) {
      hash = fnvByte(hash, text[end++]);
      while (end < text.size() && isContinuation(text[end])) hash = fnvByte(hash, text[end++]);
      if (length < settings_.minCharacters) continue;
      if (length == 1 && (begin == 0 || end == text.size())) continue;
      pushBucket(static_cast<int32_t>(hash % static_cast<uint32_t>(settings_.buckets)), rows);
    }
  }
}

void FastTextDictionary::pushWordNgrams(const std::vector<int32_t>& hashes,
                                        std::vector<int32_t>* rows) const {
  const auto buckets = static_cast<uint64_t>(settings_.buckets);
  const auto longest = static_cast<size_t>(std::max(settings_.wordNgrams, 1));
  for (size_t begin = 0; begin < hashes.size(); ++begin) {
    // Hashes are sign-extended to 64 bits, as fastText does.
    auto hash = static_cast<uint64_t>(int64_t{hashes[begin]});
    for (size_t next = begin + 1; next < hashes.size() && next - begin < longest; ++next) {
      hash = hash * kWordNgramFactor + static_cast<uint64_t>(int64_t{hashes[next]});
      pushBucket(static_cast<int32_t>(hash % buckets), rows);
    }
  }
}

void FastTextDictionary::rows(std::string_view text, std::vector<int32_t>* rows,
                              std::vector<int32_t>* hashes) const {
  rows->clear();
  hashes->clear();
  std::string padded;
  // True when the line ends with this word.
  const auto take = [&](std::string_view word) {
    const uint32_t hash = fnv(word);
    const int32_t index = table_[place(word, hash)];
    const bool isEnd = word == kEndOfLine;
    const bool isLabel = index >= 0 ? index >= words_ : word.substr(0, kLabelPrefix.size()) == kLabelPrefix;
    if (isLabel) return isEnd;
    if (index >= 0) rows->push_back(index);
    if (!isEnd && settings_.maxCharacters > 0) pushCharacters(word, rows, &padded);
    hashes->push_back(static_cast<int32_t>(hash));
    return isEnd;
  };
  bool ended = false;
  for (size_t at = 0; at < text.size() && !ended;) {
    if (isSpace(text[at])) {
      ++at;
      continue;
    }
    size_t end = at + 1;
    while (end < text.size() && !isSpace(text[end])) ++end;
    ended = take(text.substr(at, end - at));
    at = end;
  }
  if (!ended) take(kEndOfLine);
  if (settings_.wordNgrams > 1) pushWordNgrams(*hashes, rows);
}

}  // namespace anneal::text
