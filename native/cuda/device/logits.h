// logits.h — a block and a row of logits: statistics of the row's softmax in one walk, and a second walk that
// replaces the logits by their gradient in place. The row lies in scratch memory and begins at a multiple of
// 16 bytes; memory up to the next multiple of 4 elements belongs to it.
#pragma once

#include <cfloat>

#include "cuda/device/reduce.h"
#include "cuda/fault.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

constexpr int kLogitGroup = 4;   // logits of one access
constexpr int kLogitUnroll = 4;  // accesses in flight
using LogitGroup = Vec<float, kLogitGroup>;

// Logit z as the losses see it: scale·z, or cap·tanh(z/cap) where cap is not 0.
struct LogitMap {
  float scale, cap;
  ANNEAL_DEVICE float operator()(float z) const { return cap == 0.0f ? scale * z : cap * tanhf(z / cap); }
};

// Of the logits z seen so far: the largest, sum = Σ e^(z − top), weighted = Σ e^(z − top)·(z − top), total =
// Σ z.
struct LogitStatistics {
  float top, sum, weighted, total;
};
// −FLT_MAX in place of −∞: no difference of two tops is NaN, and a row of NaN keeps its NaN in the sum.
constexpr LogitStatistics kNoLogits{-FLT_MAX, 0.0f, 0.0f, 0.0f};

// The same statistics with respect to a top that is not lower.
ANNEAL_DEVICE void raiseTop(LogitStatistics& s, float top) {
  const float by = s.top - top, factor = exp2Approx(by * kLog2e);
  s.weighted = fmaf(by, s.sum, s.weighted) * factor;
  s.sum *= factor;
  s.top = top;
}

struct AddLogits {
  ANNEAL_DEVICE LogitStatistics operator()(LogitStatistics a, LogitStatistics b) const {
    const float top = fmaxf(a.top, b.top);
    raiseTop(a, top);
    raiseTop(b, top);
    return {top, a.sum + b.sum, a.weighted + b.weighted, a.total + b.total};
  }
};

// Adds the first `count` logits of a group.
template <bool kEntropy>
ANNEAL_DEVICE void addGroup(LogitStatistics& s, const LogitGroup& z, int count) {
  float top = s.top;
#pragma unroll
  for (int i = 0; i < kLogitGroup; ++i) top = i < count ? fmaxf(top, z.lane[i]) : top;
  if (top > s.top) raiseTop(s, top);
#pragma unroll
  for (int i = 0; i < kLogitGroup; ++i) {
    if (i >= count) continue;
    const float by = z.lane[i] - top, e = exp2Approx(by * kLog2e);
    s.sum += e;
    s.total += z.lane[i];
    // e = 0 may meet by = −∞.
    if constexpr (kEntropy) s.weighted += e == 0.0f ? 0.0f : e * by;
  }
}

// A row, its map, and the copy of its first `kept` mapped logits in shared memory.
struct LogitRow {
  float* data;
  int vocab;
  LogitMap map;
  float* copy;
  int kept;
};

// First walk: statistics of the row, the same in each thread; fills the copy. scratch: kWarpSize statistics
// in shared memory. Each thread of the block calls it.
template <bool kEntropy>
ANNEAL_DEVICE LogitStatistics statisticsOf(const LogitRow& row, LogitStatistics* scratch) {
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  const int groups = (row.vocab + kLogitGroup - 1) / kLogitGroup;
  LogitStatistics s = kNoLogits;
  for (int begin = thread; begin < groups; begin += threads * kLogitUnroll) {
    LogitGroup z[kLogitUnroll];
#pragma unroll
    for (int u = 0; u < kLogitUnroll; ++u) {
      const int group = begin + u * threads;
      if (group < groups) z[u] = load<LogitGroup>(row.data + group * int64_t{kLogitGroup});
    }
#pragma unroll
    for (int u = 0; u < kLogitUnroll; ++u) {
      const int first = (begin + u * threads) * kLogitGroup;
      if (first >= row.vocab) continue;
#pragma unroll
      for (int i = 0; i < kLogitGroup; ++i) z[u].lane[i] = row.map(z[u].lane[i]);
      if (first < row.kept) *reinterpret_cast<LogitGroup*>(row.copy + first) = z[u];
      addGroup<kEntropy>(s, z[u], row.vocab - first);
    }
  }
  return blockReduce(s, AddLogits{}, kNoLogits, scratch);
}

