// minhash.h — MinHash signatures of documents: for every hash function the least value over the document's
// shingles (runs of words). Two documents agree in a function with the probability of their Jaccard
// similarity.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/batch.h"
#include "text/dedup/fold.h"

namespace anneal::text::dedup {

inline constexpr uint64_t kMersenne61 = (uint64_t{1} << 61) - 1;

struct MinHashSettings {
  uint32_t shingle = 5;  // words
  uint32_t buckets = 14;
  uint32_t rows = 8;  // hash functions of a bucket
  uint32_t seed = 1;
  Words words = Words::kScripts;
  std::string kernel;  // instruction set; empty: the best

  uint32_t functions() const { return buckets * rows; }
};

// h_j(x) = ((a_j·x + b_j) mod 2^64) mod (2^61 − 1); the first mod is that of datatrove's 64-bit arithmetic.
// a_j and b_j are those of numpy's RandomState(seed).randint(1, 2^61 − 1) and randint(0, 2^61 − 1): all a
// first, then all b.
struct HashFunctions {
  explicit HashFunctions(const MinHashSettings& settings);
  // Padded to a multiple of 8 with copies of function 0.
  std::vector<uint64_t> a, b;
};

// minima[j] = min(minima[j], h_j(x)) for all j below `functions` (a multiple of 8) and all x;
// minima are below 2^63 before and after.
using MinHashKernel = void (*)(const uint64_t* a, const uint64_t* b, size_t functions,
                               const uint64_t* shingles, size_t count, uint64_t* minima);
// The kernel for an instruction set (portable, avx2, avx512; "": the best here); null where this processor
// lacks it. All give the same values.
MinHashKernel minHashKernel(std::string_view name);

// Computes signatures, document by document; one for each thread.
class Signer {
 public:
  explicit Signer(const MinHashSettings& settings);
  // The least value of each function, or null where the text has fewer words than a shingle. Valid until the
  // next call.
  const uint64_t* sign(std::string_view text);
  // Shingles of the last text, repeated ones counted again.
  size_t shingles() const { return shingles_; }

 private:
  const MinHashSettings settings_;
  const HashFunctions functions_;
  const MinHashKernel kernel_;
  FoldedText folded_;
  std::vector<uint64_t> hashes_;
  std::vector<uint64_t> minima_;
  size_t shingles_ = 0;
};

}  // namespace anneal::text::dedup
