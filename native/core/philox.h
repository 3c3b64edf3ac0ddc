// philox.h — Philox4x32-10, the counter-based generator behind every random number (Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011). Functions are static, so that files compiled for different
// instruction sets do not share one copy. The same (seed, offset, element) gives the same number on every
// backend and for every number of threads.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define ANNEAL_HOST_DEVICE __host__ __device__
#else
#define ANNEAL_HOST_DEVICE
#endif

namespace anneal {

struct PhiloxBlock {
  uint32_t word[4];
};

// One block of four words. key = seed; counter = (block index, offset), both 64 bit, low word first.
ANNEAL_HOST_DEVICE static inline PhiloxBlock philox(uint64_t seed, uint64_t block, uint64_t offset) {
  uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32);
  uint32_t c2 = static_cast<uint32_t>(offset), c3 = static_cast<uint32_t>(offset >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * c0;
    const uint64_t p1 = 0xCD9E8D57ull * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in [0, 1) with 24 bits: exact in f32, identical on every backend.
ANNEAL_HOST_DEVICE static inline float philoxUniform(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

}  // namespace anneal
