// wgmma.h — the warpgroup's tensor-core instruction (sm_90a): C [64, N] += A [64, 16] · B [16, N], bf16 in,
// f32 out, for 128 threads that start at a multiple of 128 and all call together. It runs asynchronously:
//   wgmmaFence(); wgmma(…) once or more; wgmmaCommit(); … wgmmaWait<0>(accumulators);
// The fence stands between the last ordinary use of the registers (accumulators, A fragments) and the first
// wgmma; until the wait, neither the accumulators nor the tiles in shared memory may be touched. With warp w
// of the group, g = lane / 4 and t = lane % 4: acc[4j + 0, 1] is C(16w + g, 8j + 2t + {0, 1}), acc[4j + 2, 3]
// the row 8 below; the words of A in registers lie as in mma.h, in rows 16w and up.
// Sums: as in mma.h, the hardware's rounding differs from the CPU's in the last places.
#pragma once

#include "cuda/ptx/arch.h"
#include "cuda/ptx/swizzle.h"

#if defined(ANNEAL_SIMT)
#include "simt/wgmma.h"
#else
#include "cuda/ptx/wgmma_instruction.h"
#endif

namespace anneal::cuda {

// How an operand lies in shared memory: its rows along K (A [M, K], B [N, K] row-major), or along M or N (A
// [K, M], B [K, N] row-major).
enum class Major { kK, kMN };

// A tile in shared memory for wgmma. `address` is where the 64 × 16 (A) or 16 × N (B) part starts; the
// offsets, in bytes:
//   swizzled, kK:   stride = from 8 rows to the next 8; leading is not used;
//   swizzled, kMN:  leading = from one span of M or N to the next; stride = from 8 values of k to the next 8;
//   kNone, kK:      leading = from 8 values of k to the next 8; stride = from 8 rows to the next 8;
//   kNone, kMN:     leading = from 8 values of k to the next 8; stride = from 8 of M or N to the next 8.
// Without swizzle the tile consists of 8 × 16-byte blocks that lie densely (128 bytes).
constexpr uint64_t matrixDescriptor(uint32_t address, uint32_t leadingBytes, uint32_t strideBytes,
                                    Swizzle swizzle) {
  const auto field = [](uint32_t value) { return uint64_t{(value & 0x3ffffu) >> 4}; };
  const uint64_t mode = swizzle == Swizzle::k128  ? 1
                        : swizzle == Swizzle::k64 ? 2
                        : swizzle == Swizzle::k32 ? 3
                                                  : 0;
  return field(address) | field(leadingBytes) << 16 | field(strideBytes) << 32 | mode << 62;
}

// The usual tile: rows of one span along K (64 bf16 for k128), as one tensor-map box of that width brings it.
// Step s of 16 along K: add 32·s to the address.
template <Swizzle S>
constexpr uint64_t descriptorK(uint32_t address) {
  static_assert(S != Swizzle::kNone);
  return matrixDescriptor(address, 16, 8 * spanBytes(S), S);
}

// Rows of one span along M or N, one for each k: boxes of `rows` values of k, several of them side by side
// (`rows` spans apart) where M or N is wider. Step s of 16 along K: add 16·s spans to the address.
template <Swizzle S>
constexpr uint64_t descriptorMN(uint32_t address, uint32_t rows) {
  static_assert(S != Swizzle::kNone);
  return matrixDescriptor(address, rows * spanBytes(S), 8 * spanBytes(S), S);
}

// A descriptor whose tile starts `bytes` (a multiple of 16) further.
constexpr uint64_t advanced(uint64_t descriptor, uint32_t bytes) { return descriptor + (bytes >> 4); }

#if defined(ANNEAL_SIMT)
ANNEAL_DEVICE void wgmmaFence() { simt::wgmmaFence(); }
ANNEAL_DEVICE void wgmmaCommit() { simt::wgmmaCommit(); }
template <int N, int... R>
ANNEAL_DEVICE void wgmmaWait(float (&... accumulators)[R]) {
  simt::wgmmaWait(N);
  (simt::wgmmaRequire(accumulators, R), ...);
}
template <Major A = Major::kK, Major B = Major::kK, int R>
ANNEAL_DEVICE void wgmma(float (&d)[R], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(R == 4 || (R % 8 == 0 && R <= 128), "N is 8 or a multiple of 16 up to 256");
  simt::wgmma(d, 2 * R, nullptr, a, A == Major::kMN, b, B == Major::kMN, accumulate);
}
template <Major B = Major::kK, int R>
ANNEAL_DEVICE void wgmma(float (&d)[R], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  static_assert(R == 4 || (R % 8 == 0 && R <= 128), "N is 8 or a multiple of 16 up to 256");
  simt::wgmma(d, 2 * R, a, 0, false, b, B == Major::kMN, accumulate);
}
#else
ANNEAL_DEVICE void wgmmaFence() {
#if ANNEAL_SM90A
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  missingInstruction();
#endif
}

// Closes the group of the wgmma since the last commit.
ANNEAL_DEVICE void wgmmaCommit() {
#if ANNEAL_SM90A
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  missingInstruction();
#endif
}

// Waits until at most the N youngest groups are under way. The accumulators named are those whose groups have
// then ended: naming them keeps the compiler from reading them earlier.
template <int N, int... R>
ANNEAL_DEVICE void wgmmaWait(float (&... accumulators)[R]) {
#if ANNEAL_SM90A
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
  const auto pin = [](auto& values) {
#pragma unroll
    for (auto& value : values) asm volatile("" : "+f"(value)::"memory");
  };
  (pin(accumulators), ...);
#else
  missingInstruction();
#endif
}

// d = A·B (+ d with `accumulate`). R floats a thread mean N = 2·R columns: 8, or a multiple of 16 up to 256.
template <Major A = Major::kK, Major B = Major::kK, int R>
ANNEAL_DEVICE void wgmma(float (&d)[R], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(R == 4 || (R % 8 == 0 && R <= 128), "N is 8 or a multiple of 16 up to 256");
#if ANNEAL_SM90A
  constexpr int N = 2 * R;
  constexpr int kTransposeA = A == Major::kMN ? 1 : 0;
  constexpr int kTransposeB = B == Major::kMN ? 1 : 0;
  ANNEAL_WGMMA_SHARED_CASES
#else
  missingInstruction();
#endif
}

// The same with A in registers, always [M, K].
template <Major B = Major::kK, int R>
ANNEAL_DEVICE void wgmma(float (&d)[R], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  static_assert(R == 4 || (R % 8 == 0 && R <= 128), "N is 8 or a multiple of 16 up to 256");
#if ANNEAL_SM90A
  constexpr int N = 2 * R;
  constexpr int kTransposeB = B == Major::kMN ? 1 : 0;
  ANNEAL_WGMMA_REGISTERS_CASES
#else
  missingInstruction();
#endif
}
#endif

}  // namespace anneal::cuda
