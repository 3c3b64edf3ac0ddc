// overlap.h — runs of words that training texts share with evaluation texts.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "text/batch.h"
#include "text/dedup/fold.h"

namespace anneal::text::dedup {

// The runs of `length` words of all items, folded. A run that several items have counts for the first.
class WordRunIndex {
 public:
  // Items with fewer than `length` words count as one run if they have at least `shortest`, else not at all.
  WordRunIndex(uint32_t length, uint32_t shortest, Words words)
      : length_(length), shortest_(shortest), words_(words) {}

  // Adds items; the first one gets the number `items()`. Gives how many of them are too short.
  size_t add(const TextBatch& items);

  uint32_t items() const { return items_; }
  size_t runs() const { return used_; }
  Words words() const { return words_; }
  // Lengths of runs that occur, in words, longest first.
  const std::vector<uint32_t>& lengths() const { return lengths_; }

  // The item that has this run, or -1. Two hashes of 64 and 32 bits decide; that one run in 10^13 would be
  // taken for another is neglected.
  int64_t find(std::string_view run) const;

 private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t check = 0;
    uint32_t item = 0;  // number + 1; 0: free
  };
  void insert(std::string_view run, uint32_t item);
  void grow();

  uint32_t length_, shortest_;
  Words words_;
  uint32_t items_ = 0;
  std::vector<uint32_t> lengths_;
  std::vector<Slot> slots_{1024};
  size_t used_ = 0;
};

// A stretch of a document whose words are those of evaluation items: runs that overlap or touch are one.
struct Overlap {
  uint32_t document;  // in its batch
  uint32_t begin;     // bytes of the document
  uint32_t end;
  uint32_t item;  // of the first run
  uint32_t runs;
};

// All overlaps of a batch, in order. `tick` is called between documents and may throw.
std::vector<Overlap> findOverlaps(const TextBatch& batch, const WordRunIndex& index, unsigned threads,
                                  const std::function<void()>& tick);

}  // namespace anneal::text::dedup
