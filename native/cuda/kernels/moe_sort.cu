// moe_sort.cu — the counting sort that groups the choices of experts, and the update of the selection bias
// from its counts. Three launches: choices counted block by block, places of blocks, choices placed. Ranks
// inside a warp come from ballots, so that the order is that of the choices whoever runs first.
#include "cuda/device/peers.h"
#include "cuda/device/scan.h"
#include "cuda/device_state.h"
#include "cuda/host/moe_plan.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

constexpr int kFlight = 4;  // choices of a lane in flight

// The choices [rows] and how blocks divide them. Ids outside of the experts go to the last bin, whose rows
// follow all others: order and inverse hold row numbers whatever the ids are.
struct Choices {
  const int32_t* ids;
  int64_t rows, tile, blocks;
  unsigned bins, chosen;
  int bits;
};

// Calls body(r, bin, peers, valid) for the warp's piece of the block's tile, 32 neighbours at a time.
template <typename Body>
ANNEAL_DEVICE void forWarpPiece(const Choices& c, const Body& body) {
  const int64_t piece = c.tile / (blockDim.x / kWarpSize);
  const int64_t begin = blockIdx.x * c.tile + warpId() * piece;
  const int64_t end = c.rows < begin + piece ? c.rows : begin + piece;
  for (int64_t base = begin; base < end; base += kFlight * int64_t{kWarpSize}) {
    int32_t ids[kFlight];
#pragma unroll
    for (int k = 0; k < kFlight; ++k) {
      const int64_t r = base + k * int64_t{kWarpSize} + laneId();
      ids[k] = r < end ? c.ids[r] : 0;
    }
#pragma unroll
    for (int k = 0; k < kFlight; ++k) {
      const int64_t r = base + k * int64_t{kWarpSize} + laneId();
      const bool inside = ids[k] >= 0 && ids[k] < static_cast<int64_t>(c.bins) - 1;
      const uint32_t bin = inside ? static_cast<uint32_t>(ids[k]) : c.bins - 1;
      body(r, ids[k], bin, peersOf(bin, r < end, c.bits), r < end);
    }
  }
}

// Clears the counters of each warp [warps, bins] in shared memory.
ANNEAL_DEVICE void clearCounts(const Choices& c, uint32_t* counts) {
  const unsigned all = blockDim.x / kWarpSize * c.bins;
  for (unsigned i = threadIdx.x; i < all; i += blockDim.x) counts[i] = 0;
  syncThreads();
}

// counters [bins, blocks]: choices of each expert in each block. Takes choices of tokens that do not count
// out of the totals. Floor: bytes of ids ÷ bandwidth.
__global__ void __launch_bounds__(kMoeThreads) countKernel(Choices c, uint32_t* counters, int32_t* totals,
                                                           const int32_t* counted, FaultReporter reporter) {
  uint32_t* counts = sharedArena<uint32_t>();
  clearCounts(c, counts);
  uint32_t* mine = counts + warpId() * c.bins;
  forWarpPiece(c, [&](int64_t r, int32_t id, uint32_t bin, uint32_t peers, bool valid) {
    const bool bad = bin == c.bins - 1;
    if (valid && bad) reportFault(reporter, kFaultExpert, r, id, c.bins - 1);
    if (valid && lowerPeers(peers) == 0) mine[bin] += static_cast<uint32_t>(countBits(peers));
    syncWarp();
    if (counted == nullptr) return;
    const bool idle = valid && !bad && counted[static_cast<uint32_t>(r) / c.chosen] < 0;
    const uint32_t left = peers & ballot(idle);
    if (idle && lowerPeers(left) == 0) atomicAddInt(totals + bin, -countBits(left));
  });
  syncThreads();
  for (unsigned bin = threadIdx.x; bin < c.bins; bin += blockDim.x) {
    uint32_t sum = 0;
    for (unsigned w = 0; w < blockDim.x / kWarpSize; ++w) sum += counts[w * c.bins + bin];
    counters[bin * c.blocks + blockIdx.x] = sum;
  }
}

// A warp an expert: counters become the number of its choices in the blocks before. Floor: a launch.
__global__ void __launch_bounds__(kMoeThreads)
    blocksKernel(Choices c, uint32_t* counters, int32_t* counts, int32_t* totals) {
  const unsigned bin = blockIdx.x * kMoeWarps + warpId();
  if (bin >= c.bins) return;
  uint32_t* row = counters + bin * c.blocks;
  uint32_t before = 0;
  for (int64_t base = 0; base < c.blocks; base += kWarpSize) {
    const int64_t at = base + laneId();
    const uint32_t count = at < c.blocks ? row[at] : 0, sum = warpScan(count);
    if (at < c.blocks) row[at] = before + sum - count;
    before += shuffle(sum, kWarpSize - 1);
  }
  if (laneId() != 0 || bin == c.bins - 1) return;
  counts[bin] = static_cast<int32_t>(before);
  if (totals != nullptr) totals[bin] = Sum{}(totals[bin], static_cast<int32_t>(before));
}

