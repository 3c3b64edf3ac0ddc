// attention_rows.h — attention of a handful of query rows over many keys (decoding), where nearly all lanes
// of a query block would be empty: channels lie across the lanes instead, keys and values are read once, in
// place, for all the rows together.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "cpu/attention_pages.h"
#include "cpu/attention_plan.h"
#include "cpu/lanes.h"
#include "cpu/tile.h"
#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// Up to half a vector of queries; with more, the query block wins (measured with 4, 8 and 16 heads of MLA,
// AVX-512, November 2026).
constexpr int64_t kFewRows = kLanes / 2;

// Pointers are to the first key of the segment (with pages: of the pool) and to f32 scratch.
template <typename T>
struct RowsJob {
  const T *keys, *sharedKeys, *values;
  int64_t keyStride, sharedStride, valueStride, ownDim, sharedDim, valueDim;
  KeyPlaces places;
  int64_t begin, end;        // keys to visit
  const int32_t* positions;  // [rows]
  const float* queries;      // [rows, padded(ownDim) + padded(sharedDim)], scaled, padded with 0
  float* scores;             // [rows, kKeyBlock]
  float* o;                  // [rows, padded(valueDim)], result before the division by the sum
  float* maxima;             // [rows], result, base 2
  float* sums;               // [rows], result
  float cap;
};

// Asks for a row that is used some rows later: caches hold rows far apart, which the processor does not
// foresee.
constexpr int64_t kRowsAhead = 8;
template <typename T>
[[gnu::always_inline]] inline void prefetchRow(const T* row, int64_t width) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t c = 0; c < width; c += kLine) __builtin_prefetch(row + c);
}

// partial[r] += lanes of key·query over `width` channels, for all rows.
template <int kRows, typename T>
[[gnu::always_inline]] inline void multiplyKey(const T* key, const float* queries, int64_t queryRow,
                                               int64_t width, Vec (&partial)[kRows]) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) {
    const Vec k = load(key + c);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) partial[r] += k * load(queries + r * queryRow + c);
  }
  if (c < width) {
    const Vec k = loadPart(key + c, width - c);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) partial[r] += k * load(queries + r * queryRow + c);
  }
}

// o[r, c..] += Σ_j p[r, j]·values[j, c..] for kVectors vectors; `part` > 0: only so many channels of the
// single vector.
template <int kRows, int kVectors, typename T>
inline void addValues(const T* values, int64_t stride, const float* p, int64_t keys, float* o, int64_t oRow,
                      int64_t part) {
  Vec sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = load(o + r * oRow + v * kLanes);
  }
  for (int64_t j = 0; j < keys; ++j, values += stride) {
    prefetchRow(values + std::min(kRowsAhead, keys - 1 - j) * stride, kVectors * kLanes);
    Vec row[kVectors];
    if (kVectors == 1 && part > 0) {
      row[0] = loadPart(values, part);
    } else {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) row[v] = load(values + v * kLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec weight = broadcast(p[r * kKeyBlock + j]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] += weight * row[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(o + r * oRow + v * kLanes, sum[r][v]);
  }
}

template <int kRows, typename T>
void attendRows(const RowsJob<T>& job, const Mask& mask) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const int64_t ownRow = padded(job.ownDim), queryRow = ownRow + padded(job.sharedDim),
                oRow = padded(job.valueDim);
  const int64_t whole = job.valueDim / kLanes;
  Vec sums[kRows] = {};
  std::fill(job.o, job.o + kRows * oRow, 0.0f);
  std::fill(job.maxima, job.maxima + kRows, kLowest);
  for (int64_t begin = job.begin; begin < job.end; begin += kKeyBlock) {
    const int64_t keys = std::min(kKeyBlock, job.end - begin);
    for (int64_t j = 0; j < keys; j += kLanes) {
      Vec products[kRows][kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const int64_t key = begin + std::min(j + i, keys - 1);
        const int64_t row = job.places.row(key);
        prefetchRow(job.keys + job.places.row(std::min(key + kRowsAhead, job.end - 1)) * job.keyStride,
                    job.ownDim);
        Vec partial[kRows] = {};
        multiplyKey<kRows>(job.keys + row * job.keyStride, job.queries, queryRow, job.ownDim, partial);
        if (job.sharedDim > 0) {
          multiplyKey<kRows>(job.sharedKeys + row * job.sharedStride, job.queries + ownRow, queryRow,
                             job.sharedDim, partial);
        }
        for (int r = 0; r < kRows; ++r) products[r][i] = partial[r];
      }
      for (int r = 0; r < kRows; ++r) store(job.scores + r * kKeyBlock + j, sumRows(products[r]));
    }
    const int64_t vectors = vectorsOf(keys);
    for (int r = 0; r < kRows; ++r) {
      float* scores = job.scores + r * kKeyBlock;
      if (job.cap > 0) {
        const float scale = job.cap * kLog2e;
        for (int64_t j = 0; j < keys; ++j) scores[j] = scale * vtanh(scores[j]);
      }
      const int32_t first = job.positions[r] - static_cast<int32_t>(begin);
      for (int32_t j = 0; j < static_cast<int32_t>(vectors * kLanes); ++j) {
        const int32_t distance = first - j;
        const bool seen = (j < keys) & (distance >= mask.low) & (distance < mask.high);
        scores[j] = seen ? scores[j] : -kInfinity;
      }
      Vec most = broadcast(kLowest);
      for (int64_t v = 0; v < vectors; ++v) most = larger(load(scores + v * kLanes), most);
      float largest = job.maxima[r];
      for (int i = 0; i < kLanes; ++i) largest = most[i] > largest ? most[i] : largest;
      if (largest > job.maxima[r]) {
        const Vec shrink = exp2Lanes(broadcast(job.maxima[r] - largest));
        sums[r] *= shrink;
        for (int64_t c = 0; c < oRow; c += kLanes)
          store(job.o + r * oRow + c, load(job.o + r * oRow + c) * shrink);
        job.maxima[r] = largest;
      }
      for (int64_t v = 0; v < vectors; ++v) {
        const Vec p = exp2Lanes(load(scores + v * kLanes) - broadcast(largest));
        store(scores + v * kLanes, p);
        sums[r] += p;
      }
    }
    // Sums of as many vectors side by side as half the registers hold.
    constexpr int kWide = std::clamp(kTileRows * kTileVectors / kRows * 2 / 3, 1, 4);
    for (int64_t done = 0, count = 0; done < keys; done += count) {
      count = job.places.run(begin + done, keys - done);
      const T* values = job.values + job.places.row(begin + done) * job.valueStride;
      const float* weights = job.scores + done;
      int64_t v = 0;
      for (; v + kWide <= whole; v += kWide) {
        addValues<kRows, kWide>(values + v * kLanes, job.valueStride, weights, count, job.o + v * kLanes,
                                oRow, 0);
      }
      for (; v < whole; ++v) {
        addValues<kRows, 1>(values + v * kLanes, job.valueStride, weights, count, job.o + v * kLanes, oRow,
                            0);
      }
      if (whole * kLanes < job.valueDim) {
        addValues<kRows, 1>(values + v * kLanes, job.valueStride, weights, count, job.o + v * kLanes, oRow,
                            job.valueDim - whole * kLanes);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float total = 0;
    for (int i = 0; i < kLanes; ++i) total += sums[r][i];
    job.sums[r] = total;
  }
}

ANNEAL_CPU_NAMESPACE_END
