// piece_cache.h — one thread's memory of pieces already encoded: a bounded open-addressing table from bytes
// to ids. Texts repeat their words, so most pieces are answered here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/model/hash.h"

namespace anneal::text {

// Pieces are kept until the store is full; then everything is forgotten at once, which costs less than to
// keep an order of use and keeps frequent pieces, since those come back first. What it holds never changes
// what is encoded.
class PieceCache {
 public:
  static constexpr size_t kDefaultBytes = size_t{8} << 20;
  // Longer pieces are rare and not worth their room.
  static constexpr size_t kLongest = 64;

  explicit PieceCache(size_t bytes);

  bool accepts(size_t pieceBytes) const { return pieceBytes <= kLongest && !slots_.empty(); }
  static uint64_t hash(std::string_view piece) { return hashBytes(piece.data(), piece.size()); }

  // Appends the ids (and lengths) of a piece and returns true, if it is known.
  bool find(std::string_view piece, uint64_t hash, std::vector<uint32_t>& ids,
            std::vector<uint32_t>* lengths) const;
  void insert(std::string_view piece, uint64_t hash, const uint32_t* ids, size_t count,
              const uint32_t* lengths);

 private:
  struct Slot {
    // High half of the hash, with the lowest bit set where the slot is taken.
    uint32_t tag = 0;
    uint32_t at = 0;
  };

  void forget();

  std::vector<Slot> slots_;
  // Records one after the other: byte length, number of ids, ids, lengths (if any), bytes padded to 4.
  std::vector<uint32_t> store_;
  size_t limit_ = 0;
  size_t taken_ = 0;
};

}  // namespace anneal::text
