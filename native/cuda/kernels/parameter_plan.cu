// parameter_plan.cu — one block checks an optimizer's table and sums up where in the row of all chunks each
// tensor begins. Floor: the latency of three dependent reads, a few microseconds up to thousands of tensors.
#include "core/dtype.h"
#include "cuda/device/parameter_chunks.h"
#include "cuda/device/reduce.h"
#include "cuda/device_state.h"
#include "cuda/kernels/parameter_plan.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 1024;
constexpr uint64_t kSound = ~uint64_t{0};

// What is wrong with a tensor: the order of the CPU's checks (all dtypes before all moments), then the
// tensor, then the kind. The smallest is what gets reported.
ANNEAL_DEVICE uint64_t defect(uint64_t order, int64_t entry, FaultKind kind) {
  return order << 56 | static_cast<uint64_t>(entry) << 8 | kind;
}

ANNEAL_DEVICE uint64_t check(const ParameterEntry& entry, int64_t e, TableNeeds needs) {
  if (needs == TableNeeds::kGradients) return kSound;
  const bool rounded = entry.parameterDtype == kBF16 && (entry.count <= 0 || entry.master != nullptr);
  if (entry.parameterDtype != kF32 && !rounded) return defect(0, e, kFaultParameter);
  if (entry.firstMoment != nullptr && entry.momentDtype != kF32 && entry.momentDtype != kBF16)
    return defect(0, e, kFaultMoments);
  if (needs == TableNeeds::kDtypes || entry.count <= 0) return kSound;
  if (needs == TableNeeds::kBuffer)
    return entry.firstMoment == nullptr ? defect(1, e, kFaultNoBuffer) : kSound;
  return entry.firstMoment == nullptr || entry.secondMoment == nullptr ? defect(1, e, kFaultNoMoments)
                                                                       : kSound;
}

ANNEAL_DEVICE int32_t chunksOf(const ParameterEntry& entry) {
  return static_cast<int32_t>((entry.count + kChunk - 1) / kChunk);
}

struct Least {
  ANNEAL_DEVICE uint64_t operator()(uint64_t a, uint64_t b) const { return a < b ? a : b; }
};

// Σ value over the threads before this one. totals: kWarpSize words in shared memory.
ANNEAL_DEVICE int32_t sumBefore(int32_t value, int32_t* totals) {
  int32_t sum = value;
  for (unsigned distance = 1; distance < kWarpSize; distance *= 2) {
    const int32_t other = shuffleUp(sum, distance);
    if (laneId() >= distance) sum += other;
  }
  if (laneId() == kWarpSize - 1) totals[warpId()] = sum;
  syncThreads();
  int32_t before = sum - value;
  for (unsigned warp = 0; warp < warpId(); ++warp) before += totals[warp];
  return before;
}

__global__ void __launch_bounds__(kThreads)
    planKernel(const ParameterEntry* table, int64_t entries, TableNeeds needs, uint64_t momentum,
               int32_t* starts, uint32_t* zero, FaultReporter reporter) {
  uint64_t* scratch = sharedArena<uint64_t>();
  int32_t* totals = reinterpret_cast<int32_t*>(scratch + kWarpSize);
  // A run of tensors a thread.
  const int64_t run = (entries + kThreads - 1) / kThreads, begin = threadIdx.x * run;
  const int64_t end = begin + run < entries ? begin + run : entries;
  int32_t chunks = 0;
  uint64_t worst = kSound;
  for (int64_t e = begin; e < end; ++e) {
    worst = Least{}(worst, check(table[e], e, needs));
    chunks += chunksOf(table[e]);
  }
  worst = blockReduce(worst, Least{}, kSound, scratch);
  int32_t start = sumBefore(chunks, totals);
  for (int64_t e = begin; e < end; ++e) {
    starts[e] = start;
    start += chunksOf(table[e]);
  }
  if (threadIdx.x == kThreads - 1) starts[entries] = worst == kSound ? start : 0;
  if (threadIdx.x != 0) return;
  if (zero != nullptr) *zero = 0;
  if (worst == kSound) return;
  const auto kind = static_cast<FaultKind>(worst & 0xff);
  const auto e = static_cast<int64_t>(worst << 8 >> 16);
  const int64_t dtype = kind == kFaultMoments ? table[e].momentDtype : table[e].parameterDtype;
  reportFault(reporter, kind, e, dtype, static_cast<int64_t>(momentum));
}

}  // namespace

int planChunks(KernelContext* context, const void* table, int64_t entries, TableNeeds needs, double momentum,
               int32_t* starts, uint32_t* zero) {
  constexpr size_t kShared = kWarpSize * (sizeof(uint64_t) + sizeof(int32_t));
  return launch(context, planKernel, {1, kThreads, kShared}, static_cast<const ParameterEntry*>(table),
                entries, needs, __builtin_bit_cast(uint64_t, momentum), starts, zero, faultReporter(context));
}

}  // namespace anneal::cuda
