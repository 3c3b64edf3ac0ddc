// training_words.h — counted words as sequences of symbols, and the vocabulary that training begins with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/train/pair_training.h"
#include "text/train/word_counts.h"

namespace anneal::text {

// Tokens by id, ids by token.
class TokenList {
 public:
  // The id of a token, made where it is new.
  uint32_t add(const std::string& token) {
    const auto [place, fresh] = ids_.try_emplace(token, static_cast<uint32_t>(tokens_.size()));
    if (fresh) tokens_.push_back(token);
    return place->second;
  }
  bool has(const std::string& token) const { return ids_.contains(token); }
  size_t size() const { return tokens_.size(); }
  const std::string& operator[](uint32_t id) const { return tokens_[id]; }
  std::vector<std::string> take() { return std::move(tokens_); }

 private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, uint32_t> ids_;
};

// All words of two symbols and more in one array. A word is a record of its count (low half, high half), its
// number of symbols and the symbols; it is known by the place of its record.
struct TrainingWords {
  static constexpr size_t kHead = 3;

  std::vector<uint32_t> records;
  // Stretches of `records` that hold words one after the other: [begin, end).
  std::vector<std::pair<size_t, size_t>> stretches;

  int64_t count(uint32_t word) const {
    return static_cast<int64_t>(records[word] | static_cast<uint64_t>(records[word + 1]) << 32);
  }
};

// Puts special tokens, alphabet and symbols with prefix or suffix into `tokens`, and spells the words in
// them. Characters that are not in the alphabet are left out of words.
TrainingWords spellWords(const WordCounts& counts, const PairTrainingSettings& settings, unsigned threads,
                         TokenList& tokens);

}  // namespace anneal::text
