// word_table.h — distinct words and how often each was seen: open addressing over records in one stretch of
// memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace anneal::text {

// Hashes come from the caller, who chooses the table by some of their bits; the table uses others.
class WordTable {
 public:
  void add(std::string_view word, uint64_t hash, uint64_t count) {
    if ((size_ + 1) * 4 > slots_.size() * 3) grow();
    const auto tag = tagOf(hash);
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.tag == tag) {
        uint64_t* record = store_.data() + slot.at;
        if (record[1] == hash && record[2] == word.size() &&
            std::memcmp(record + kHead, word.data(), word.size()) == 0) {
          record[0] += count;
          return;
        }
      } else if (slot.tag == 0) {
        slot = {tag, append(word, hash, count)};
        ++size_;
        return;
      }
    }
  }

  // Calls body(word, hash, count) for every word, in the order in which they were first added.
  template <typename Body>
  void each(const Body& body) const {
    for (size_t at = 0; at < store_.size(); at += recordWords(store_[at + 2])) {
      const uint64_t* record = store_.data() + at;
      body(std::string_view(reinterpret_cast<const char*>(record + kHead), record[2]), record[1], record[0]);
    }
  }

  size_t size() const { return size_; }
  // Memory of the table.
  size_t bytes() const { return store_.capacity() * sizeof(uint64_t) + slots_.capacity() * sizeof(Slot); }

  // Forgets the words and keeps the memory.
  void clear() {
    std::fill(slots_.begin(), slots_.end(), Slot{});
    store_.clear();
    size_ = 0;
  }

 private:
  struct Slot {
    // High half of the hash with its lowest bit set; 0 where the slot is free.
    uint32_t tag = 0;
    // Where the record begins, in words of 8 bytes: up to 32 GiB.
    uint32_t at = 0;
  };
  // A record: count, hash, length in bytes, then the bytes, padded to 8.
  static constexpr size_t kHead = 3;

  static uint32_t tagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32) | 1U; }
  static size_t recordWords(size_t length) { return kHead + (length + 7) / 8; }

  uint32_t append(std::string_view word, uint64_t hash, uint64_t count);
  void grow();

  std::vector<Slot> slots_;
  std::vector<uint64_t> store_;
  size_t size_ = 0;
};

}  // namespace anneal::text
