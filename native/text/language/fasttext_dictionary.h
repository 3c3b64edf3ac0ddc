// fasttext_dictionary.h — words, labels and n-grams of a fastText model, and the rows of its input matrix
// that a text stands for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/language/model_file.h"

namespace anneal::text {

// The settings that a model file begins with, as far as prediction needs them.
struct FastTextSettings {
  int32_t dimensions = 0;
  int32_t wordNgrams = 1;
  int32_t loss = 0;
  int32_t buckets = 0;
  int32_t minCharacters = 0;
  int32_t maxCharacters = 0;
};

class FastTextDictionary {
 public:
  void load(ModelFile& file, const FastTextSettings& settings);

  int32_t words() const { return words_; }
  int32_t labels() const { return static_cast<int32_t>(labelCounts_.size()); }
  bool pruned() const { return pruned_ >= 0; }
  std::string_view label(int32_t index) const { return entry(words_ + index); }
  const std::vector<int64_t>& labelCounts() const { return labelCounts_; }
  // Rows that the input matrix must have so that every index of `rows` is in it.
  int64_t rowsNeeded() const;
  uint64_t bytes() const;

  // Replaces `rows` by those of a text: words, their character n-grams, the end of the line, then word
  // n-grams. Newlines count as spaces, and the text as one line.
  void rows(std::string_view text, std::vector<int32_t>* rows, std::vector<int32_t>* hashes) const;

 private:
  FastTextSettings settings_;
  int32_t words_ = 0;
  int64_t pruned_ = -1;
  // All entries' bytes, one after the other; entry i ends at ends_[i].
  std::string bytes_;
  std::vector<uint64_t> ends_;
  std::vector<int64_t> labelCounts_;
  // Open addressing: an entry's index, or -1.
  std::vector<int32_t> table_;
  // Open addressing of pruned models: bucket → row behind the words; -1 marks a free place.
  std::vector<int32_t> prunedKeys_;
  std::vector<int32_t> prunedRows_;
  int32_t maxPrunedRow_ = -1;

  std::string_view entry(int32_t index) const {
    const uint64_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }
  size_t place(std::string_view word, uint32_t hash) const;
  void loadPruned(ModelFile& file);
  void pushBucket(int32_t bucket, std::vector<int32_t>* rows) const;
  void pushCharacters(std::string_view word, std::vector<int32_t>* rows, std::string* padded) const;
  void pushWordNgrams(const std::vector<int32_t>& hashes, std::vector<int32_t>* rows) const;
};

}  // namespace anneal::text
