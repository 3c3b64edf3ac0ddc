// merge.h — finds documents with equal keys in sorted runs and joins them into clusters. The clusters depend
// on the keys alone, not on runs, buffers or threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/dedup/records.h"

namespace anneal::text::dedup {

// Signatures of documents [first, first + count), the low 32 bits of each function's value, for the check of
// pairs. Without a path they are in memory.
struct SignatureFile {
  std::string path;
  const uint32_t* memory = nullptr;
  uint64_t first = 0;
  uint64_t count = 0;
};

struct MergeSettings {
  size_t words = 3;  // of a key: 3 or 4
  size_t lanes = 14;
  size_t bufferBytes = 0;  // for the buffers of all readers together
  unsigned threads = 1;
  // Where above 0, documents that share a bucket are joined only when at least this share of their signatures
  // is equal.
  double verify = 0;
  size_t functions = 0;
  std::vector<SignatureFile> signatures;
};

struct MergeCounts {
  uint64_t pairs = 0;     // found: groups' documents after their first
  uint64_t rejected = 0;  // of them not confirmed by their signatures
};

// Joins documents with equal keys: afterwards parents[i] is the first document of i's cluster, in any number
// of steps. `parents` begins as 0, 1, 2, …; `documents` is its length. `tick` is called now and then with the
// share of the records that was read, and may throw.
MergeCounts mergeRuns(const std::vector<Run>& runs, const MergeSettings& settings, uint32_t* parents,
                      uint64_t documents, const std::function<void(double)>& tick);

// Sorts each lane in place and gives its checksum.
std::vector<uint64_t> sortLanes(char* records, size_t words, size_t lanes, uint64_t stride, uint64_t count,
                                unsigned threads);

// Clusters of two documents or more, by their first document, and the documents of each in order.
struct Clusters {
  std::vector<uint32_t> members;
  std::vector<uint32_t> ends;  // of each cluster in `members`
};

// Points every parent straight to its cluster's first document.
Clusters collectClusters(uint32_t* parents, uint64_t documents);

}  // namespace anneal::text::dedup
