// ngrams.cc — repeated sequences of words. Most sequences of a text occur once; what is spent on them decides
// the speed. Sequences of n + 1 words are counted only where both halves of n words occur twice, and for the
// longer ones only those places are looked at whose first 16 bytes occur twice. Results are exact: equal
// hashes are checked against the bytes.
#include "text/clean/ngrams.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace anneal::text::clean {
namespace {

constexpr size_t kWindow = 16;
constexpr uint64_t kFactor = 0x9E3779B97F4A7C15ULL;

uint64_t load(const char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, 8);
  return word;
}

uint64_t mixed(uint64_t a, uint64_t b) {
  uint64_t hash = (a ^ 0xD6E8FEB86659FD93ULL) * kFactor;
  hash = std::rotl(hash, 29) ^ b;
  hash *= kFactor;
  return hash ^ hash >> 29;
}

// Of two stretches in the stream, where 16 bytes may always be read.
bool same(const char* a, const char* b, size_t length) {
  if (length > 16) return std::memcmp(a, b, length) == 0;
  if (length < 8) return ((load(a) ^ load(b)) & ~(~0ULL << 8 * length)) == 0;
  return load(a) == load(b) && load(a + length - 8) == load(b + length - 8);
}

// Of a word in the stream, where 16 bytes may always be read.
uint64_t hashWord(const char* bytes, size_t length) {
  if (length <= 8) return mixed(load(bytes) & ~0ULL >> (64 - 8 * length), length);
  if (length <= 16) return mixed(load(bytes), load(bytes + length - 8) + length);
  return hashBytes(bytes, length);
}

// Slots for `count` entries, and the shift that takes the highest bits of a hash to one.
unsigned clearTable(std::vector<uint32_t>& table, size_t count) {
  const size_t capacity = std::bit_ceil(std::max<size_t>(16, 2 * count));
  table.assign(capacity, 0);
  return 64U - static_cast<unsigned>(std::countr_zero(capacity));
}

}  // namespace

void NGrams::prepare(std::string_view text, const std::vector<Word>& words) {
  words_ = &words;
  listedFor_ = kUnlisted;
  const size_t count = words.size();
  starts_.resize(count + 1);
  characters_.resize(count + 1);
  hashes_.resize(count);
  if (stream_.size() < text.size() + 2 * kWindow) stream_.resize(text.size() + 2 * kWindow);
  char* out = stream_.data();
  uint32_t start = 0;
  uint32_t characters = 0;
  for (size_t at = 0; at < count; ++at) {
    const Word word = words[at];
    const size_t length = word.end - word.begin;
    const char* from = text.data() + word.begin;
    if (length <= kWindow && word.begin + kWindow <= text.size()) {
      std::memcpy(out + start, from, kWindow);
    } else {
      std::memcpy(out + start, from, length);
    }
    hashes_[at] = hashWord(out + start, length);
    starts_[at] = start;
    characters_[at] = characters;
    start += static_cast<uint32_t>(length);
    characters += word.characters;
  }
  starts_[count] = start;
  characters_[count] = characters;
  std::memset(out + start, 0, kWindow);
}

// Notes the places of all sequences of two words.
void NGrams::findPairs() {
  const size_t count = words_->size() - 1;
  const unsigned shift = clearTable(table_, count);
  const size_t mask = table_.size() - 1;
  for (size_t at = 0; at < count; ++at) {
    const uint64_t hash = mixed(hashes_[at], hashes_[at + 1]);
    hashes_[at] = hash;
    const uint32_t length = starts_[at + 2] - starts_[at];
    const uint32_t middle = starts_[at + 1] - starts_[at];
    for (size_t slot = hash >> shift;; slot = (slot + 1) & mask) {
      const uint32_t entry = table_[slot];
      if (entry == 0) {
        table_[slot] = static_cast<uint32_t>(at + 1);
        break;
      }
      const uint32_t first = entry - 1;
      if (hashes_[first] == hash && starts_[first + 2] - starts_[first] == length &&
          starts_[first + 1] - starts_[first] == middle && same(bytes(first), bytes(at), length)) {
        repeat(first, at);
        break;
      }
    }
  }
}

