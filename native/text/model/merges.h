// merges.h — the merge loop of byte-pair encoding over a sequence of symbols: lowest rank first, leftmost
// where ranks are equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/model/pair_ranks.h"

namespace anneal::text {

// The symbols of one piece and the working memory of their merges; one per thread.
struct MergeBuffer {
  std::vector<uint32_t> ids;
  // Bytes of the piece per symbol; parallel to ids.
  std::vector<uint32_t> lengths;
  std::vector<uint32_t> ranks;
  std::vector<uint32_t> previous;
  std::vector<uint32_t> next;
  std::vector<uint64_t> heap;
  std::vector<uint64_t> skipped;
};

// What merges: pairs to ranks, and the id that each rank makes.
struct MergeTable {
  explicit MergeTable(size_t pairs) : ranks(pairs) {}
  PairRanks ranks;
  std::vector<uint32_t> results;
};

// Dropout (Provilkov, Emelianenko and Voita 2020): each merge that comes up is passed over with this
// probability. The uniform numbers are those of Philox with key `seed`, counted by `*draws`.
struct Dropout {
  float probability = 0;
  uint64_t seed = 0;
  uint64_t* draws = nullptr;
};

// Up to this many symbols a scan for the lowest rank is quicker than a heap.
inline constexpr size_t kShortPiece = 48;

// Merges buffer.ids and buffer.lengths in place until no pair has a rank. O(n²) up to kShortPiece symbols,
// O(n log n) above.
void mergeSymbols(const MergeTable& table, MergeBuffer& buffer);

// The same with dropout, O(n log n).
void mergeSymbolsWithDropout(const MergeTable& table, MergeBuffer& buffer, const Dropout& dropout);

}  // namespace anneal::text
