// gemm_bf16.cu — matrix products of bf16 operands on the tensor cores: ten kernels, one per tile and layout;
// batches, groups, splits, alignments, epilogues and the dtype of c are parameters.
#include "cuda/device/gemm_bf16.h"
#include "cuda/kernels/gemm_launch.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

// Floor: 2·m·n·k FLOPs ÷ the rate of mma (a part of the 790 TFLOP/s that wgmma reaches on an H200), or the
// bytes of a, b and c ÷ bandwidth where m or n is small.
template <typename Tile, bool kTransA, bool kTransB>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    gemmBf16Kernel(const __grid_constant__ GemmParams params) {
  gemmBf16<Tile, kTransA, kTransB>(params);
}

template <typename Tile, bool kTransA, bool kTransB>
int launchTile(KernelContext* context, const GemmParams& p, int64_t matrices) {
  const int64_t blocks = p.tilesM * p.tilesN * matrices;
  if (blocks > INT32_MAX)
    return fail(context, "matrix product: %lld blocks are too many", static_cast<long long>(blocks));
  return launch(context, gemmBf16Kernel<Tile, kTransA, kTransB>,
                {static_cast<unsigned>(blocks), Tile::kThreads, Tile::kSharedBytes}, p);
}

template <typename Tile>
int launchLayout(KernelContext* context, const GemmParams& p, bool transA, bool transB, int64_t matrices) {
  return transA   ? launchTile<Tile, true, false>(context, p, matrices)
         : transB ? launchTile<Tile, false, true>(context, p, matrices)
                  : launchTile<Tile, false, false>(context, p, matrices);
}

}  // namespace

int launchGemmBf16(KernelContext* context, const GemmParams& p, GemmTile tile, bool transA, bool transB,
                   int64_t matrices) {
  if (transA && transB) return launchTile<Bf16Small, true, true>(context, p, matrices);
  switch (tile) {
    case GemmTile::k128x256:
      return launchLayout<Bf16Large>(context, p, transA, transB, matrices);
    case GemmTile::k128x128:
      return launchLayout<Bf16Medium>(context, p, transA, transB, matrices);
    default:
      return launchLayout<Bf16Small>(context, p, transA, transB, matrices);
  }
}

}  // namespace anneal::cuda
