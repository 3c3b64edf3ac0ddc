// word_counts.h — room train: from texts to the vocabulary of a tokenizer. This file counts the words of
// texts, as a normalizer and a pre-tokenizer cut them, on all threads; pair_training.h makes merges of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/batch.h"
#include "text/normalize/normalizer.h"
#include "text/pretokenize/pretokenizer.h"
#include "text/train/word_table.h"

namespace anneal::text {

// Called every few milliseconds by long work, on its own thread, with how far it has come; may throw to end
// it.
using Tick = std::function<void(double done, double total)>;

class WordCounts {
 public:
  // Words are in one of 64 tables, by their hash.
  static constexpr size_t kShards = 64;

  // Either may be null: no normalization, every text one word.
  WordCounts(NormalizerPointer normalizer, PreTokenizerPointer preTokenizer)
      : normalizer_(std::move(normalizer)), preTokenizer_(std::move(preTokenizer)) {}

  // Counts the words of all texts. What was counted does not depend on `threads` or on the batches' sizes.
  // When `tick` throws, the batch is counted in part: then nothing but destroying the counts is of use.
  void feed(const TextBatch& batch, unsigned threads, const Tick& tick);

  // Brings the threads' own counts together; to be called before anything below.
  void settle(unsigned threads);

  // Forgets words seen fewer than `least` times, and says how many they were.
  size_t prune(uint64_t least, unsigned threads);

  // Distinct words and all words so far, and the memory of their tables in bytes.
  size_t distinct() const;
  uint64_t total() const { return total_; }
  size_t bytes() const;

  // Calls body(word, hash, count) for every word of one table.
  template <typename Body>
  void each(size_t shard, const Body& body) const {
    shards_[shard].each(body);
  }

  // The words of one table in increasing order of their bytes, as in saved counts: count and length as LEB128
  // numbers, then the bytes.
  std::string saved(size_t shard) const;
  // Adds what `saved` wrote. Throws TextError (ERR_FORMAT) where it is damaged.
  void load(std::string_view saved);

 private:
  using Shards = std::array<WordTable, kShards>;

  // One thread's counts of the batch under way, and what it cuts texts with.
  struct Worker {
    Shards shards;
    size_t words = 0;
    std::vector<Piece> pieces;
    std::string normalized;
    Section section;
  };

  void count(std::string_view text, Worker& worker) const;
  void countPieces(std::string_view text, const std::vector<Piece>& pieces, Worker& worker) const;

  NormalizerPointer normalizer_;
  PreTokenizerPointer preTokenizer_;
  Shards shards_;
  std::vector<Worker> workers_;
  uint64_t total_ = 0;
};

}  // namespace anneal::text
