// attention_plan.h — what the attention kernels share: which keys a block of queries sees, and how rows of
// tensors are copied into blocks.
//
// Queries lie across vector lanes: a block holds up to kQueryBlock of them, channel-major [channel][query],
// and scores are kept transposed, [key][query]. Keys and values then enter every product as broadcast scalars
// in their own row order and need no transposing, and the running maximum and sum of the softmax are whole
// vectors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cpu/lanes.h"

ANNEAL_CPU_NAMESPACE_BEGIN

constexpr int64_t kQueryBlock = 64;
constexpr int64_t kKeyBlock = 64;
constexpr int kQueryVectors = kQueryBlock / kLanes;
// Below any score; finite, so that a row without keys gives 2^(−inf − lowest) = 0 and not NaN.
constexpr float kLowest = -1e30f;
constexpr float kLog2e = 1.44269504088896341f;
constexpr float kLn2 = 0.693147180559945309f;

// Whole vectors that hold n numbers, and n rounded up to whole vectors.
constexpr int64_t vectorsOf(int64_t n) { return (n + kLanes - 1) / kLanes; }
constexpr int64_t padded(int64_t n) { return vectorsOf(n) * kLanes; }

// The query heads [first, last) that read key head g, by the rule h·kvHeads/heads = g.
struct HeadRange {
  int64_t first, last;
  HeadRange(int64_t g, int64_t heads, int64_t kvHeads)
      : first((g * heads + kvHeads - 1) / kvHeads), last(((g + 1) * heads + kvHeads - 1) / kvHeads) {}
  int64_t count() const { return last - first; }
};

// Key j is seen by position p when low <= p − j < high.
struct Mask {
  bool causal;
  int64_t window;  // 0: none
  int32_t low, high;
  Mask(int64_t causalFlag, int64_t windowSize)
      : causal(causalFlag != 0),
        window(std::clamp<int64_t>(windowSize, 0, INT32_MAX)),
        low(causal ? 0 : INT32_MIN),
        high(window > 0 ? static_cast<int32_t>(window) : INT32_MAX) {}
};

// Keys [begin, end) that the query vectors [firstVector, lastVector) see, at least in part; no other vector
// sees any of them.
struct Run {
  int64_t begin, end;
  int firstVector, lastVector;
};

// Every vector opens and shuts once at most, and a run ends only there.
constexpr int kMaxRuns = 2 * kQueryVectors + 1;

// Key positions of a block's queries, with the smallest and largest of each vector.
struct Positions {
  alignas(64) int32_t at[kQueryBlock];
  int64_t low[kQueryVectors], high[kQueryVectors];
  int64_t lowest, highest;
  int vectors;

  // Call after at[0..count) are set; the rest of the last vector repeats the last position.
  void finish(int64_t count, bool ascending) {
    vectors = static_cast<int>(vectorsOf(count));
    std::fill(at + count, at + vectors * kLanes, at[count - 1]);
    lowest = INT32_MAX;
    highest = INT32_MIN;
    for (int v = 0; v < vectors; ++v) {
      const int32_t *first = at + v * kLanes, *last = first + kLanes - 1;
      low[v] = ascending ? *first : *std::min_element(first, last + 1);
      high[v] = ascending ? *last : *std::max_element(first, last + 1);
      lowest = std::min(lowest, low[v]);
      highest = std::max(highest, high[v]);
    }
  }

  int64_t firstKey(const Mask& mask) const {
    return mask.window > 0 ? std::max<int64_t>(0, lowest - mask.window + 1) : 0;
  }
  int64_t lastKey(const Mask& mask, int64_t keys) const {
    return mask.causal ? std::clamp<int64_t>(highest + 1, 0, keys) : keys;
  }

  // Whether every query of vector v sees every key of [begin, end).
  bool sees(const Mask& mask, int v, int64_t begin, int64_t end) const {
    return (!mask.causal || end - 1 <= low[v]) && (mask.window == 0 || begin > high[v] - mask.window);
  }

  // The lanes of vector v that see key j: all bits set, else none.
  VecInt lanesThatSee(const Mask& mask, int v, int64_t j) const {
    VecInt distance;
    std::memcpy(&distance, at + v * kLanes, sizeof(distance));
    distance -= static_cast<int32_t>(j);
    return (distance >= mask.low) & (distance < mask.high);
  }

  // Splits the keys [begin, end) into runs that some query sees; returns how many there are.
  int runs(const Mask& mask, int64_t begin, int64_t end, Run (&out)[kMaxRuns]) const {
    int count = 0;
    for (int64_t j = begin; j < end;) {
      Run run{j, end, vectors, 0};
      for (int v = 0; v < vectors; ++v) {
        // Vector v sees keys [enters, shuts) at most; a run ends where one of these bounds lies.
        const int64_t enters = mask.window > 0 ? low[v] - mask.window + 1 : begin;
        const int64_t shuts = mask.causal ? high[v] + 1 : end;
        if (shuts > j) run.end = std::min(run.end, shuts);
        if (enters > j) run.end = std::min(run.end, enters);
        if (shuts > j && enters <= j) {
          run.firstVector = std::min(run.firstVector, v);
          run.lastVector = v + 1;
        }
      }
      if (run.firstVector < run.lastVector) out[count++] = run;
      j = run.end;
    }
    return count;
  }
};

