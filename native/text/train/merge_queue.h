// merge_queue.h — the pairs that wait to be merged, most frequent first, with the words in which each is to
// be looked for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace anneal::text {

// Memory for lists of words that are made once and live until the end, in large blocks that never move.
class WordLists {
 public:
  uint32_t* take(size_t count) {
    if (count > left_) {
      const size_t size = std::max(kBlock, count);
      blocks_.push_back(std::make_unique_for_overwrite<uint32_t[]>(size));
      // What was left of the last block is given up: at most a small part of it, but for very long lists.
      if (count > kBlock / 4) return blocks_.back().get();
      next_ = blocks_.back().get();
      left_ = size;
    }
    uint32_t* taken = next_;
    next_ += count;
    left_ -= count;
    return taken;
  }

 private:
  static constexpr size_t kBlock = size_t{1} << 20;
  std::vector<std::unique_ptr<uint32_t[]>> blocks_;
  uint32_t* next_ = nullptr;
  size_t left_ = 0;
};

// `count` may be out of date: the pair's count when the entry was made or last looked at. A pair can be in
// the queue more than once, with different words.
struct QueuedPair {
  uint64_t count = 0;
  uint64_t key = 0;
  const uint32_t* words = nullptr;
  uint32_t wordCount = 0;
  // The merge that made the entry; later ones come first among equals.
  uint32_t step = 0;
};

// A heap of four children: the highest count first, then the smaller pair.
class MergeQueue {
 public:
  void push(const QueuedPair& pair) {
    heap_.push_back(pair);
    size_t at = heap_.size() - 1;
    while (at > 0) {
      const size_t parent = (at - 1) / 4;
      if (!before(pair, heap_[parent])) break;
      heap_[at] = heap_[parent];
      at = parent;
    }
    heap_[at] = pair;
  }

  QueuedPair pop() {
    const QueuedPair top = heap_.front();
    const QueuedPair last = heap_.back();
    heap_.pop_back();
    const size_t size = heap_.size();
    if (size == 0) return top;
    size_t at = 0;
    for (;;) {
      const size_t first = 4 * at + 1;
      if (first >= size) break;
      size_t best = first;
      for (size_t child = first + 1; child < std::min(first + 4, size); ++child) {
        if (before(heap_[child], heap_[best])) best = child;
      }
      if (!before(heap_[best], last)) break;
      heap_[at] = heap_[best];
      at = best;
    }
    heap_[at] = last;
    return top;
  }

  bool empty() const { return heap_.empty(); }

 private:
  static bool before(const QueuedPair& a, const QueuedPair& b) {
    if (a.count != b.count) return a.count > b.count;
    if (a.key != b.key) return a.key < b.key;
    return a.step > b.step;
  }

  std::vector<QueuedPair> heap_;
};

}  // namespace anneal::text
