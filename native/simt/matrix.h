// matrix.h — what the host bodies of cuda/ptx/mma.h call: the warp's matrix instructions by 32 fibers.
#pragma once

#include <cstdint>

namespace anneal::simt {

// ldmatrix and stmatrix of `count` (1, 2, 4) matrices of 8 × 8 words of 16 bits.
void loadMatrices(uint32_t* fragment, unsigned count, uint32_t rowAddress, bool transposed);
void storeMatrices(const uint32_t* fragment, unsigned count, uint32_t rowAddress, bool transposed);

// c [16, 8] += a · b for m16n8k16 in bf16 and m16n8k8 in tf32.
void mmaBf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
void mmaTf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

uint32_t roundToTf32(float value);

}  // namespace anneal::simt
