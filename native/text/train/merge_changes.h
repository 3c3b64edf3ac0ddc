// merge_changes.h — what one merge does to the counts of pairs, gathered by one thread over its share of the
// words. All pairs that change have the new symbol or one of the two merged ones on one side, so that plain
// arrays over the other side's id take the place of a hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anneal::text {

// The side of a pair on which the other symbol is.
enum Side : unsigned { kOtherLeft = 0, kOtherRight = 1 };

class MergeChanges {
 public:
  // A pair with the new symbol: how often it came about, and in how many words.
  struct Made {
    uint32_t other = 0;
    Side side = kOtherLeft;
    int64_t count = 0;
    uint32_t words = 0;
    // The last word in which it was made.
    uint32_t last = 0;
  };
  // A pair with a merged symbol that is no more.
  struct Lost {
    uint32_t other = 0;
    Side side = kOtherLeft;
    int64_t count = 0;
  };
  // That pair `made` came about in `word`.
  struct Event {
    uint32_t made = 0;
    uint32_t word = 0;
  };

  // `symbols`: one more than the largest id there will be.
  explicit MergeChanges(size_t symbols) {
    for (auto& slots : madeAt_) slots.assign(symbols, kNowhere);
    for (auto& slots : lostAt_) slots.assign(symbols, kNowhere);
  }

  void make(uint32_t other, Side side, int64_t count, uint32_t word) {
    uint32_t& at = madeAt_[side][other];
    if (at == kNowhere) {
      at = static_cast<uint32_t>(made_.size());
      made_.push_back({other, side, 0, 0, kNowhere});
    }
    Made& made = made_[at];
    made.count += count;
    if (made.last == word) return;
    made.last = word;
    ++made.words;
    events_.push_back({at, word});
  }

  void lose(uint32_t other, Side side, int64_t count) {
    uint32_t& at = lostAt_[side][other];
    if (at == kNowhere) {
      at = static_cast<uint32_t>(lost_.size());
      lost_.push_back({other, side, 0});
    }
    lost_[at].count += count;
  }

  const std::vector<Made>& made() const { return made_; }
  const std::vector<Lost>& lost() const { return lost_; }
  const std::vector<Event>& events() const { return events_; }

  // Back to nothing, in time of what there is.
  void clear() {
    for (const Made& made : made_) madeAt_[made.side][made.other] = kNowhere;
    for (const Lost& lost : lost_) lostAt_[lost.side][lost.other] = kNowhere;
    made_.clear();
    lost_.clear();
    events_.clear();
  }

 private:
  // No place in a list, and no word.
  static constexpr uint32_t kNowhere = 0xffffffff;

  std::vector<uint32_t> madeAt_[2];
  std::vector<uint32_t> lostAt_[2];
  std::vector<Made> made_;
  std::vector<Lost> lost_;
  std::vector<Event> events_;
};

}  // namespace anneal::text
