#include "text/model/merges.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "core/philox.h"

namespace anneal::text {
namespace {

// No neighbour.
constexpr uint32_t kNone = 0xffffffff;

void mergeShort(const MergeTable& table, MergeBuffer& buffer) {
  uint32_t* ids = buffer.ids.data();
  uint32_t* lengths = buffer.lengths.data();
  size_t count = buffer.ids.size();
  // ranks[i] is that of the pair (i, i + 1); the last symbol has none.
  uint32_t ranks[kShortPiece];
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = table.ranks.find(ids[i], ids[i + 1]);
  ranks[count - 1] = kNoRank;
  for (;;) {
    uint32_t best = kNoRank;
    size_t at = 0;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (ranks[i] < best) {
        best = ranks[i];
        at = i;
      }
    }
    if (best == kNoRank) break;
    ids[at] = table.results[best];
    lengths[at] += lengths[at + 1];
    const size_t rest = count - at - 2;
    std::memmove(ids + at + 1, ids + at + 2, rest * sizeof(uint32_t));
    std::memmove(lengths + at + 1, lengths + at + 2, rest * sizeof(uint32_t));
    std::memmove(ranks + at + 1, ranks + at + 2, rest * sizeof(uint32_t));
    --count;
    ranks[at] = at + 1 < count ? table.ranks.find(ids[at], ids[at + 1]) : kNoRank;
    if (at > 0) ranks[at - 1] = table.ranks.find(ids[at - 1], ids[at]);
  }
  buffer.ids.resize(count);
  buffer.lengths.resize(count);
}

// Symbols as a linked list, with a min-heap of (rank, position) whose entries may be out of date.
class LongMerge {
 public:
  LongMerge(const MergeTable& table, MergeBuffer& buffer)
      : table_(table), buffer_(buffer), count_(buffer.ids.size()) {
    buffer_.ranks.assign(count_, kNoRank);
    buffer_.previous.resize(count_);
    buffer_.next.resize(count_);
    buffer_.heap.clear();
    for (size_t i = 0; i < count_; ++i) {
      buffer_.previous[i] = i == 0 ? kNone : static_cast<uint32_t>(i - 1);
      buffer_.next[i] = i + 1 == count_ ? kNone : static_cast<uint32_t>(i + 1);
      if (i + 1 == count_) continue;
      buffer_.ranks[i] = table.ranks.find(buffer_.ids[i], buffer_.ids[i + 1]);
      if (buffer_.ranks[i] != kNoRank) buffer_.heap.push_back(entry(buffer_.ranks[i], i));
    }
    std::make_heap(buffer_.heap.begin(), buffer_.heap.end(), std::greater<>());
  }

  bool empty() const { return buffer_.heap.empty(); }

  uint64_t pop() {
    std::pop_heap(buffer_.heap.begin(), buffer_.heap.end(), std::greater<>());
    const uint64_t top = buffer_.heap.back();
    buffer_.heap.pop_back();
    return top;
  }

  void push(uint64_t value) {
    buffer_.heap.push_back(value);
    std::push_heap(buffer_.heap.begin(), buffer_.heap.end(), std::greater<>());
  }

  // Merges at the entry's position, if it still holds.
  void merge(uint64_t top) {
    const auto rank = static_cast<uint32_t>(top >> 32);
    const auto at = static_cast<uint32_t>(top);
    if (buffer_.ranks[at] != rank) return;
    const uint32_t right = buffer_.next[at];
    const uint32_t after = buffer_.next[right];
    buffer_.ids[at] = table_.results[rank];
    buffer_.lengths[at] += buffer_.lengths[right];
    buffer_.ids[right] = kNone;
    buffer_.ranks[right] = kNoRank;
    buffer_.next[at] = after;
    if (after != kNone) buffer_.previous[after] = at;
    rate(at);
    if (buffer_.previous[at] != kNone) rate(buffer_.previous[at]);
  }

  // Moves what is left together.
  void finish() {
    size_t count = 0;
    for (size_t at = 0; at < count_; ++at) {
      if (buffer_.ids[at] == kNone) continue;
      buffer_.ids[count] = buffer_.ids[at];
      buffer_.lengths[count++] = buffer_.lengths[at];
    }
    buffer_.ids.resize(count);
    buffer_.lengths.resize(count);
  }

 private:
  static uint64_t entry(uint32_t rank, size_t at) { return static_cast<uint64_t>(rank) << 32 | at; }

  // The rank of the pair that begins at a symbol, afresh.
  void rate(uint32_t at) {
    const uint32_t right = buffer_.next[at];
    const uint32_t rank = right == kNone ? kNoRank : table_.ranks.find(buffer_.ids[at], buffer_.ids[right]);
    buffer_.ranks[at] = rank;
    if (rank != kNoRank) push(entry(rank, at));
  }

  const MergeTable& table_;
  MergeBuffer& buffer_;
  size_t count_;
};

float uniform(const Dropout& dropout) {
  const uint64_t draw = (*dropout.draws)++;
  return philoxUniform(philox(dropout.seed, draw / 4, 0).word[draw % 4]);
}

}  // namespace

void mergeSymbols(const MergeTable& table, MergeBuffer& buffer) {
  if (buffer.ids.size() < 2) return;
  if (buffer.ids.size() <= kShortPiece) {
    mergeShort(table, buffer);
    return;
  }
  LongMerge merge(table, buffer);
  while (!merge.empty()) merge.merge(merge.pop());
  merge.finish();
}

void mergeSymbolsWithDropout(const MergeTable& table, MergeBuffer& buffer, const Dropout& dropout) {
  if (buffer.ids.size() < 2) return;
  LongMerge merge(table, buffer);
  buffer.skipped.clear();
  while (!merge.empty()) {
    const uint64_t top = merge.pop();
    if (uniform(dropout) < dropout.probability) {
      buffer.skipped.push_back(top);
      continue;
    }
    // What was passed over comes up again after the next merge.
    for (const uint64_t skipped : buffer.skipped) merge.push(skipped);
    buffer.skipped.clear();
    merge.merge(top);
  }
  merge.finish();
}

}  // namespace anneal::text
