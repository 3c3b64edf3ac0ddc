// repeats.h — passages of a corpus that occurred before, byte for byte, found out of core and exactly.
//
// A passage is a window of `length` bytes inside one document. Hashing every window of a corpus and sorting
// them would take many bytes for each; so each document is winnowed first (Schleimer, Wilkerson, Aiken:
// "Winnowing", 2003): of any length − grain + 1 neighbouring grains of `grain` bytes the one with the least
// hash becomes an anchor. Two equal windows have an anchor with the same hash. The anchors are sorted like
// the keys of documents; where several share a hash, the texts around them are put together, as many as fit
// into memory, and a suffix array of these finds the equal windows, without any hash.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "text/batch.h"
#include "text/dedup/records.h"

namespace anneal::text::dedup {

// Key: the hash (two words) and the upper half of the anchor's place in the corpus; `document`: the lower
// half.
using Anchor = Record<3>;

// Bytes of a grain for windows of `length` bytes.
uint32_t grainOf(uint32_t length);

// The anchors of a batch whose first byte is byte `start` of the corpus, document after document. `tick` is
// called between documents and may throw.
std::vector<Anchor> winnow(const TextBatch& batch, uint32_t length, uint64_t start, unsigned threads,
                           const std::function<void()>& tick);

// A stretch of the corpus, at the beginning of a file or, without a path, in memory.
struct CorpusPiece {
  std::string path;
  const char* memory = nullptr;
  uint64_t start = 0;  // its first byte's place in the corpus
  uint64_t length = 0;
};

// Bytes [begin, end) of the corpus, inside one document.
struct Span {
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct RepeatSettings {
  uint32_t length = 200;
  size_t memory = 0;       // for texts and suffix arrays, in bytes
  size_t bufferBytes = 0;  // for the buffers of all run readers together
  unsigned threads = 1;
};

struct Repeats {
  // In order, apart from one another. A byte is in a span exactly if some window with it equals an earlier
  // window that ends before it begins.
  std::vector<Span> spans;
  uint64_t hotAnchors = 0;   // anchors that share a hash with others
  uint64_t sortedBytes = 0;  // of text that went into suffix arrays
  // Hashes with more anchors in different surroundings than memory holds: copies of passages around these may
  // stay.
  uint64_t incomplete = 0;
};

// `documentEnds[i]` is the byte of the corpus after document i; `runs` are sorted runs of all anchors. `tick`
// is called with the share that is done.
Repeats findRepeats(const std::vector<Run>& runs, const std::vector<CorpusPiece>& corpus,
                    const double* documentEnds, size_t documents, const RepeatSettings& settings,
                    const std::function<void(double)>& tick);

}  // namespace anneal::text::dedup
