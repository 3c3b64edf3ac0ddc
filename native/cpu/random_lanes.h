// random_lanes.h — Philox4x32-10 (core/philox.h) for sixteen blocks at a time, one block per 64-bit lane.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

constexpr int64_t kRandomBlocks = 16;
constexpr int64_t kRandomWords = 4 * kRandomBlocks;

#if defined(__AVX512F__)
constexpr int64_t kWideLanes = 8;
#elif defined(__AVX2__)
constexpr int64_t kWideLanes = 4;
#else
constexpr int64_t kWideLanes = 2;
#endif
typedef uint64_t Wide __attribute__((vector_size(8 * kWideLanes)));

// The 64-bit products of the low halves; high halves are ignored. By intrinsic, because no loop makes
// compilers use this instruction.
ANNEAL_INLINE Wide multiplyLow(Wide a, Wide b) {
#if defined(__AVX512F__)
  // The masked form, because GCC 12 warns about its own header in the plain one.
  return reinterpret_cast<Wide>(
      _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

// word[i] is word i mod 4 of block first + i/4, for the 64 words of 16 blocks; `first` is a multiple of 16.
[[gnu::noinline]] inline void philoxWords(uint64_t seed, uint64_t first, uint64_t offset,
                                          uint32_t word[kRandomWords]) {
  constexpr int64_t kGroups = kRandomBlocks / kWideLanes;
  Wide c0[kGroups] = {}, c1[kGroups], c2[kGroups], c3[kGroups];
  for (int64_t g = 0; g < kGroups; ++g) {
    for (int64_t lane = 0; lane < kWideLanes; ++lane)
      c0[g][lane] = first + static_cast<uint64_t>(g * kWideLanes + lane);
    c1[g] = Wide{} + (first >> 32);
    c2[g] = Wide{} + offset;
    c3[g] = Wide{} + (offset >> 32);
  }
  const Wide factor0 = Wide{} + 0xD2511F53u, factor2 = Wide{} + 0xCD9E8D57u;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  // Only low halves count from here on; what the high halves hold is never read.
  for (int round = 0; round < 10; ++round) {
    const Wide key0 = Wide{} + k0, key1 = Wide{} + k1;
#pragma GCC unroll 8
    for (int64_t g = 0; g < kGroups; ++g) {
      const Wide p0 = multiplyLow(c0[g], factor0), p1 = multiplyLow(c2[g], factor2);
      c0[g] = (p1 >> 32) ^ c1[g] ^ key0;
      c2[g] = (p0 >> 32) ^ c3[g] ^ key1;
      c1[g] = p1;
      c3[g] = p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
#pragma GCC unroll 8
  for (int64_t g = 0; g < kGroups; ++g) {
    const Wide low = (c0[g] & 0xFFFFFFFFu) | (c1[g] << 32), high = (c2[g] & 0xFFFFFFFFu) | (c3[g] << 32);
    uint64_t pairs[2 * kWideLanes];
    for (int64_t lane = 0; lane < kWideLanes; ++lane) {
      pairs[2 * lane] = low[lane];
      pairs[2 * lane + 1] = high[lane];
    }
    std::memcpy(word + 4 * kWideLanes * g, pairs, sizeof(pairs));
  }
}

ANNEAL_CPU_NAMESPACE_END
