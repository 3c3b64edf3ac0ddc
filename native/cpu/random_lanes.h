// random_lanes.h — Philox4x32-10 (core/philox.h) for sixteen blocks at a time, in loops that vectorize.
#pragma once

#include <cstdint>

#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

constexpr int64_t kRandomBlocks = 16;
constexpr int64_t kRandomWords = 4 * kRandomBlocks;

// word[i] is word i mod 4 of block first + i/4, for the 64 words of 16 blocks; `first` is a multiple of 16.
inline void philoxWords(uint64_t seed, uint64_t first, uint64_t offset, uint32_t word[kRandomWords]) {
  uint32_t c0[kRandomBlocks], c1[kRandomBlocks], c2[kRandomBlocks], c3[kRandomBlocks];
  for (int64_t b = 0; b < kRandomBlocks; ++b) {
    c0[b] = static_cast<uint32_t>(first) + static_cast<uint32_t>(b);
    c1[b] = static_cast<uint32_t>(first >> 32);
    c2[b] = static_cast<uint32_t>(offset);
    c3[b] = static_cast<uint32_t>(offset >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int64_t b = 0; b < kRandomBlocks; ++b) {
      const uint64_t p0 = 0xD2511F53ull * c0[b], p1 = 0xCD9E8D57ull * c2[b];
      const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1[b] ^ k0;
      const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3[b] ^ k1;
      c1[b] = static_cast<uint32_t>(p1);
      c3[b] = static_cast<uint32_t>(p0);
      c0[b] = n0;
      c2[b] = n2;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
#pragma omp simd
  for (int64_t b = 0; b < kRandomBlocks; ++b) {
    word[4 * b] = c0[b];
    word[4 * b + 1] = c1[b];
    word[4 * b + 2] = c2[b];
    word[4 * b + 3] = c3[b];
  }
}

ANNEAL_CPU_NAMESPACE_END
