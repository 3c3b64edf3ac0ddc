// pair_counts.h — how often each adjacent pair of symbols occurs: a flat hash from (left, right) to a signed
// count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace anneal::text {

inline uint64_t pairKey(uint32_t left, uint32_t right) { return static_cast<uint64_t>(left) << 32 | right; }

class PairCounts {
 public:
  PairCounts() { resize(size_t{1} << 10); }

  // The count of a pair, made with 0 where it is new. Valid until the next call.
  int64_t& at(uint64_t key) {
    if ((size_ + 1) * 3 > slots_.size() * 2) {
      std::vector<Slot> old = std::move(slots_);
      resize(old.size() * 2);
      for (const Slot& slot : old) {
        if (slot.key != kFree) slots_[place(slot.key)] = slot;
      }
    }
    Slot& slot = slots_[place(key)];
    if (slot.key == kFree) {
      slot.key = key;
      ++size_;
    }
    return slot.count;
  }

  size_t size() const { return size_; }

 private:
  // (2³² − 1, 2³² − 1) is no pair.
  static constexpr uint64_t kFree = ~uint64_t{0};
  struct Slot {
    uint64_t key = kFree;
    int64_t count = 0;
  };

  void resize(size_t capacity) {
    slots_.assign(capacity, Slot{});
    shift_ = 64;
    for (size_t size = capacity; size > 1; size /= 2) --shift_;
  }
  size_t place(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = (key ^ key >> 29) * 0x9e3779b97f4a7c15 >> shift_;
    while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
  unsigned shift_ = 64;
};

}  // namespace anneal::text
