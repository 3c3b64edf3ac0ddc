#include "text/dedup/suffix_array.h"

#include <algorithm>

namespace anneal::text::dedup {
namespace {

constexpr int32_t kEmpty = -1;

// One level: `text` has letters below `letters`; its suffix array is written to sorted[0, size). The end of
// the text counts as a letter below all others.
template <typename Letter>
class Level {
 public:
  Level(const Letter* text, int32_t* sorted, int32_t size, int32_t letters)
      : text_(text), sorted_(sorted), size_(size), smaller_(size), counts_(letters, 0), edges_(letters) {
    for (int32_t i = size; i-- > 0;) {
      ++counts_[text[i]];
      smaller_[i] = i + 1 < size && (text[i] < text[i + 1] || (text[i] == text[i + 1] && smaller_[i + 1]));
    }
  }

  void sort() {
    if (size_ == 0) return;
    // The beginnings of S-runs sort all else; they are put in order of their substrings first, in order of
    // their suffixes then.
    std::fill(sorted_, sorted_ + size_, kEmpty);
    ends();
    for (int32_t i = 1; i < size_; ++i) {
      if (begins(i)) sorted_[--edges_[text_[i]]] = i;
    }
    induce();
    int32_t count = 0;
    for (int32_t i = 0; i < size_; ++i) {
      if (begins(sorted_[i])) sorted_[count++] = sorted_[i];
    }
    const int32_t names = name(count);
    int32_t* const reduced = sorted_ + size_ - count;
    for (int32_t i = size_ - 1, to = size_ - 1; i >= count; --i) {
      if (sorted_[i] != kEmpty) sorted_[to--] = sorted_[i];
    }
    if (names < count) {
      Level<int32_t>(reduced, sorted_, count, names).sort();
    } else {
      for (int32_t i = 0; i < count; ++i) sorted_[reduced[i]] = i;
    }
    // The reduced text gives way to the places that its letters stand for.
    for (int32_t i = 1, to = 0; i < size_; ++i) {
      if (begins(i)) reduced[to++] = i;
    }
    for (int32_t i = 0; i < count; ++i) sorted_[i] = reduced[sorted_[i]];
    std::fill(sorted_ + count, sorted_ + size_, kEmpty);
    ends();
    for (int32_t i = count; i-- > 0;) {
      const int32_t at = sorted_[i];
      sorted_[i] = kEmpty;
      sorted_[--edges_[text_[at]]] = at;
    }
    induce();
  }

 private:
  // Whether an S-run begins at `at` (its suffix is below the next one, the previous one's is not).
  bool begins(int32_t at) const { return at > 0 && smaller_[at] && !smaller_[at - 1]; }

  void starts() {
    int32_t sum = 0;
    for (size_t letter = 0; letter < counts_.size(); ++letter) {
      edges_[letter] = sum;
      sum += counts_[letter];
    }
  }
  void ends() {
    int32_t sum = 0;
    for (size_t letter = 0; letter < counts_.size(); ++letter) edges_[letter] = sum += counts_[letter];
  }

  // From the order of beginnings of S-runs: all L suffixes from the left, then all S suffixes from the right.
  void induce() {
    starts();
    sorted_[edges_[text_[size_ - 1]]++] = size_ - 1;
    for (int32_t i = 0; i < size_; ++i) {
      const int32_t at = sorted_[i] - 1;
      if (at >= 0 && !smaller_[at]) sorted_[edges_[text_[at]]++] = at;
    }
    ends();
    for (int32_t i = size_; i-- > 0;) {
      const int32_t at = sorted_[i] - 1;
      if (at >= 0 && smaller_[at]) sorted_[--edges_[text_[at]]] = at;
    }
  }

  // Numbers the substrings between beginnings of S-runs in their order, equal ones alike; the number of the
  // one at p is put at sorted[count + p / 2]. Gives how many there are.
  int32_t name(int32_t count) {
    std::fill(sorted_ + count, sorted_ + size_, kEmpty);
    int32_t names = 0;
    for (int32_t i = 0; i < count; ++i) {
      if (i > 0 && !sameSubstring(sorted_[i - 1], sorted_[i])) ++names;
      sorted_[count + sorted_[i] / 2] = names;
    }
    return count == 0 ? 0 : names + 1;
  }

  bool sameSubstring(int32_t p, int32_t q) const {
    for (int32_t d = 0;; ++d) {
      if (p + d >= size_ || q + d >= size_) return false;
      if (text_[p + d] != text_[q + d] || smaller_[p + d] != smaller_[q + d]) return false;
      if (d > 0 && (begins(p + d) || begins(q + d))) return begins(p + d) && begins(q + d);
    }
  }

  const Letter* text_;
  int32_t* sorted_;
  int32_t size_;
  std::vector<bool> smaller_;
  std::vector<int32_t> counts_, edges_;
};

}  // namespace

std::vector<int32_t> suffixArray(const uint8_t* text, int32_t size) {
  std::vector<int32_t> sorted(static_cast<size_t>(size));
  Level<uint8_t>(text, sorted.data(), size, 256).sort();
  return sorted;
}

}  // namespace anneal::text::dedup