// Notes the places of sequences of one word more than before: only where both halves occur twice. The first
// places of both halves say exactly what the sequence is.
void NGrams::findLonger(size_t count) {
  places_.resize(count);
  size_t candidates = 0;
  for (size_t at = 0; at < count; ++at) {
    places_[candidates] = static_cast<uint32_t>(at);
    candidates += (halves_[firsts_[at]] > 1) & (halves_[firsts_[at + 1]] > 1);
  }
  const unsigned shift = clearTable(table_, candidates);
  const size_t mask = table_.size() - 1;
  // Sequences that occur once are their own first place.
  for (size_t at = 0; at < count; ++at) next_[at] = static_cast<uint32_t>(at);
  std::swap(firsts_, next_);
  for (size_t candidate = 0; candidate < candidates; ++candidate) {
    const uint32_t at = places_[candidate];
    const uint32_t left = next_[at];
    const uint32_t right = next_[at + 1];
    const uint64_t hash = mixed(static_cast<uint64_t>(left) << 32 | right, 0);
    for (size_t slot = hash >> shift;; slot = (slot + 1) & mask) {
      const uint32_t entry = table_[slot];
      if (entry == 0) {
        table_[slot] = at + 1;
        break;
      }
      if (next_[entry - 1] == left && next_[entry] == right) {
        repeat(entry - 1, at);
        break;
      }
    }
  }
}

RepeatedWords NGrams::mostFrequent(unsigned n) {
  const size_t words = words_->size();
  if (words < n) return {};
  const size_t count = words - n + 1;
  best_ = 0;
  bestCount_ = 1;
  if (n == 2) {
    firsts_.resize(words);
    next_.resize(words);
    for (size_t at = 0; at < words; ++at) firsts_[at] = static_cast<uint32_t>(at);
    counts_.assign(words, 1);
    findPairs();
  } else {
    std::swap(halves_, counts_);
    counts_.assign(words, 1);
    findLonger(count);
  }
  const uint64_t length = characters_[best_ + n] - characters_[best_] + n - 1;
  return {length * bestCount_, {(*words_)[best_].begin, (*words_)[best_ + n - 1].end}};
}

// Two equal sequences of 16 bytes or more begin with the same 16 bytes. Counting hashes of those finds all
// places that may hold one, and one in eight of the others; counting other hashes of what is left, hardly any
// others.
void NGrams::findCandidates() {
  const size_t count = words_->size();
  candidates_.assign(count, 0);
  next_.resize(count);
  places_.resize(count);
  for (size_t at = 0; at < count; ++at) places_[at] = static_cast<uint32_t>(at);
  size_t left = count;
  for (const uint64_t salt : {0ULL, 0xA0761D6478BD642FULL}) {
    const size_t capacity = std::bit_ceil(std::max<size_t>(64, 8 * left));
    const unsigned shift = 64U - static_cast<unsigned>(std::countr_zero(capacity));
    seen_.assign(capacity, 0);
    for (size_t place = 0; place < left; ++place) {
      const char* window = bytes(places_[place]);
      const auto slot = static_cast<uint32_t>(mixed(load(window) + salt, load(window + 8)) >> shift);
      next_[place] = slot;
      seen_[slot] = static_cast<uint8_t>(seen_[slot] << 1 | 1);
    }
    size_t kept = 0;
    for (size_t place = 0; place < left; ++place) {
      places_[kept] = places_[place];
      kept += seen_[next_[place]] > 1;
    }
    left = kept;
  }
  for (size_t place = 0; place < left; ++place) candidates_[places_[place]] = 1;
}

RepeatedWords NGrams::duplicated(unsigned n) {
  RepeatedWords found;
  const size_t words = words_->size();
  if (words < n) return found;
  if (n < listedFor_) {
    if (listedFor_ == kUnlisted) findCandidates();
    places_.resize(words);
    size_t listed = 0;
    for (size_t at = 0; at + n <= words; ++at) {
      places_[listed] = static_cast<uint32_t>(at);
      listed += (candidates_[at] != 0) | (starts_[at + n] - starts_[at] < kWindow);
    }
    places_.resize(listed);
    listedFor_ = n;
  }
  if (places_.size() < 2) return found;
  const unsigned shift = clearTable(table_, places_.size());
  const size_t mask = table_.size() - 1;
  size_t next = 0;
  for (const uint32_t at : places_) {
    if (at < next || at + n > words) continue;
    const uint32_t length = starts_[at + n] - starts_[at];
    uint64_t hash;
    if (length >= kWindow) {
      if (candidates_[at] == 0) continue;
      hash =
          mixed(load(bytes(at)) ^ length, std::rotl(load(bytes(at) + 8), 23) ^ load(bytes(at) + length - 8));
    } else {
      hash = hashBytes(bytes(at), length);
    }
    for (size_t slot = hash >> shift;; slot = (slot + 1) & mask) {
      const uint32_t entry = table_[slot];
      if (entry == 0) {
        table_[slot] = at + 1;
        break;
      }
      if (starts_[entry - 1 + n] - starts_[entry - 1] == length &&
          same(bytes(entry - 1), bytes(at), length)) {
        if (found.characters == 0) found.where = {(*words_)[at].begin, (*words_)[at + n - 1].end};
        found.characters += characters_[at + n] - characters_[at];
        next = at + n;
        break;
      }
    }
  }
  return found;
}

}  // namespace anneal::text::clean