ANNEAL_DEVICE void storeGroup(float* y, const LogitGroup& values) { store(y, values); }
ANNEAL_DEVICE void storeGroup(bf16* y, const LogitGroup& values) {
  const Vec<uint32_t, 2> packed{packBf16(values.lane[0], values.lane[1]),
                                packBf16(values.lane[2], values.lane[3])};
  store(y, packed);
}

// Second walk: dz[j] = gradient(j, mapped z[j]) for every j, in place: dz, elements of T, begins where the
// logits did. Each thread of the block calls it, after a barrier that follows the last use of the row's
// logits elsewhere.
template <typename T, typename Gradient>
ANNEAL_DEVICE void replaceLogits(const LogitRow& row, Gradient gradient) {
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  const int groups = (row.vocab + kLogitGroup - 1) / kLogitGroup;
  T* dz = reinterpret_cast<T*>(row.data);
  for (int begin = 0; begin < groups; begin += threads * kLogitUnroll) {
    LogitGroup z[kLogitUnroll];
#pragma unroll
    for (int u = 0; u < kLogitUnroll; ++u) {
      const int first = (begin + u * threads + thread) * kLogitGroup;
      if (first >= row.vocab) continue;
      if (first < row.kept) {
        z[u] = *reinterpret_cast<const LogitGroup*>(row.copy + first);
        continue;
      }
      z[u] = load<LogitGroup>(row.data + first);
#pragma unroll
      for (int i = 0; i < kLogitGroup; ++i) z[u].lane[i] = row.map(z[u].lane[i]);
    }
    // Gradients of half the size lie over logits at half their index. Where those are not in the copy, every
    // thread must have read its own of this round before any is written; none reads lower ones later.
    const int end = (begin + threads * kLogitUnroll) * kLogitGroup;
    if (sizeof(T) < sizeof(float) && end / 2 > row.kept) syncThreads();
#pragma unroll
    for (int u = 0; u < kLogitUnroll; ++u) {
      const int first = (begin + u * threads + thread) * kLogitGroup;
      if (first >= row.vocab) continue;
#pragma unroll
      for (int i = 0; i < kLogitGroup; ++i) z[u].lane[i] = gradient(first + i, z[u].lane[i]);
      storeGroup(dz + first, z[u]);
    }
  }
}

// Fills a row's gradient with zeros.
template <typename T>
ANNEAL_DEVICE void clearLogits(float* data, int vocab) {
  T* dz = reinterpret_cast<T*>(data);
  for (int first = static_cast<int>(threadIdx.x) * kLogitGroup; first < vocab;
       first += static_cast<int>(blockDim.x) * kLogitGroup)
    storeGroup(dz + first, LogitGroup{});
}

// The target ids of a chunk of rows that begins at row `first` of all.
struct Targets {
  const int32_t* ids;
  int64_t first, ignored;
  int32_t vocab;
  // The id of row r of the chunk, or −1 where the row does not count.
  ANNEAL_DEVICE int32_t of(int64_t r) const {
    const int32_t id = ids[first + r];
    return id == ignored || id < 0 || id >= vocab ? -1 : id;
  }
  // Reports an id that is neither in the vocabulary nor the ignored one. One thread of a row's block calls
  // it.
  ANNEAL_DEVICE void check(int64_t r, const FaultReporter& reporter) const {
    const int32_t id = ids[first + r];
    // Both limits in one word, as faultMessage() expects them.
    const int64_t limits = static_cast<int64_t>(static_cast<uint64_t>(ignored) << 32) | vocab;
    if (id != ignored && (id < 0 || id >= vocab)) reportFault(reporter, kFaultTarget, first + r, id, limits);
  }
};

}  // namespace anneal::cuda
