// gemm_block.h — one rectangle of a matrix product on one thread: what gemm.cc and matmul.cc share out to the
// team. The kernel itself is kernels/gemm_kernel.cc, compiled per instruction set; gemm.cc picks the one that
// the processor has.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"

namespace anneal::cpu {

// Which loop computes a product. The choice looks at the whole product, never at a thread's share of it, so
// that results do not depend on the number of threads.
enum class GemmPath {
  kTiles,  // packed panels and register tiles; every sum runs over k in ascending order, in blocks of a fixed
           // depth
  kDots  // few rows times a transposed b: dot products straight from memory (generation, where packing would
         // cost more than the product)
};

struct GemmKernel {
  // Computes c[mBegin..mEnd, nBegin..nEnd) of one product (batch is ignored: the pointers are those of this
  // matrix). Uses threadScratch(7).
  void (*block)(const GemmCall& call, GemmPath path, int64_t mBegin, int64_t mEnd, int64_t nBegin,
                int64_t nEnd);
  // Rows and columns of a register tile: a thread's share is best a multiple of them.
  int64_t tileRows, tileColumns;
};

// The kernel of this processor's instruction set.
const GemmKernel& gemmKernel();

GemmPath gemmPath(int64_t m, int64_t k, bool transA, bool transB);

}  // namespace anneal::cpu
