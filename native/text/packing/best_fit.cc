#include "text/packing/best_fit.h"

#include <algorithm>

#include "text/packing/length_set.h"

namespace anneal::text {
namespace {

constexpr uint32_t kNone = LengthSet::kNone;
constexpr size_t kCheckEvery = 1 << 16;

// A stretch of a document that is shorter than a row.
struct Item {
  uint64_t start;
  uint32_t length;
};

class Packer {
 public:
  Packer(const PackOptions& options, const std::function<void()>& check) : options_(options), check_(check) {}

  PackedRows pack(const double* bounds, size_t documents) {
    cutDocuments(bounds, documents);
    if (options_.crop) {
      fillRows();
    } else {
      fitDecreasing();
    }
    return std::move(rows_);
  }

 private:
  // Whole rows of long documents are done; everything else becomes an item.
  void cutDocuments(const double* bounds, size_t documents) {
    const uint64_t capacity = options_.capacity;
    for (size_t i = 0; i < documents; ++i) {
      if (i % kCheckEvery == 0) check_();
      auto start = static_cast<uint64_t>(bounds[i]);
      uint64_t length = static_cast<uint64_t>(bounds[i + 1]) - start;
      if (length > capacity) ++rows_.cut;
      if (options_.aligned && length > capacity) {
        rows_.dropped += length - capacity;
        length = capacity;
      }
      for (; length >= capacity; start += capacity, length -= capacity) {
        add(start, static_cast<uint32_t>(capacity));
        endRow();
      }
      if (length > 0) items_.push_back({start, static_cast<uint32_t>(length)});
    }
  }

  void add(uint64_t start, uint32_t length) { rows_.pieces.push_back(start << kLengthBits | length); }

  void endRow() {
    const size_t begin = rows_.ends.empty() ? 0 : rows_.ends.back();
    std::sort(rows_.pieces.begin() + static_cast<std::ptrdiff_t>(begin), rows_.pieces.end());
    rows_.ends.push_back(static_cast<uint32_t>(rows_.pieces.size()));
  }

  // Indices of the items from the longest to the shortest, equal ones in order.
  std::vector<uint32_t> decreasing() const {
    std::vector<uint32_t> places(options_.capacity + 1, 0);
    for (const Item& item : items_) ++places[item.length];
    uint32_t place = 0;
    for (uint32_t length = options_.capacity; length > 0; --length) {
      const uint32_t count = places[length];
      places[length] = place;
      place += count;
    }
    std::vector<uint32_t> order(items_.size());
    for (uint32_t i = 0; i < items_.size(); ++i) order[places[items_[i].length]++] = i;
    return order;
  }

  void fitDecreasing() {
    const uint32_t capacity = options_.capacity;
    // Rows with equal room stand in a stack; `first` is its top, `below` what comes after.
    LengthSet rooms(capacity);
    std::vector<uint32_t> first(capacity, kNone);
    std::vector<uint32_t> below;
    std::vector<uint32_t> itemOfRow;
    std::vector<uint32_t> next(items_.size(), kNone);
    std::vector<uint32_t> room;
    size_t done = 0;
    for (const uint32_t item : decreasing()) {
      if (done++ % kCheckEvery == 0) check_();
      const uint32_t length = items_[item].length;
      uint32_t row;
      const uint32_t fitting = rooms.atLeast(length);
      if (fitting == kNone) {
        row = static_cast<uint32_t>(room.size());
        room.push_back(capacity);
        below.push_back(kNone);
        itemOfRow.push_back(kNone);
      } else {
        row = first[fitting];
        first[fitting] = below[row];
        if (first[fitting] == kNone) rooms.erase(fitting);
      }
      next[item] = itemOfRow[row];
      itemOfRow[row] = item;
      const uint32_t left = room[row] -= length;
      if (left == 0) continue;
      if (first[left] == kNone) rooms.insert(left);
      below[row] = first[left];
      first[left] = row;
    }
    for (size_t row = 0; row < room.size(); ++row) {
      if (row % kCheckEvery == 0) check_();
      for (uint32_t item = itemOfRow[row]; item != kNone; item = next[item]) {
        add(items_[item].start, items_[item].length);
      }
      rows_.padding += room[row];
      endRow();
    }
  }

  void fillRows() {
    const uint32_t capacity = options_.capacity;
    // Documents at hand with equal lengths stand in a queue.
    LengthSet lengths(capacity);
    std::vector<uint32_t> first(capacity, kNone);
    std::vector<uint32_t> last(capacity, kNone);
    std::vector<uint32_t> next(items_.size(), kNone);
    size_t taken = 0;
    size_t atHand = 0;
    const auto take = [&](uint32_t length) {
      const uint32_t item = first[length];
      first[length] = next[item];
      if (first[length] == kNone) lengths.erase(length);
      --atHand;
      return item;
    };
    const auto refill = [&] {
      for (; taken < items_.size() && atHand < options_.buffer; ++taken, ++atHand) {
        const uint32_t length = items_[taken].length;
        const auto item = static_cast<uint32_t>(taken);
        if (first[length] == kNone) {
          first[length] = item;
          lengths.insert(length);
        } else {
          next[last[length]] = item;
        }
        last[length] = item;
      }
    };
    refill();
    for (size_t done = 0; atHand > 0; ++done) {
      if (done % (kCheckEvery / 8) == 0) check_();
      uint32_t room = capacity;
      while (room > 0 && atHand > 0) {
        uint32_t length = lengths.atMost(std::min(room, capacity - 1));
        if (length == kNone) {
          length = lengths.atLeast(1);
          rows_.dropped += length - room;
          ++rows_.cut;
          add(items_[take(length)].start, room);
          room = 0;
        } else {
          add(items_[take(length)].start, length);
          room -= length;
        }
        refill();
      }
      rows_.padding += room;
      endRow();
    }
  }

  const PackOptions& options_;
  const std::function<void()>& check_;
  std::vector<Item> items_;
  PackedRows rows_;
};

}  // namespace

PackedRows packDocuments(const double* bounds, size_t documents, const PackOptions& options,
                         const std::function<void()>& check) {
  return Packer(options, check).pack(bounds, documents);
}

}  // namespace anneal::text
