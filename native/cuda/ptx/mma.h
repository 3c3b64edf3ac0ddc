// mma.h — the warp's tensor-core instructions: ldmatrix, stmatrix and mma. All 32 lanes of a warp call
// together. A "matrix" is 8 rows of 16 bytes in shared memory (8 × 8 bf16); a register of a fragment holds
// two neighbours of a row, the lower column in the lower half. With g = lane / 4 and t = lane % 4, lane holds
//   of an 8 × 8 matrix       row g, columns 2t and 2t+1 (transposed: rows 2t and 2t+1 of column g);
//   of A [16, 16] (4 words)  (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8): rows of A, as four matrices in that
//   order; of B [16, 8]  (2 words)  (2t, g), (2t+8, g): two matrices of B transposed, whose rows are columns
//   of B; of C [16, 8]  (4 floats) (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
#pragma once

#include "cuda/ptx/target.h"
#include "cuda/ptx/warp.h"

#if defined(ANNEAL_SIMT)
#include "simt/matrix.h"
#endif

namespace anneal::cuda {

// loadMatrices<N>(fragment, rowAddress): N = 1, 2 or 4 matrices from shared memory. Lane 8·i + r passes the
// address (a multiple of 16) of row r of matrix i; the addresses of lanes 8·N and up are ignored. fragment[i]
// = matrix i.
#if defined(ANNEAL_SIMT)
template <int N>
ANNEAL_DEVICE void loadMatrices(uint32_t (&fragment)[N], uint32_t rowAddress) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::loadMatrices(fragment, N, rowAddress, false);
}
template <int N>
ANNEAL_DEVICE void loadMatricesTransposed(uint32_t (&fragment)[N], uint32_t rowAddress) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::loadMatrices(fragment, N, rowAddress, true);
}
template <int N>
ANNEAL_DEVICE void storeMatrices(uint32_t rowAddress, const uint32_t (&fragment)[N]) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::storeMatrices(fragment, N, rowAddress, false);
}
template <int N>
ANNEAL_DEVICE void storeMatricesTransposed(uint32_t rowAddress, const uint32_t (&fragment)[N]) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::storeMatrices(fragment, N, rowAddress, true);
}
ANNEAL_DEVICE void mmaBf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  simt::mmaBf16(c, a, b0, b1);
}
ANNEAL_DEVICE uint32_t toTf32(float value) { return simt::roundToTf32(value); }
ANNEAL_DEVICE void mmaTf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  simt::mmaTf32(c, a, b0, b1);
}
#else
template <int N>
ANNEAL_DEVICE void loadMatrices(uint32_t (&fragment)[N], uint32_t rowAddress) {
  static_assert(N == 1 || N == 2 || N == 4);
  if constexpr (N == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(fragment[0])
                 : "r"(rowAddress)
                 : "memory");
  } else if constexpr (N == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(fragment[0]), "=r"(fragment[1])
                 : "r"(rowAddress)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(rowAddress)
                 : "memory");
  }
}

template <int N>
ANNEAL_DEVICE void loadMatricesTransposed(uint32_t (&fragment)[N], uint32_t rowAddress) {
  static_assert(N == 1 || N == 2 || N == 4);
  if constexpr (N == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(fragment[0])
                 : "r"(rowAddress)
                 : "memory");
  } else if constexpr (N == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(fragment[0]), "=r"(fragment[1])
                 : "r"(rowAddress)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(rowAddress)
                 : "memory");
  }
}

// storeMatrices<N>(rowAddress, fragment): the inverse of loadMatrices. stmatrix where the GPU has it (compute
// capability 9.0), before that plain stores of the same words.
template <int N>
ANNEAL_DEVICE void storeMatrices(uint32_t rowAddress, const uint32_t (&fragment)[N]) {
  static_assert(N == 1 || N == 2 || N == 4);
#if __CUDA_ARCH__ >= 900
  if constexpr (N == 1) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(rowAddress), "r"(fragment[0])
                 : "memory");
  } else if constexpr (N == 2) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(rowAddress),
                 "r"(fragment[0]), "r"(fragment[1])
                 : "memory");
  } else {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(rowAddress),
                 "r"(fragment[0]), "r"(fragment[1]), "r"(fragment[2]), "r"(fragment[3])
                 : "memory");
  }
#else
#pragma unroll
  for (unsigned i = 0; i < N; ++i) {
    const uint32_t row = shuffle(rowAddress, 8 * i + laneId() / 4) + 4 * (laneId() % 4);
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(row), "r"(fragment[i]) : "memory");
  }
#endif
}

template <int N>
ANNEAL_DEVICE void storeMatricesTransposed(uint32_t rowAddress, const uint32_t (&fragment)[N]) {
  static_assert(N == 1 || N == 2 || N == 4);
#if __CUDA_ARCH__ >= 900
  if constexpr (N == 1) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" ::"r"(rowAddress),
                 "r"(fragment[0])
                 : "memory");
  } else if constexpr (N == 2) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(rowAddress),
                 "r"(fragment[0]), "r"(fragment[1])
                 : "memory");
  } else {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(rowAddress),
                 "r"(fragment[0]), "r"(fragment[1]), "r"(fragment[2]), "r"(fragment[3])
                 : "memory");
  }
#else
#pragma unroll
  for (unsigned i = 0; i < N; ++i) {
    const uint32_t upper = shuffle(rowAddress, 8 * i + 2 * (laneId() % 4)) + 2 * (laneId() / 4);
    const uint32_t lower = shuffle(rowAddress, 8 * i + 2 * (laneId() % 4) + 1) + 2 * (laneId() / 4);
    asm volatile("st.shared.b16 [%0], %1;" ::"r"(upper), "h"(static_cast<uint16_t>(fragment[i])) : "memory");
    asm volatile("st.shared.b16 [%0], %1;" ::"r"(lower), "h"(static_cast<uint16_t>(fragment[i] >> 16))
                 : "memory");
  }
#endif
}

// c += A·B with A [16, 16] and B [16, 8] in bf16 (m16n8k16). Products are exact; their sum with c is in f32,
// rounded toward zero by the hardware after an alignment to the largest term, to nearest after each addition
// on the CPU: the two differ by a few units in the last place.
ANNEAL_DEVICE void mmaBf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A float rounded to tf32 (8 bits of exponent, 10 of fraction), to nearest, ties away from zero.
ANNEAL_DEVICE uint32_t toTf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

// c += A·B with A [16, 8] and B [8, 8] in tf32 (m16n8k8), one element a register: lane holds (g, t), (g+8,
// t), (g, t+4), (g+8, t+4) of A and (t, g), (t+4, g) of B. The 13 low bits of a register are not read.
ANNEAL_DEVICE void mmaTf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

ANNEAL_DEVICE void mmaBf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mmaBf16(c, a, b[0], b[1]);
}

}  // namespace anneal::cuda
