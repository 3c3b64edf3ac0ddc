// length_set.h — a set of small integers with the nearest member on either side of a value.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace anneal::text {

// Members lie in [0, size). A tree of 64-bit words, one bit for each word below that is not empty.
class LengthSet {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit LengthSet(uint32_t size) {
    uint32_t words = size;
    do {
      words = (words + 63) / 64;
      levels_.emplace_back(words, 0);
    } while (words > 1);
  }

  void insert(uint32_t value) {
    for (auto& level : levels_) {
      uint64_t& word = level[value >> 6];
      const bool known = word != 0;
      word |= uint64_t{1} << (value & 63);
      if (known) return;
      value >>= 6;
    }
  }

  void erase(uint32_t value) {
    for (auto& level : levels_) {
      uint64_t& word = level[value >> 6];
      word &= ~(uint64_t{1} << (value & 63));
      if (word != 0) return;
      value >>= 6;
    }
  }

  // The least member that is at least `value`, or kNone.
  uint32_t atLeast(uint32_t value) const {
    for (size_t depth = 0; depth < levels_.size(); ++depth) {
      const uint32_t index = value >> 6;
      if (index >= levels_[depth].size()) return kNone;
      const uint64_t word = levels_[depth][index] & (~uint64_t{0} << (value & 63));
      if (word != 0) return descend<false>((index << 6) + std::countr_zero(word), depth);
      value = index + 1;
    }
    return kNone;
  }

  // The greatest member that is at most `value`, or kNone.
  uint32_t atMost(uint32_t value) const {
    for (size_t depth = 0; depth < levels_.size(); ++depth) {
      const uint32_t index = value >> 6;
      const uint64_t word = levels_[depth][index] & (~uint64_t{0} >> (63 - (value & 63)));
      if (word != 0) return descend<true>((index << 6) + 63 - std::countl_zero(word), depth);
      if (index == 0) return kNone;
      value = index - 1;
    }
    return kNone;
  }

 private:
  template <bool greatest>
  uint32_t descend(uint32_t value, size_t depth) const {
    while (depth-- > 0) {
      const uint64_t word = levels_[depth][value];
      value = (value << 6) + (greatest ? 63 - std::countl_zero(word) : std::countr_zero(word));
    }
    return value;
  }

  std::vector<std::vector<uint64_t>> levels_;
};

}  // namespace anneal::text
