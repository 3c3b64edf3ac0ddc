#include "text/dedup/overlap.h"

#include <algorithm>

#include "text/dedup/xxhash.h"
#include "text/parallel.h"

namespace anneal::text::dedup {
namespace {

constexpr uint64_t kCheckSeed = 0x5851F42D4C957F2D;

uint32_t checkOf(std::string_view run) { return static_cast<uint32_t>(xxhash64(run, kCheckSeed)); }

void overlapsOf(std::string_view text, uint32_t document, const WordRunIndex& index, FoldedText& folded,
                std::vector<Overlap>& out) {
  fold(text, index.words(), true, folded);
  const size_t words = folded.words();
  const size_t before = out.size();
  for (const uint32_t length : index.lengths()) {
    for (size_t first = 0; first + length <= words; ++first) {
      const int64_t item = index.find(folded.span(first, length));
      if (item < 0) continue;
      out.push_back({document, folded.sourceBegins[first], folded.sourceEnds[first + length - 1],
                     static_cast<uint32_t>(item), 1});
    }
  }
  // Runs of several lengths, in order; those that share a word or are neighbours become one.
  std::sort(out.begin() + static_cast<ptrdiff_t>(before), out.end(), [](const Overlap& a, const Overlap& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  size_t kept = before;
  for (size_t i = before; i < out.size(); ++i) {
    if (kept > before && out[i].begin <= out[kept - 1].end) {
      out[kept - 1].end = std::max(out[kept - 1].end, out[i].end);
      out[kept - 1].runs += 1;
    } else {
      out[kept++] = out[i];
    }
  }
  out.resize(kept);
}

}  // namespace

size_t WordRunIndex::add(const TextBatch& items) {
  FoldedText folded;
  size_t tooShort = 0;
  for (size_t i = 0; i < items.count; ++i) {
    fold(items[i], words_, false, folded);
    const uint32_t item = items_++;
    const size_t words = folded.words();
    const auto length = static_cast<uint32_t>(std::min<size_t>(words, length_));
    if (length == 0 || (length < length_ && length < shortest_)) {
      ++tooShort;
      continue;
    }
    for (size_t first = 0; first + length <= words; ++first) insert(folded.span(first, length), item);
    if (std::find(lengths_.begin(), lengths_.end(), length) == lengths_.end()) lengths_.push_back(length);
  }
  std::sort(lengths_.rbegin(), lengths_.rend());
  return tooShort;
}

int64_t WordRunIndex::find(std::string_view run) const {
  const uint64_t hash = xxhash64(run);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].item != 0; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && slots_[at].check == checkOf(run)) return int64_t{slots_[at].item} - 1;
  }
  return -1;
}

void WordRunIndex::insert(std::string_view run, uint32_t item) {
  if (find(run) >= 0) return;
  if (2 * (used_ + 1) > slots_.size()) grow();
  const uint64_t hash = xxhash64(run);
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].item != 0) at = (at + 1) & mask;
  slots_[at] = {hash, checkOf(run), item + 1};
  ++used_;
}

void WordRunIndex::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.item == 0) continue;
    size_t at = slot.hash & mask;
    while (slots_[at].item != 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

std::vector<Overlap> findOverlaps(const TextBatch& batch, const WordRunIndex& index, unsigned threads,
                                  const std::function<void()>& tick) {
  std::vector<FoldedText> scratches(std::max(1U, threads));
  std::vector<std::vector<Overlap>> found(batch.count);
  parallelFor(batch.count, threads, 1, [&](size_t i, unsigned worker) {
    tick();
    overlapsOf(batch[i], static_cast<uint32_t>(i), index, scratches[worker], found[i]);
  });
  std::vector<Overlap> all;
  for (const auto& overlaps : found) all.insert(all.end(), overlaps.begin(), overlaps.end());
  return all;
}

}  // namespace anneal::text::dedup
