// sort.cu — stable radix sort of pairs by their key, least digit first. A pass is two launches: digits
// counted block by block, then each block computes where its pairs go and moves them. Ranks inside a warp
// come from ballots, so that nothing depends on the order in which threads run.
#include "cuda/device/peers.h"
#include "cuda/device/scan.h"
#include "cuda/kernels/sort.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

// The positions of one block and the digit of one pass.
struct Pass {
  int64_t n, tile;
  int shift, bits;
  unsigned bins;

  ANNEAL_DEVICE uint32_t digitOf(uint32_t key) const { return key >> shift & (bins - 1); }
};

// Calls body(pair, digit, peers, valid) for the warp's piece of the tile, 32 neighbours at a time.
template <typename Body>
ANNEAL_DEVICE void forWarpPiece(const Pass& pass, const Pair* pairs, const Body& body) {
  const int64_t piece = pass.tile / kSortWarps;
  const int64_t begin = blockIdx.x * pass.tile + warpId() * piece;
  const int64_t end = pass.n < begin + piece ? pass.n : begin + piece;
  for (int64_t base = begin; base < end; base += kWarpSize) {
    const int64_t at = base + laneId();
    const bool valid = at < end;
    const Pair pair = valid ? load<Pair>(pairs + at) : Pair{};
    const uint32_t digit = pass.digitOf(pair.lane[0]);
    body(pair, digit, peersOf(digit, valid, pass.bits), valid);
  }
}

// Counts digits by warp: counts [warps, bins] in shared memory.
ANNEAL_DEVICE void countDigits(const Pass& pass, const Pair* pairs, uint32_t* counts) {
  for (unsigned i = threadIdx.x; i < kSortWarps * pass.bins; i += kSortThreads) counts[i] = 0;
  syncThreads();
  uint32_t* mine = counts + warpId() * pass.bins;
  forWarpPiece(pass, pairs, [&](const Pair&, uint32_t digit, uint32_t peers, bool valid) {
    if (valid && firstBit(peers) - 1 == static_cast<int>(laneId())) mine[digit] += countBits(peers);
    syncWarp();
  });
  syncThreads();
}

// counters [blocks, bins]. Floor: bytes of the pairs ÷ bandwidth.
__global__ void __launch_bounds__(kSortThreads)
    countKernel(Pass pass, const Pair* pairs, uint32_t* counters) {
  uint32_t* counts = sharedArena<uint32_t>();
  countDigits(pass, pairs, counts);
  for (unsigned bin = threadIdx.x; bin < pass.bins; bin += kSortThreads) {
    uint32_t sum = 0;
    for (unsigned w = 0; w < kSortWarps; ++w) sum += counts[w * pass.bins + bin];
    counters[blockIdx.x * pass.bins + bin] = sum;
  }
}

// Floor: bytes of the pairs twice ÷ bandwidth.
__global__ void __launch_bounds__(kSortThreads)
    moveKernel(Pass pass, const Pair* pairs, Pair* moved, const uint32_t* counters) {
  uint32_t* counts = sharedArena<uint32_t>();
  uint32_t* scratch = counts + kSortWarps * pass.bins;
  countDigits(pass, pairs, counts);
  // A thread a bin: pairs of the bin in all blocks and in the blocks before this one.
  const unsigned bin = threadIdx.x;
  uint32_t total = 0, earlier = 0;
  if (bin < pass.bins) {
    for (unsigned block = 0; block < gridDim.x; ++block) {
      const uint32_t count = counters[block * pass.bins + bin];
      total += count;
      if (block < blockIdx.x) earlier += count;
    }
  }
  uint32_t place = groupScan(total, kSortThreads, scratch).before + earlier;
  if (bin < pass.bins) {
    for (unsigned w = 0; w < kSortWarps; ++w) {
      const uint32_t count = counts[w * pass.bins + bin];
      counts[w * pass.bins + bin] = place;
      place += count;
    }
  }
  syncThreads();
  uint32_t* mine = counts + warpId() * pass.bins;
  forWarpPiece(pass, pairs, [&](const Pair& pair, uint32_t digit, uint32_t peers, bool valid) {
    const uint32_t below = peers & ((1u << laneId()) - 1u);
    if (valid) store(moved + mine[digit] + countBits(below), pair);
    syncWarp();
    if (valid && below == 0) mine[digit] += countBits(peers);
    syncWarp();
  });
}

}  // namespace

int sortPairs(KernelContext* context, const SortPlan& plan, Pair* pairs, Pair* spare, uint32_t* counters,
              int64_t n, Pair** sorted) {
  const unsigned blocks = static_cast<unsigned>(plan.blocks), bins = 1u << plan.digitBits;
  const size_t counts = kSortWarps * bins * sizeof(uint32_t);
  for (int p = 0; p < plan.passes; ++p) {
    const Pass pass{n, plan.tile, p * plan.digitBits, plan.digitBits, bins};
    const LaunchShape count{blocks, kSortThreads, counts}, move{blocks, kSortThreads, counts + kWarpSize * 4};
    if (const int status = launch(context, countKernel, count, pass, pairs, counters)) return status;
    if (const int status = launch(context, moveKernel, move, pass, pairs, spare, counters)) return status;
    std::swap(pairs, spare);
  }
  *sorted = pairs;
  return 0;
}

}  // namespace anneal::cuda
