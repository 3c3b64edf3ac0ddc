// gemm_f32.cu — matrix products of f32 operands: one kernel per tile; layouts, batches, groups, splits,
// alignments and epilogues are parameters.
#include "cuda/device/gemm_f32.h"
#include "cuda/kernels/gemm_launch.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

// Floor: 2·m·n·k FLOPs ÷ the rate of FFMA (256 FLOPs a cycle and multiprocessor: about 60 TFLOP/s on an
// H200).
template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    gemmF32Kernel(const __grid_constant__ GemmParams params, int transA, int transB) {
  gemmF32<Tile>(params, transA != 0, transB != 0);
}

template <typename Tile>
int launchTile(KernelContext* context, const GemmParams& p, bool transA, bool transB, int64_t matrices) {
  const int64_t blocks = p.tilesM * p.tilesN * matrices;
  if (blocks > INT32_MAX)
    return fail(context, "matrix product: %lld blocks are too many", static_cast<long long>(blocks));
  return launch(context, gemmF32Kernel<Tile>,
                {static_cast<unsigned>(blocks), Tile::kThreads, Tile::kSharedBytes}, p,
                static_cast<int>(transA), static_cast<int>(transB));
}

}  // namespace

int launchGemmF32(KernelContext* context, const GemmParams& p, GemmTile tile, bool transA, bool transB,
                  int64_t matrices) {
  return tile == GemmTile::k64x64 ? launchTile<F32Small>(context, p, transA, transB, matrices)
                                  : launchTile<F32Medium>(context, p, transA, transB, matrices);
}

}  // namespace anneal::cuda
