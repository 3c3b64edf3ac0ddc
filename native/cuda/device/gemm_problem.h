// gemm_problem.h — what one block of a matrix product works on: the parameters of a launch, and how a block
// finds its tile in a dense, batched or grouped product. Shared by the bf16 and the f32 kernels.
#pragma once

#include "cuda/gemm.h"
#include "cuda/host/gemm_tiles.h"
#include "cuda/ptx/target.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

// Rows [row, end) of one expert, at most a tile of them.
struct alignas(16) GroupTile {
  int32_t expert, row, end, unused;
};

// The work of a grouped product, written on the device before it (groupPlanKernel): in row modes the tiles
// follow.
struct alignas(16) GroupPlan {
  int32_t tiles;  // number of GroupTiles; 0 where the offsets are bad
  int32_t valid;  // 1: the offsets ascend and stay within the rows
  int32_t unused[2];
};
ANNEAL_DEVICE const GroupTile* groupTiles(const GroupPlan* plan) {
  return reinterpret_cast<const GroupTile*>(plan + 1);
}

enum class GemmKind : int {
  kDense,        // `batch` products, k cut into `splits` parts
  kGroupedRows,  // rows of a and c by GroupTile, b of its expert
  kGroupedDepth  // rows offsets[e]..offsets[e+1] of a and b are the k of expert e
};

// A launch. Strides in elements; c is what this launch writes, so with splits > 1 the partial sums,
// splitStride apart.
struct GemmParams {
  const void* a;
  const void* b;
  void* c;
  const void* bias;  // dtype of a; or null
  const GroupPlan* plan;
  const int32_t* offsets;
  int64_t m, n, k, lda, ldb, ldc, aBatch, bBatch, cBatch, splitStride, splitDepth;
  int64_t tilesM, tilesN;
  int32_t splits;
  GemmKind kind;
  GemmActivation activation;
  float alpha, beta;
  int32_t outF32;        // c is f32, else of a's dtype
  int32_t aCopy, bCopy;  // bytes that every copy of a and b into shared memory may move at once: 16, 4 or 2
  int32_t cVector;       // rows of c begin at multiples of four elements
};

// A block's share: c[row.., column..] of matrices that begin at a, b (first element of its part of k) and c.
template <typename T>
struct GemmBlock {
  const T* a;
  const T* b;
  int64_t c;            // element offset of its matrix in c
  int64_t row, column;  // of the tile
  int64_t m;            // rows from here on belong to others
  int64_t depth;        // length of its part of k
};

// False: this block has nothing to do.
template <typename T>
ANNEAL_DEVICE bool findBlock(const GemmParams& p, bool transA, bool transB, int tileRows, int tileColumns,
                             GemmBlock<T>& block) {
  const int64_t tiles = p.tilesM * p.tilesN;
  int64_t matrix = int64_t{blockIdx.x} / tiles;
  const TilePosition at = tilePosition(int64_t{blockIdx.x} - matrix * tiles, p.tilesM, p.tilesN);
  const T* a = static_cast<const T*>(p.a);
  const T* b = static_cast<const T*>(p.b);
  block.column = at.column * tileColumns;
  if (p.kind == GemmKind::kGroupedRows) {
    if (at.row >= p.plan->tiles) return false;
    const GroupTile tile = load<GroupTile>(groupTiles(p.plan) + at.row);
    block.a = a;
    block.b = b + tile.expert * p.bBatch;
    block.c = 0;
    block.row = tile.row;
    block.m = tile.end;
    block.depth = p.k;
    return true;
  }
  block.row = at.row * tileRows;
  block.m = p.m;
  if (p.kind == GemmKind::kGroupedDepth) {
    if (p.plan->valid == 0) return false;
    const int64_t begin = p.offsets[matrix];
    block.depth = p.offsets[matrix + 1] - begin;
    block.a = a + begin * p.lda;
    block.b = b + begin * p.ldb;
    block.c = matrix * p.cBatch;
    return true;
  }
  const int64_t split = matrix % p.splits;
  matrix /= p.splits;
  const int64_t begin = split * p.splitDepth, rest = p.k - begin;
  block.depth = rest < p.splitDepth ? rest : p.splitDepth;
  block.a = a + matrix * p.aBatch + begin * (transA ? p.lda : 1);
  block.b = b + matrix * p.bBatch + begin * (transB ? 1 : p.ldb);
  block.c = matrix * p.cBatch + split * p.splitStride;
  return true;
}

}  // namespace anneal::cuda
