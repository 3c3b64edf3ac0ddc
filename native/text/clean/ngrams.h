// ngrams.h — repeated sequences of words, as Gopher's repetition rules count them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/clean/pieces.h"
#include "text/clean/words.h"

namespace anneal::text::clean {

struct RepeatedWords {
  uint64_t characters = 0;
  Span where;  // the most frequent sequence, or the first repeated one
};

// Tables over the words of one text; keeps its memory for the next.
class NGrams {
 public:
  // Must come before everything else; both live until the last question.
  void prepare(std::string_view text, const std::vector<Word>& words);

  // The most frequent sequence of `n` words, n from 2 to 4 and asked in this order: (its characters, with a
  // space between words) · (how often it occurs). Of equally frequent ones the first in the text counts.
  RepeatedWords mostFrequent(unsigned n);

  // Characters in sequences of `n` ≥ 5 words that came before, found from left to right: a repeated sequence
  // counts and is skipped as a whole, any other is noted and one word is passed. Sequences are equal when
  // they are written with the same letters, wherever white space lies between them.
  RepeatedWords duplicated(unsigned n);

 private:
  void findPairs();
  void findLonger(size_t count);
  void findCandidates();
  // The sequence at `at` is that of `first`.
  void repeat(uint32_t first, size_t at) {
    firsts_[at] = first;
    const uint32_t occurrences = ++counts_[first];
    if (occurrences > bestCount_ || (occurrences == bestCount_ && first < best_)) {
      bestCount_ = occurrences;
      best_ = first;
    }
  }
  const char* bytes(size_t word) const { return stream_.data() + starts_[word]; }

  const std::vector<Word>* words_ = nullptr;
  std::vector<char> stream_;          // the words without anything between them, and 16 bytes of padding
  std::vector<uint32_t> starts_;      // of every word in the stream, and the stream's end
  std::vector<uint32_t> characters_;  // before every word, and all
  std::vector<uint64_t> hashes_;      // of words, then of sequences
  std::vector<uint32_t> table_;       // positions from 1
  std::vector<uint32_t> firsts_;      // first position with the sequence that begins here
  std::vector<uint32_t> counts_;      // occurrences, by first position
  std::vector<uint32_t> next_;
  std::vector<uint32_t> halves_;  // counts of sequences that are one word shorter
  std::vector<uint32_t> places_;  // positions that may hold a repeated sequence
  uint32_t best_ = 0;
  uint32_t bestCount_ = 0;
  std::vector<uint8_t> candidates_;  // whether the 16 bytes from here on may occur elsewhere
  std::vector<uint8_t> seen_;        // by hash of 16 bytes: 0, 1, or more for more than one
  // places_ holds those of repeated sequences of this many words or more.
  static constexpr unsigned kUnlisted = ~0U;
  unsigned listedFor_ = kUnlisted;
};

}  // namespace anneal::text::clean
