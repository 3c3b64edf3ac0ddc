// gemm_launch.h — what matmul.cu launches: the own kernels of matrix products, a launch function each.
#pragma once

#include "cuda/device/gemm_problem.h"
#include "cuda/device_state.h"

namespace anneal::cuda {

// Products of bf16 and of f32 operands: `matrices` (batch × splits, or experts) times the tiles that p names.
int launchGemmBf16(KernelContext* context, const GemmParams& p, GemmTile tile, bool transA, bool transB,
                   int64_t matrices);
int launchGemmF32(KernelContext* context, const GemmParams& p, GemmTile tile, bool transA, bool transB,
                  int64_t matrices);

// The second stage of a split k: c from partial sums [splits, batch, m, n rounded up to 4] f32, added in
// order. p as for one launch without splits.
int launchSplitSum(KernelContext* context, const GemmParams& p, const float* partial, int64_t splits,
                   int64_t batch, bool bf16);

// Checks the offsets of a grouped product and, where tileRows > 0, lays out the tiles of its rows: fills
// *plan and the GroupTiles behind it.
int launchGroupPlan(KernelContext* context, const int32_t* offsets, int64_t experts, int64_t rows,
                    int64_t tileRows, GroupPlan* plan);

}  // namespace anneal::cuda
