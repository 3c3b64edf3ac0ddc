// best_fit.h — whole documents into rows of equal length, with as little padding or cutting as best fit
// gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace anneal::text {

struct PackOptions {
  // Tokens of a row, below 2^24.
  uint32_t capacity = 0;
  // Rows begin with a document's beginning: of a document longer than a row the first row is kept. Else it is
  // cut into whole rows and a rest.
  bool aligned = false;
  // Fill what is left of a row with the beginning of the shortest document at hand, whose rest is dropped
  // (nanochat). Else it is padding.
  bool crop = false;
  // With crop: documents at hand at a time.
  size_t buffer = 1 << 14;
};

// `pieces[i]` is start · 2^24 + length of a stretch of tokens that belongs to one document; row r has the
// pieces from `ends[r − 1]` to `ends[r]`, in order of their starts.
struct PackedRows {
  std::vector<uint64_t> pieces;
  std::vector<uint32_t> ends;
  uint64_t padding = 0;  // places of rows without a token
  uint64_t dropped = 0;  // tokens in no row
  uint64_t cut = 0;      // documents that are not whole in one row
};

constexpr unsigned kLengthBits = 24;

// Packs documents; document i has the tokens from `bounds[i]` to `bounds[i + 1]` (below 2^40). `check` is
// called every few milliseconds and may throw.
//
// Without `crop`: best-fit decreasing (Johnson, 1973; for training texts Ding et al., "Fewer Truncations
// Improve Language Modeling", ICML 2024): documents from the longest to the shortest, each into the row with
// the least room that still suffices. With `crop`: row by row the longest document that still fits, as
// nanochat. Both find the row or the document in a set of lengths by its 64-ary bit tree, so that n documents
// cost O(n log₆₄ capacity).
PackedRows packDocuments(const double* bounds, size_t documents, const PackOptions& options,
                         const std::function<void()>& check);

}  // namespace anneal::text
