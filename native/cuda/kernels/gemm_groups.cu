// gemm_groups.cu — prepares a grouped product on the device: its offsets never visit the host.
#include "cuda/kernels/gemm_launch.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/warp.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kWarps = kThreads / kWarpSize;

// starts[i] = Σ_{j < i} counts[j] for i in [0, count], in place over counts; by the block's first warp.
ANNEAL_DEVICE void sumBefore(int32_t* counts, int64_t count) {
  if (warpId() != 0) return;
  int32_t before = 0;
  for (int64_t base = 0; base <= count; base += kWarpSize) {
    const int64_t i = base + laneId();
    const int32_t own = i < count ? counts[i] : 0;
    int32_t sum = own;
    for (unsigned distance = 1; distance < kWarpSize; distance *= 2) {
      const int32_t other = shuffleUp(sum, distance);
      if (laneId() >= distance) sum += other;
    }
    if (i <= count) counts[i] = before + sum - own;
    before += shuffle(sum, kWarpSize - 1);
  }
}

// One block. Floor: the latency of one launch (a few microseconds); bytes: experts and tiles.
__global__ void __launch_bounds__(kThreads)
    groupPlanKernel(const int32_t* offsets, int64_t experts, int64_t rows, int64_t tileRows, GroupPlan* plan,
                    FaultReporter reporter) {
  auto* badWarps = sharedArena<int32_t>();
  int32_t* starts = badWarps + kWarps;  // [experts + 1]
  bool bad = false;
  for (int64_t i = threadIdx.x; i <= experts; i += kThreads) {
    const int32_t offset = offsets[i], least = i == 0 ? 0 : offsets[i - 1];
    if (offset < least || offset > rows) {
      bad = true;
      reportFault(reporter, kFaultOffset, i, offset, rows);
    }
    if (i > 0)
      starts[i - 1] = tileRows == 0 ? 0 : static_cast<int32_t>(ceilDiv(int64_t{offset} - least, tileRows));
  }
  bad = anyLane(bad);
  if (laneId() == 0) badWarps[warpId()] = bad ? 1 : 0;
  syncThreads();
  for (unsigned warp = 0; warp < kWarps; ++warp) bad = bad || badWarps[warp] != 0;
  sumBefore(starts, experts);
  syncThreads();
  const int32_t tiles = bad ? 0 : starts[experts];
  if (threadIdx.x == 0) {
    plan->tiles = tiles;
    plan->valid = bad ? 0 : 1;
  }
  for (int32_t tile = static_cast<int32_t>(threadIdx.x); tile < tiles; tile += kThreads) {
    // The last expert that begins at or before this tile: those without rows share their start with the next.
    int64_t low = 0, high = experts;
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      if (starts[middle] <= tile) {
        low = middle;
      } else {
        high = middle;
      }
    }
    const int64_t row = offsets[low] + (tile - starts[low]) * tileRows, last = offsets[low + 1];
    const int64_t end = row + tileRows < last ? row + tileRows : last;
    auto* to = reinterpret_cast<GroupTile*>(plan + 1) + tile;
    store(to, GroupTile{static_cast<int32_t>(low), static_cast<int32_t>(row), static_cast<int32_t>(end), 0});
  }
}

}  // namespace

int launchGroupPlan(KernelContext* context, const int32_t* offsets, int64_t experts, int64_t rows,
                    int64_t tileRows, GroupPlan* plan) {
  const size_t shared = (kWarps + static_cast<size_t>(experts) + 1) * sizeof(int32_t);
  return launch(context, groupPlanKernel, {1, kThreads, shared}, offsets, experts, rows, tileRows, plan,
                faultReporter(context));
}

}  // namespace anneal::cuda
