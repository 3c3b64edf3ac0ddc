// pair_ranks.h — ranks of adjacent pairs of tokens: a flat hash from (left, right) to rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anneal::text {

// No rank: the pair does not merge.
inline constexpr uint32_t kNoRank = 0xffffffff;

class PairRanks {
 public:
  // Room for `count` pairs.
  explicit PairRanks(size_t count) {
    size_t capacity = 16;
    while (capacity < count * 2) capacity *= 2;
    slots_.resize(capacity);
    shift_ = 64;
    for (size_t size = capacity; size > 1; size /= 2) --shift_;
  }

  // The later rank of a pair counts.
  void set(uint32_t left, uint32_t right, uint32_t rank) {
    Slot& slot = slots_[place(left, right)];
    slot = {left, right, rank};
  }

  uint32_t find(uint32_t left, uint32_t right) const { return slots_[place(left, right)].rank; }

 private:
  struct Slot {
    uint32_t left = 0;
    uint32_t right = 0;
    uint32_t rank = kNoRank;
  };

  // Where the pair is, or the free slot where it would be.
  size_t place(uint32_t left, uint32_t right) const {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
    const size_t mask = slots_.size() - 1;
    size_t at = (key ^ key >> 29) * 0x9e3779b97f4a7c15 >> shift_;
    while (slots_[at].rank != kNoRank && (slots_[at].left != left || slots_[at].right != right)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
  unsigned shift_ = 64;
};

}  // namespace anneal::text