// Copies rows of `width` numbers to dst as f32.
template <typename T>
inline void copyRows(float* dst, int64_t dstRow, const T* src, int64_t srcRow, int64_t rows, int64_t width) {
  const int64_t whole = width / kLanes * kLanes;
  for (int64_t r = 0; r < rows; ++r) {
    const T* from = src + r * srcRow;
    float* to = dst + r * dstRow;
    for (int64_t c = 0; c < whole; c += kLanes) store(to + c, load(from + c));
    for (int64_t c = whole; c < width; ++c) to[c] = toFloat(from[c]);
  }
}

// Rows of a key block as the products read them.
struct Rows {
  const float* at;
  int64_t stride;
};

// Rows in place when they are f32, else converted into `scratch`. Copying f32 rows to make them contiguous
// does not pay, whatever their stride: 0.9 to 1.0 times the speed (T 64 to 256, head sizes 32 to 96, AVX-512,
// November 2026).
template <typename T>
inline Rows blockRows(float* scratch, int64_t scratchRow, const T* src, int64_t srcRow, int64_t rows,
                      int64_t width) {
  if constexpr (std::is_same_v<T, float>) {
    return {src, srcRow};
  } else {
    copyRows(scratch, scratchRow, src, srcRow, rows, width);
    return {scratch, scratchRow};
  }
}

// The same for rows that are read a vector at a time, to the end of the last one: past the row unless its
// width is a whole number of vectors.
template <typename T>
inline Rows vectorRows(float* scratch, int64_t scratchRow, const T* src, int64_t srcRow, int64_t rows,
                       int64_t width) {
  if (width % kLanes == 0) return blockRows(scratch, scratchRow, src, srcRow, rows, width);
  copyRows(scratch, scratchRow, src, srcRow, rows, width);
  return {scratch, scratchRow};
}

// Rows of keys whose last `sharedWidth` channels come from a second tensor.
template <typename T>
inline Rows keyRows(float* scratch, int64_t scratchRow, const T* own, int64_t ownRow, int64_t ownWidth,
                    const T* shared, int64_t sharedRow, int64_t sharedWidth, int64_t rows) {
  if (sharedWidth == 0) return blockRows(scratch, scratchRow, own, ownRow, rows, ownWidth);
  copyRows(scratch, scratchRow, own, ownRow, rows, ownWidth);
  copyRows(scratch + ownWidth, scratchRow, shared, sharedRow, rows, sharedWidth);
  return {scratch, scratchRow};
}

// dst [width][kQueryBlock] = scale·(the rows that src points to), transposed; lanes from count up to whole
// vectors become 0.
template <typename T>
inline void packTransposed(float* dst, const T* const* src, int64_t count, int64_t width, float scale) {
  for (int64_t lane = 0; lane < count; lane += kLanes) {
    const int64_t rows = std::min<int64_t>(kLanes, count - lane);
    for (int64_t c = 0; c < width; c += kLanes) {
      const int64_t columns = std::min<int64_t>(kLanes, width - c);
      Vec x[kLanes];
      if (rows == kLanes && columns == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) x[i] = load(src[lane + i] + c);
      } else {
        for (int i = 0; i < kLanes; ++i) x[i] = i < rows ? loadUpTo(src[lane + i] + c, columns) : Vec{};
      }
      transpose(x);
      float* to = dst + c * kQueryBlock + lane;
      for (int i = 0; i < columns; ++i) store(to + i * kQueryBlock, x[i] * scale);
    }
  }
}

// The rows that dst points to = src [width][kQueryBlock] transposed, times factor[query].
template <typename T>
inline void unpackTransposed(T* const* dst, const float* src, int64_t count, int64_t width,
                             const float* factor) {
  for (int64_t lane = 0; lane < count; lane += kLanes) {
    const int64_t rows = std::min<int64_t>(kLanes, count - lane);
    const Vec scale = load(factor + lane);
    for (int64_t c = 0; c < width; c += kLanes) {
      const int64_t columns = std::min<int64_t>(kLanes, width - c);
      const float* from = src + c * kQueryBlock + lane;
      Vec x[kLanes];
      for (int i = 0; i < kLanes; ++i) x[i] = i < columns ? load(from + i * kQueryBlock) * scale : Vec{};
      transpose(x);
      if (rows == kLanes && columns == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(dst[lane + i] + c, x[i]);
      } else {
        for (int i = 0; i < rows; ++i) storeUpTo(dst[lane + i] + c, x[i], columns);
      }
    }
  }
}

ANNEAL_CPU_NAMESPACE_END