// Floor: bytes of ids, order and inverse ÷ bandwidth.
__global__ void __launch_bounds__(kMoeThreads)
    placeKernel(Choices c, const uint32_t* counters, const int32_t* counts, int32_t* offsets, int32_t* order,
                int32_t* inverse) {
  uint32_t* scratch = sharedArena<uint32_t>();
  uint32_t* places = scratch + kWarpSize;
  clearCounts(c, places);
  uint32_t* mine = places + warpId() * c.bins;
  forWarpPiece(c, [&](int64_t, int32_t, uint32_t bin, uint32_t peers, bool valid) {
    if (valid && lowerPeers(peers) == 0) mine[bin] += static_cast<uint32_t>(countBits(peers));
    syncWarp();
  });
  syncThreads();
  uint32_t first = 0;
  for (unsigned base = 0; base < c.bins; base += blockDim.x) {
    const unsigned bin = base + threadIdx.x;
    const uint32_t count = bin < c.bins - 1 ? static_cast<uint32_t>(counts[bin]) : 0;
    const Scanned<uint32_t> scanned = groupScan(count, blockDim.x, scratch);
    if (bin < c.bins) {
      uint32_t place = first + scanned.before;
      if (blockIdx.x == 0) offsets[bin] = static_cast<int32_t>(place);
      place += counters[bin * c.blocks + blockIdx.x];
      for (unsigned w = 0; w < blockDim.x / kWarpSize; ++w) {
        const uint32_t inWarp = places[w * c.bins + bin];
        places[w * c.bins + bin] = place;
        place += inWarp;
      }
    }
    first += scanned.total;
  }
  syncThreads();
  forWarpPiece(c, [&](int64_t r, int32_t, uint32_t bin, uint32_t peers, bool valid) {
    const uint32_t below = lowerPeers(peers);
    if (valid) {
      const uint32_t j = mine[bin] + static_cast<uint32_t>(countBits(below));
      order[j] = static_cast<int32_t>(r);
      inverse[r] = static_cast<int32_t>(j);
    }
    syncWarp();
    if (valid && below == 0) mine[bin] += static_cast<uint32_t>(countBits(peers));
    syncWarp();
  });
}

// One block. Floor: a launch.
__global__ void __launch_bounds__(kMoeThreads)
    biasKernel(float* bias, int32_t* totals, int64_t experts, float rate) {
  int64_t all = 0;
  for (int64_t e = threadIdx.x; e < experts; e += kMoeThreads) all += totals[e];
  all = blockReduce(all, Sum{}, int64_t{0}, sharedArena<int64_t>());
  for (int64_t e = threadIdx.x; e < experts; e += kMoeThreads) {
    // sign(mean − n) in integers: E times both sides, exact.
    const int64_t above = all - totals[e] * experts;
    bias[e] += above > 0 ? rate : above < 0 ? -rate : 0.0f;
    totals[e] = 0;
  }
}

int moeSort(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const MoeSortArgs*>(raw);
  const int64_t rows = args.tokens * args.chosen, room = stateOf(context).facts.sharedBytes;
  const MoeSortPlan plan = planMoeSort(rows, args.experts, room);
  if (plan.warps == 0) {
    return fail(context, "moeSort: counters of %lld experts do not fit into the %lld bytes of a block",
                static_cast<long long>(args.experts), static_cast<long long>(room));
  }
  auto* counters = static_cast<uint32_t*>(
      workspace(context, static_cast<size_t>(plan.bins) * plan.blocks * sizeof(uint32_t)));
  if (counters == nullptr) return 1;
  auto* counts = static_cast<int32_t*>(args.counts);
  auto* totals = static_cast<int32_t*>(args.totals);
  const Choices choices{static_cast<const int32_t*>(args.ids), rows,     plan.tile, plan.blocks, plan.bins,
                        static_cast<unsigned>(args.chosen),    plan.bits};
  const LaunchShape shape{static_cast<unsigned>(plan.blocks), plan.warps * kWarpSize, plan.shared};
  const auto* counted = totals == nullptr ? nullptr : static_cast<const int32_t*>(args.counted);
  int status =
      launch(context, countKernel, shape, choices, counters, totals, counted, faultReporter(context));
  if (status != 0) return status;
  const unsigned blocks = static_cast<unsigned>(divideUp(plan.bins, kMoeWarps));
  status = launch(context, blocksKernel, {blocks, kMoeThreads}, choices, counters, counts, totals);
  if (status != 0) return status;
  return launch(context, placeKernel, shape, choices, counters, counts, static_cast<int32_t*>(args.offsets),
                static_cast<int32_t*>(args.order), static_cast<int32_t*>(args.inverse));
}

int moeBiasUpdate(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const MoeBiasUpdateArgs*>(raw);
  return launch(context, biasKernel, {1, kMoeThreads, kWarpSize * sizeof(int64_t)},
                static_cast<float*>(args.bias), static_cast<int32_t*>(args.totals), args.experts,
                static_cast<float>(args.rate));
}

}  // namespace

void registerMoeSort(Backend& table) {
  table.kernels[kKernel_moeSort] = moeSort;
  table.kernels[kKernel_moeBiasUpdate] = moeBiasUpdate;
}

}  // namespace anneal::cuda
