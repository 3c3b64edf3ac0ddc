#include "text/model/piece_cache.h"

#include <algorithm>
#include <cstring>

namespace anneal::text {
namespace {

// Words of the store per slot: most records have four to eight, so that slots and store fill together.
constexpr size_t kWordsPerSlot = 4;
constexpr size_t kMostIds = 0xffff;

size_t wordsOfBytes(size_t bytes) { return (bytes + 3) / 4; }

}  // namespace

PieceCache::PieceCache(size_t bytes) {
  constexpr size_t kLeast = 4096;
  if (bytes < kLeast) return;
  size_t slots = 64;
  while (slots * 2 * (sizeof(Slot) + kWordsPerSlot * sizeof(uint32_t)) <= bytes) slots *= 2;
  slots_.resize(slots);
  limit_ = (bytes - slots * sizeof(Slot)) / sizeof(uint32_t);
}

bool PieceCache::find(std::string_view piece, uint64_t hash, std::vector<uint32_t>& ids,
                      std::vector<uint32_t>* lengths) const {
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32) | 1U;
  for (size_t at = hash & mask; slots_[at].tag != 0; at = (at + 1) & mask) {
    if (slots_[at].tag != tag) continue;
    const uint32_t* record = store_.data() + slots_[at].at;
    const size_t size = *record & 0xffff;
    if (size != piece.size() || std::memcmp(record + 1, piece.data(), size) != 0) continue;
    const size_t count = *record >> 16;
    const uint32_t* first = record + 1 + wordsOfBytes(size);
    if (count == 1) {
      ids.push_back(*first);
    } else {
      ids.insert(ids.end(), first, first + count);
    }
    if (lengths != nullptr) lengths->insert(lengths->end(), first + count, first + 2 * count);
    return true;
  }
  return false;
}

void PieceCache::insert(std::string_view piece, uint64_t hash, const uint32_t* ids, size_t count,
                        const uint32_t* lengths) {
  if (count > kMostIds) return;
  const size_t words = 1 + wordsOfBytes(piece.size()) + count * (lengths == nullptr ? 1 : 2);
  if (words > limit_) return;
  if (store_.size() + words > limit_ || (taken_ + 1) * 4 > slots_.size() * 3) forget();
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].tag != 0) at = (at + 1) & mask;
  slots_[at] = {static_cast<uint32_t>(hash >> 32) | 1U, static_cast<uint32_t>(store_.size())};
  ++taken_;
  const size_t begin = store_.size();
  // The store grows like any vector, but never beyond its bound.
  if (begin + words > store_.capacity()) store_.reserve(std::min(limit_, (begin + words) * 2));
  store_.resize(begin + words);
  uint32_t* record = store_.data() + begin;
  *record = static_cast<uint32_t>(piece.size() | count << 16);
  std::memcpy(record + 1, piece.data(), piece.size());
  uint32_t* first = record + 1 + wordsOfBytes(piece.size());
  std::copy(ids, ids + count, first);
  if (lengths != nullptr) std::copy(lengths, lengths + count, first + count);
}

void PieceCache::forget() {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  store_.clear();
  taken_ = 0;
}

}  // namespace anneal::text
