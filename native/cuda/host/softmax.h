// softmax.h — where a row of softmax stays between its statistics and its output: in registers while a
// block's threads can hold it, then in shared memory, of several blocks where one has not enough, else it is
// read again.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/host/rows.h"

namespace anneal::cuda {

constexpr unsigned kSoftmaxThreads = 1024;  // most threads of a block that holds rows in registers
constexpr unsigned kWideThreads = 512;      // of a block whose row is not in registers
constexpr int64_t kWideReserved = 1024;     // its shared bytes for reductions
constexpr unsigned kWideCluster = 8;        // most blocks that share a row

struct SoftmaxPlan {
  unsigned lanes;    // threads of a row in a block: a power of two up to 32, or the block
  unsigned threads;  // of a block
  bool registers;
  // Rows that are not in registers:
  unsigned cluster;  // blocks of a row
  int64_t part;      // accesses of each of them
  int64_t kept;      // shared bytes that hold the part; 0: it is read again
};

// A row takes `accesses` loads of each input and `accessBytes` for one load of all inputs; a thread's
// registers hold `held` of them. Two blocks a multiprocessor are wanted, so that one reads while the other
// writes.
constexpr SoftmaxPlan planSoftmax(int64_t accesses, int64_t held, int64_t accessBytes, int64_t sharedBytes,
                                  int64_t computeCapability) {
  const int64_t few = std::min<int64_t>(held, 4);
  if (accesses <= 32 * few) return {powerOfTwo(accesses, 32), kRowThreads, true, 1, 0, 0};
  if (accesses <= kSoftmaxThreads * held) {
    const int64_t wanted = divideUp(divideUp(accesses, few), 32) * 32;
    const unsigned threads = static_cast<unsigned>(std::min<int64_t>(wanted, kSoftmaxThreads));
    return {threads, threads, true, 1, 0, 0};
  }
  const unsigned most = computeCapability >= 90 ? kWideCluster : 1;
  for (const int64_t limit : {sharedBytes / 2 - 2 * kWideReserved, sharedBytes - kWideReserved}) {
    for (unsigned cluster = 1; cluster <= most; cluster *= 2) {
      const int64_t part = divideUp(accesses, cluster), kept = part * accessBytes;
      if (kept <= limit) return {kWideThreads, kWideThreads, false, cluster, part, kept};
    }
  }
  return {kWideThreads, kWideThreads, false, 1, accesses, 0};
}

}  // namespace anneal::cuda
