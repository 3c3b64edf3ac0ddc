// wgmma.h — what the host bodies of cuda/ptx/wgmma.h call.
#pragma once

#include <cstdint>

namespace anneal::simt {

void wgmmaFence();
void wgmmaCommit();
void wgmmaWait(unsigned pending);
// A violation when a product that writes this accumulator is still under way.
void wgmmaRequire(const float* accumulator, unsigned registers);

// One m64nNk16 by 128 threads; `registersA` null: A by descriptor. Transposed operands lie along M or N.
void wgmma(float* accumulator, unsigned n, const uint32_t* registersA, uint64_t a, bool transposedA,
           uint64_t b, bool transposedB, bool accumulate);

}  // namespace anneal::simt
